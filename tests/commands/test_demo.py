import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from maskel.cli import main
from maskel.commands.demo import demo
from maskel.errors import InputError

SMALLER = {
    "synthesize": ["--performers", "2", "--replications", "1", "--cameras", "1"],
    "prepare": ["--workers", "1"],
    "pretrain": ["--training.epochs", "1", "--training.batch-size", "8", "--encoder.dim", "16"],
    "linear": ["--training.epochs", "1", "--training.batch-size", "8"],
    "knn": ["--k", "3"],
    "report": ["--clips", "1"],
}


@pytest.mark.slow
def test_the_demo_ends_with_a_table_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    steps: list[str] = []

    def smaller(command: Sequence[str]) -> int:
        steps.append(command[0])
        return main([*command, *SMALLER[command[0]]])

    page = demo(smaller, tmp_path / "demo", seed=3)
    assert steps == ["synthesize", "prepare", "pretrain", "linear", "linear", "knn", "knn", "report"]
    shown = capsys.readouterr().out
    for words in ("performers never seen in training", "untrained", "nearest neighbour", "chance", "7.7 %", " / 13 "):
        assert words in shown
    result = json.loads((tmp_path / "demo" / "linear" / "result.json").read_text())
    assert result["command"].startswith("maskel linear --config demo --encoder ")  # the step's own, not the demo's
    text = page.read_text()
    assert "linear-untrained" in text
    assert "Masked clips" in text


def test_a_step_that_fails_ends_the_demo(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the step `maskel synthesize .*` failed"):
        demo(lambda command: 1, tmp_path / "demo")


def test_a_folder_that_exists_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists; remove it or choose another --out"):
        demo(main, tmp_path)
