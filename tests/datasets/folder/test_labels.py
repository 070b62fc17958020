"""What is known of own recordings: clips without a label, ranges of long files, and names as people write them."""

import pickle
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import own
import tiny
from maskel.commands.export import export_npz, export_pyskl
from maskel.commands.inspect import inspect
from maskel.commands.prepare import PrepareSummary, prepare
from maskel.datasets.base import Split
from maskel.datasets.folder import Folder
from maskel.datasets.folder.labels import LOOSE, NOT_READ
from maskel.datasets.folder.ranges import OUTSIDE, OVERLAPPING, read_moment
from maskel.datasets.folder.source import EMPTY_RANGES
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.errors import BadFileError, InputError
from maskel.layouts import COCO17
from maskel.sequence import UNLABELLED, Clip, SkeletonSequence
from maskel.training.loading import pretraining_positions
from maskel.training.optim import AdamWConfig


def recordings(root: Path, *names: str, frames: int = 12) -> Path:
    for seed, name in enumerate(names):
        own.write_array(root / f"{name}.npy", own.motion(frames, seed=seed))
    return root


def set_of(root: Path, table: str | None = None, **options: object) -> tuple[SkeletonSet, PrepareSummary]:
    if table is not None:
        own.write(root / "labels.csv", table)
    out = root.parent / "set"
    summary = prepare(Folder("coco17", **options), [root], out, workers=1)  # type: ignore[arg-type]
    return SkeletonSet.open(out), summary


def names(clips: SkeletonSet, positions: np.ndarray) -> list[str]:
    return [clips.clips[position].name for position in positions.tolist()]


MIXED = "file,label,subject\na,wave,ann\nb,bow,ann\nc,wave,bo\nd,bow,bo\ne,,ann\nf,,bo\ng,,\n"


def test_pretraining_sees_unlabelled_clips_but_none_of_a_test_subject(tmp_path: Path) -> None:
    clips, summary = set_of(recordings(tmp_path / "own", *"abcdefg"), MIXED, test_subjects=["bo"])
    assert clips.classes == ("bow", "wave")
    assert clips.labels.tolist() == [1, 0, 1, 0, UNLABELLED, UNLABELLED, UNLABELLED]
    assert [clips.class_name(position) for position in (0, 6)] == ["wave", "no label"]
    assert names(clips, clips.split("xsub", "train")) == ["a", "b"]
    assert names(clips, clips.split("xsub", "unlabelled")) == ["e", "g"]
    assert names(clips, pretraining_positions(clips, "xsub")) == ["a", "b", "e", "g"]
    assert names(clips, pretraining_positions(clips, "all")) == [*"abcdefg"]
    assert (summary.classes, summary.unlabelled) == (2, 3)
    assert summary.benchmarks["xsub"].unlabelled == 2
    assert "of its 2 clips without a label 1 name no subject" in summary.benchmarks["xsub"].note
    assert "those that test in xsub too" in summary.benchmarks["all"].note
    contents = inspect(clips.path).contents
    assert (contents.classes, contents.unlabelled) == ((("bow", 2), ("wave", 2)), 3)


def test_a_run_says_how_many_clips_had_no_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips, _ = set_of(recordings(tmp_path / "own", *"abcdefg"), MIXED, test_subjects=["bo"])
    training = AdamWConfig(epochs=1, batch_size=4, warmup_epochs=0.0)
    run = tiny.tiny_pretrain(clips.path, tmp_path / "run", training=training)
    found = run.result["clips"]
    assert (found["labelled"], found["unlabelled"]) == (2, 2)
    assert found["hash"] == clips.names_hash(np.array([0, 1, 4, 6]))
    assert "test in" not in capsys.readouterr().err
    tiny.tiny_pretrain(clips.path, tmp_path / "other", training=training, benchmark="all")
    assert "benchmark all trains on test clips of xsub" in capsys.readouterr().err


def test_exports_leave_out_what_has_no_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips, _ = set_of(recordings(tmp_path / "own", *"abcdefg"), MIXED, test_subjects=["bo"])
    export_npz(clips.path, tmp_path / "set.npz")
    export_pyskl(clips.path, tmp_path / "set.pkl")
    assert capsys.readouterr().err.count("left out: 3 clips without a label") == 2
    written = pickle.loads((tmp_path / "set.pkl").read_bytes())
    assert [clip["frame_dir"] for clip in written["annotations"]] == ["a", "b", "c", "d"]
    with np.load(tmp_path / "set.npz") as arrays:
        assert (len(arrays["y_train"]), len(arrays["y_test"])) == (2, 2)


