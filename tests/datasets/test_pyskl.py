"""Pickles of PYSKL: read as data, in 2D and 3D; hostile ones are refused and nothing of them runs."""

import builtins
import os
import pickle
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskel.commands.export import export_pyskl
from maskel.commands.prepare import prepare
from maskel.datasets import pickled
from maskel.datasets.ntu import ACTIONS
from maskel.datasets.pickled import PickledArray, read_pickle
from maskel.datasets.pyskl import Pyskl
from maskel.datasets.store import SkeletonSet
from maskel.errors import BadFileError, InputError

Pickle = dict[str, Any]


def annotation(number: int, joints: int = 17, coordinates: int = 2, dtype: str = "f2", **changes: Any) -> Pickle:
    """A clip of one body or two; of the second, the first frame is empty."""
    rng = np.random.default_rng(number)
    bodies, frames = 1 + number % 2, 4 + number
    keypoint = rng.uniform(1, 400 if coordinates == 2 else 4, size=(bodies, frames, joints, coordinates)).astype(dtype)
    keypoint[1:, 0] = 0
    made: Pickle = {"frame_dir": f"clip{number}", "total_frames": frames, "label": number % 3, "keypoint": keypoint}
    if coordinates == 2:
        scores = rng.uniform(0.1, 1, size=keypoint.shape[:3]).astype(dtype)
        made |= {"keypoint_score": scores, "img_shape": (240, 320), "original_shape": (480, 640)}
    return made | changes


def content(count: int = 6, **changes: Any) -> Pickle:
    clips = [annotation(number, **changes) for number in range(count)]
    names = [clip["frame_dir"] for clip in clips]
    return {"split": {"xsub_train": names[:4][::-1], "xsub_val": names[4:]}, "annotations": clips}


def write(path: Path, what: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(what, protocol))
    return path


def prepared(path: Path, out: Path, **options: Any) -> SkeletonSet:
    prepare(Pyskl(**options), [path], out, workers=2, strict=True)
    return SkeletonSet.open(out)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8"])
def test_2d_joints_are_normalised_by_the_image(tmp_path: Path, protocol: int, dtype: str) -> None:
    given = content(dtype=dtype)
    clips = prepared(write(tmp_path / "a.pkl", given, protocol), tmp_path / "set")
    assert (clips.layout.name, clips.channels, clips.coordinates) == ("coco17", ("x", "y"), 2)
    assert clips.options["img_shape"] == [240, 320]
    for position, clip in enumerate(given["annotations"]):
        expected = clip["keypoint"].astype(np.float32)
        expected = np.stack(((expected[..., 0] - 160) / 160, (expected[..., 1] - 120) / 120), -1)
        expected[1:, 0] = 0  # absent, not a corner of the image
        np.testing.assert_allclose(clips.sequence(position).joints, expected, atol=1e-6)
    assert clips.benchmarks["xsub"].train == (3, 2, 1, 0)
    assert clips.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_scores_are_a_third_channel_when_asked_for(tmp_path: Path) -> None:
    given = content()
    clips = prepared(write(tmp_path / "a.pkl", given), tmp_path / "set", scores=True)
    assert clips.channels == ("x", "y", "score")
    flat = prepared(tmp_path / "a.pkl", tmp_path / "flat")
    for position, clip in enumerate(given["annotations"]):
        joints = clips.sequence(position).joints
        assert np.array_equal(joints[..., :2], flat.sequence(position).joints)
        exists = clip["keypoint"].any(axis=(2, 3))
        assert np.array_equal(joints[exists][..., 2], clip["keypoint_score"][exists].astype(np.float32))
        assert not joints[~exists].any()


