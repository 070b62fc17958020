import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

import tiny
from maskel.commands.baseline import baseline
from maskel.commands.detect import detect
from maskel.commands.ensemble import ensemble
from maskel.commands.evaluate import evaluate
from maskel.commands.fewshot import fewshot
from maskel.commands.knn import knn
from maskel.commands.linear import linear
from maskel.commands.report import report
from maskel.commands.retrieval import retrieval
from maskel.commands.robustness import robustness
from maskel.datasets.base import Split
from maskel.datasets.store_writer import SetWriter
from maskel.errors import InputError
from maskel.layouts import NTU25
from maskel.protocols import PROTOCOLS, function_of
from maskel.sequence import UNLABELLED, Clip, LabelledRange, SkeletonSequence
from maskel.training.finished import Run, open_runs
from maskel.training.run import CONFIG, RESULT, RunFolder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of every command, each in the folder of its name."""
    out = tmp_path_factory.mktemp("runs")
    data = tiny.write_set(out / "set")
    tiny.tiny_pretrain(data, out / "pretrain")
    tiny.tiny_finetune(data, out / "finetune", labels=0.5)
    options = {"augment": False, "cache_features": True, "training": tiny.PROBE, "device": "cpu"}
    linear(out / "pretrain", data, out=out / "linear", **options)
    knn(out / "pretrain", data, k=3, out=out / "knn", device="cpu")
    fewshot(out / "pretrain", data, ways=2, episodes=4, out=out / "fewshot", device="cpu")
    retrieval(out / "pretrain", data, k=3, clips=1, out=out / "retrieval", device="cpu")
    baseline(data, frames=4, out=out / "baseline")
    evaluate(out / "finetune", data, out=out / "evaluate", device="cpu")
    whole = write_whole(out / "whole")
    detect(out / "finetune", whole, benchmark="xsub", window_length="8", out=out / "detect", device="cpu")
    robustness(out / "finetune", data, out=out / "robustness", device="cpu", dropped_frames=[])
    ensemble([out / "linear", out / "finetune"], out=out / "ensemble")
    return out


def write_whole(folder: Path) -> Path:
    """A set of two whole recordings of 30 frames, of which one tests."""
    ranges = tuple(LabelledRange(label, 10 * label, 10 * label + 8) for label in range(len(tiny.CLASSES)))
    with SetWriter(folder, NTU25, tiny.CLASSES, "generated", {}, untrimmed=True) as writer:
        for name in "ab":
            joints = np.random.default_rng(ord(name)).normal(size=(1, 30, 25, 3)).astype(np.float32)
            writer.add(SkeletonSequence(Clip(name, UNLABELLED), joints, NTU25, {}, ranges))
        writer.finish({"xsub": Split((0,), (1,))})
    return folder


@pytest.fixture
def copies(runs: Path, tmp_path: Path) -> Path:
    """The runs, to change."""
    return Path(shutil.copytree(runs, tmp_path / "copies"))


def test_every_protocol_has_a_run_that_says_its_command(runs: Path) -> None:
    for name, protocol in PROTOCOLS.items():
        run = Run.open(runs / name)
        assert (run.kind, run.folder.command, run.unfinished) == (name, name, "")
        assert yaml.safe_load((runs / name / CONFIG).read_text())["command"] == name
        assert "command" not in json.loads((runs / name / RESULT).read_text())["config"]
        assert len(run.answers) == len(protocol.rows) - (name == "robustness")  # one disturbance was left out
        for answers in run.answers[:1]:
            asked = 4 * 2 * run.result["queries"] if "episodes" in run.result else tiny.TEST
            asked = 30 if name == "detect" else asked  # frames
            assert (answers.count.correct, answers.count.seen) == (run.result["correct"], asked)
        assert (run.best_epoch is not None) == (protocol.trains and not run.pretrains)
        assert (run.folder.path / "scores.npz").is_file() == protocol.scores
        assert function_of(name).__name__ == name


def test_rows_are_named_by_the_table(runs: Path) -> None:
    names = {
        name: [run.row(answers.key) for answers in run.answers]
        for name in PROTOCOLS
        for run in open_runs([runs / name])
    }
    chosen = json.loads((runs / "baseline" / RESULT).read_text())["classifier"]
    assert names == {
        "pretrain": [],
        "linear": ["linear"],
        "finetune": ["fine-tune, 50 % of the labels"],
        "knn": ["1-NN", "3-NN vote"],
        "fewshot": ["2-way 1-shot"],
        "retrieval": ["recall@1", "recall@3"],
        "baseline": [f"raw joints, {chosen}"],
        "evaluate": ["evaluate of fine-tune, 50 % of the labels"],
        "detect": ["detect, frames of fine-tune, 50 % of the labels"],
        "robustness": [
            f"robustness ({change}) of fine-tune, 50 % of the labels"
            for change in (
                "no change",
                "50 % of the joints missing",
                "noise of 10 % of a body's size",
                "90 % fewer frames per second",
            )
        ],
        "ensemble": ["ensemble"],
    }
    ways = [run.answers[0].way for run in open_runs([runs / name for name in ("finetune", "evaluate", "ensemble")])]
    assert ways == ["finetune, 50 % of the labels", "evaluate, finetune head", "sum of logits"]


def test_runs_of_earlier_versions_are_told_by_their_options(runs: Path, copies: Path) -> None:
    newer = ("fewshot", "retrieval", "detect", "robustness")
    folders = [copies / name for name in PROTOCOLS if name not in newer]
    before = report(folders, copies / "report.html", clips=0).read_bytes()
    for folder in folders:
        config = (folder / CONFIG).read_text()
        (folder / CONFIG).write_text(config.removeprefix(f"command: {folder.name}\n"))
        assert RunFolder(folder).command is None
        assert Run.open(folder).kind == folder.name
    assert report(folders, copies / "report.html", clips=0).read_bytes() == before


def test_a_run_of_something_else_is_refused(copies: Path) -> None:
    RunFolder.create(copies / "all", "reproduce", {"method": "mamp", "data": "set"})
    with pytest.raises(InputError, match=r"all: expected a run folder .* or ensemble; it is one of maskel reproduce"):
        Run.open(copies / "all")
    config = copies / "linear" / CONFIG
    config.write_text(config.read_text().replace("command: linear", "command: [1]"))
    with pytest.raises(InputError, match=r"it is one of maskel \[1\]"):
        Run.open(copies / "linear")


def test_a_result_of_another_command_counts_as_none(copies: Path) -> None:
    shutil.copy(copies / "knn" / RESULT, copies / "linear" / RESULT)
    run = Run.open(copies / "linear")
    assert run.unfinished == "its result.json is not what maskel linear writes (it is of kind 'knn')"
    assert run.answers == ()


def test_a_result_of_an_unknown_protocol_has_its_name() -> None:
    result = {"kind": "{kind.x}", "correct": 3, "seen": 4, "data": {}}
    run = Run.of(result)
    assert [(answers.way, str(answers.count)) for answers in run.answers] == [("{kind.x}", "3 / 4 = 75.0 %")]


def test_only_its_own_command_resumes_a_run(run: Callable[..., tuple[int, str]], copies: Path) -> None:
    config = copies / "finetune" / CONFIG
    config.write_text(f"command: linear\ndata: {copies / 'set'}\n")  # no option that finetune does not have
    code, text = run("finetune", "--resume", copies / "finetune")
    assert (code, "is not a run of maskel finetune: it is one of maskel linear" in text) == (2, True)
    assert "no option is called" in run("finetune", "--config", copies / "knn" / CONFIG)[1]


def test_the_baseline_saves_a_config_that_saves_itself(run: Callable[..., tuple[int, str]], copies: Path) -> None:
    config = copies / "baseline" / CONFIG
    assert run("baseline", "--config", config, "--out", copies / "again")[0] == 0
    assert (copies / "again" / CONFIG).read_bytes() == config.read_bytes()