def test_trial_sets_keep_clips_without_a_label_unless_classes_are_chosen(tmp_path: Path) -> None:
    root = recordings(tmp_path / "own", *"abcdefg")
    own.write(root / "labels.csv", MIXED)
    prepare(Folder("coco17"), [root], tmp_path / "some", workers=1, max_clips=6)
    assert set(SkeletonSet.open(tmp_path / "some").labels.tolist()) == {UNLABELLED, 0, 1}
    prepare(Folder("coco17"), [root], tmp_path / "wave", workers=1, classes=["wave"])
    wave = SkeletonSet.open(tmp_path / "wave")
    assert (wave.classes, wave.labels.tolist()) == (("wave",), [0, 0])


def test_a_folder_called_unlabelled_is_no_class(tmp_path: Path) -> None:
    root = recordings(tmp_path / "own", "wave/ann/1", "Unlabelled/ann/2", "wave/bo/1", "Unlabelled/bo/2")
    clips, _ = set_of(root, test_subjects=["bo"])
    assert clips.classes == ("wave",)
    assert names(clips, pretraining_positions(clips, "xsub")) == ["Unlabelled/ann/2", "wave/ann/1"]


def test_parts_that_mix_clips_with_and_without_a_label_are_damage(tmp_path: Path) -> None:
    joints = own.motion()[None].astype(np.float32)
    for number, split in enumerate((Split((0, 1), ()), Split((0,), (), (0,)))):
        with SetWriter(tmp_path / str(number), COCO17, ("wave",), "own", {}) as writer:
            writer.add(SkeletonSequence(Clip("a", 0), joints, COCO17))
            writer.add(SkeletonSequence(Clip("b", UNLABELLED), joints, COCO17))
            writer.finish({"xsub": split})
        with pytest.raises(InputError, match="clips with and without a label mixed up"):
            SkeletonSet.open(tmp_path / str(number))


def test_an_older_set_keeps_its_class_of_clips_without_a_label(tmp_path: Path) -> None:
    joints = own.motion()[None].astype(np.float32)
    with SetWriter(tmp_path / "set", COCO17, ("wave", "unlabelled"), "folder", {}) as writer:
        writer.add(SkeletonSequence(Clip("a", 0), joints, COCO17))
        writer.add(SkeletonSequence(Clip("b", 1), joints, COCO17))
        writer.finish({"all": Split((0, 1), ())})
    meta = (tmp_path / "set" / "meta.json").read_text()
    (tmp_path / "set" / "meta.json").write_text(meta.replace('"version": 3', '"version": 2'))
    (tmp_path / "set" / "counts.csv").unlink()
    clips = SkeletonSet.open(tmp_path / "set")
    assert clips.classes == ("wave", "unlabelled")
    assert pretraining_positions(clips, "all").tolist() == [0, 1]


LONG = (
    "file,label,subject,start,end\n"
    "long,wave,ann,10,30\nlong,bow,ann,25,60\nlong,,ann,90,\nlong,bow,ann,2.0s,0:02.5\nshort.npy,wave,bo,,\n"
)


def test_ranges_are_cut_frame_by_frame(tmp_path: Path) -> None:
    body = own.motion(100)
    own.write_array(tmp_path / "own" / "long.npy", body)
    own.write_array(tmp_path / "own" / "short.npy", own.motion(12, seed=3))
    clips, summary = set_of(tmp_path / "own", LONG, source_fps=40.0)
    assert [clip.name for clip in clips.clips] == ["long#1", "long#2", "long#3", "long#4", "short"]
    bounds = [(10, 30), (25, 60), (90, 100), (80, 100)]
    assert [(clip.recording, clip.first_frame, clip.end_frame) for clip in clips.clips[:4]] == [
        ("long", first, end) for first, end in bounds
    ]
    assert [clips.class_name(position) for position in range(5)] == ["wave", "bow", "no label", "bow", "wave"]
    for position, (first, end) in enumerate(bounds):
        alone = own.write_array(tmp_path / f"alone{position}" / "clip.npy", body[first:end])
        assert np.array_equal(clips.sequence(position).joints, own.read(alone).joints)
    assert summary.counts[OUTSIDE] == (10 + 20, 1)
    assert summary.counts[OVERLAPPING] == (4, 4)


def test_ranges_side_by_side_do_not_overlap_and_others_are_counted_clip_by_clip(tmp_path: Path) -> None:
    own.write_array(tmp_path / "own" / "long.npy", own.motion(60))
    table = "file,label,start,end\nlong,wave,0,20\nlong,bow,20,40\nlong,wave,39,50\n"
    clips, summary = set_of(tmp_path / "own", table)
    assert [OVERLAPPING in clips.counts.get(position, {}) for position in range(3)] == [False, True, True]
    assert summary.counts[OVERLAPPING] == (2, 2)