def test_3d_joints_stay_as_they_are_and_ntu_names_tell_classes(tmp_path: Path) -> None:
    given = content(joints=25, coordinates=3, dtype="f4")
    for number, clip in enumerate(given["annotations"]):
        clip["frame_dir"] = f"S00{number + 1}C002P003R001A00{clip['label'] + 1}"
    given["annotations"][1]["keypoint"][1] = 0
    given["split"] = {
        "xview_train": [given["annotations"][0]["frame_dir"]],
        "xview_val": [given["annotations"][1]["frame_dir"]],
    }
    clips = prepared(write(tmp_path / "a.pkl", given), tmp_path / "set")
    assert (clips.layout.name, clips.channels, clips.classes) == ("ntu25", ("x", "y", "z"), ACTIONS[:60])
    assert np.array_equal(clips.sequence(3).joints, given["annotations"][3]["keypoint"])
    assert clips.bodies.tolist() == [1, 1, 1, 2, 1, 2]
    assert (clips.clips[4].setup, clips.clips[4].camera, clips.clips[4].subject) == ("5", "2", "3")
    with pytest.raises(BadFileError, match="no keypoint_score"):
        prepared(tmp_path / "a.pkl", tmp_path / "scored", scores=True)


@pytest.mark.parametrize(
    ("splits", "benchmarks"),
    [
        (["xsub_train", "xsub_val", "xview_train", "xview_val"], {"xsub", "xview"}),
        (["xset_train", "xset_val"], {"xset"}),
        (["train", "val"], {"val"}),
        (["train", "val", "test"], {"val", "test"}),
        (["train1", "test1", "train2", "test2"], {"split1", "split2"}),
        (["Train", "Validation"], {"val"}),
        (["xsub_training", "xsub_testing", "holdout"], {"xsub"}),
    ],
)
def test_splits_become_benchmarks_and_splits_again(tmp_path: Path, splits: list[str], benchmarks: set[str]) -> None:
    given = content()
    names = [clip["frame_dir"] for clip in given["annotations"]]
    given["split"] = {split: [names[at], "a clip that is not there"] for at, split in enumerate(splits)}
    clips = prepared(write(tmp_path / "a.pkl", given), tmp_path / "set")
    assert set(clips.benchmarks) == benchmarks
    export_pyskl(tmp_path / "set", tmp_path / "out.pkl")
    written = pickle.loads((tmp_path / "out.pkl").read_bytes())["split"]
    if all(split in ("train", "val", "test") or split[-1].isdigit() or "_train" in split for split in splits):
        assert written == {split: names[:1] for split, names in given["split"].items()}


@pytest.mark.parametrize("scores", [False, True])
def test_what_is_written_is_what_was_read(tmp_path: Path, scores: bool) -> None:
    given = content()
    prepared(write(tmp_path / "a.pkl", given), tmp_path / "set", scores=scores)
    export_pyskl(tmp_path / "set", tmp_path / "out.pkl")
    written = (tmp_path / "out.pkl").read_bytes()
    assert b"maskel" not in written
    assert b"numpy._core" not in written  # which numpy 1 does not know
    loaded = pickle.loads(written)
    assert loaded["split"] == given["split"]
    for before, after in zip(given["annotations"], loaded["annotations"], strict=True):
        assert {key: after[key] for key in ("frame_dir", "label", "total_frames", "img_shape")} == {
            key: before[key] for key in ("frame_dir", "label", "total_frames", "img_shape")
        }
        assert after["keypoint"].dtype == after["keypoint_score"].dtype == np.float32
        np.testing.assert_allclose(after["keypoint"], before["keypoint"].astype("f4"), atol=1e-4)
        exists = before["keypoint"].any(axis=(2, 3))
        score = before["keypoint_score"].astype("f4") if scores else np.ones(after["keypoint_score"].shape)
        assert np.array_equal(after["keypoint_score"], score * exists[..., None])
    again = prepared(tmp_path / "out.pkl", tmp_path / "again", scores=scores)
    for position in range(6):
        joints = SkeletonSet.open(tmp_path / "set").sequence(position).joints
        np.testing.assert_allclose(again.sequence(position).joints, joints, atol=1e-6)


def test_images_of_many_sizes_are_written_as_one_that_normalises_to_the_same(tmp_path: Path) -> None:
    given = content()
    given["annotations"][0]["img_shape"] = (420, 420)
    clips = prepared(write(tmp_path / "a.pkl", given), tmp_path / "set")
    export_pyskl(tmp_path / "set", tmp_path / "out.pkl")
    written = pickle.loads((tmp_path / "out.pkl").read_bytes())["annotations"][1]
    assert written["img_shape"] == (2, 2)
    exists = given["annotations"][1]["keypoint"].any(axis=(2, 3))
    np.testing.assert_allclose(written["keypoint"][exists] - 1, clips.sequence(1).joints[exists], atol=1e-6)


