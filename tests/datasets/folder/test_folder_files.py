"""Every form of file that own recordings come in is read to the same joints, or refused with file and line."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import own
from maskel.datasets.base import RawFile
from maskel.datasets.folder import pose
from maskel.errors import BadFileError
from maskel.layouts import COCO17, OPENPOSE18, OPENPOSE25

BODY = own.motion()
FLAT = own.motion(coordinates=2)
POSE33 = own.motion(joints=33)


def same(joints: np.ndarray, expected: np.ndarray) -> bool:
    return joints.shape == expected.shape and np.allclose(joints, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays(dtype: Any, order: Any, tmp_path: Path) -> None:
    array = np.array(BODY, dtype, order=order)
    assert same(own.raw(own.write_array(tmp_path / "a.npy", array)), BODY[None].astype(dtype).astype(np.float32))


def test_arrays_of_several_bodies_and_of_whole_numbers(tmp_path: Path) -> None:
    two = np.stack((BODY, BODY + 1))
    assert same(own.raw(own.write_array(tmp_path / "a.npy", two)), two)
    millimetres = (BODY * 1000).astype(np.int16)
    assert same(own.raw(own.write_array(tmp_path / "b.npy", millimetres), scale=0.001), millimetres[None] / 1000)


def test_npz_and_nested_lists(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "only.npz", anything=BODY)
    np.savez(tmp_path / "named.npz", joints=BODY, other=BODY + 1)
    own.write(tmp_path / "list.json", BODY.tolist())
    own.write(tmp_path / "object.json", {"joints": [BODY.tolist()], "fps": 30})
    for name in ("only.npz", "named.npz", "list.json", "object.json"):
        assert same(own.raw(tmp_path / name), BODY[None]), name


def test_the_last_axis_may_hold_a_score(tmp_path: Path) -> None:
    scored = np.concatenate((FLAT, np.full((*FLAT.shape[:2], 1), 0.5)), -1)
    path = own.write_array(tmp_path / "a.npy", scored)
    assert same(own.raw(path, channels="xys"), FLAT[None])
    assert same(own.raw(path, channels="xys", scores=True), scored[None])
    assert same(own.raw(path), scored[None])  # three numbers are x, y and z unless said otherwise
    assert own.found(path, channels="xys", scores=True).channels == ("x", "y", "score")


NAMED = [f"{joint}_{axis}" for joint in COCO17.joints for axis in "xyz"]
HEADINGS = {
    "names": NAMED,
    "names in capitals, other separators": [name.upper().replace("_", " ") for name in NAMED],
    "coordinate first": [f"{axis}_{joint}" for joint in COCO17.joints for axis in "xyz"],
    "numbers from 0": [f"{axis}{joint}" for joint in range(17) for axis in "xyz"],
    "numbers from 1": [f"{axis}_{joint}" for joint in range(1, 18) for axis in "xyz"],
    "landmarks": [f"landmark_{joint}_{axis}" for joint in range(17) for axis in "xyz"],
    "no heading": None,
}


@pytest.mark.parametrize("heading", HEADINGS.values(), ids=HEADINGS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_wide_tables(heading: list[str] | None, delimiter: str, tmp_path: Path) -> None:
    rows = [*([heading] if heading else []), *BODY.reshape(len(BODY), -1).tolist()]
    assert same(own.raw(own.write(tmp_path / "a.csv", own.table(rows, delimiter))), BODY[None])


def test_a_table_of_mediapipe_with_class_and_visibility(tmp_path: Path) -> None:
    heading = ["class", *(f"{axis}{joint}" for joint in range(1, 34) for axis in "xyzv")]
    scored = np.concatenate((POSE33, np.full((12, 33, 1), 0.75)), -1)
    rows = [heading, *(["wave", *row] for row in scored.reshape(12, -1).tolist())]
    path = own.write(tmp_path / "a.csv", "\ufeff" + own.table(rows).replace("\n", "\r\n"))
    assert same(own.raw(path, "mediapipe33"), POSE33[None])
    assert same(own.raw(path, "mediapipe33", scores=True)[..., 3], np.full((1, 12, 33), 0.75))


def test_tables_with_frames_and_persons(tmp_path: Path) -> None:
    rows = [
        [frame, person, *(BODY[frame - 5] + person).ravel()]
        for frame in range(5, 17)
        for person in (0, 1)
        if frame != 9
    ]
    path = own.write(tmp_path / "a.csv", own.table([["frame", "person", *NAMED], *reversed(rows)]))
    joints = own.raw(path)  # the table's first person, of the last line here, is the first body
    assert joints.shape == (2, 12, 17, 3)
    seen = [0, 1, 2, 3, *range(5, 12)]
    assert np.allclose(joints[:, seen], np.stack((BODY + 1, BODY))[:, seen], atol=1e-6)
    assert np.allclose(joints[:, 4], (joints[:, 3] + joints[:, 5]) / 2, atol=1e-6)


@pytest.mark.parametrize("name", [lambda joint: COCO17.joints[joint], str, lambda joint: joint + 1])
def test_long_tables(name: Any, tmp_path: Path) -> None:
    rows = [[frame, 33.3 * frame, name(joint), *BODY[frame, joint], 1] for frame in range(12) for joint in range(17)]
    table = own.table([["frame", "timestamp", "landmark", "x", "y", "z", "visibility"], *rows])
    assert same(own.raw(own.write(tmp_path / "a.csv", table)), BODY[None])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda frames: frames,
        lambda frames: [{"pose_world_landmarks": frame, "timestamp": 1} for frame in frames],
        lambda frames: {"fps": 30, "frames": [{"landmarks": [frame]} for frame in frames]},
        lambda frames: [{"poseLandmarks": {"landmark": frame}} for frame in frames],
        lambda frames: [{"worldLandmarks": frame, "landmarks": [{}] * 33} for frame in frames],
    ],
)
def test_json_of_mediapipe(wrap: Any, tmp_path: Path) -> None:
    path = own.write(tmp_path / "a.json", wrap([own.landmarks(body) for body in POSE33]))
    assert same(own.raw(path, "mediapipe33"), POSE33[None])


def test_mediapipe_in_the_image_keeps_the_proportions_of_the_body(tmp_path: Path) -> None:
    frames = [
        {"pose_landmarks": own.landmarks(body), "pose_world_landmarks": own.landmarks(body + 9)} for body in POSE33
    ]
    joints = own.raw(own.write(tmp_path / "a.json", frames), "mediapipe33", image_size=[640, 480])
    assert same(joints, (POSE33 * [640, 480, 640] / 320 - [1, 0.75, 0])[None])
    only = own.write(tmp_path / "world" / "a.json", [{"pose_world_landmarks": own.landmarks(body)} for body in POSE33])
    with pytest.raises(BadFileError, match="in the world, in metres"):
        own.raw(only, "mediapipe33", image_size=[640, 480])


def openpose(folder: Path, frames: list[list[np.ndarray]], first: int = 0) -> Path:
    for number, people in enumerate(frames, start=first):
        content = {
            "version": 1.3,
            "people": [{"person_id": [-1], "pose_keypoints_2d": own.flat(body)} for body in people],
        }
        own.write(folder / f"video_{number:012}_keypoints.json", content)
    return folder


@pytest.mark.parametrize("layout", [OPENPOSE18, OPENPOSE25], ids=str)
def test_folders_of_openpose(layout: Any, tmp_path: Path) -> None:
    body = own.motion(joints=len(layout), coordinates=2) * 400
    joints = own.raw(openpose(tmp_path / "take", [[frame] for frame in body], 8), layout.name, image_size=[640, 480])
    assert same(joints, ((body - [320, 240]) / 320)[None])


def test_people_are_followed_by_who_is_nearest(tmp_path: Path) -> None:
    left, right = own.motion(40, 25, 2, seed=1), own.motion(40, 25, 2, seed=2) + np.array([2, 0])
    draws = np.random.default_rng(0)
    frames = []
    for number in range(40):
        people = [left[number]] if 10 <= number < 13 else [left[number], right[number]]
        ghost = [draws.uniform(0, 9, (25, 2))] if number == 20 else []
        frames.append([*ghost, *(people[place] for place in draws.permutation(len(people)))])
    sequence = own.read(openpose(tmp_path / "take", frames), "openpose25")
    assert same(sequence.joints[0], left)
    seen = [number for number in range(40) if not 10 <= number < 13]
    assert np.allclose(sequence.joints[1, seen], right[seen], atol=1e-6)
    assert sequence.joints.shape[0] == 2  # the ghost of one frame is seen least
    assert own.read(tmp_path / "take", "openpose25", bodies=3).joints.shape[0] == 3


def coco_results(frames: np.ndarray) -> list[dict[str, Any]]:
    return [
        {"image_id": f"{n}.jpg", "category_id": 1, "keypoints": own.flat(body), "score": 2.5}
        for n, body in enumerate(frames)
    ]


@pytest.mark.parametrize(
    "make",
    [
        coco_results,
        lambda frames: {"images": [], "annotations": coco_results(frames)},
        lambda frames: [
            {"frame_id": n, "instances": [{"keypoints": body.tolist(), "keypoint_scores": [0.9] * 17, "bbox": [[1]]}]}
            for n, body in enumerate(frames)
        ],
        lambda frames: {
            "meta_info": {},
            "instance_info": [
                {"frame_id": n + 1, "instances": [{"keypoints": body.tolist()}]} for n, body in enumerate(frames)
            ],
        },
    ],
)
def test_coco_and_mmpose(make: Any, tmp_path: Path) -> None:
    assert same(own.raw(own.write(tmp_path / "a.json", make(FLAT))), FLAT[None])


def test_images_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    people = coco_results(FLAT)
    assert same(own.raw(own.write(tmp_path / "a.json", people[::-1])), FLAT[None])


HEADING = own.table([NAMED])
ROW = own.table([BODY[0].ravel()])
LONG = "frame,joint,x,y\n"
BAD = {
    "empty.json": (b" \n", "empty: found nothing"),
    "empty.npy": (b"", "empty: found nothing"),
    "text.npy": (b"no array at all", "found no array"),
    "text.npz": (b"no archive at all", "a damaged archive"),
    "latin.csv": (HEADING.encode() + b"\xe9" + ROW.encode(), "line 2: not text: found another encoding"),
    "short_row.csv": (HEADING + ROW + "1,2,3\n", "line 3: wrong count: found 3 fields, expected 51, as in line 1"),
    "word.csv": (HEADING + ROW + ROW.replace("0", "zero", 1), "line 3: not a number: found"),
    "heading.csv": (HEADING, "a heading only"),
    "lacks_one.csv": (own.table([NAMED[:-1], range(50)]), "line 1: .*no column for z of joint right_ankle"),
    "twice.csv": (own.table([[*NAMED, "nose_x"], range(52)]), "line 1: .*two columns for x of joint nose"),
    "other_columns.csv": ("time,speed\n1,2\n", "no column for x of joint nose"),
    "columns.csv": (own.table([range(50)]), "found 50 columns without a heading, expected a multiple of 17"),
    "no_frame.csv": ("joint,x,y\nnose,1,2\n", "line 1: .*frame, joint, x and y"),
    "other_joint.csv": (LONG + "0,tail,1,2\n", "line 2: .*joint 'tail'"),
    "joint_twice.csv": (LONG + "0,nose,1,2\n0,nose,1,2\n", "line 3: .*joint nose of frame 0 twice"),
    "frame.csv": (LONG + "first,nose,1,2\n", "line 2: not a number: found frame 'first'"),
    "far_frame.csv": (LONG + "0,nose,1,2\n123456789012345,nose,1,2\n", "at most 200000 frames"),
    "quote.csv": (HEADING + '"' + ROW, "not text: found unexpected end of data"),
    "lines.json": (
        '{"keypoints": [1]}\n{"keypoints": [2]}\n',
        r"a value on each line \(JSON Lines\), expected one JSON",
    ),
    "half.json": (json.dumps(BODY.tolist())[:-9], "truncated"),
    "deep.json": ("[" * 100_000 + "]" * 100_000, "not text"),
    "five_deep.json": (json.dumps([[BODY.tolist()]]), "five deep"),
    "ragged.json": (json.dumps([*BODY.tolist(), BODY[0].tolist()[:-1]]), "lists of differing lengths"),
    "text.json": (json.dumps([[["1", "2", "3"]] * 17]), "a coordinate of type str"),
    "infinite.json": ("[[" + ",".join(["[1e999, 0, 1]"] * 17) + "]]", "not a number: found inf"),
    "digits.json": ("[[" + ",".join(["[1" + "0" * 400 + ", 0, 1]"] * 17) + "]]", "digits|not text"),
    "joints.json": (json.dumps(BODY[:, :16].tolist()), r"\(12, 16, 3\), expected \(T, 17, C\) or"),
    "object.json": ('{"a": 1}', "JSON of another form"),
    "no_list.json": ('"joints"', "JSON of another form"),
    "openpose.json": (json.dumps([{"people": [{"pose_keypoints_2d": [1, 2]}]}]), "those of 0.66.* joints, expected 51"),
    "people.json": (json.dumps([{"people": 3}]), "a frame without people"),
    "coco_text.json": (
        json.dumps([{"image_id": "a.jpg", "keypoints": [1] * 51}]),
        "bad name: found a frame called 'a.jpg'",
    ),
    "coco_far.json": (
        json.dumps([{"image_id": n, "keypoints": [1] * 51} for n in (1, 10**9)]),
        "at most 200000 frames",
    ),
    "coco_none.json": (json.dumps([{"image_id": 1}]), "without numbers in keypoints"),
    "mmpose.json": (json.dumps([{"instances": [{"keypoints": [[1, 2]]}]}]), "found 1 joints, expected 17"),
    "landmark.json": (json.dumps([[{"x": 1}] * 17]), "a landmark without x and y in frame 0"),
    "landmarks.json": (json.dumps([[{"x": 1, "y": 2}] * 33]), "33 landmarks in frame 0, expected 17"),
    "nobody.json": (json.dumps([{"people": []}] * 3), "empty: found 3 frames of 0 bodies"),
    "two_and_three.json": (json.dumps([[{"x": 1, "y": 2}] * 17, [{"x": 1, "y": 2, "z": 3}] * 17]), "in 2D and in 3D"),
}


@pytest.mark.parametrize(("name", "content", "message"), [(name, *rest) for name, rest in BAD.items()], ids=BAD)
def test_bad_files_are_refused_in_a_sentence(name: str, content: str | bytes, message: str, tmp_path: Path) -> None:
    path = own.write(tmp_path / name, content)
    with pytest.raises(BadFileError, match=message) as caught:
        own.read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_bad_arrays(tmp_path: Path) -> None:
    for array, message in (
        (BODY[0], "found an array of shape"),
        (BODY[:, :, :1], "found an array of shape"),
        (np.empty((0, 17, 3)), r"empty: .*\(0, 17, 3\)"),
        (np.ones((12, 133, 2)), "frames T; 133 is the number of COCO-WholeBody's joints"),
        (np.ones((12, 26, 3)), "26 is the number of layout halpe26"),
        (np.ones((2, 12, 25, 3)), "25 is the number of layout .*ntu25"),
        (np.full((2, 17, 3), np.inf), "found inf"),
        (np.full((2, 17, 3), 1e12), "1000000000000"),
        (np.full((2, 17, 3), "a"), "an array of <U1"),
        (np.full((2, 17, 3), 1j), "an array of complex128"),
    ):
        with pytest.raises(BadFileError, match=message):
            own.read(own.write_array(tmp_path / "a.npy", array))
    np.save(tmp_path / "a.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(BadFileError, match="an array of object"):
        own.read(tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", one=BODY, two=BODY)
    with pytest.raises(BadFileError, match="arrays one, two"):
        own.read(tmp_path / "a.npz")


def test_nothing_large_is_read_or_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = own.write_array(tmp_path / "a.npy", BODY).read_bytes()
    with pytest.raises(BadFileError, match="truncated: found 4896 bytes after the header"):
        own.read(
            own.write(tmp_path / "a.npy", whole.replace(b"(12, 17, 3), }     ", b"(12000000, 17, 3), }")[: len(whole)])
        )
    monkeypatch.setattr("maskel.datasets.folder.arrays.MAX_BYTES", 10_000)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("joints.npy", bytes(10**6))
    with pytest.raises(BadFileError, match="1000000 bytes unpacked, expected at most 10000"):
        own.read(tmp_path / "bomb.npz")
    monkeypatch.setattr(pose, "MAX_BYTES", 100)
    with pytest.raises(BadFileError, match="expected at most 100; cut the recording into clips"):
        own.read(own.write(tmp_path / "a.csv", ROW))


GOOD: dict[str, Any] = {
    "a.csv": own.table([NAMED, *BODY[:2].reshape(2, -1).tolist()]),
    "long.csv": LONG + own.table([[0, joint, 1.5, 2.5] for joint in range(17)]),
    "a.json": [[[0.5, 1.5]] * 17],
    "coco.json": coco_results(FLAT[:2]),
    "mediapipe.json": [[{"x": 1, "y": 2, "z": 3, "visibility": 1}] * 17],
}


def read_or_refuse(path: Path) -> None:
    try:
        sequences = own.found(path).read(RawFile(path))
    except BadFileError:
        return
    for sequence in sequences:
        assert sequence.joints.shape[2] == 17
        assert np.isfinite(sequence.joints).all()


@pytest.mark.parametrize("name", [*GOOD, "a.npy", "a.npz"])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_changed_byte_is_read_or_refused(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = own.write(tmp_path_factory.getbasetemp() / f"changed_{name}" / name, "")
    if name in GOOD:
        own.write(path, GOOD[name])
    elif name.endswith("npy"):
        np.save(path, FLAT[:2])
    else:
        np.savez_compressed(path, FLAT[:2])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))] if data.draw(st.booleans()) else content)
    read_or_refuse(path)


KEYS = (
    "keypoint_scores",
    "pose_keypoints_2d",
    "image_id",
    "keypoints",
    "people",
    "instances",
    "frame_id",
    "landmarks",
    "landmark",
    "joints",
    "frames",
    "x",
    "y",
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=True) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=20,
)


@given(content=json_values)
@settings(max_examples=150, deadline=None)
def test_any_json_is_read_or_refused(content: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    read_or_refuse(own.write(tmp_path_factory.getbasetemp() / "any_json" / "a.json", content))


DOCUMENTS: list[Any] = [
    [[[0.5, 1.5]] * 17] * 2,
    coco_results(FLAT[:2]),
    {"instance_info": [{"frame_id": 1, "instances": [{"keypoints": [[1, 2]] * 17, "keypoint_scores": [1] * 17}]}]},
    [{"people": [{"pose_keypoints_2d": [1, 2, 0.5] * 17}] * 2}] * 3,
    {"frames": [{"landmarks": [[{"x": 1, "y": 2, "z": 3, "visibility": 1}] * 17]}] * 2},
]


def replaced(node: Any, value: object, choose: Callable[[int], int]) -> Any:
    """The document with one of its nodes, on a path that ``choose`` takes, replaced."""
    if not isinstance(node, list | dict) or not node or choose(5) == 0:
        return value
    if isinstance(node, dict):
        key = list(node)[choose(len(node))]
        return node | {key: replaced(node[key], value, choose)}
    place = choose(len(node))
    return [*node[:place], replaced(node[place], value, choose), *node[place + 1 :]]


@given(document=st.sampled_from(DOCUMENTS), value=json_values, draws=st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_any_replaced_value_is_read_or_refused(
    document: Any, value: object, draws: Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = replaced(document, value, draws.randrange)
    read_or_refuse(own.write(tmp_path_factory.getbasetemp() / "replaced" / "a.json", content))


@given(
    rows=st.lists(
        st.lists(st.sampled_from(["frame", "joint", "x", "y", "nose", "0", "1", "nan", "", "x1", '"']), max_size=6),
        max_size=5,
    )
)
@settings(max_examples=100, deadline=None)
def test_any_table_is_read_or_refused(rows: list[list[str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    read_or_refuse(own.write(tmp_path_factory.getbasetemp() / "any_table" / "a.csv", own.table(rows)))


def test_a_frame_twice_is_refused(tmp_path: Path) -> None:
    folder = openpose(tmp_path / "take", [[own.motion(joints=25, coordinates=2)[0]]])
    own.write(folder / "other_000000000000_keypoints.json", {"people": []})
    with pytest.raises(BadFileError, match="frame 0 twice"):
        own.read(folder, "openpose25")
