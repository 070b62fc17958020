"""Own recordings: labels, splits, gaps, frame rates and units, and the whole path from files to an encoder."""

from pathlib import Path

import numpy as np
import pytest

import own
from maskel import cli
from maskel.commands.prepare import prepare
from maskel.conversion import conversion
from maskel.datasets.base import RawFile
from maskel.datasets.counts import MISSING_JOINTS
from maskel.datasets.folder import Folder
from maskel.datasets.folder.gaps import MAX_GAP, fill_gaps, resample_frames
from maskel.datasets.store import SkeletonSet
from maskel.errors import BadFileError, InputError
from maskel.layouts import COCO17, MEDIAPIPE33, NTU25

HIPS_AND_SHOULDERS = [COCO17.index(joint) for joint in COCO17.roots]


def write_clips(root: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        own.write_array(root / f"{name}.npy", own.motion(frames=8 + seed, seed=seed))
    return root


def prepared(root: Path, **options: object) -> SkeletonSet:
    out = root.parent / "set"
    prepare(Folder("coco17", **options), [root], out, workers=1)  # type: ignore[arg-type]
    return SkeletonSet.open(out)


def names(clips: SkeletonSet, benchmark: str, part: str) -> set[str]:
    return {clips.clips[position].name for position in clips.split(benchmark, part).tolist()}


TAKES = ("ann/take1", "ann/take2", "bo/take1", "bo/take2", "cy/take1", "cy/take2")
TWELVE = [f"{label}/{take}" for label in ("walk", "fall") for take in TAKES]


def test_folders_name_classes_and_subjects(tmp_path: Path) -> None:
    clips = prepared(write_clips(tmp_path / "own", "walk/ann/a", "walk/bo/a", "fall/c"), test_subjects=())
    assert clips.classes == ("fall", "walk")
    assert {(clip.name, clips.classes[clip.label], clip.subject) for clip in clips.clips} == {
        ("walk/ann/a", "walk", "ann"),
        ("walk/bo/a", "walk", "bo"),
        ("fall/c", "fall", ""),
    }


def test_a_table_says_more(tmp_path: Path) -> None:
    root = write_clips(tmp_path / "own", "a", "deep/er/and/deeper/b", "c")
    rows = [
        ["file", "label", "subject", "camera", "setup", "replication"],
        ["a.npy", "walk", "7", "2", "lab", "1"],
        ["deep/er/and/deeper/b", "fall", "8", "", "", ""],
        ["c", "", "", "", "", ""],
    ]
    own.write(root / "labels.csv", own.table(rows, ";"))
    clips = prepared(root, test_subjects=["8"])
    assert clips.classes == ("fall", "walk")
    first = clips.clips[0]
    assert (first.name, first.label, first.subject, first.camera, first.setup, first.replication) == (
        *("a", 1, "7", "2"),
        *("lab", "1"),
    )
    assert names(clips, "xsub", "train") == {"a"}
    assert names(clips, "xsub", "test") == {"deep/er/and/deeper/b"}
    assert names(clips, "all", "train") == {"a", "deep/er/and/deeper/b"}
    assert names(clips, "all", "unlabelled") == names(clips, "xsub", "unlabelled") == {"c"}
    assert names(clips, "all", "test") == set()


def test_subjects_are_held_out(tmp_path: Path) -> None:
    clips = prepared(write_clips(tmp_path / "own", *TWELVE), test_subjects=["ann", "cy"])
    assert names(clips, "xsub", "test") == {name for name in TWELVE if "bo" not in name}
    assert names(clips, "xsub", "train") == {name for name in TWELVE if "bo" in name}


def test_every_subject_is_in_one_fold(tmp_path: Path) -> None:
    root = write_clips(tmp_path / "own", *TWELVE)
    clips = prepared(root, folds=3)
    folds = [names(clips, f"fold{fold}", "test") for fold in (1, 2, 3)]
    assert [len(fold) for fold in folds] == [4, 4, 4]
    assert set().union(*folds) == set(TWELVE)
    for fold, test in enumerate(folds, start=1):
        assert names(clips, f"fold{fold}", "train") == set(TWELVE) - test
        assert len({name.split("/")[1] for name in test}) == 1

    def first_folds(seed: int) -> frozenset[str]:
        source = Folder("coco17", folds=2, seed=seed)
        source.find([root])
        return source._benchmarks._tests["fold1"]

    assert first_folds(0) == first_folds(0)
    assert len({first_folds(seed) for seed in range(10)}) > 1


def test_a_list_names_test_clips(tmp_path: Path) -> None:
    root = write_clips(tmp_path / "own", *TWELVE)
    own.write(tmp_path / "list.txt", "walk/ann/take1\n\nfall/bo/take2.npy\n")
    clips = prepared(root, test_list=tmp_path / "list.txt")
    assert names(clips, "listed", "test") == {"walk/ann/take1", "fall/bo/take2"}
    assert len(names(clips, "listed", "train")) == 10


def refusal(root: Path, message: str, **options: object) -> None:
    with pytest.raises(InputError, match=message):
        Folder("coco17", **options).find([root])  # type: ignore[arg-type]


def test_labels_and_splits_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    root = write_clips(tmp_path / "own", *TWELVE)
    refusal(root, "no clip with a label is of subject 'zoe'; known: ann, bo, cy", test_subjects=["zoe"])
    refusal(root, "give both", source_fps=30.0)
    refusal(root, "there are only 3 subjects; expected at most as many folds", folds=4)
    for folds in (1, -2, "Subjects", "0.5"):
        refusal(root, f"found --folds {folds}, expected 2 or more, or subjects", folds=folds)
    alone = write_clips(tmp_path / "alone", "walk/ann/a", "fall/ann/b")
    for folds in (2, "subjects"):
        refusal(alone, "ann is the only subject; folds need two or more", folds=folds)
    refusal(write_clips(tmp_path / "nobody", "walk/a", "fall/b"), "each with a subject", folds="subjects")
    refusal(root, "every clip is a test clip", test_subjects=["ann", "bo", "cy"])
    refusal(root, "cannot read the list", test_list=tmp_path / "none.txt")
    own.write(tmp_path / "list.txt", "walk/ann/take1\nwalk/ann/take9\n")
    refusal(root, "list.txt, line 2: found 'walk/ann/take9'", test_list=tmp_path / "list.txt")
    refusal(root, "there is no table of labels", labels=tmp_path / "none.csv")
    refusal(tmp_path / "nowhere", "is not a folder")
    (tmp_path / "empty").mkdir()
    refusal(tmp_path / "empty", "holds no recording")
    (tmp_path / "texts" / "wave").mkdir(parents=True)
    (tmp_path / "texts" / "wave" / "take_1.txt").write_text("12 1.5 0.2 2.6")
    refusal(tmp_path / "texts", r"files not read \(.txt\): 1; expected .* \(or the folder of Ultralytics' .txt files")
    for text, message in (
        ("file,label\n", "has no line for fall/ann/take1.npy"),
        ("label,subject\nwalk,1\n", "line 1: .*columns label, subject"),
        ("file,label,labels\n", "line 1: .*columns file, label, labels"),
        ("file,label\na\n", "line 2: .*found 1 fields"),
        ("file,label\nwalk/ann/take1,x\nwalk/ann/take1.npy,x\n", "line 3: .*found walk/ann/take1.npy twice"),
        ("file,fps\na,fast\n", "line 2: not a number: found fps 'fast'"),
        ("file,fps\na,-3\n", "line 2: not a number: found fps '-3'"),
        (" \n", "empty"),
        ("file,label\n" + "".join(f"{name},x\n" for name in TWELVE) + "ghost,x\n", "names ghost, which is not a clip"),
    ):
        refusal(root, message, labels=own.write(tmp_path / "labels.csv", text))
    refusal(write_clips(tmp_path / "deep", "a/b/c/d"), "lies deeper than CLASS/SUBJECT/clip")
    refusal(write_clips(tmp_path / "flat", "a", "b"), "needs clips with labels, each with a subject", folds=2)
    refusal(write_clips(tmp_path / "line", "a\nb"), "rename it")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bodies": 0}, "bodies of 1 or more"),
        ({"folds": 1}, "folds 1, expected 2 or more"),
        ({"seed": -1}, "a seed of 0 or more"),
        ({"scale": 0.0}, "above 0"),
        ({"fps": float("nan")}, "above 0"),
        ({"image_size": [640]}, "WIDTH HEIGHT"),
        ({"image_size": [640, 0]}, "WIDTH HEIGHT"),
    ],
)
def test_options_out_of_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Folder("coco17", **options)


