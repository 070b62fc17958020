"""What `benchmarks/busy.py` makes of a trace; there is no GPU here to make one."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch


@pytest.fixture(scope="module")
def busy() -> ModuleType:
    spec = importlib.util.spec_from_file_location("busy", Path(__file__).parents[2] / "benchmarks" / "busy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def event(kind: str, start: float, length: float, stream: int = 7) -> dict[str, Any]:
    return {"ph": "X", "cat": kind, "name": "any", "ts": start, "dur": length, "args": {"stream": stream}}


def test_time_in_which_several_streams_compute_counts_once(busy: ModuleType) -> None:
    events = [
        event("kernel", 130, 20),
        event("kernel", 100, 10),
        event("kernel", 105, 15, stream=13),  # both: 100 to 120
        event("kernel", 106, 2),  # inside
        event("gpu_memcpy", 115, 10),  # 5 of its own
        event("gpu_memset", 190, 10),
        event("cpu_op", 0, 1000),
        {"ph": "i", "name": "no length"},
    ]
    computing, anything = busy.shares({"traceEvents": events})
    assert computing == pytest.approx(0.40)
    assert anything == pytest.approx(0.55)


def test_a_gpu_that_never_waits_is_busy_all_the_time(busy: ModuleType) -> None:
    assert busy.shares({"traceEvents": [event("kernel", start, 10) for start in range(0, 100, 10)]}) == (1, 1)


def test_a_trace_without_a_gpu_says_nothing(busy: ModuleType) -> None:
    with pytest.raises(ValueError, match="nothing that a GPU did"):
        busy.shares({"traceEvents": [event("cpu_op", 0, 10)]})


def test_without_a_gpu_nothing_is_measured(
    busy: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["busy.py"])
    busy.main()
    assert capsys.readouterr().out == (
        "busy.py measures how long a GPU waits, and PyTorch finds no GPU here: nothing was measured\n"
    )