FAULTS: dict[str, tuple[Pickle, str]] = {
    "no image": ({"img_shape": None, "original_shape": None}, "no img_shape"),
    "no keypoint": ({"keypoint": None}, "no keypoint in frame_dir, total_frames, label"),
    "another array": ({"keypoint": [[1.0]]}, r"keypoint of shape \(1, 1\)"),
    "lists of texts": ({"keypoint": [[["a"]]]}, "type str"),
    "other scores": ({"keypoint_score": np.ones((1, 3, 17), "f4")}, r"keypoint_score of shape \(1, 3, 17, 1\)"),
    "no number of frames": ({"total_frames": "many"}, "total_frames many"),
    "fractions": ({"keypoint": np.full((1, 4, 17, 2), 0.5, "f4"), "keypoint_score": None}, "--image-size 1 1 if"),
    "another image": ({"img_shape": (24, 32)}, "most joints inside"),
    "other joints": ({"keypoint": np.ones((1, 4, 5, 2), "f4")}, r"shape \(1, 4, 5, 2\)"),
    "no frame": ({"keypoint": np.ones((1, 0, 17, 2), "f4")}, r"shape \(1, 0, 17, 2\)"),
    "not finite": ({"keypoint": np.full((1, 4, 17, 2), np.inf, "f4")}, "not a number"),
    "no name": ({"frame_dir": None}, "frame_dir"),
    "two lines": ({"frame_dir": "a\nb"}, "frame_dir"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_clip_is_left_out_and_counted(tmp_path: Path, name: str) -> None:
    changes, message = FAULTS[name]
    given = content()
    given["annotations"][2] |= changes
    summary = prepare(Pyskl(), [write(tmp_path / "a.pkl", given)], tmp_path / "set")
    assert summary.clips == 5
    with pytest.raises(BadFileError, match=rf"annotations\[2\].*{message}"):
        prepare(Pyskl(), [tmp_path / "a.pkl"], tmp_path / "strict", strict=True)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ([1, 2], "not data"),
        ({"split": {}, "annotations": []}, "empty"),
        ({"split": {}, "annotations": [3]}, "not data"),
        ({"split": {"train": 3}, "annotations": [annotation(0)]}, "'train' that is no list"),
        ({"split": {7: ["a"]}, "annotations": [annotation(0)]}, "split '7' that is no list"),
        (content(label=-1), "label -1"),
        (content(label="a"), "label a"),
        (content(label=True), "label True"),
        (content(label=10**9), "label 1000000000"),
        (content(joints=19), "19 joints in 2D; say which"),
        (content(keypoint=np.ones(3, "f4")), "wrong count"),
    ],
)
def test_what_is_no_such_file_is_refused_in_a_sentence(tmp_path: Path, what: Any, message: str) -> None:
    path = write(tmp_path / "a.pkl", what)
    with pytest.raises(InputError, match=message):
        prepare(Pyskl(), [path], tmp_path / "set")
    assert list(tmp_path.iterdir()) == [path]


