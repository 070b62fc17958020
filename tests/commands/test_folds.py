"""All folds of a set in one command: what is added up, refused, resumed, and which encoder each fold reads."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

import own
import tiny
from maskel.commands.folds import fold_names
from maskel.commands.prepare import prepare
from maskel.datasets.base import Split
from maskel.datasets.folder import Folder
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.errors import InputError
from maskel.layouts import NTU25
from maskel.training.folds import fold_folders
from maskel.training.loading import pretraining_positions
from maskel.training.run import RunFolder

CLIPS, SUBJECTS = 24, 4
FOLDS = ("fold1", "fold2", "fold10")
SMALL = [
    *("--encoder.window=8", "--encoder.dim=16", "--encoder.depth=1", "--encoder.num_heads=2", "--device=cpu"),
    *("--mamp.decoder_dim=16", "--mamp.decoder_depth=1", "--training.epochs=1", "--training.batch_size=8"),
]
PROBE = ["--training.epochs=2", "--training.batch_size=8", "--device=cpu"]

Run = Callable[..., tuple[int, str]]


def write(out: Path, tests: dict[str, list[int]], trains: dict[str, list[int]] | None = None) -> Path:
    """A set whose benchmarks test on these clips and train on all others, or on those of ``trains``."""
    with SetWriter(out, NTU25, tiny.CLASSES, "generated", {}) as writer:
        for number in range(CLIPS):
            writer.add(tiny.generated_clip(number, NTU25))
        everything = {name: [clip for clip in range(CLIPS) if clip not in test] for name, test in tests.items()}
        trained = everything | (trains or {})
        writer.finish({name: Split(tuple(trained[name]), tuple(test)) for name, test in tests.items()})
    return out


def of_subjects(*subjects: int) -> list[int]:
    return [clip for clip in range(CLIPS) if clip % SUBJECTS in subjects]


TESTS = {"fold10": of_subjects(3), "fold1": of_subjects(0, 1), "fold2": of_subjects(2), "all": []}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("folds") / "set", TESTS)


def shown(run: Run, *arguments: object, code: int = 0) -> str:
    found, text = run(*arguments)
    assert found == code, text
    return text


@pytest.fixture
def encoders(run: Run, data: Path) -> Path:
    """An encoder of each fold; nobody writes to it."""
    out = data.parent / "pre"
    if not out.exists():
        shown(run, "pretrain", "--data", data, "--benchmark", "folds", "--out", out, *SMALL)
    return out


def answers(folder: Path) -> list[tuple[str, str, str]]:
    with (folder / "predictions.csv").open(newline="") as file:
        return [(row["name"], row["class"], row["predicted"]) for row in csv.DictReader(file)]


def shares(rows: list[tuple[str, str, str]]) -> dict[str, Any]:
    """Counts and shares by scikit-learn."""
    true, named = [row[1] for row in rows], [row[2] for row in rows]
    return {
        "correct": sum(label == answer for label, answer in zip(true, named, strict=True)),
        "seen": len(rows),
        "balanced_accuracy": pytest.approx(balanced_accuracy_score(true, named)),
        "macro_f1": pytest.approx(f1_score(true, named, average="macro")),
    }


def test_right_answers_add_up_and_each_fold_has_its_encoder(
    run: Run, data: Path, encoders: Path, tmp_path: Path
) -> None:
    out = tmp_path / "linear"
    text = shown(run, "linear", "--data", data, "--benchmark", "folds", "--encoder", encoders, "--out", out, *PROBE)
    assert list(fold_folders(out)) == list(FOLDS)
    rows = [row for fold in FOLDS for row in answers(out / fold)]
    assert sorted(row[0] for row in rows) == sorted(f"clip{number:02d}" for number in range(CLIPS))
    assert answers(out) == rows
    result = RunFolder(out).result
    assert {name: result[name] for name in shares(rows)} == shares(rows)
    assert result["accuracy"] == result["correct"] / CLIPS
    assert f"{result['correct']} of 24 clips right ({result['accuracy']:.1%}, 95 % interval " in text
    assert (result["kind"], result["benchmark"], result["never_tested"]) == ("linear", "folds", 0)
    assert result["split"]["test"]["sizes"] == [12, 6, 6]
    for fold, told in zip(FOLDS, result["folds"], strict=True):
        single = RunFolder(out / fold).result
        assert {name: single[name] for name in shares(rows)} == shares(answers(out / fold))
        assert (told["fold"], told["correct"], told["train"]) == (fold, single["correct"], CLIPS - single["seen"])
        assert f"{fold}" in text
        assert f"{single['correct']} of {single['seen']} clips right" in text
        assert single["config"]["encoder"] == str(encoders / fold)
        assert told["test_clips_in_pretraining"] == 0
    assert [told["subjects"] for told in result["folds"]] == [["0", "1"], ["2"], ["3"]]
    assert "fold2 (2): " in text
    assert "pre-trained on" not in text
    alone = tmp_path / "alone"
    shown(
        *(run, "linear", "--data", data, "--benchmark", "fold2", "--encoder", encoders / "fold2"),
        *("--out", alone, *PROBE),
    )
    assert answers(alone) == answers(out / "fold2")


def test_no_encoder_learns_from_the_test_clips_of_its_fold(data: Path, encoders: Path) -> None:
    clips = SkeletonSet.open(data)
    result = RunFolder(encoders).result
    assert result["loss"] == pytest.approx(np.mean([told["loss"] for told in result["folds"]]))
    assert "correct" not in result
    for fold in FOLDS:
        trained = pretraining_positions(clips, fold)
        assert not set(trained.tolist()) & set(clips.split(fold, "test").tolist())
        assert RunFolder(encoders / fold).result["clips"]["hash"] == clips.names_hash(trained)


def test_neighbours_vote_and_raw_joints_are_added_up(run: Run, data: Path, encoders: Path, tmp_path: Path) -> None:
    near, raw, tuned = (tmp_path / name for name in ("knn", "baseline", "finetune"))
    folds = ["--data", data, "--benchmark", "folds"]
    text = shown(run, "knn", *folds, "--encoder", encoders, "--k=3", "--out", near, "--device=cpu")
    result = RunFolder(near).result
    votes = [RunFolder(near / fold).result["vote"] for fold in FOLDS]
    assert result["vote"]["k"] == 3
    assert (result["vote"]["correct"], result["vote"]["seen"]) == (sum(vote["correct"] for vote in votes), CLIPS)
    assert f"{result['vote']['correct']} of 24 clips right by vote" in text
    assert {name: result[name] for name in shares(answers(near))} == shares(answers(near))
    shown(run, "baseline", *folds, "--frames=4", "--out", raw)
    result = RunFolder(raw).result
    assert {name: result[name] for name in shares(answers(raw))} == shares(answers(raw))
    chosen = [RunFolder(raw / fold).result["classifier"] for fold in FOLDS]
    assert [told["classifier"] for told in result["folds"]] == chosen
    assert set(result["classifier"].split(" or ")) == set(chosen)
    shown(run, "finetune", *folds, "--encoder", encoders, "--head_dim=8", "--out", tuned, *PROBE)
    assert RunFolder(tuned).result["correct"] == shares(answers(tuned))["correct"]


def test_an_encoder_that_may_have_seen_test_clips_is_named(
    run: Run, data: Path, encoders: Path, tmp_path: Path
) -> None:
    def evaluate(encoder: Path, name: str, *more: object) -> tuple[str, dict[str, Any]]:
        folds = ["--data", data, "--benchmark", "folds", "--k=1", "--device=cpu", "--out", tmp_path / name]
        text = shown(run, "knn", "--encoder", encoder, *folds, *more)
        return text, RunFolder(tmp_path / name).result

    seen_all = tmp_path / "all"
    shown(run, "pretrain", "--data", data, "--benchmark", "all", "--out", seen_all, *SMALL)
    text, result = evaluate(seen_all, "a")
    assert text.count("was pre-trained on 24 of the 24 test clips, without their labels") == 1
    assert result["test_clips_in_pretraining"] == 24
    text, result = evaluate(encoders / "fold2", "b")  # it saw what tests in the other two
    assert "was pre-trained on 18 of the 24 test clips" in text
    assert [told["test_clips_in_pretraining"] for told in result["folds"]] == [12, 0, 6]
    bare = shutil.copy(encoders / "fold2" / "encoder.safetensors", tmp_path / "bare.safetensors")
    text, result = evaluate(Path(bare), "c")
    assert text.count("does not say which clips it was pre-trained on") == 1
    assert result["test_clips_in_pretraining"] is None
    other = write(tmp_path / "other", {"fold1": list(range(20))})  # another set, with the names of clips 20 to 23
    shown(
        run,
        "pretrain",
        "--data",
        other,
        "--benchmark",
        "fold1",
        "--out",
        tmp_path / "few",
        *SMALL,
        "--training.batch_size=4",
    )
    text, result = evaluate(tmp_path / "few", "d")
    assert "was pre-trained on 4 of the 24 test clips" in text
    text, result = evaluate(seen_all, "e", "--untrained")
    assert "pre-trained on" not in text
    assert "test_clips_in_pretraining" not in result


def test_what_is_finished_is_not_done_again(
    run: Run, data: Path, encoders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(folder: Path) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    out, whole = tmp_path / "linear", tmp_path / "whole"
    options = ["linear", "--data", data, "--benchmark", "folds", "--encoder", encoders, *PROBE]
    shown(run, *options, "--out", whole)
    per_fold = [2 * (size // 8) for size in (12, 18, 18)]  # steps of both epochs
    with monkeypatch.context() as patched:
        tiny.as_steps_begin(patched, lambda step: tiny.ctrl_c_if(step == per_fold[0] + 2))
        text = shown(run, *options, "--out", out, code=130)
    assert f"--resume {out / 'fold2'}, or repeat the whole command" in text
    assert not (out / "result.json").exists()
    assert RunFolder(out / "fold2").has_state
    assert not (out / "fold10").exists()
    first = written(out / "fold1")
    shown(run, *options, "--out", out)
    assert written(out / "fold1") == first
    assert answers(out) == answers(whole)
    (out / "result.json").unlink()  # killed between two folds
    shutil.rmtree(out / "fold10")
    second = written(out / "fold2")
    text = shown(run, *options, "--out", out)
    assert "fold10, 3 of 3" in text
    assert "fold2, 2 of 3" not in text
    assert (written(out / "fold1"), written(out / "fold2")) == (first, second)
    assert answers(out) == answers(whole)
    assert "was started with labels 1.0, found 0.5" in shown(run, *options, "--labels=0.5", "--out", out, code=2)
    shown(run, "linear", "--config", out / "config.yaml", "--out", tmp_path / "again")  # holds its folds
    assert answers(tmp_path / "again") == answers(whole)
    moved = write(tmp_path / "moved", TESTS | {"fold1": of_subjects(0), "fold2": of_subjects(1, 2)})
    text = shown(run, *options[:2], moved, *options[3:], "--out", out, code=2)
    assert "fold1 was run on other train clips than fold1 of" in text


def test_seeds_and_folds_together(run: Run, data: Path, tmp_path: Path) -> None:
    both = ["--data", data, "--benchmark", "folds", "--seeds=2"]
    shown(run, "pretrain", *both, "--out", tmp_path / "pre", *SMALL)
    text = shown(run, "knn", *both, "--encoder", tmp_path / "pre", "--out", tmp_path / "knn", "--device=cpu", "--k=1")
    result = RunFolder(tmp_path / "knn").result
    for seed in (0, 1):
        own_folder = tmp_path / "knn" / f"seed-{seed}"
        assert result["seeds"][seed]["correct"] == shares(answers(own_folder))["correct"]
        for fold in FOLDS:
            assert RunFolder(own_folder / fold).read_config()["encoder"] == str(
                tmp_path / "pre" / f"seed-{seed}" / fold
            )
    assert f"mean over 2 seeds: {result['accuracy']['mean']:.1%}" in text
    before = (tmp_path / "knn" / "seed-1" / "fold1" / "result.json").stat().st_mtime_ns
    shown(run, "knn", *both[:-1], "--seeds=3", "--encoder", tmp_path / "pre", "--out", tmp_path / "x", code=2)
    assert not (tmp_path / "x").exists()
    (tmp_path / "knn" / "result.json").unlink()
    (tmp_path / "knn" / "seed-1" / "result.json").unlink()
    shutil.rmtree(tmp_path / "knn" / "seed-1" / "fold2")
    shown(run, "knn", *both, "--encoder", tmp_path / "pre", "--out", tmp_path / "knn", "--device=cpu", "--k=1")
    assert RunFolder(tmp_path / "knn").result["seeds"] != []
    assert (tmp_path / "knn" / "seed-1" / "fold1" / "result.json").stat().st_mtime_ns == before
    text = shown(run, "knn", *both[:-1], "--encoder", tmp_path / "pre", "--out", tmp_path / "x", code=2)
    assert "holds several runs, of seeds or folds" in text


def test_tables_and_reports_show_one_line_and_what_each_fold_counted(
    run: Run, data: Path, encoders: Path, tmp_path: Path
) -> None:
    seen_all, probed = tmp_path / "all", tmp_path / "linear"
    shown(run, "pretrain", "--data", data, "--benchmark", "all", "--out", seen_all, *SMALL)
    options = ["linear", "--data", data, "--benchmark", "folds", *PROBE]
    shown(run, *options, "--encoder", encoders, "--out", probed)
    shown(run, *options, "--encoder", seen_all, "--out", tmp_path / "other")
    result = RunFolder(probed).result
    text = shown(run, "results", encoders, probed)
    (line,) = [line for line in text.splitlines() if line.startswith("| linear |")]
    assert f" {result['correct']} of 24 |" in line
    assert "**generated, folds**: training clips 3 x 12 to 18 (" in text
    assert text.count("**generated") == 1
    (line,) = [line for line in text.splitlines() if line.startswith("| mamp |")]
    assert f"{RunFolder(encoders).result['loss']:.4f}" in line
    single = RunFolder(probed / "fold2").result
    assert f"{single['correct']} of {single['seen']}" in shown(run, "results", probed / "fold2")
    page = tmp_path / "page.html"
    shown(run, "report", encoders, probed, probed / "fold2", tmp_path / "other", "--out", page)
    text = page.read_text()
    assert "linear adds up its folds" in text
    assert text.count(f"{result['correct']} / 24 = ") >= 2
    assert "linear/fold2" in text
    assert text.count("pre-trained on 24 of these clips, without labels") == 1
    assert f"name one, {encoders / 'fold1'}" in text  # for its curves and reconstructions
    (probed / "result.json").unlink()  # unfinished: its folds speak for themselves
    assert {f"generated, {fold}" for fold in FOLDS} == {
        line.split("**")[1] for line in shown(run, "results", probed).splitlines() if line.startswith("**")
    }
    shutil.rmtree(probed)


def test_a_check_is_of_the_first_fold(run: Run, data: Path, encoders: Path, tmp_path: Path) -> None:
    out = tmp_path / "linear"
    options = ["--data", data, "--benchmark", "folds", "--encoder", encoders, "--out", out, *PROBE]
    text = shown(run, "linear", "--check", *options)
    assert "checking fold1, the first of 3 folds" in text
    assert "12 clips to read" in text
    assert not out.exists()


def test_clips_that_are_never_tested_are_counted(run: Run, tmp_path: Path) -> None:
    tests = {"fold1": of_subjects(0), "fold2": of_subjects(1), "fold3": []}
    some = write(tmp_path / "set", tests)
    text = shown(run, "baseline", "--data", some, "--benchmark", "folds", "--frames=2", "--out", tmp_path / "out")
    assert "12 labelled clips of" in text
    assert "fold3: no test clip, so nothing is run" in text
    result = RunFolder(tmp_path / "out").result
    assert (result["never_tested"], result["seen"], len(result["folds"])) == (12, 12, 2)


@pytest.mark.parametrize(
    ("tests", "trains", "message"),
    [
        ({"xsub": [0, 1]}, {}, "has no folds .*its benchmarks: xsub.*prepare it with --folds K, or --folds subjects"),
        ({"fold1": [0, 1]}, {}, "has no folds"),
        ({"fold1": [0, 1], "fold2": [1, 2]}, {}, "clip clip01 tests in fold1 and in fold2, .*count it twice"),
        ({"fold1": [0, 1], "fold2": [2]}, {"fold2": []}, "the train part of fold2 is empty"),
    ],
)
def test_sets_whose_folds_do_not_add_up_are_refused(
    tests: dict[str, list[int]], trains: dict[str, list[int]], message: str, run: Run, tmp_path: Path
) -> None:
    wrong = write(tmp_path / "set", tests, trains)
    with pytest.raises(InputError, match=message):
        fold_names(SkeletonSet.open(wrong))
    shown(run, "baseline", "--data", wrong, "--benchmark", "folds", "--out", tmp_path / "out", code=2)
    assert not (tmp_path / "out").exists()


def test_options_that_do_not_go_with_folds_are_refused(run: Run, data: Path, encoders: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["linear", "--data", data, "--benchmark", "folds", "--encoder", encoders, *PROBE]
    own.write(tmp_path / "labels.csv", "name\nclip00\n")
    text = shown(run, *options, "--label-list", tmp_path / "labels.csv", "--out", out, code=2)
    assert "give --labels instead" in text
    assert "runs of folds continue by themselves" in shown(run, "pretrain", "--resume", encoders, code=2)
    few = tmp_path / "few"
    shutil.copytree(encoders, few)
    shutil.rmtree(few / "fold2")
    text = shown(run, *options, "--encoder", few, "--out", out, code=2)
    assert "holds the encoders of fold1, fold10, and none of fold2" in text
    (few / "fold2").mkdir()
    shutil.copy(encoders / "fold2" / "config.yaml", few / "fold2")  # not finished
    assert "no such encoder" in shown(run, *options, "--encoder", few, "--out", out, code=2)
    assert "labels: found 2.0" in shown(run, *options, "--labels=2", "--out", out, code=2)
    assert not out.exists()
    one = encoders / "fold1"
    text = shown(run, "pretrain", "--data", data, "--benchmark", "folds", "--out", one, *SMALL, code=2)
    assert "was started with benchmark fold1, found folds" in text
    text = shown(
        run, "pretrain", "--data", data, "--benchmark", "folds", "--seeds=2", "--out", encoders, *SMALL, code=2
    )
    assert "is a run of one seed" in text


def test_a_benchmark_that_is_called_folds_is_one_benchmark(run: Run, tmp_path: Path) -> None:
    data = write(tmp_path / "set", {"folds": of_subjects(0), "fold1": of_subjects(1), "fold2": of_subjects(2)})
    shown(run, "baseline", "--data", data, "--benchmark", "folds", "--frames=2", "--out", tmp_path / "out")
    assert "folds" not in RunFolder(tmp_path / "out").result


def test_leave_one_subject_out_has_nobody_on_both_sides(tmp_path: Path) -> None:
    rows: list[list[object]] = [["file", "label", "subject"]]
    for number, subject in enumerate(("s10", "s2", "s1") * 4):
        own.write_array(tmp_path / "own" / f"{number}.npy", own.motion(frames=8, seed=number))
        label = ("walk", "fall", "")[number % 4 if number % 4 < 2 else 2]
        rows.append([f"{number}.npy", label, subject if number != 11 else ""])
    own.write(tmp_path / "own" / "labels.csv", own.table(rows))
    summary = prepare(Folder("coco17", folds="subjects"), [tmp_path / "own"], tmp_path / "set", workers=1)
    told = {name: benchmark.note.split(";")[0] for name, benchmark in summary.benchmarks.items() if name != "all"}
    assert told == {f"fold{fold}": f"tests subject {name}" for fold, name in enumerate(("s1", "s2", "s10"), 1)}
    clips = SkeletonSet.open(tmp_path / "set")
    assert clips.options["folds"] == "subjects"
    for fold, name in zip(fold_names(clips), ("s1", "s2", "s10"), strict=True):
        owners = {
            part: {clips.clips[at].subject for at in clips.split(fold, part).tolist()} for part in ("train", "test")
        }
        assert owners["test"] == {name}
        assert not owners["test"] & owners["train"]
        seen = {clips.clips[at].subject for at in clips.split(fold, "unlabelled").tolist()}
        assert seen == {"s1", "s2", "s10", ""} - {name}  # clips without a label, of the others
