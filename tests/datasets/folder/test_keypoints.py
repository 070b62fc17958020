"""Every form of JSON that pose tools write, what its frames are called, and what is said of forms that are not read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import own
from maskel.datasets.base import RawFile
from maskel.datasets.folder.keypoints import frame_folders
from maskel.datasets.folder.numbering import frame_numbers
from maskel.errors import BadFileError, InputError

FLAT = own.motion(10, coordinates=2)
SOLID = own.motion(10)
FLAT_PEOPLE = [own.flat(body) for body in FLAT]
TEXT = "Results.to_json() of Ultralytics, as text"


def ultralytics(body: np.ndarray) -> list[dict[str, Any]]:
    """``Results.to_json()`` of a frame with one person."""
    keypoints = {"x": body[:, 0].tolist(), "y": body[:, 1].tolist(), "visible": [0.9] * len(body)}
    return [{"name": "person", "class": 0, "confidence": 0.9, "box": {}, "track_id": 1, "keypoints": keypoints}]


def images(key: str, joints: str) -> dict[str, Any]:
    frames = enumerate(FLAT_PEOPLE)
    return {f"{frame}.jpg": {"version": "AlphaPose v0.3", key: [{joints: person}]} for frame, person in frames}


FORMS: dict[str, Any] = {
    "Ultralytics": [ultralytics(body) for body in FLAT],
    TEXT: [json.dumps(ultralytics(body)) for body in FLAT],
    "AlphaPose, open": images("people", "pose_keypoints_2d"),
    "AlphaPose, cmu": images("bodies", "joints"),
    "AlphaPose by image": {f"{frame}.jpg": [{"keypoints": person}] for frame, person in enumerate(FLAT_PEOPLE)},
    "OpenPose of old": [{"people": [{"pose_keypoints": person}]} for person in FLAT_PEOPLE],
    "OpenPose in one file": {"frames": [{"people": [{"pose_keypoints_2d": person}]} for person in FLAT_PEOPLE]},
    "OpenPose, 3D not estimated": [
        {"people": [{"pose_keypoints_3d": [], "pose_keypoints_2d": person}]} for person in FLAT_PEOPLE
    ],
    "Detectron2": [
        {"image_id": frame, "category_id": 1, "keypoints": person, "score": 0.9}
        for frame, person in enumerate(FLAT_PEOPLE)
    ],
    "lists of joints": [
        {"image_id": frame, "keypoints": np.reshape(person, (-1, 3)).tolist()}
        for frame, person in enumerate(FLAT_PEOPLE)
    ],
    "by the name of the frame": [
        {"file_name": f"take_{frame:03}.png", "keypoints": person} for frame, person in enumerate(FLAT_PEOPLE)
    ],
    "COCO with images": {
        "images": [{"id": 900 - frame, "file_name": f"{frame:04}.png"} for frame in range(10)],
        "annotations": [
            {"id": frame, "image_id": 900 - frame, "keypoints": person} for frame, person in enumerate(FLAT_PEOPLE)
        ],
    },
    "MMPose": [
        {"frame_id": frame, "instances": [{"keypoints": body.tolist(), "keypoint_scores": [0.9] * 17}]}
        for frame, body in enumerate(FLAT)
    ],
    "MMPose, frames as floating-point numbers": [
        {"frame_id": frame / 1, "instances": [{"keypoints": body.tolist()}]} for frame, body in enumerate(FLAT)
    ],
    "MMPose, predictions": [{"predictions": [{"keypoints": body.tolist()}]} for body in FLAT],
}


@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
def test_forms_are_read_to_the_same_joints(content: Any, tmp_path: Path) -> None:
    sequence = own.read(own.write(tmp_path / "a.json", content), centre=False)
    assert np.allclose(sequence.joints, FLAT[None], atol=1e-6)


def test_frames_without_people_are_dropped_and_counted(tmp_path: Path) -> None:
    frames = [ultralytics(body) for body in FLAT]
    frames[0] = frames[1] = frames[9] = []
    sequence = own.read(own.write(tmp_path / "a.json", frames))
    assert np.allclose(sequence.joints, FLAT[None, 2:9], atol=1e-6)
    assert sequence.counts["frames without a body"] == 3
    named = FORMS["COCO with images"] | {"annotations": FORMS["COCO with images"]["annotations"][2:]}
    assert own.read(own.write(tmp_path / "b" / "a.json", named)).counts["frames without a body"] == 2


def test_openpose_in_3d(tmp_path: Path) -> None:
    solid = [np.column_stack((body, np.full(17, 0.9))).ravel().tolist() for body in SOLID]
    people = zip(solid, FLAT_PEOPLE, strict=True)
    frames = [{"people": [{"pose_keypoints_3d": three, "pose_keypoints_2d": two}]} for three, two in people]
    path = own.write(tmp_path / "a.json", frames)
    assert np.allclose(own.raw(path), SOLID[None], atol=1e-6)
    assert own.raw(path, image_size=[640, 480]).shape == (1, 10, 17, 2)


def write_frames(folder: Path, name: str, make: Any) -> Path:
    for frame, body in enumerate(FLAT):
        own.write(folder / name.format(frame), make(body))
    return folder


def one_of_openpose(body: np.ndarray) -> dict[str, Any]:
    return {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": own.flat(body)}]}


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("video_{:012}_keypoints.json", one_of_openpose),
        ("cam01.{:04}.json", one_of_openpose),
        ("frame_{}_1080p.json", one_of_openpose),
        ("S001_f{:04}_keypoints.JSON", one_of_openpose),
        ("{}.json", lambda body: [{"keypoints": body.tolist(), "keypoint_scores": [0.9] * 17}]),
        ("f{}.json", ultralytics),
    ],
)
def test_folders_with_a_file_a_frame_are_one_clip(name: str, make: Any, tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "wave" / "ann" / "take", name, make)
    source = own.found(tmp_path / "wave")
    (sequence,) = source.read(RawFile(folder))
    assert sequence.clip.name == "wave/ann/take"
    assert np.allclose(sequence.joints, FLAT[None], atol=1e-6)


def test_folders_of_clips_are_none(tmp_path: Path) -> None:
    for number, form in enumerate(FORMS.values()):
        own.write(tmp_path / "own" / "wave" / f"{number}.json", form)
    own.write(tmp_path / "own" / "one" / "a.json", one_of_openpose(FLAT[0]))
    assert frame_folders(tmp_path / "own") == set()
    assert own.raw(tmp_path / "own" / "one" / "a.json").shape == (1, 1, 17, 2)
    write_frames(tmp_path / "own" / "frames", "{}.json", one_of_openpose)
    assert frame_folders(tmp_path / "own") == {tmp_path / "own" / "frames"}
    with pytest.raises(InputError, match="are the frames of one clip; give the folder above"):
        own.found(tmp_path / "own" / "frames" / "0.json")


def test_other_files_among_the_frames(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "named", "a_{}_keypoints.json", one_of_openpose)
    own.write(folder / "camera.json", {"fps": 30})
    assert own.read(folder).counts["JSON files beside the frames, not read"] == 1
    folder = write_frames(tmp_path / "unnamed", "{}.json", one_of_openpose)
    own.write(folder / "10.json", {"fps": 30})
    with pytest.raises(BadFileError, match=r"10\.json: not text: found JSON without people: an object with fps, exp"):
        own.read(folder)


NAMES: dict[str, tuple[list[str], list[int]]] = {
    "the only number": (["img_2.png", "img_10.png"], [2, 10]),
    "a camera before it": (["cam01.0001", "cam01.0002"], [1, 2]),
    "a size behind it": (["frame_12_1080p.jpg", "frame_13_1080p.jpg"], [12, 13]),
    "a version behind it": (["img_0001_v2.png", "img_0002_v2.png"], [1, 2]),
    "a subject before it": (["S001_f0007_keypoints.json", "S001_f0009_keypoints.json"], [7, 9]),
    "twice": (["1_frame_0.png", "2_frame_1.png", "3_frame_2.png"], [1, 2, 3]),
    "seconds beside it": (["0s_f1", "0s_f2", "1s_f3"], [1, 2, 3]),
    "folders": (["take3/0001.jpg", "take3/0002.jpg"], [1, 2]),
    "one name": (["take3_0007.jpg"], [7]),
}


@pytest.mark.parametrize(("names", "numbers"), NAMES.values(), ids=NAMES)
def test_what_counts_in_names(names: list[str], numbers: list[int], tmp_path: Path) -> None:
    assert frame_numbers(tmp_path, names) == numbers


UNCLEAR: dict[str, tuple[list[str], str]] = {
    "no number": (["a.jpg", "b.jpg"], "a frame called 'a.jpg'"),
    "two that count": (
        ["f1_33.png", "f2_67.png"],
        r"2 numbers differ .*'f1_33.png', .*number 1 \(1\) and number 2 \(33\)",
    ),
    "two cameras": (["cam1_1", "cam2_1", "cam1_2", "cam2_2"], "frame 1 twice"),
    "cameras in turn": (["cam1_1", "cam2_2", "cam1_3"], "frames of several recordings"),
    "two recordings": (["left_1.json", "right_2.json"], "names of one recording, alike but for"),
    "the same number": (["left_1.json", "right_1.json"], r"frame 1 twice \(left_1.json, right_1.json\)"),
    "two folders": (["a/1.jpg", "b/2.jpg"], "names of one recording"),
    "no frame number": ([f"{'9' * 30}.jpg"], "a name with the frame's number"),
}


@pytest.mark.parametrize(("names", "message"), UNCLEAR.values(), ids=UNCLEAR)
def test_names_that_do_not_count_are_refused(names: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match=f"bad name: found .*{message}"):
        frame_numbers(tmp_path, names)


def person(joints: int) -> list[dict[str, Any]]:
    return [{"image_id": 1, "keypoints": [0.5] * 3 * joints}]


NOT_READ: dict[str, tuple[Any, str]] = {
    "its keys": ({"version": 1, "tracks": []}, "an object with version, tracks, expected an array, MediaPipe's"),
    "keys of the first": ([{"time": 0, "angles": [1]}], "a list of 1, first an object with time, angles"),
    "Detectron2's own": ([{"pred_keypoints": [], "pred_boxes": []}], "Detectron2's predictions; write them as COCO's"),
    "SMPL": (
        {"poses": [[0.1] * 72], "trans": []},
        "SMPL's parameters, not positions; run the model, and write its joints as an array",
    ),
    "Halpe": (person(26), "those of 26 joints, expected 51 .*; 26 is the number of layout halpe26"),
    "OpenPose as COCO": (person(18), "those of 18 joints, expected 51 .*; 18 is the number of layout openpose18"),
    "whole body": (person(133), "133 is the number of COCO-WholeBody's joints"),
    "people without frames": (
        [{"keypoints": own.flat(FLAT[0])}] * 2,
        "person 0 without image_id, .*: an object with k",
    ),
    "boxes": (
        [[{"name": "person", "box": {"x1": 1}}]] * 3,
        "first a list of 1, first an object with name, box .Ultralytics' boxes; use a model for poses",
    ),
    "no list of x": ([[{"keypoints": {"x": 3, "y": [1]}}]], "lists x and y, as Ultralytics has them"),
    "lists that differ": ([[{"keypoints": {"x": [3], "y": [1, 2]}}]], "lists of differing lengths in frame 0"),
    "frames out of order": (
        [{"frame_id": frame, "instances": []} for frame in (1, 0)],
        "frame_id 0 in entry 1, expected whole numbers in frame_id that increase",
    ),
    "a frame that is no number": (
        [{"frame_id": float("nan"), "instances": []}],
        "frame_id nan in entry 0, expected whole numbers in frame_id that increase",
    ),
}


@pytest.mark.parametrize(("content", "message"), NOT_READ.values(), ids=NOT_READ)
def test_what_is_not_read_is_named(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match=message) as caught:
        own.read(own.write(tmp_path / "a.json", content))
    assert "\n" not in str(caught.value)
