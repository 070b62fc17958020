"""Several processes, started by torchrun; with a single process all functions are no-ops.

Gradients are summed, not averaged: the loop divides by the global weight. So the number of processes and the
distribution of clips among them change nothing but rounding.
"""

import ctypes
import importlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, distributed, nn

from maskel.console import notify as notify
from maskel.errors import InputError, ProcessLostError, TrainingError

PATIENCE = timedelta(minutes=10)
"""Time limit for a process that does not answer; a process that ends is noticed at once."""


@dataclass(frozen=True)
class World:
    """This process among all.

    Args:
        rank: Number of this process, from 0; rank 0 writes files and shows progress.
        size: Number of processes.
        device: Where this process computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """True for the one process that writes files and shows progress."""
        return self.rank == 0


def start(device: str) -> World:
    """Join the processes that torchrun started, if it did, and choose this one's device.

    Args:
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        InputError: If the device does not exist, or processes would share a GPU.
    """
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError as fault:
        raise InputError(f"device {device!r} is unknown; expected auto, cpu, cuda or cuda:N") from fault
    if chosen.type not in ("cpu", "cuda"):
        raise InputError(f"device {device!r} is not supported; expected auto, cpu, cuda or cuda:N")
    if chosen.type == "cuda":
        if not torch.cuda.is_available():
            raise InputError("device cuda: this PyTorch finds no GPU; use --device cpu")
        if chosen.index is None:
            chosen = torch.device("cuda", local)
        elif int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 1:
            raise InputError(
                f"device {device}: several processes cannot share it; with --device cuda each takes its own"
            )
        if chosen.index >= (found := torch.cuda.device_count()):
            raise InputError(
                f"device {chosen}: PyTorch finds {found} GPUs, numbered from 0; choose one of "
                f"these, or start at most {found} processes on this machine"
            )
        torch.cuda.set_device(chosen)
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once; without it sums may change their order
    else:
        _keep_large_blocks()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not distributed.is_initialized():
        # PyTorch imports this module when an optimiser is made; ten of its functions keep the group of all processes as
        # a default. Imported now, while there is no group, they cannot keep it and its threads alive for ever.
        importlib.import_module("torch.distributed.nn")
        try:
            distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE)
        except (RuntimeError, ValueError) as fault:  # a port in use, a name that nobody knows
            reason = str(fault).splitlines()[0]
            raise TrainingError(f"the processes that torchrun started do not find each other ({reason})") from fault
    if not distributed.is_initialized():
        return World(0, 1, chosen)
    return World(distributed.get_rank(), distributed.get_world_size(), chosen)


def _keep_large_blocks() -> None:
    """Make glibc reuse large blocks instead of returning them to the system after every operation.

    Without it a training step on a CPU spends much of its time in page faults; see ``benchmarks/training_step.py``.
    Other systems are not changed.
    """
    mmap_max, trim_threshold = -4, -1  # M_MMAP_MAX and M_TRIM_THRESHOLD of <malloc.h>
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)
    except (OSError, AttributeError):
        return


def finish(together: bool) -> None:
    """Leave the other processes.

    Args:
        together: Wait for all processes. Do not wait after a fault: the others may never come.
    """
    if not distributed.is_initialized():
        return
    if together:
        barrier()
    distributed.destroy_process_group()


@contextmanager
def _exchange() -> Iterator[None]:
    """Raise an error with a clear sentence if another process did not take part."""
    try:
        yield
    except RuntimeError as fault:
        reason = str(fault).splitlines()[0]
        raise ProcessLostError(
            f"another of the {distributed.get_world_size()} processes has ended or does not answer ({reason}); its "
            f"own lines say why"
        ) from fault


def barrier() -> None:
    """Wait for all processes, so that files written by one are ready for the others."""
    if distributed.is_initialized():
        # without `device_ids` NCCL guesses the device
        on = [torch.cuda.current_device()] if distributed.get_backend() == "nccl" else None
        with _exchange():
            distributed.barrier(device_ids=on)


def all_reduce(tensor: Tensor) -> Tensor:
    """Return the sum of ``tensor`` over all processes.

    Raises:
        TrainingError: If another process has ended.
    """
    if distributed.is_initialized():
        with _exchange():
            distributed.all_reduce(tensor)
    return tensor


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its sum over all processes, in one exchange; call it after a step's backward passes.

    The gradients become views of one tensor. A process without a gradient that others have counts as zero. With one
    process, too, every parameter has a gradient afterwards.

    Args:
        parameters: The trained parameters, in the same order in every process.

    Raises:
        TrainingError: If another process has ended.
    """
    trained = list(parameters)
    gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in trained]
    if distributed.is_initialized() and gradients:
        flat = all_reduce(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = flat.split([gradient.numel() for gradient in gradients])
        gradients = [part.view_as(each) for part, each in zip(parts, trained, strict=True)]
    for each, gradient in zip(trained, gradients, strict=True):
        each.grad = gradient


@torch.no_grad()
def gather_rows(rows: Shaped[Tensor, "n *d"]) -> Shaped[Tensor, "m *d"]:
    """Return the rows of all processes, in order of rank; processes may hold different numbers of rows.

    Raises:
        TrainingError: If another process has ended.
    """
    return _GatherRows.apply(rows) if distributed.is_initialized() else rows


class _GatherRows(torch.autograd.Function):
    """Autograd function of `gather_rows`: the gradient of a row is the sum of its gradients in all processes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(distributed.get_world_size())]
        with _exchange():
            distributed.all_gather(counts, torch.full((1,), len(rows), device=rows.device))
            sizes = torch.cat(counts).tolist()
            padded = torch.cat((rows, rows.new_zeros(max(sizes) - len(rows), *rows.shape[1:])))
            gathered = [torch.empty_like(padded) for _ in sizes]
            distributed.all_gather(gathered, padded)
        first = sum(sizes[: distributed.get_rank()])
        ctx.own = slice(first, first + len(rows))
        return torch.cat([part[:size] for part, size in zip(gathered, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return all_reduce(gradient.contiguous())[ctx.own]


def gather_rows_with_gradient(rows: Float[Tensor, "n d"]) -> Float[Tensor, "m d"]:
    """Gather the rows of all processes as `gather_rows` does, with gradients.

    Every process must run backward through it. If each process scales the same loss of all rows by its own weight, the
    gradient of its rows is that of the loss times the sum of the weights; the training loop divides by this sum.
    """
    return _GatherRows.apply(rows) if distributed.is_initialized() else rows
