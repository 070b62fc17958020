"""Pickles for PYSKL and MMAction2 as people write them: read right, counted, or refused with what to do."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import own
from maskel.commands.prepare import PrepareSummary, prepare
from maskel.datasets.counts import MISSING_JOINTS
from maskel.datasets.pyskl import Pyskl
from maskel.datasets.pyskl_annotation import BEYOND, NO_IMAGE, PROMISED
from maskel.datasets.store import SkeletonSet
from maskel.errors import BadFileError, InputError

Pickle = dict[str, Any]
HEIGHT, WIDTH = 1080, 1920
FRAMES = 10


def pixels(number: int) -> np.ndarray:
    """One body (1, T, 17, 2) about the middle of the image, of which it fills a third; some joints are far right."""
    body = own.motion(FRAMES, coordinates=2, seed=number)
    return (body * 500 + (800, 300))[np.newaxis].astype("f4")


def annotation(number: int, **changes: Any) -> Pickle:
    made: Pickle = {"frame_dir": f"v{number}", "label": number % 2, "img_shape": (HEIGHT, WIDTH)}
    made |= {"original_shape": (HEIGHT, WIDTH), "total_frames": FRAMES, "keypoint": pixels(number)}
    return made | {"keypoint_score": np.full((1, FRAMES, 17), 0.9, "f4")} | changes


def write(path: Path, clips: list[Pickle], split: Any = None) -> Path:
    split = {"train": ["v0", "v1"], "val": ["v2", "v3"]} if split is None else split
    path.write_bytes(pickle.dumps({"split": split, "annotations": clips}, 4))
    return path


def prepared(path: Path, out: Path, **options: Any) -> tuple[SkeletonSet, PrepareSummary]:
    summary = prepare(Pyskl(**options), [path], out, workers=1, strict=True)
    return SkeletonSet.open(out), summary


def right(number: int) -> np.ndarray:
    """What a clip becomes."""
    half = np.array([WIDTH, HEIGHT], "f4") / 2
    return (pixels(number) - half) / half


FORMS: dict[str, Pickle] = {
    "whole numbers": {},
    "numbers with a point": {"img_shape": (1080.0, 1920.0)},
    "a list": {"img_shape": [1080, 1920]},
    "an array": {"img_shape": np.array([1080, 1920])},
    "numpy's numbers": {"img_shape": (np.int64(1080), np.float32(1920))},
    "colours": {"img_shape": (1080, 1920, 3)},
    "no scores": {"keypoint_score": None},
    "scores that say nothing": {"keypoint_score": np.zeros((1, FRAMES, 17), "f4")},
    "scores with an axis more": {"keypoint_score": np.ones((1, FRAMES, 17, 1), "f4")},
    "frames as an array": {"total_frames": np.array(FRAMES)},
    "no frames": {"total_frames": None},
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_clip_gives_the_same_joints(tmp_path: Path, name: str) -> None:
    clips, summary = prepared(
        write(tmp_path / "a.pkl", [annotation(at, **FORMS[name]) for at in range(4)]), tmp_path / "o"
    )
    for number in range(4):
        np.testing.assert_allclose(clips.sequence(number).joints, right(number), atol=1e-6)
    assert (clips.options["img_shape"], summary.counts, summary.notes) == ([HEIGHT, WIDTH], {}, {})


@pytest.mark.parametrize("form", ["lists", "arrays in a list", "no body axis", "frames first", "wide"])
def test_every_form_of_key_points_gives_the_same_joints(tmp_path: Path, form: str) -> None:
    """A file has one form; of two bodies where the order of the axes is what differs."""
    clips = []
    for number in range(4):
        joints = np.concatenate((pixels(number), pixels(number + 9)))
        changed: Pickle = {
            "lists": {"keypoint": joints.tolist(), "keypoint_score": None},
            "arrays in a list": {"keypoint": list(joints), "keypoint_score": np.ones((2, FRAMES, 17), "f4").tolist()},
            "no body axis": {"keypoint": joints[0], "keypoint_score": np.ones((FRAMES, 17), "f4")},
            "frames first": {"keypoint": joints.swapaxes(0, 1), "keypoint_score": np.ones((FRAMES, 2, 17), "f4")},
            "wide": {"keypoint": joints.astype("f8"), "keypoint_score": None},
        }[form]
        clips.append(annotation(number, **changed))
    found, summary = prepared(write(tmp_path / "a.pkl", clips), tmp_path / "o")
    for number in range(4):
        expected = np.concatenate((right(number), right(number + 9)))[: 1 if form == "no body axis" else 2]
        np.testing.assert_allclose(found.sequence(number).joints, expected, atol=1e-6)
    counts = {"arrays read as (T, M, V, C)": (4, 4)} if form == "frames first" else {}
    assert summary.counts == counts


def test_crowds_are_not_believed(tmp_path: Path) -> None:
    crowd = np.ones((20, 15, 17, 2), "f4")
    clips = [annotation(at) for at in range(3)]
    clips.append(annotation(3, keypoint=crowd, keypoint_score=None, total_frames=4))
    with pytest.raises(BadFileError, match=r"annotations\[3\].*keypoint of shape \(20, 15, 17, 2\)"):
        prepared(write(tmp_path / "a.pkl", clips), tmp_path / "o")


@pytest.mark.parametrize("hole", ["zero", "score", "nan", "negative"])
def test_undetected_joints_are_counted_and_filled_in(tmp_path: Path, hole: str) -> None:
    """They would stand in the corner of the image."""
    clips = [annotation(at) for at in range(4)]
    for clip in clips:
        joints, scores = clip["keypoint"], clip["keypoint_score"] = (
            clip["keypoint"].copy(),
            clip["keypoint_score"].copy(),
        )
        joints[0, 3:6, 9] = {"zero": 0, "score": 7, "nan": np.nan, "negative": 7}[hole]
        scores[0, 3:6, 9] = {"zero": 0.9, "score": 0, "nan": 0.9, "negative": -1}[hole]
    found, summary = prepared(write(tmp_path / "a.pkl", clips), tmp_path / "o", scores=True)
    assert summary.counts == {MISSING_JOINTS: (12, 4)}
    joints, expected = found.sequence(0).joints, right(0)
    expected[0, 3:6, 9] = [expected[0, 2, 9] + (expected[0, 6, 9] - expected[0, 2, 9]) * part / 4 for part in (1, 2, 3)]
    np.testing.assert_allclose(joints[..., :2], expected, atol=1e-6)
    assert not joints[0, 3:6, 9, 2].any()
    zero, _ = prepared(tmp_path / "a.pkl", tmp_path / "zero", missing="zero")
    assert not zero.sequence(0).joints[0, 3:6, 9].any()


def test_a_low_score_is_missing_on_request(tmp_path: Path) -> None:
    clips = [annotation(at) for at in range(4)]
    for clip in clips:
        clip["keypoint_score"][0, 3:6, 9] = 0.005
    assert prepared(write(tmp_path / "a.pkl", clips), tmp_path / "all")[1].counts == {}
    assert prepared(tmp_path / "a.pkl", tmp_path / "o", min_score=0.01)[1].counts == {MISSING_JOINTS: (12, 4)}


def test_the_origin_of_joints_in_3d_is_no_hole(tmp_path: Path) -> None:
    """The joint a clip is centred on, in its first frame or in all, is zero; two zeros in a frame are missing."""
    clips = []
    for number in range(4):
        joints = np.stack([own.motion(FRAMES, 25, seed=number) + 1, own.motion(FRAMES, 25, seed=number + 9) + 1])
        joints = joints - (joints[0, 0, 1] if number % 2 else joints[:1, :, 1:2])
        if number == 2:
            joints[1, 4:6, 7:9] = 0
        keypoint = {"keypoint": joints.astype("f4"), "keypoint_score": None}
        clips.append(annotation(number, **keypoint, img_shape=None, original_shape=None))
    found, summary = prepared(write(tmp_path / "a.pkl", clips), tmp_path / "o")
    assert summary.counts == {MISSING_JOINTS: (4, 1)}
    for number in (0, 1, 3):
        np.testing.assert_array_equal(found.sequence(number).joints, clips[number]["keypoint"])
    assert found.sequence(2).joints[1, 4:6, 7:9].all()


def test_frames_are_those_of_total_frames_and_differences_are_counted(tmp_path: Path) -> None:
    clips = [annotation(at, total_frames=total) for at, total in enumerate((8, 10, 12, 10.0))]
    found, summary = prepared(write(tmp_path / "a.pkl", clips), tmp_path / "o")
    assert found.frames.tolist() == [8, 10, 10, 10]
    assert summary.counts == {BEYOND: (2, 1), PROMISED: (2, 1)}


def test_image_sizes_that_are_missing_or_swapped(tmp_path: Path) -> None:
    without = write(tmp_path / "without.pkl", [annotation(at, img_shape=None) for at in range(4)])
    assert prepared(without, tmp_path / "o")[1].counts == {NO_IMAGE: (4, 4)}
    swapped = [annotation(at, img_shape=(WIDTH, HEIGHT), original_shape=None) for at in range(4)]
    with pytest.raises(
        BadFileError, match=r"outside of img_shape, and none with its sides swapped, expected \(height, width\)"
    ):
        Pyskl().find([write(tmp_path / "swapped.pkl", swapped)])
    clips, _ = prepared(tmp_path / "swapped.pkl", tmp_path / "said", image_size=(WIDTH, HEIGHT))
    np.testing.assert_allclose(clips.sequence(1).joints, right(1), atol=1e-6)
    assert clips.options["img_shape"] == [HEIGHT, WIDTH]
    portrait = [annotation(at, img_shape=(WIDTH, HEIGHT), keypoint=pixels(at) - (400, 0)) for at in range(4)]
    assert prepared(write(tmp_path / "portrait.pkl", portrait), tmp_path / "portrait")[0].bodies.tolist() == [1] * 4


def test_fractions_of_the_image_are_questioned(tmp_path: Path) -> None:
    clips = [annotation(at, keypoint=pixels(at) / (WIDTH, HEIGHT)) for at in range(4)]
    with pytest.raises(BadFileError, match=r"in an image of 1080 x 1920 .*--image-size 1 1"):
        prepared(write(tmp_path / "a.pkl", clips), tmp_path / "o")
    found, _ = prepared(tmp_path / "a.pkl", tmp_path / "o", image_size=(1, 1))
    np.testing.assert_allclose(found.sequence(2).joints, right(2), atol=1e-6)


def test_an_axis_in_another_unit_is_questioned(tmp_path: Path) -> None:
    clips = [annotation(at, keypoint=pixels(at) / (1, HEIGHT)) for at in range(4)]
    with pytest.raises(BadFileError, match=r"bodies that reach x over .*, y over .*, but y seems to be in another"):
        prepared(write(tmp_path / "a.pkl", clips), tmp_path / "o")


def test_millimetres_are_questioned(tmp_path: Path) -> None:
    kinect = {"img_shape": None, "keypoint_score": None}
    clips = [annotation(at, keypoint=own.motion(FRAMES, 25)[None] * 1000, **kinect) for at in range(4)]
    with pytest.raises(BadFileError, match=r"metres: .*--scale 0\.001"):
        prepared(write(tmp_path / "a.pkl", clips), tmp_path / "o")
    found, _ = prepared(tmp_path / "a.pkl", tmp_path / "o", scale=0.001)
    np.testing.assert_allclose(found.sequence(0).joints[0], own.motion(FRAMES, 25), rtol=1e-6)
    with pytest.raises(BadFileError, match="a body of at most 0"):
        prepared(tmp_path / "a.pkl", tmp_path / "small", scale=0.00001)


def test_a_score_in_the_place_of_z(tmp_path: Path) -> None:
    scored = {"keypoint_score": None}
    clips = [
        annotation(at, keypoint=np.concatenate((pixels(at), np.full((1, FRAMES, 17, 1), 0.5)), -1), **scored)
        for at in range(4)
    ]
    clips[0]["keypoint"][0, 2, 5] = 0
    with pytest.raises(InputError, match=r"17 joints in 3D.*add --channels xys"):
        Pyskl().find([write(tmp_path / "a.pkl", clips)])
    with pytest.raises(BadFileError, match="like a score"):
        Pyskl(layout="coco17").find([tmp_path / "a.pkl"])
    found, summary = prepared(tmp_path / "a.pkl", tmp_path / "o", channels="xys", scores=True)
    assert (found.layout.name, found.channels) == ("coco17", ("x", "y", "score"))
    np.testing.assert_allclose(found.sequence(1).joints[..., :2], right(1), atol=1e-6)
    assert (found.sequence(1).joints[..., 2] == 0.5).all()
    assert summary.counts == {MISSING_JOINTS: (1, 1)}


@pytest.mark.parametrize("label", [np.array(1), np.array([1]), np.int16(1), 1.0, np.float32(1)])
def test_labels_in_all_their_forms(tmp_path: Path, label: object) -> None:
    clips = [annotation(0), *(annotation(at, label=label) for at in (1, 2, 3))]
    assert prepared(write(tmp_path / "a.pkl", clips), tmp_path / "o")[0].labels.tolist() == [0, 1, 1, 1]


def test_labels_that_count_from_1_are_noticed(tmp_path: Path) -> None:
    write(tmp_path / "a.pkl", [annotation(at, label=1 + at % 3) for at in range(4)])
    with pytest.raises(InputError, match=r"from 1 to 3.* --first-label 1, or --first-label 0"):
        Pyskl().find([tmp_path / "a.pkl"])
    clips, summary = prepared(tmp_path / "a.pkl", tmp_path / "one", first_label=1)
    assert (clips.labels.tolist(), len(clips.classes), summary.notes) == ([0, 1, 2, 0], 3, {})
    clips, summary = prepared(tmp_path / "a.pkl", tmp_path / "zero", first_label=0)
    assert (len(clips.classes), summary.notes) == (4, {"classes without a clip": 1})


SPELLED = "names in splits spelled otherwise (case, ending, folder)"
UNKNOWN = "names in splits that no clip has"


@pytest.mark.parametrize(
    ("names", "notes"),
    [
        (["v0", "v1", "v2", "v3"], {}),
        (["v0.mp4", "v1.avi", "v2.MP4", "v3.npy"], {SPELLED: 4}),
        (["V0", "videos/v1.mp4", "v2", "v3"], {SPELLED: 2}),
        (["v0", "v0", "v2", "v9"], {UNKNOWN: 1, "clips in no split": 2}),
    ],
)
def test_names_of_splits_match_or_are_counted(tmp_path: Path, names: list[str], notes: dict[str, int]) -> None:
    split = {"train": names[:2], "val": tuple(names[2:])}
    clips, summary = prepared(write(tmp_path / "a.pkl", [annotation(at) for at in range(4)], split), tmp_path / "o")
    assert summary.notes == notes
    assert clips.benchmarks["val"].test == ((2, 3) if "v3" in " ".join(names) else (2,))


def test_names_of_either_unicode_form_match(tmp_path: Path) -> None:
    clips = [annotation(at, frame_dir=f"stürzen{at}") for at in range(4)]
    split = {"train": ["stu\u0308rzen0", "stu\u0308rzen1"], "val": ["stu\u0308rzen2", "STU\u0308RZEN3.mp4"]}
    found, _ = prepared(write(tmp_path / "a.pkl", clips, split), tmp_path / "o")
    assert (found.benchmarks["val"].train, found.benchmarks["val"].test) == ((0, 1), (2, 3))


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"train": ["a", "b"], "val": ["v2"]}, "split train has 2 names, and no clip has one of them, as 'a'.* 'v0'"),
        ({"train": ["v0"], "val": []}, "split val has 0 names"),
        ({"train": []}, "split train has 0 names"),
        ({"train": ["v0"], "holdout": ["v2"]}, "has the splits train, holdout; expected train and val"),
        ({"test": ["v0"]}, "has the splits test; expected"),
    ],
)
def test_an_empty_benchmark_is_refused(tmp_path: Path, split: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Pyskl().find([write(tmp_path / "a.pkl", [annotation(at) for at in range(4)], split)])


@pytest.mark.parametrize("split", [{}, {"train": ["v0", "v1", "v3"]}, None])
def test_without_a_split_to_test_on_the_clips_are_for_pretraining(tmp_path: Path, split: Any) -> None:
    clips = [annotation(at) for at in range(4)]
    path = write(tmp_path / "a.pkl", clips, split)
    if split is None:
        path.write_bytes(pickle.dumps(clips))  # a list alone, as MMAction2 had it
    found, summary = prepared(path, tmp_path / "o")
    assert list(found.benchmarks) == ["all"]
    assert found.benchmarks["all"].train == ((0, 1, 3) if split else (0, 1, 2, 3))
    assert "pre-training" in summary.benchmarks["all"].note


def test_lists_of_annotations_are_a_split_each(tmp_path: Path) -> None:
    """As older versions of MMAction2 had it: ntu60_xsub_train.pkl and ntu60_xsub_val.pkl."""
    clips = [annotation(at) for at in range(4)]
    files = [tmp_path / "ntu60_xsub_train.pkl", tmp_path / "ntu60_xsub_val.pkl"]
    for path, part in zip(files, (clips[:3], clips[3:]), strict=True):
        path.write_bytes(pickle.dumps(part, 4))
    prepare(Pyskl(), files, tmp_path / "o", workers=1, strict=True)
    found = SkeletonSet.open(tmp_path / "o")
    assert {name: (split.train, split.test) for name, split in found.benchmarks.items()} == {
        "ntu60_xsub": ((0, 1, 2), (3,))
    }
    for number in range(4):
        np.testing.assert_allclose(found.sequence(number).joints, right(number), atol=1e-6)
    with pytest.raises(InputError, match=r"whole\.pkl has splits of its own"):
        Pyskl().find([*files, write(tmp_path / "whole.pkl", clips)])


def test_pickles_of_one_annotation_each(tmp_path: Path) -> None:
    """As MMAction2's script writes them for own videos: a folder a part."""
    for number in range(4):
        folder = tmp_path / ("train" if number < 3 else "val")
        folder.mkdir(exist_ok=True)
        (folder / f"v{number}.pkl").write_bytes(pickle.dumps(annotation(number), 4))
    prepare(Pyskl(), [tmp_path / "train", tmp_path / "val"], tmp_path / "o", workers=1, strict=True)
    found = SkeletonSet.open(tmp_path / "o")
    assert (found.benchmarks["val"].train, found.benchmarks["val"].test) == ((0, 1, 2), (3,))
    for number in range(4):
        np.testing.assert_allclose(found.sequence(number).joints, right(number), atol=1e-6)
    assert list(prepared(tmp_path / "train", tmp_path / "alone")[0].benchmarks) == ["all"]
    write(tmp_path / "train" / "list.pkl", [annotation(7)])
    with pytest.raises(InputError, match=r"list\.pkl holds 1 annotations; give the file"):
        Pyskl().find([tmp_path / "train"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty holds no \.pkl"):
        Pyskl().find([tmp_path / "empty"])


def test_a_split_of_no_benchmark_and_a_name_twice(tmp_path: Path) -> None:
    split = {"train": ["v0", "v1"], "val": ["v2"], "holdout": ["v3"]}
    _, summary = prepared(write(tmp_path / "a.pkl", [annotation(at) for at in range(4)], split), tmp_path / "o")
    assert summary.notes == {"names in split holdout, which is in no benchmark": 1}
    with pytest.raises(BadFileError, match=r"1 frame_dir that repeat \(v0\)"):
        Pyskl().find([write(tmp_path / "b.pkl", [annotation(0), annotation(0)])])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x_train": 1, "y_train": 2}, "a dict with the keys x_train, y_train, expected dict"),
        ("text", "a str, expected"),
        ((["a"], [0]), "a tuple, expected .*prepare stgcn"),
        ([{"joints": 1, "label": 0}], r"shape \(\) under the keys joints, label"),
    ],
)
def test_messages_name_what_was_found(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=message):
        Pyskl().find([path])


@pytest.mark.parametrize("options", [{"first_label": 2}, {"scale": 0.0}, {"image_size": (3,)}, {"image_size": (0, 3)}])
def test_options_out_of_range_are_refused(options: Any) -> None:
    with pytest.raises(InputError, match="expected"):
        Pyskl(**options)