def test_missing_joints_are_interpolated_and_counted(tmp_path: Path) -> None:
    body = own.motion(10)
    gappy = body.copy()
    gappy[3:5, 9] = 0
    gappy[6, 9] = np.nan
    gappy[0, 4] = gappy[9, 4] = np.nan
    path = own.write_array(tmp_path / "a" / "a.npy", gappy)
    sequence = own.read(path, centre=False)
    assert sequence.counts.get(MISSING_JOINTS, 0) == 5
    filled = sequence.joints[0]
    assert np.allclose(filled[3, 9], body[2, 9] + (body[5, 9] - body[2, 9]) / 3, atol=1e-6)
    assert np.allclose(filled[6, 9], (body[5, 9] + body[7, 9]) / 2, atol=1e-6)
    assert np.allclose(filled[[0, 9], 4], body[[1, 8], 4], atol=1e-6)
    untouched = ~np.isnan(gappy) & (gappy != 0)
    assert np.allclose(filled[untouched], body[untouched], atol=1e-6)
    zero = own.read(path, centre=False, missing="zero")
    assert zero.counts.get(MISSING_JOINTS, 0) == 5
    assert np.allclose(zero.joints[0], np.nan_to_num(gappy), atol=1e-6)
    summary = prepare(Folder("coco17"), [path.parent], tmp_path / "set", workers=1)
    assert summary.counts[MISSING_JOINTS][0] == 5


