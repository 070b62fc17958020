import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import own
import tiny
from maskel.commands.detect import detect, frames_of
from maskel.commands.prepare import prepare
from maskel.commands.results import results
from maskel.datasets.folder import Folder
from maskel.datasets.store import SkeletonSet
from maskel.errors import BadFileError, InputError
from maskel.pictures.report import render
from maskel.sequence import LabelledRange
from maskel.training.classifiers import load_classifier
from maskel.training.detection import OVERLAPS, Detection, Interval
from maskel.training.finished import open_runs
from maskel.training.run import RunFolder

Run = Callable[..., tuple[int, str]]

SPANS = {"wave": (10, 40), "bow": (50, 80)}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six recordings of three people, 90 frames each, with a range of each action and a pause of nobody."""
    folder = tmp_path_factory.mktemp("recordings")
    lines = ["file,label,subject,start,end"]
    for number in range(6):
        joints = np.concatenate([own.motion(30, seed=seed) for seed in (number, 100, 200)])
        joints[42:45] = np.nan
        own.write_array(folder / f"r{number}.npy", joints)
        lines += [f"r{number},{name},{'abc'[number // 2]},{low},{high}" for name, (low, high) in SPANS.items()]
    own.write(folder / "labels.csv", "\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def whole(recordings: Path) -> Path:
    prepare(Folder("coco17", test_subjects=["c"], untrimmed=True), [recordings], recordings.parent / "whole", workers=1)
    return recordings.parent / "whole"


@pytest.fixture(scope="module")
def trained(recordings: Path) -> RunFolder:
    folder = recordings.parent
    prepare(Folder("coco17", test_subjects=["c"]), [recordings], folder / "trimmed", workers=1)
    training = tiny.FINETUNE
    return tiny.tiny_finetune(folder / "trimmed", folder / "trained", training=training)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_recordings_stay_whole(whole: Path) -> None:
    opened = SkeletonSet.open(whole, untrimmed=True)
    assert [clip.name for clip in opened.clips] == [f"r{number}" for number in range(6)]
    assert opened.frames.tolist() == [90] * 6  # frames without anybody stay, so that times do
    assert not opened.sequence(0).joints[:, 42:45].any() or opened.sequence(0).joints[:, 42:45].all()
    assert opened.ranges == ((LabelledRange(1, 10, 40), LabelledRange(0, 50, 80)),) * 6
    assert opened.split("xsub", "test").tolist() == [4, 5]
    assert opened.split("xsub", "train").tolist() == [0, 1, 2, 3]


def test_a_long_pause_stays_too(tmp_path: Path) -> None:
    joints = own.motion(80)
    joints[20:50] = np.nan
    joints[75:] = np.nan
    own.write_array(tmp_path / "raw" / "a.npy", joints)
    own.write(tmp_path / "raw" / "labels.csv", "file,label,start,end\na,wave,60,80\na,,0,10\n")
    summary = prepare(Folder("coco17", untrimmed=True), [tmp_path / "raw"], tmp_path / "set", workers=1)
    opened = SkeletonSet.open(tmp_path / "set", untrimmed=True)
    assert (opened.frames.tolist(), opened.ranges) == ([80], ((LabelledRange(0, 60, 80),),))
    assert not opened.sequence(0).joints[:, 20:50].any()
    assert summary.counts["ranges without a label, taken for background"] == (1, 1)
    assert (summary.ranges, summary.classes, summary.unlabelled) == (1, 1, 0)


@pytest.mark.parametrize("fps", [15.0, 60.0])
def test_ranges_follow_the_frame_rate(fps: float, tmp_path: Path) -> None:
    own.write_array(tmp_path / "raw" / "a.npy", own.motion(90))
    own.write(tmp_path / "raw" / "labels.csv", "file,label,start,end\na,wave,1s,2s\na,bow,80,90\n")
    source = Folder("coco17", untrimmed=True, fps=fps, source_fps=30.0)
    prepare(source, [tmp_path / "raw"], tmp_path / "set", workers=1)
    opened = SkeletonSet.open(tmp_path / "set", untrimmed=True)
    scale = fps / 30
    end = min(round(90 * scale), int(opened.frames[0]))
    assert opened.ranges == (
        (LabelledRange(1, round(30 * scale), round(60 * scale)), LabelledRange(0, round(80 * scale), end)),
    )


def test_a_recording_of_two_subjects_or_of_no_range_is_refused(tmp_path: Path) -> None:
    own.write_array(tmp_path / "raw" / "a.npy", own.motion(90))
    table = own.write(tmp_path / "raw" / "labels.csv", "file,label,subject,start,end\na,wave,x,0,9\na,bow,y,9,20\n")
    with pytest.raises(
        InputError, match="its ranges name subject 'x' and 'y'; with --untrimmed it stays one recording"
    ):
        prepare(Folder("coco17", untrimmed=True), [tmp_path / "raw"], tmp_path / "set", workers=1)
    table.unlink()
    with pytest.raises(InputError, match="--untrimmed needs ranges with labels"):
        prepare(Folder("coco17", untrimmed=True), [tmp_path / "raw"], tmp_path / "set", workers=1)
    own.write(table, "file,label,start,end\na,wave,80,100\n")
    with pytest.raises((InputError, BadFileError), match=r"outside the recording|none of the 1 files"):
        prepare(Folder("coco17", untrimmed=True), [tmp_path / "raw"], tmp_path / "set", workers=1)
    with pytest.raises(InputError, match="whole recordings hold all classes"):
        prepare(Folder("coco17", untrimmed=True), [tmp_path / "raw"], tmp_path / "set", classes=["wave"])
    assert not (tmp_path / "set").exists()


def test_measures_follow_from_the_segments(trained: RunFolder, whole: Path, tmp_path: Path) -> None:
    run = detect(trained.path, whole, window_length="12", step="4", device="cpu", out=tmp_path / "run")
    result, rows = run.result, rows_of(tmp_path / "run" / "segments.csv")
    assert rows
    classes = SkeletonSet.open(whole, untrimmed=True).classes
    found = [
        Interval(
            row["recording"], classes.index(row["class"]), *map(int, (row["start_frame"], row["end_frame"])),
            float(row["probability"]),
        )
        for row in rows
    ]  # fmt: skip
    truth = [Interval(name, classes.index(label), *span) for name in ("r4", "r5") for label, span in SPANS.items()]
    measured = Detection.of(found, truth, ["r4", "r5"])
    assert result["detection"]["overlaps"] == list(OVERLAPS)
    for name in ("map_actions", "map_videos", "f1"):
        assert result["detection"][name] == pytest.approx(list(getattr(measured, name)))
    assert result["detection"]["edit"] == pytest.approx(measured.edit)
    right, answers = frames_of(found, truth, ["r4", "r5"], [90, 90], 2)
    assert (result["correct"], result["seen"]) == (int((right == answers).sum()), 180)
    assert [one["class"] for one in result["per_class"]] == [*classes, "background"]
    assert [one["seen"] for one in result["per_class"]] == [60, 60, 60]
    assert result["frames_without_action"] == 60


def test_windows_are_those_of_predict(trained: RunFolder, whole: Path, tmp_path: Path, run: Run) -> None:
    """With every frame an action, the segments of detect are those of predict on the same set."""
    detect(trained.path, whole, window_length="12", step="4", device="cpu", out=tmp_path / "run")
    code, said = run(
        "predict", whole, "--classifier", trained.path, "--out", tmp_path / "w.csv", "--segments", tmp_path / "s.csv",
        "--window-length=12", "--step=4", "--device=cpu",
    )  # fmt: skip
    assert code == 0, said
    names = ("recording", "start_frame", "end_frame", "class")
    others = [row for row in rows_of(tmp_path / "s.csv") if row["recording"] in ("r4", "r5")]
    found = rows_of(tmp_path / "run" / "segments.csv")
    assert [[row[name] for name in names] for row in found] == [[row[name] for name in names] for row in others]
    assert [float(row["probability"]) for row in found] == pytest.approx([float(row["probability"]) for row in others])


def test_background_by_threshold_and_by_class(
    trained: RunFolder, whole: Path, tmp_path: Path, recordings: Path
) -> None:
    given = {"window_length": "12", "step": "4", "device": "cpu"}
    nothing = detect(trained.path, whole, min_probability=1.0, out=tmp_path / "nothing", **given).result
    assert nothing["detection"]["found"] == 0
    assert (nothing["correct"], nothing["seen"]) == (60, 180)  # the frames of no action
    assert nothing["detection"]["map_actions"] == nothing["detection"]["f1"] == [0.0] * 4
    assert nothing["detection"]["edit"] == 0.0
    assert len(rows_of(tmp_path / "nothing" / "segments.csv")) == 0
    bow = detect(trained.path, whole, background="bow", out=tmp_path / "bow", **given).result
    assert [one["class"] for one in bow["per_class"]] == ["wave", "bow"]  # its ranges are of no action here
    assert [one["seen"] for one in bow["per_class"]] == [60, 120]
    assert {row["class"] for row in rows_of(tmp_path / "bow" / "segments.csv")} <= {"wave"}
    assert bow["detection"]["labelled"] == 2


def test_a_classifier_with_a_class_more_needs_its_meaning(whole: Path, recordings: Path, tmp_path: Path) -> None:
    table = (recordings / "labels.csv").read_text()
    rest = "".join(f"\nr{number},rest,{'abc'[number // 2]},0,10" for number in range(6))
    own.write(tmp_path / "labels.csv", table + rest)
    source = Folder("coco17", labels=tmp_path / "labels.csv", test_subjects=["c"])
    prepare(source, [recordings], tmp_path / "trimmed", workers=1)
    run = tiny.tiny_finetune(tmp_path / "trimmed", tmp_path / "trained")
    with pytest.raises(InputError, match=r"has a class 'rest', .* has not; .* if it stands for no action, say --backg"):
        detect(run.path, whole, out=tmp_path / "run", device="cpu")
    with pytest.raises(InputError, match="has no class 'pause'; it has: bow, rest, wave"):
        detect(run.path, whole, background="pause", out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
    found = detect(run.path, whole, background="rest", out=tmp_path / "run", device="cpu").result
    assert [one["class"] for one in found["per_class"]] == ["bow", "wave", "rest"]
    assert load_classifier(run.path).label_spec.classes == ("bow", "rest", "wave")


def test_trimmed_and_untrimmed_sets_are_told_apart(
    trained: RunFolder, whole: Path, recordings: Path, tmp_path: Path, run: Run
) -> None:
    with pytest.raises(InputError, match=r"holds clips, expected whole recordings .*--untrimmed"):
        detect(trained.path, recordings.parent / "trimmed", out=tmp_path / "run", device="cpu")
    for command in (
        ("linear", "--encoder", trained.path, "--data", whole),
        ("pretrain", "--data", whole),
        ("baseline", "--data", whole),
        ("evaluate", "--classifier", trained.path, "--data", whole),
        ("embed", "--encoder", trained.path, "--data", whole, "--out", tmp_path / "e.npz"),
        ("export", "npz", whole, "--benchmark", "xsub", "--out", tmp_path / "e.npz"),
    ):
        code, said = run(*command)
        assert (code, "holds whole recordings" in said) == (2, True), said
    code, said = run("inspect", whole)
    assert "whole recordings" in said
    assert "of 6 labelled ranges each" in said


def test_frames_under_several_ranges_are_right_for_each_of_them() -> None:
    truth = [Interval("a", 0, 0, 6), Interval("a", 1, 4, 10)]
    found = [Interval("a", 1, 3, 6), Interval("a", 0, 7, 8)]
    right, answers = frames_of(found, truth, ["a", "b"], [12, 2], 2)
    assert right.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2]
    assert answers.tolist() == [2, 2, 2, 1, 1, 1, 2, 0, 2, 2, 2, 2, 2, 2]


def test_tables_and_reports_show_it(trained: RunFolder, whole: Path, tmp_path: Path, run: Run) -> None:
    given = ("--classifier", trained.path, "--data", whole, "--device=cpu", "--window-length=12")
    code, said = run("detect", *given, "--out", tmp_path / "run")
    assert code == 0
    assert "of 180 frames right" in said
    assert "33% of the frames are of no action" in said
    for name in ("mAP@0.5 over actions", "mAP@0.5 over videos", "F1@0.5", "edit score"):
        assert f"{name} " in said
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    text = results([tmp_path / "run"])
    assert "| detect, frames of fine-tune |" in text
    assert "mAP@0.5 over actions (%) | mAP@0.5 over videos (%) | F1@0.5 (%) | edit score (%)" in text
    assert f"{100 * result['detection']['edit']:.1f} |" in text
    assert "test recordings 2" in text
    page = render(open_runs([tmp_path / "run"]), num_clips=0)
    assert "2 test recordings" in page
    assert "mAP@0.5 over videos" in page
