import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from maskel import cli
from maskel.training.loading import ClipBatches
from maskel.training.run import RunFolder

Run = Callable[..., tuple[int, str]]

ENCODER = ["--encoder.window=8", "--encoder.dim=8", "--encoder.depth=1", "--encoder.num_heads=2"]
SMALLER = {
    "pretrain": ["--training.epochs=1", "--training.batch_size=8", "--mamp.decoder_depth=1", *ENCODER],
    "linear": ["--training.epochs=2", "--training.batch_size=8"],
    "finetune": ["--training.epochs=1", "--training.batch_size=2", "--head_dim=4"],
    "knn": ["--k=2"],
    "report": ["--clips=0"],
}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages that run, at a size for tests."""
    names: list[str] = []
    within = cli._run_within

    def smaller(words: Sequence[str]) -> None:
        names.append(Path(words[-1]).name)
        within([*words, *SMALLER[words[0]]])

    monkeypatch.setattr(cli, "_run_within", smaller)
    return names


def test_every_protocol_in_one_command_that_goes_on(
    run: Run, steps: list[str], prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    command = ["reproduce", "mamp", "ntu60_xsub", "--data", prepared, "--out", out, "--scale=small", "--device=cpu"]
    load, calls = ClipBatches.load, []

    def stop_in_the_probe(self: ClipBatches, epoch: int, clips: Any) -> Any:
        calls.append(epoch)
        if steps[-1] == "linear":
            os.kill(os.getpid(), signal.SIGINT)
        return load(self, epoch, clips)

    with monkeypatch.context() as patched:
        patched.setattr(ClipBatches, "load", stop_in_the_probe)
        code, text = run(*command)
    assert (code, steps) == (130, ["pretrain", "linear"])
    assert "or with the same maskel reproduce command" in text
    first = (out / "pretrain" / "result.json").stat().st_mtime_ns
    (out / "knn").mkdir()
    (out / "knn" / "config.yaml").write_text("stopped before anything was saved")
    steps.clear()
    code, text = run(*command)
    assert code == 0, text
    assert steps == ["linear", "finetune", "semi_1", "semi_10", "knn", "report.html"]
    assert (out / "pretrain" / "result.json").stat().st_mtime_ns == first
    assert RunFolder(out / "semi_10").read_config()["labels"] == 0.1
    assert RunFolder(out / "semi_10").read_result()["command"].startswith("maskel finetune --encoder")
    table = (out / "results.md").read_text()
    assert table in text
    linear = RunFolder(out / "linear").read_result()
    counted = f"| linear | {linear['correct']} / 8 | {100 * linear['accuracy']:.1f} | "
    assert counted in table
    assert "| 84.9 (MAMP paper) |" in table
    assert "16 training and 8 test clips. The size is small: the numbers do not compare" in table
    assert (out / "report.html").is_file()
    steps.clear()
    assert run(*command)[0] == 0
    assert steps == ["report.html"]
    code, text = run(*command, "--seed=1")
    assert (code, "was started with seed 0, found 1" in text) == (2, True)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (
            ["mump", "ntu60_xsub"],
            "found mump ntu60_xsub, expected a method and a benchmark; methods are hacm, mae, mamp",
        ),
        (["mamp", "ntu61_xsub"], "benchmarks are "),
        (["mamp", "small"], "benchmarks are "),
        (["mamp", "ntu60_xview"], "no benchmark called 'xview'"),
    ],
)
def test_what_does_not_exist_is_refused(words: list[str], named: str, run: Run, prepared: Path, tmp_path: Path) -> None:
    code, text = run("reproduce", *words, "--data", prepared, "--out", tmp_path / "out")
    assert (code, named in text) == (2, True), text
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(run: Run, pretrained: RunFolder, prepared: Path) -> None:
    code, text = run("reproduce", "mamp", "ntu60_xsub", "--data", prepared, "--out", pretrained.path)
    assert (code, "is the folder of another command" in text) == (2, True)