def test_one_joint_in_3d_that_is_always_zero_is_the_origin(tmp_path: Path) -> None:
    body = own.motion()
    relative = body - body[:, 5:6]
    sequence = own.read(own.write_array(tmp_path / "a.npy", relative), centre=False)
    assert sequence.counts.get(MISSING_JOINTS, 0) == 0
    centred = own.read(tmp_path / "a.npy").joints[0]
    middle = relative[0, HIPS_AND_SHOULDERS].mean(0)
    assert np.allclose(centred, relative - middle, atol=1e-6)
    body[:, [5, 6]] = 0
    assert own.read(own.write_array(tmp_path / "a.npy", body), centre=False).counts[MISSING_JOINTS] == 24


def test_a_joint_that_is_never_seen_stands_at_its_neighbour(tmp_path: Path) -> None:
    body = own.motion()
    body[:, [13, 15]] = np.nan  # knee and ankle of one leg
    body[:, 0] = np.nan  # the nose, root of the tree
    joints = own.read(own.write_array(tmp_path / "a.npy", body), centre=False).joints[0]
    assert np.allclose(joints[:, [13, 15]], body[:, [11, 11]], atol=1e-6)
    assert np.isin(joints[0, 0], body[0, [1, 2, 5, 6]].astype(np.float32)).all()


def test_low_scores_are_missing_and_what_is_filled_in_scores_nothing(tmp_path: Path) -> None:
    body, scores = own.motion(coordinates=2), np.full((12, 17, 1), 0.75)
    scores[4, 9] = 0.25
    path = own.write_array(tmp_path / "a.npy", np.concatenate((body, scores), -1))
    options: dict = {"channels": "xys", "scores": True}
    assert np.allclose(own.read(path, **options).joints[0, 4, 9], [*body[4, 9], 0.25], atol=1e-6)
    sequence = own.read(path, **options, min_score=0.5)
    assert sequence.counts.get(MISSING_JOINTS, 0) == 1
    assert np.allclose(sequence.joints[0, 4, 9], [*(body[3, 9] + body[5, 9]) / 2, 0], atol=1e-6)
    for wanted in ({"scores": True}, {"min_score": 0.5}):
        with pytest.raises(BadFileError, match="no scores"):
            own.read(own.write_array(tmp_path / "a.npy", body), **wanted)


