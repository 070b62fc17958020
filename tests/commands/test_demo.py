import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from maskel.cli import COMMANDS, main
from maskel.commands.command import Command
from maskel.commands.demo import demo
from maskel.errors import InputError, Stopped

SMALLER = {
    "synthesize": ["--performers", "2", "--replications", "1", "--cameras", "1"],
    "prepare": ["--workers", "1"],
    "pretrain": ["--training.epochs", "1", "--training.batch-size", "8", "--encoder.dim", "16"],
    "linear": ["--training.epochs", "1", "--training.batch-size", "8"],
    "knn": ["--k", "3"],
    "baseline": [],
    "report": ["--clips", "1"],
}


@pytest.mark.slow
def test_the_demo_ends_with_a_table_and_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    real = Command.__call__

    def smaller(command: Command, name: str, words: Sequence[str]) -> object:
        steps.append(name)
        return real(command, name, [*words, *SMALLER[name]])

    monkeypatch.setattr(Command, "__call__", smaller)
    page = demo(tmp_path / "demo", seed=3)
    assert steps == ["synthesize", "prepare", "pretrain", "linear", "linear", "knn", "knn", "baseline", "report"]
    shown = capsys.readouterr().out
    words = ("performers never seen in training", "untrained", "nearest neighbour", "raw joints", "chance", "7.7 %")
    for word in (*words, " / 13 "):
        assert word in shown
    result = json.loads((tmp_path / "demo" / "linear" / "result.json").read_text())
    assert result["command"].startswith("maskel linear --config demo --encoder ")  # the step's own, not the demo's
    text = page.read_text()
    assert "linear-untrained" in text
    assert "Masked clips" in text


def test_every_step_computes_in_one_thread_and_afterwards_in_as_many_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    seen: list[int] = []

    def fail(name: str, words: Sequence[str]) -> None:
        seen.append(torch.get_num_threads())
        raise InputError("enough")

    monkeypatch.setitem(COMMANDS, "synthesize", fail)
    try:
        assert main(["demo", "--out", str(tmp_path / "demo")]) == 2
        assert (seen, torch.get_num_threads()) == ([1], 3)
    finally:
        torch.set_num_threads(before)


def test_a_step_that_is_stopped_or_fails_ends_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def stop(name: str, words: Sequence[str]) -> None:
        raise Stopped("stopped after step 7; go on with --resume out/mamp")

    def fail(name: str, words: Sequence[str]) -> None:
        raise InputError("the disk is full")

    stopped = "its step `maskel synthesize` stopped after step 7; go on with --resume out/mamp"
    for step, code, told in ((stop, 130, stopped), (fail, 2, "the disk is full")):
        monkeypatch.setitem(COMMANDS, "synthesize", step)
        assert main(["demo", "--out", str(tmp_path / "demo")]) == code
        assert told in capsys.readouterr().err


def test_a_folder_that_exists_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file"):
        with pytest.raises(InputError, match="exists; remove it or choose another --out"):
            demo(place)