def test_ranges_keep_time_at_another_frame_rate(tmp_path: Path) -> None:
    body = own.motion(100)
    own.write_array(tmp_path / "own" / "long.npy", body)
    clips, _ = set_of(tmp_path / "own", "file,label,fps,start_s,end_s\nlong,wave,50,0.4,1.2\n", fps=25.0)
    alone = own.write_array(tmp_path / "alone" / "clip.npy", body[20:60])
    assert np.array_equal(clips.sequence(0).joints, own.read(alone, fps=25.0, source_fps=50.0).joints)


def test_a_range_without_a_body_is_no_clip_and_is_counted(tmp_path: Path) -> None:
    body = own.motion(40)
    body[20:] = np.nan
    own.write_array(tmp_path / "own" / "long.npy", body)
    clips, summary = set_of(tmp_path / "own", "file,label,start,end\nlong,wave,0,15\nlong,bow,25,40\n")
    assert [clip.name for clip in clips.clips] == ["long#1"]
    assert summary.counts[EMPTY_RANGES] == (1, 1)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,start,end\nlong,10,130\n", r"labels.csv, line 2: outside the recording: found frames 10 up to 130"),
        ("file,start,end\nlong,30,30\n", "line 2: outside the recording: found frames 30 up to 30"),
        ("file,start,end\nlong,1s,2s\n", "line 2: .*found no frame rate of .*long.npy, expected --source-fps"),
        ("file,start,end\nlong,1.5,2.5\n", "line 2: not a number: found start '1.5', expected a frame as a whole"),
        ("file,start_frame\nlong,1s\n", "found start_frame '1s', expected a frame as a whole number"),
        ("file,start_seconds\nlong,-1\n", "found start_seconds '-1', expected seconds"),
        ("file,start,start_frame\nlong,1,1\n", "each in one unit"),
        ("file,start,end\nlong,1,5\nlong,1,5\n", "line 3: .*found long twice"),
        ("file,start,end\nlong,1,5\nlong,,\n", "line 3: .*found long twice"),
        (
            "file,label,start,end\nlong,wave,1,5\nlong,bow,7,9\nlong,bow,1,5\n",
            "line 4: .*found long twice, in line 2 too, labelled 'bow' and there labelled 'wave', expected one line",
        ),
        ("file,label,start,end\nlong,wave,0,100\nlong,,,100\n", "line 3: .*in line 2 too, without a label and there"),
        ("file,label,fps,start,end\nlong,wave,10,10,20\nlong,bow,10,1s,2s\n", "line 3: .*twice, in line 2 too"),
    ],
)
def test_ranges_that_cannot_be_cut_are_refused(table: str, message: str, tmp_path: Path) -> None:
    own.write_array(tmp_path / "own" / "long.npy", own.motion(100))
    with pytest.raises(InputError, match=message):
        set_of(tmp_path / "own", table)


@pytest.mark.parametrize(
    ("text", "unit", "value", "seconds"),
    [
        ("12", "", 12, False),
        ("12 s", "", 12, True),
        ("1:02.5", "", 62.5, True),
        ("1:00:02", "seconds", 3602, True),
        ("12", "seconds", 12, True),
        ("12.0", "frame", 12, False),
    ],
)
def test_frames_and_seconds_are_told_apart(text: str, unit: str, value: float, seconds: bool) -> None:
    moment = read_moment(text, unit)
    assert moment
    assert (moment.value, moment.seconds) == (value, seconds)


def test_unlabelled_ranges_of_a_test_recording_are_held_out(tmp_path: Path) -> None:
    root = recordings(tmp_path / "own", "long", "other", frames=40)
    own.write(tmp_path / "list.txt", "long.npy\n")
    table = "file,label,start,end\nlong,wave,0,10\nlong,,10,40\nother,wave,0,10\nother,,10,40\n"
    clips, _ = set_of(root, table, test_list=tmp_path / "list.txt")
    assert names(clips, clips.split("listed", "test")) == ["long#1"]
    assert names(clips, pretraining_positions(clips, "listed")) == ["other#1", "other#2"]