@pytest.mark.parametrize(("gap", "filled"), [(MAX_GAP, True), (MAX_GAP + 1, False)])
def test_a_body_that_is_gone_for_long_has_left(gap: int, filled: bool, tmp_path: Path) -> None:
    body = own.motion(30)
    body[5 : 5 + gap] = np.nan
    joints = own.read(own.write_array(tmp_path / "a.npy", body), centre=False).joints
    assert joints.shape[1] == (30 if filled else 30 - gap)  # frames without any body are dropped
    two = np.stack((own.motion(30), body))
    joints = own.read(own.write_array(tmp_path / "b" / "b.npy", two), centre=False).joints
    assert joints.shape[1] == 30
    assert joints[1, 5 : 5 + gap].any() == filled


@pytest.mark.parametrize(("source_fps", "fps"), [(30.0, 15.0), (30.0, 60.0), (25.0, 30.0), (29.97, 10.0)])
def test_another_frame_rate_keeps_time(source_fps: float, fps: float) -> None:
    line = np.arange(61.0)[None, :, None, None] / source_fps * np.ones((1, 1, 17, 3))  # every coordinate is the time
    resampled = resample_frames(line, source_fps, fps)
    assert resampled.shape[1] == int(60 * fps / source_fps + 1e-9) + 1
    assert np.allclose(resampled[0, :, 0, 0], np.arange(resampled.shape[1]) / fps)


def test_the_table_knows_frame_rates_best(tmp_path: Path) -> None:
    root = write_clips(tmp_path / "own", "a", "b")  # 8 and 9 frames
    own.write(root / "labels.csv", "file,fps\na,60\nb,\n")
    clips = prepared(root, fps=15.0, source_fps=30.0)
    assert clips.frames.tolist() == [2, 5]
    with pytest.raises(BadFileError, match="no frame rate"):
        own.read(root / "b.npy", fps=15.0)


def test_units_and_images(tmp_path: Path) -> None:
    body = own.motion(coordinates=2) * 400
    path = own.write_array(tmp_path / "a.npy", body)
    assert np.allclose(own.raw(path, image_size=[640, 480]), (body[None] - [320, 240]) / 320, atol=1e-6)
    with pytest.raises(BadFileError, match=r"wrong unit: found a coordinate of .*--image-size"):
        own.read(path)
    with pytest.raises(BadFileError, match=r"wrong unit: found a coordinate of .*--scale 0\.001"):
        own.read(own.write_array(tmp_path / "b" / "b.npy", own.motion() * 1000))


def test_3d_is_centred_and_2d_is_not(tmp_path: Path) -> None:
    body, flat = own.motion(), own.motion(coordinates=2)
    path = own.write_array(tmp_path / "a.npy", np.stack((body, body + 2)))
    middle = body[0, HIPS_AND_SHOULDERS].mean(0)
    assert np.allclose(own.read(path).joints, np.stack((body, body + 2)) - middle, atol=1e-6)
    path = own.write_array(tmp_path / "b" / "b.npy", flat)
    assert np.allclose(own.read(path).joints, flat[None], atol=1e-6)
    assert np.allclose(own.read(path, centre=True).joints, flat - flat[0, HIPS_AND_SHOULDERS].mean(0), atol=1e-6)


def test_files_of_other_channels_are_bad(tmp_path: Path) -> None:
    own.write(tmp_path / "own" / "0.json", "broken")
    own.write_array(tmp_path / "own" / "a.npy", own.motion())
    own.write_array(tmp_path / "own" / "b.npy", own.motion(coordinates=2))
    summary = prepare(Folder("coco17"), [tmp_path / "own"], tmp_path / "set", workers=1)
    assert (summary.clips, summary.faults) == (1, {"not text": 1, "wrong count": 1})
    assert "found channels x, y, expected x, y, z, as in the first file" in summary.first_faults[1]


