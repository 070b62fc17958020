"""Two and three processes over gloo against one: the same sums, whatever falls to whom."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from faults import DEAD_PROCESS
from maskel.methods import METHODS
from maskel.training.run import RunFolder
from several_processes import everything

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
RUNS = ("pretrain", "stopped", "linear-True", "linear-False", "linear-few", "finetune", "evaluate", "knn", "knn-few")


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


def launch(size: int, *command: str, codes: tuple[int, ...] = ()) -> list[str]:
    """Run a command as ``size`` processes, as torchrun would; returns what each showed.

    Args:
        size: Processes.
        command: Arguments of Python.
        codes: Exit code expected of each process; 0 of all by default.
    """
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(size)}
    paths = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    processes = [
        subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, **shared, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}
            | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        shown = [process.communicate()[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, text, code in zip(processes, shown, codes or (0,) * size, strict=True):
        assert process.returncode == code, text
    return shown


@pytest.fixture(scope="module")
def alone(prepared: Path, pretrained: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of one process."""
    out = tmp_path_factory.mktemp("alone")
    everything(prepared, pretrained.path, out)
    return out


@pytest.fixture(scope="module", params=[2, 3])
def together(
    request: pytest.FixtureRequest, prepared: Path, pretrained: RunFolder, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, Path]:
    """The number of processes and their runs."""
    out = tmp_path_factory.mktemp(f"together{request.param}")
    launch(request.param, str(HERE.parent / "several_processes.py"), str(prepared), str(pretrained.path), str(out))
    return request.param, out


def known(out: Path, rank: int) -> dict[str, Any]:
    return torch.load(out / f"known-{rank}.pt", weights_only=True)


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name in METHODS for kind in ("all", "present", "accumulate")]
    + [("finetune", "all"), ("finetune", "present")],
)
def test_loss_and_gradient_are_those_of_one_process(
    name: str, kind: str, alone: Path, together: tuple[int, Path]
) -> None:
    one, several = (RunFolder(out / f"{name}-{kind}") for out in (alone, together[1]))
    loss = one.metrics[0]["loss"]
    assert several.metrics[0]["loss"] == pytest.approx(loss, rel=1e-6)
    method = tiny.tiny_classifier(name) if name == "finetune" else tiny.tiny_method(name)
    before = {key: weight.detach() for key, weight in method.named_parameters()}
    after, expected = several.load_state()["method"], one.load_state()["method"]
    for parameter, start in before.items():
        if parameter != "head.fc1.bias":  # BatchNorm takes away what it adds
            assert not torch.equal(after[parameter], start), parameter
        torch.testing.assert_close(after[parameter] - start, expected[parameter] - start, rtol=1e-4, atol=5e-7)