def test_names_match_in_any_case_form_and_with_a_video_s_ending(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "über") for form in ("NFC", "NFD"))
    root = recordings(tmp_path / "own", apart, "Take 1", "sub/b")
    clips, summary = set_of(
        root,
        f",Filename,Action,Participant,age\n0,{composed}.npy,wave,s1,30\n1,TAKE 1.mp4,bow,S2,31\n2,sub\\b,wave,S2,31\n",
        test_subjects=["s2"],
    )
    assert clips.classes == ("bow", "wave")
    assert sorted(names(clips, clips.split("xsub", "test"))) == ["Take 1", "sub/b"]
    assert summary.notes == {LOOSE: 1, f"{NOT_READ}age": 1, f"{NOT_READ}(without a name)": 1}
    assert "tested, but without a training clip: bow" in summary.benchmarks["xsub"].note


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,label\na,Wave\nb,wave\n", r"classes 'Wave' \(1 clips\) and 'wave' \(1\) differ in case"),
        ("file,label,subject\na,x,S01\nb,x,s1\n", "subjects 'S01' .* and 's1'"),
        ("file,label,subject\na,x,1\nb,x,1.0\n", "subjects '1' .* and '1.0'"),
        ("file,labl\na,x\nb,x\n", "labl is none of them"),
        ("file,label,class\na,x,1\nb,x,1\n", "columns label and class, which both say the label"),
        ("file,label\na,x\nb,x\nbb,x\n", "names bb, which is not a clip below .*; did you mean b?"),
    ],
)
def test_names_that_would_split_a_class_or_a_person_are_refused(table: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        set_of(recordings(tmp_path / "own", "a", "b"), table)


def test_a_name_that_fits_two_files_is_refused(tmp_path: Path) -> None:
    root = recordings(tmp_path / "own", "a")
    own.write(root / "a.csv", "0\n")
    with pytest.raises(InputError, match=r"labels.csv, line 2: a may be a.csv and a.npy"):
        set_of(root, "file,label\na,x\n")


def test_clips_of_openpose_keep_a_dot_in_their_name(tmp_path: Path) -> None:
    for name in ("s1.walk", "s1.run"):
        for frame in range(3):
            person = {"pose_keypoints_2d": own.flat(own.motion(joints=25, coordinates=2)[frame])}
            own.write(tmp_path / "own" / name / f"x_{frame:012d}_keypoints.json", {"people": [person]})
    prepare(Folder("openpose25"), [tmp_path / "own"], tmp_path / "set", workers=1)
    assert [clip.name for clip in SkeletonSet.open(tmp_path / "set").clips] == ["s1.run", "s1.walk"]


def test_an_empty_list_of_test_clips_is_refused(tmp_path: Path) -> None:
    own.write(tmp_path / "list.txt", "\n")
    with pytest.raises(InputError, match="names no clip"):
        set_of(recordings(tmp_path / "own", "wave/a", "wave/b"), test_list=tmp_path / "list.txt")


def test_prepare_shows_clips_without_a_label(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    root = recordings(tmp_path / "own", *"abcdefg")
    own.write(root / "labels.csv", MIXED)
    code, text = run(
        *("prepare", "folder", root, "--layout=coco17", "--test-subjects", "bo", "--workers=1"),
        *("--out", tmp_path / "set"),
    )
    assert code == 0
    assert "7 of 2 classes, 3 of them without a label" in " ".join(text.split())
    assert run("inspect", tmp_path / "set")[0] in (0, 1, 2)


def numbered_table(path: Path, body: np.ndarray, first: int, step: int) -> Path:
    """A table that counts its frames from ``first`` in steps."""
    names = [f"{joint}_{axis}" for joint in COCO17.joints for axis in "xyz"]
    rows = [["frame", *names], *([first + step * t, *frame.ravel()] for t, frame in enumerate(body))]
    return own.write(path, own.table(rows))


def test_ranges_count_frames_as_the_file_does(tmp_path: Path) -> None:
    body = own.motion(frames=30)
    numbered_table(tmp_path / "in" / "a.csv", body, first=100, step=2)
    table = own.write(tmp_path / "in" / "labels.csv", "file,label,start,end\na,wave,110,130\n")
    source = Folder("coco17", centre=False)
    (file,) = source.find([tmp_path / "in"])
    (sequence,) = source.read(file)
    np.testing.assert_allclose(sequence.joints[0], body[5:15], atol=1e-6)
    assert (sequence.clip.first_frame, sequence.clip.end_frame) == (110, 130)
    own.write(table, "file,label,start,end\na,wave,0,20\n")
    source = Folder("coco17")
    source.find([tmp_path / "in"])
    with pytest.raises(BadFileError, match=r"found frames 0 up to 20, .*a part of its 30, numbered from 100 to 158"):
        source.read(file)


def test_a_frame_rate_is_that_of_the_numbers_not_of_the_rows(tmp_path: Path) -> None:
    """Every fifth frame of a film of 50 frames a second is 10 a second."""
    body = own.motion(frames=30)
    path = numbered_table(tmp_path / "in" / "a.csv", body, first=0, step=5)
    sequence = own.read(path, fps=5.0, source_fps=50.0, centre=False)
    np.testing.assert_allclose(sequence.joints[0], body[::2], atol=1e-6)