def test_hidden_files_are_no_clips(tmp_path: Path) -> None:
    root = write_clips(tmp_path / "own", "walk/a", ".cache/b", "walk/._c")
    source = Folder("coco17")
    assert source.find([root]) == [RawFile(root / "walk" / "a.npy")]


def test_gaps_are_filled_between_the_frames_around_them() -> None:
    values = np.full((1, 5, 17, 2), np.nan)
    values[0, [1, 3]] = own.motion(2, coordinates=2)
    filled = fill_gaps(values, COCO17)
    assert np.isnan(filled[0, [0, 4]]).all()
    assert np.allclose(filled[0, 2], values[0, [1, 3]].mean(0))


TINY = (
    "--encoder.window=8 --encoder.dim=16 --encoder.depth=1 --encoder.num_heads=2 --device=cpu "
    "--mamp.decoder_dim=16 --mamp.decoder_depth=1 "
    "--training.epochs=1 --training.warmup_epochs=0 --training.batch_size=4"
).split()
PROBE = ["--device=cpu", "--training.epochs=1", "--training.batch_size=4"]


def test_from_recordings_to_an_encoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_clips(tmp_path / "own", *TWELVE)
    data, run = str(tmp_path / "set"), str(tmp_path / "run")
    given = ["--layout", "coco17", "--test-subjects", "cy", "--workers=1", f"--out={data}"]
    assert cli.main(["prepare", "folder", str(root), *given]) == 0
    assert cli.main(["pretrain", f"--data={data}", "--benchmark=all", f"--out={run}", *TINY]) == 0
    probe = ["linear", f"--data={data}", f"--encoder={run}", *PROBE]
    assert cli.main([*probe, f"--out={tmp_path / 'linear'}"]) == 0
    capsys.readouterr()
    assert cli.main([*probe, "--benchmark=all", f"--out={tmp_path / 'other'}"]) == 2
    assert "the test part of all is empty; choose another benchmark" in capsys.readouterr().err


def test_unlabelled_mediapipe_as_ntu_trains_an_encoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(4):
        body = own.motion(joints=33, seed=seed)
        rows = [[f"{axis}{joint}" for joint in range(33) for axis in "xyz"], *body.reshape(12, -1).tolist()]
        own.write(tmp_path / "own" / f"{seed}.csv", own.table(rows))
    data, run = str(tmp_path / "set"), str(tmp_path / "run")
    given = ["--layout=mediapipe33", "--to-layout=ntu25", "--workers=1", f"--out={data}"]
    assert cli.main(["prepare", "folder", str(tmp_path / "own"), *given]) == 0
    assert "invented: left_hand_tip" in " ".join(capsys.readouterr().out.replace("│", " ").split())
    clips = SkeletonSet.open(data)
    assert (clips.layout, clips.classes) == (NTU25, ())
    assert names(clips, "all", "unlabelled") == {"0", "1", "2", "3"}
    joints = clips.sequence(0).joints
    assert np.allclose(joints[0, 0, NTU25.index("spine_mid")], 0, atol=1e-6)
    original = own.read(tmp_path / "own" / "0.csv", "mediapipe33").joints
    assert np.allclose(joints, conversion(MEDIAPIPE33, NTU25).apply(original), atol=1e-6)
    assert cli.main(["pretrain", f"--data={data}", "--benchmark=all", f"--out={run}", *TINY]) == 0
    assert cli.main(["linear", f"--data={data}", f"--encoder={run}", *PROBE]) == 2
    assert "has no benchmark called 'xsub'; it has: all" in capsys.readouterr().err


def test_missing_joints_that_stay_zero_do_not_convert(tmp_path: Path) -> None:
    root = write_clips(tmp_path / "own", "a")
    with pytest.raises(InputError, match="--missing interpolate"):
        prepare(Folder("coco17", missing="zero"), [root], tmp_path / "set", workers=1, to_layout="ntu25")
