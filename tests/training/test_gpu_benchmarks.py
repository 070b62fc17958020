"""Benchmarks of a GPU, as far as they run without one."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tiny
from maskel.datasets.store import SkeletonSet
from maskel.training.loading import ClipBatches
from maskel.transforms import TrainView

pytestmark = pytest.mark.usefixtures("_benchmarks")


@pytest.fixture
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("attention", "gpu_steps"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_backends_of_attention_that_exist_are_timed_and_agree() -> None:
    attention = importlib.import_module("attention")
    found = attention.measure((5, 3), 2, torch.device("cpu"), torch.float32, rounds=2, calls=1)
    assert {"automatic", "math", "spelled out"} <= set(found) <= {*attention.BACKENDS, "spelled out"}
    assert all(milliseconds > 0 for each in found.values() for milliseconds in each)
    query, key, value = (torch.randn(2, 8, count, 32) for count in (5, 3, 3))
    for name in found:
        expected = attention.spelled_out(query, key, value)
        torch.testing.assert_close(attention.attention(name)(query, key, value), expected)


def test_the_table_of_backends_has_a_line_for_each_number_of_tokens(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    attention = importlib.import_module("attention")
    monkeypatch.setattr(attention, "SHAPES", {"few to fewer": (4, 2), "few": (4, 4)})
    monkeypatch.setattr(sys, "argv", ["attention.py", "--bodies", "1", "--rounds", "1"])
    attention.main()
    shown = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in shown if line.startswith("few")] == ["few to fewer", "few"] * 2


def test_steps_are_timed_as_a_run_takes_them(tiny_set: SkeletonSet) -> None:
    gpu_steps = importlib.import_module("gpu_steps")
    positions = tiny_set.split("xsub", "train")
    batches = ClipBatches(tiny_set, positions, 5, 0, 8, TrainView(), "zero", tiny.ALONE.device)
    timed = gpu_steps.Timed(tiny.tiny_method("mamp"), batches, replace(tiny.TRAINING), tiny.ALONE, 4)
    assert timed.seconds(3) > 0
    assert timed.seconds(1) > 0


def test_without_a_gpu_the_steps_of_one_are_not_timed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu_steps.py"])
    importlib.import_module("gpu_steps").main()
    assert "finds none here: nothing was measured" in capsys.readouterr().out
