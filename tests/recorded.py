"""Steps launched as on a GPU: read a step late, and recorded, where a recording is an ordinary call."""

from collections.abc import Callable

import pytest
import torch

from maskel.training import engine, graph, steps


class Called(graph.Recorder):
    """Stands in for a recorder: what it records is done by calling it, on whatever device."""

    recorded = 0

    def __init__(self, device: torch.device) -> None:
        Called.recorded = 0

    def warm_up(self, work: graph.Work) -> None:
        work()

    def record(self, work: graph.Work) -> graph.Work:
        Called.recorded += 1
        return work


Launch = Callable[[pytest.MonkeyPatch], None]


def read_late(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(engine, "steps_ahead", lambda device: 1)


def record(patched: pytest.MonkeyPatch) -> None:
    read_late(patched)
    patched.setattr(graph, "_obstacle", lambda method, world: "")
    patched.setattr(steps, "records", lambda *_: True)
    patched.setattr(steps, "Recorder", Called)