def test_numpy_numbers_are_labels_too(tmp_path: Path) -> None:
    assert read_pickle(write(tmp_path / "a.pkl", {"label": np.int64(7), "x": np.float32(0.5)})) == {
        "label": 7,
        "x": 0.5,
    }


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    ("what", "named"),
    [
        (Calls(os.system, "touch hacked"), "system"),
        (Calls(builtins.eval, "open('hacked', 'w')"), "eval"),
        (Calls(getattr, "", "join"), "getattr"),
        (Calls(np.load, "hacked"), "numpy"),
        (Path("hacked"), "Path"),
        (np.array([{"a": 1}, Calls(os.system, "touch hacked")], dtype=object), "system"),
        (np.array([{"a": 1}], dtype=object), "array of objects"),
        (np.array([("a", 1)], dtype=[("name", "U4"), ("age", "i4")]), "numpy type|numpy array"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "numpy type|numpy array"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), "name 'numpy.ma"),
        ({1, 2}, "instruction|name"),
        ({(1,): 2}, "a key that is neither text nor number"),
    ],
)
def test_a_hostile_pickle_is_refused_and_nothing_of_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: Any, named: str, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "a.pkl", {"split": {}, "annotations": [what]}, protocol)
    with pytest.raises(BadFileError, match=named):
        Pyskl().find([path])
    assert list(tmp_path.iterdir()) == [path]


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
DTYPE = b"cnumpy\ndtype\n" + text("f4") + b"\x85R"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (b"]r\xff\xff\xff\xff.", ""),  # remembers an empty list under the largest number
        (b"B\xff\xff\xff\x7f.", "2147483647 bytes"),
        (b"\x8e" + b"\xff" * 7 + b"\x7f.", "damaged"),
        (b"\x8b\xff\xff\xff\x7f.", "damaged"),
        (b"\x95" + b"\xff" * 8 + b"].", ""),  # a frame of 2^64 bytes: frames are not allocated
        (b"I" + b"1" * 9000 + b"\n.", "damaged"),
        (ARRAY + b"J\xff\xff\xff\x7f\x85C\x01btR.", "not empty before"),
        (ARRAY + b"K\x00\x85C\x01btR(K\x01J\xff\xff\xff\x7f\x85" + DTYPE + b"\x89C\x00tb.", "with 0 bytes"),
        (ARRAY + b"K\x00\x85C\x01btR(K\x01]" + DTYPE + b"\x89C\x00tb.", "whose shape is none"),
        (b"cnumpy\nndarray\n)R.", "a call of something else"),
        (b"c__builtin__\neval\n.", "eval"),
        (b"\x82\x01.", "instruction EXT1"),
        (b"P1\n.", "instruction PERSID"),
        (b"\x97.", "instruction NEXT_BUFFER"),
        (b"ios\nsystem\n.", "instruction INST"),
        (b")\x81.", "damaged"),
        (b"cnumpy\nndarray\n)\x81.", "a call of something else"),
        (b"NQ.", "instruction BINPERSID"),
        (b"]]b.", "an object with a state"),
        (b"R.", "damaged"),
        (b"t.", "damaged"),
        (b"h\x07.", "damaged"),
        (b".", "damaged"),
        (b"", "damaged"),
        (b"no pickle", "damaged|instruction"),
    ],
)
def test_programs_that_no_pickler_writes(tmp_path: Path, program: bytes, message: str) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(program)
    tracemalloc.start()
    if message:
        with pytest.raises(BadFileError, match=message):
            read_pickle(path)
    else:
        assert read_pickle(path) == []
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_the_number_of_values_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pkl"
    monkeypatch.setattr(pickled, "MAX_VALUES", 1000)
    path.write_bytes(b"](" + b"}" * 490 + b"e.")  # a dictionary counts twice
    assert len(read_pickle(path)) == 490
    for short in (b"}", b"h\x00", b"("):  # also what is fetched again, and marks
        path.write_bytes(b"]q\x00(" + short * 1000 + b"e.")
        with pytest.raises(BadFileError, match="more than 1,000 values"):
            read_pickle(path)


def test_arrays_stay_in_the_file_until_they_are_read(tmp_path: Path) -> None:
    arrays = {str(number): np.full(10**5, number, "f4") for number in range(20)}
    path = write(tmp_path / "a.pkl", arrays, protocol=5)
    del arrays
    tracemalloc.start()
    found = read_pickle(path)
    assert tracemalloc.get_traced_memory()[0] < 1e5
    tracemalloc.stop()
    assert isinstance(found["7"], PickledArray)
    assert np.array_equal(found["7"].read(path), np.full(10**5, 7, "f4"))


@given(changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=5), cut=st.integers(0, 300))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutated_pickles_give_clips_or_a_sentence(tmp_path: Path, changes: list[tuple[float, int]], cut: int) -> None:
    whole = bytearray(pickle.dumps(content(3), 4))
    for place, value in changes:
        whole[int(place * len(whole))] = value
    path = tmp_path / "a.pkl"
    path.write_bytes(bytes(whole[: len(whole) - max(0, cut - 200)]))
    source = Pyskl(scores=True)
    try:
        for file in source.find([path]):
            assert all(np.isfinite(clip.joints).all() for clip in source.read(file))
    except InputError as error:
        said = str(error)
    else:
        return
    assert said
    assert "\n" not in said