@pytest.mark.parametrize("run", ["pretrain", "joined"])
def test_a_whole_pretraining_is_that_of_one_process(run: str, alone: Path, together: tuple[int, Path]) -> None:
    one, several = (RunFolder(out / run) for out in (alone, together[1]))
    losses = [[row["loss"] for row in run.metrics] for run in (one, several)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    result = several.result
    assert result["processes"] == together[0]
    assert result["steps"] == one.result["steps"] == 3 * (result["clips"]["labelled"] // 5)
    known = [{**each.read_config(), "data": None} for each in (one, several)]
    assert known[0] == known[1]


@pytest.mark.parametrize("run", ["linear-True", "linear-False", "linear-few"])
def test_linear_evaluation_counts_the_same(run: str, alone: Path, together: tuple[int, Path]) -> None:
    one, several = (RunFolder(out / run) for out in (alone, together[1]))
    for name in ("correct", "seen", "accuracy", "per_class", "best_epoch", "split"):
        assert several.result[name] == one.result[name], name
    assert several.result["seen"] == (1 if run == "linear-few" else tiny.TEST)
    assert (several.path / "predictions.csv").read_bytes() == (one.path / "predictions.csv").read_bytes()
    for ours, theirs in zip(several.metrics, one.metrics, strict=True):
        assert (ours["correct"], ours["seen"]) == (theirs["correct"], theirs["seen"])
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)


def test_fine_tuning_counts_the_same(alone: Path, together: tuple[int, Path]) -> None:
    one, several = (RunFolder(out / "finetune") for out in (alone, together[1]))
    for name in ("correct", "seen", "per_class", "best_epoch", "best_validation_epoch", "labels", "validation"):
        assert several.result[name] == one.result[name], name
    assert (several.path / "labels.csv").read_bytes() == (one.path / "labels.csv").read_bytes()
    assert (several.path / "predictions.csv").read_bytes() == (one.path / "predictions.csv").read_bytes()
    for ours, theirs in zip(several.metrics, one.metrics, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
    evaluated = RunFolder(together[1] / "evaluate")
    for name in ("correct", "seen", "per_class"):
        assert evaluated.result[name] == several.result[name]


@pytest.mark.parametrize("run", ["knn", "knn-few"])
def test_nearest_neighbours_count_the_same(run: str, alone: Path, together: tuple[int, Path]) -> None:
    one, several = (RunFolder(out / run) for out in (alone, together[1]))
    for name in ("correct", "seen", "per_class", "vote"):
        assert several.result[name] == one.result[name], name
    assert (several.path / "predictions.csv").read_bytes() == (one.path / "predictions.csv").read_bytes()


def test_all_stop_together_and_go_on_as_if_they_had_not(together: tuple[int, Path]) -> None:
    size, out = together
    for rank in range(size):
        assert known(out, rank)["told"].startswith("stopped after step 3; go on with --resume ")
    whole, parts = RunFolder(out / "pretrain"), RunFolder(out / "stopped")
    tiny.assert_identical(tiny.state_of(parts), tiny.state_of(whole))
    assert (parts.path / "metrics.csv").read_bytes() == (whole.path / "metrics.csv").read_bytes()


@pytest.mark.parametrize("run", ["recorded", "recorded-stopped"])
def test_recorded_steps_are_those_launched_one_by_one(run: str, together: tuple[int, Path]) -> None:
    whole, other = (RunFolder(together[1] / name) for name in ("pretrain", run))
    tiny.assert_identical(tiny.state_of(other), tiny.state_of(whole))
    assert (other.path / "metrics.csv").read_bytes() == (whole.path / "metrics.csv").read_bytes()


def test_what_one_meets_all_hear_of(together: tuple[int, Path]) -> None:
    size, out = together
    faults = {known(out, rank)["fault"] for rank in range(size)}
    assert len(faults) == 1
    assert "not finite at step 0" in faults.pop()


def test_rows_are_gathered_in_order_of_rank(together: tuple[int, Path]) -> None:
    size, out = together
    expected = [[rank] * 3 for rank in range(size) for _ in range(2 * rank)]
    for rank in range(size):
        found = known(out, rank)
        assert (found["world"]["rank"], found["world"]["size"]) == (rank, size)
        assert found["gathered"].tolist() == expected
        assert found["sum"].tolist() == [size, sum(range(size))]


def test_processes_may_lack_gradients_and_exchange_in_another_order(together: tuple[int, Path]) -> None:
    size, out = together
    for rank in range(size):
        gathered, rare, early = known(out, rank)["uneven"]
        assert gathered.tolist() == [[size * sum(range(1, size + 1))] * 3]
        assert rare.tolist() == [[1.0] * 3]
        assert early.tolist() == [[size - 1.0] * 3] * size


def test_no_thread_of_an_exchange_is_left_when_python_ends(together: tuple[int, Path]) -> None:
    """One that let go of a tensor then would abort the process."""
    size, out = together
    for rank in range(size):
        assert known(out, rank)["threads"]
        assert known(out, rank)["left"] == []


def test_one_process_is_a_world_of_its_own(alone: Path) -> None:
    for run in RUNS:
        assert RunFolder(alone / run).result["processes"] == 1


def test_the_command_line_as_torchrun_starts_it(prepared: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    options = ["--encoder.window=8", "--encoder.dim=16", "--encoder.depth=1", "--encoder.num_heads=2", "--device=cpu"]
    options += ["--mamp.decoder_dim=16", "--mamp.decoder_depth=1", "--training.epochs=1", "--training.batch_size=5"]
    launch(2, "-m", "maskel", "pretrain", f"--data={prepared}", f"--out={run.path}", *options)
    result = json.loads((run.path / "result.json").read_text())
    assert (result["processes"], result["steps"]) == (2, 3)


@pytest.mark.parametrize("size", [2, 3])
def test_when_a_process_dies_the_others_stop_with_a_sentence(size: int, prepared: Path, tmp_path: Path) -> None:
    command = (str(HERE.parent / "several_processes.py"), "endless", str(prepared), str(tmp_path / "run"))
    shown = launch(size, *command, codes=(1,) * (size - 1) + (-signal.SIGKILL,))
    for text in shown[:-1]:
        said = [line for line in text.splitlines() if line.startswith("maskel pretrain: ")]
        assert len(said) == 1, text
        expected = DEAD_PROCESS.shown.replace("of the 2", f"of the {size}")
        assert re.fullmatch(".*".join(map(re.escape, expected.split("…"))), said[0]), said[0]
        assert "Traceback" not in text
    assert RunFolder(tmp_path / "run").load_state()["step"] == 3
