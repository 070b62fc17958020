"""What `test_distributed` runs in every process: python several_processes.py SET ENCODER OUT, or endless SET OUT."""

import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from maskel import cli, distributed
from maskel.commands.evaluate import evaluate
from maskel.commands.knn import knn
from maskel.commands.linear import linear
from maskel.datasets.store import SkeletonSet
from maskel.errors import Stopped, TrainingError
from maskel.layouts import KINECT20
from maskel.methods import METHODS, Method
from maskel.training.engine import Session, fit
from maskel.training.loading import ClipBatches, MicroBatches
from maskel.training.optim import SGDConfig
from maskel.training.run import RunFolder
from maskel.transforms import TrainView
from recorded import record


def one_step(method: Method, accumulate: int, data: SkeletonSet, out: Path, world: distributed.World) -> None:
    """One step of plain SGD at rate 1 over 7 clips: the weights then hold the gradient."""
    positions = data.split("xsub", "train")[:7]
    batches = ClipBatches(data, positions, 7, 0, tiny.ENCODER.window, TrainView(), "zero", world.device)
    training = SGDConfig(epochs=1, batch_size=7, lr=1.0, momentum=0.0, accumulate=accumulate)
    out.mkdir(parents=True, exist_ok=True)
    fit(method, batches, Session(training, RunFolder(out), world))


def stopped_and_resumed(data: Path, out: Path, world: distributed.World) -> str:
    """A run that one process is asked to stop in its third step; returns what this process was told."""
    take, calls = MicroBatches.take, []

    def hooked(self: MicroBatches) -> Any:
        calls.append(self)
        if len(calls) == 3 and world.rank == world.size - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return take(self)

    MicroBatches.take = hooked  # type: ignore[method-assign]
    try:
        tiny.tiny_pretrain(data, out)
    except Stopped as stop:
        told = str(stop)
    finally:
        MicroBatches.take = take  # type: ignore[method-assign]
    tiny.tiny_pretrain(data, out, resume=True)
    return told


def not_finite(data: Path, out: Path, world: distributed.World) -> str:
    """A run in which one process meets an infinite coordinate; returns what this process was told."""
    load = ClipBatches.load

    def hooked(self: ClipBatches, epoch: int, clips: np.ndarray) -> Any:
        batch = load(self, epoch, clips)
        return batch.with_joints(batch.joints * float("inf")) if world.rank == world.size - 1 else batch

    ClipBatches.load = hooked  # type: ignore[method-assign]
    try:
        tiny.tiny_pretrain(data, out)
    except TrainingError as fault:
        return str(fault)
    finally:
        ClipBatches.load = load  # type: ignore[method-assign]
    return ""


def uneven_gradients(world: distributed.World) -> list[torch.Tensor]:
    """Summed gradients of three weights, where the last process lacks one and only that process has another.

    Between them lies another exchange, of as many numbers, in the backward pass itself.
    """
    gathered, rare, early = (torch.nn.Parameter(torch.ones(rows, 3)) for rows in (1, 1, world.size))
    last = world.rank == world.size - 1
    loss = distributed.gather_rows_with_gradient(gathered).sum() * (1 + world.rank)
    (loss + rare.sum() if last else loss + early.sum()).backward()
    distributed.sum_gradients([gathered, rare, early])
    return [weight.grad for weight in (gathered, rare, early) if weight.grad is not None]


def gloo_threads() -> list[str]:
    """Names of this process's threads that exchange for PyTorch."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name]


def few_clips(out: Path) -> Path:
    """A set whose test part is one clip: fewer than processes."""
    return tiny.write_set(out, train=9, test=1)


def everything(data: Path, encoder: Path, out: Path) -> dict[str, Any]:
    """All runs, below ``out``; returns what only this process knows."""
    world = distributed.start("cpu")
    prepared = SkeletonSet.open(data)
    for name in METHODS:
        for bodies in ("all", "present"):
            one_step(tiny.tiny_method(name, bodies=bodies), 1, prepared, out / f"{name}-{bodies}", world)
        one_step(tiny.tiny_method(name, bodies="present"), 2, prepared, out / f"{name}-accumulate", world)
    for bodies in ("all", "present"):
        one_step(tiny.tiny_classifier("finetune", bodies=bodies), 1, prepared, out / f"finetune-{bodies}", world)
    tiny.tiny_pretrain(data, out / "pretrain")
    lacking = tiny.write_set(out / f"kinect20-{world.rank}", KINECT20)
    tiny.tiny_pretrain([data, lacking], out / "joined", shares="sqrt")
    told = stopped_and_resumed(data, out / "stopped", world)
    with pytest.MonkeyPatch.context() as patched:
        record(patched)
        tiny.tiny_pretrain(data, out / "recorded")
        stopped_and_resumed(data, out / "recorded-stopped", world)
    fault = not_finite(data, out / "not-finite", world)
    for augment in (True, False):
        options = {"augment": augment, "cache_features": not augment, "training": tiny.PROBE, "device": "cpu"}
        linear(encoder, data, out=out / f"linear-{augment}", **options)
    tiny.tiny_finetune(data, out / "finetune", encoder, labels=0.8, validation=0.3)
    distributed.all_reduce(torch.zeros(1))  # the leading process has written the classifier
    evaluate(out / "finetune", data, device="cpu", out=out / "evaluate")
    knn(encoder, data, k=3, device="cpu", out=out / "knn")
    few = few_clips(out / f"few-{world.rank}")
    linear(encoder, few, training=tiny.PROBE, device="cpu", out=out / "linear-few")
    knn(encoder, few, k=3, device="cpu", out=out / "knn-few")
    uneven = torch.full((2 * world.rank, 3), world.rank)  # the first process has no row
    gathered = distributed.gather_rows(uneven)
    return {
        "world": {**asdict(world), "device": str(world.device)},
        "told": told,
        "fault": fault,
        "gathered": gathered,
        "sum": distributed.all_reduce(torch.tensor([1.0, world.rank])),
        "uneven": uneven_gradients(world),
        "threads": gloo_threads(),
    }


def endless(data: Path, out: Path) -> None:
    """A run in which the last process dies in its fourth step; the others must not wait for it."""
    world = distributed.start("cpu")
    take, calls = MicroBatches.take, []

    def hooked(self: MicroBatches) -> Any:
        calls.append(self)
        if len(calls) == 4 and world.rank == world.size - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return take(self)

    MicroBatches.take = hooked  # type: ignore[method-assign]
    sizes = "--encoder.window=8 --encoder.dim=16 --encoder.depth=1 --encoder.num_heads=2 --device=cpu".split()
    sizes += "--mamp.decoder_dim=16 --mamp.decoder_depth=1 --training.epochs=1000 --training.batch_size=5".split()
    sys.exit(cli.main(["pretrain", f"--data={data}", f"--out={out}", *sizes]))


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "endless":
        endless(Path(sys.argv[2]), Path(sys.argv[3]))
    known = everything(*(Path(argument) for argument in sys.argv[1:]))
    distributed.finish(together=True)
    torch.save(known | {"left": gloo_threads()}, Path(sys.argv[3]) / f"known-{known['world']['rank']}.pt")
