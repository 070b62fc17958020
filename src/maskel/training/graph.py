"""Work of a GPU, recorded once as a CUDA graph and then replayed by one launch.

A training step is about a thousand small kernels, and to launch them one by one takes the processor longer than the GPU
computes. A recording holds fixed addresses: what comes in is copied to the same tensors each time, and what goes out
is written into tensors that are there already.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial

import torch
from torch import Tensor

from maskel.distributed import World, notify
from maskel.errors import InputError, TrainingError
from maskel.methods.base import Method
from maskel.sequence import FeatureBatch, SkeletonBatch
from maskel.training.optim import Graph

Batch = SkeletonBatch | FeatureBatch
Work = Callable[[], None]


def records(graph: Graph, method: Method, world: World, in_parts: bool = False) -> bool:
    """Return True if the steps of a run are recorded.

    Args:
        graph: The option.
        method: Method to train.
        world: This process among all.
        in_parts: Batches have clips that lack joints.

    Raises:
        InputError: If they are to be and cannot.
    """
    obstacle = _obstacle(method, world)
    if in_parts and not obstacle:
        obstacle = "the clips that have the same joints are others in every step"
    if graph == "on" and obstacle:
        raise InputError(f"training: found graph on, but {obstacle}; leave graph at auto")
    return graph != "off" and not obstacle


def _obstacle(method: Method, world: World) -> str:
    if world.device.type != "cuda":
        return f"a step is recorded on a GPU only, and this run computes on {world.device.type}"
    if world.size > 1 and method.needs_whole_batch:
        return "a loss that compares the clips of all processes exchanges them in the middle of a step"
    return ""


class Recorder:
    """Records work on a GPU.

    All recordings share their memory, so nothing may be left in it that another one needs.

    Args:
        device: The GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, work: Work) -> None:
        """Do the work once beside the current stream: plans are made, and what is made once is there afterwards."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            work()
        torch.cuda.current_stream().wait_stream(self._stream)

    def record(self, work: Work) -> Work:
        """Record the work without doing it; return what does it.

        Raises:
            RuntimeError: If it cannot be recorded; nothing was computed then.
        """
        before = torch.cuda.current_stream()
        graph = torch.cuda.CUDAGraph()
        try:
            # Only this thread's calls are watched: with several processes another one asks NCCL how far it is.
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                work()
        finally:
            torch.cuda.set_stream(before)  # a recording that fails does not leave its stream by itself
        return graph.replay


@dataclass(eq=False)
class _Recording:
    """Work that is done operation by operation once, recorded at the second time, and then replayed.

    Args:
        work: The work.
        inputs: Tensors that it reads; their values are replaced each time.
    """

    work: Work
    inputs: tuple[Tensor, ...] = ()
    begun: bool = False
    replay: Work | None = None


class Recorded:
    """The two parts of a step, between which processes exchange gradients: each recorded, and then replayed.

    Every set of shapes has a recording of its own.

    Args:
        learn: Adds the gradient of a micro-batch to that of the step.
        update: Changes the weights.
        recorder: Records both.
        must: Recording may not fail.
    """

    def __init__(
        self, learn: Callable[[Batch, Tensor], None], update: Work, recorder: Recorder, must: bool = False
    ) -> None:
        self._learn = learn
        self._recorder = recorder
        self._must = must
        self._failed = False
        self._known: dict[tuple[torch.Size, ...], _Recording] = {}
        self._update = _Recording(update)  # the first one makes the moments

    def learn(self, batch: Batch, keys: Tensor) -> None:
        """Add the gradient of a micro-batch to that of the step."""
        if self._failed:
            self._learn(batch, keys)
            return
        values = (*_tensors(batch).values(), keys)
        shapes = tuple(value.shape for value in values)
        if shapes not in self._known:
            own: Batch = replace(batch, **{name: each.clone() for name, each in _tensors(batch).items()})  # type: ignore[arg-type]
            own_keys = keys.clone()
            inputs = (*_tensors(own).values(), own_keys)
            self._known[shapes] = _Recording(partial(self._learn, own, own_keys), inputs)
        self._do(self._known[shapes], values)

    def update(self) -> None:
        """Change the weights."""
        self._do(self._update)

    def _do(self, recording: _Recording, values: tuple[Tensor, ...] = ()) -> None:
        for mine, value in zip(recording.inputs, values, strict=True):
            mine.copy_(value)
        if not recording.begun:
            recording.begun = True
            self._recorder.warm_up(recording.work)
            return
        if recording.replay is None:
            recording.replay = self._record(recording.work)
        recording.replay()

    def _record(self, work: Work) -> Work:
        """Return what does the work: its recording, or itself where it cannot be recorded."""
        if self._failed:
            return work
        try:
            return self._recorder.record(work)
        except RuntimeError as fault:
            reason = (str(fault).splitlines() or [type(fault).__name__])[0]
            if self._must:
                raise TrainingError(f"training.graph on: the step cannot be recorded ({reason}); use auto") from fault
            self._failed = True
            notify(
                f"training.graph: the step cannot be recorded ({reason}); its operations are launched one by one, "
                f"which is slower and gives the same results up to rounding"
            )
            return work


def _tensors(batch: Batch) -> dict[str, Tensor]:
    values = {entry.name: getattr(batch, entry.name) for entry in fields(batch)}
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}
