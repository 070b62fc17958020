import csv
import hashlib
import itertools
import json
import pickle
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from maskel.datasets import store_writer
from maskel.datasets.base import Split
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.errors import CutOffError, InputError
from maskel.files import reading
from maskel.layouts import KINECT20, NTU25
from maskel.sequence import UNLABELLED, Clip, LabelledRange, SkeletonBatch, SkeletonSequence
from maskel.transforms import random_crop, resample, view_frames

CLASSES = ("wave", "clap")
V = len(KINECT20)


def clip_of(joints: np.ndarray, name: str = "c0", label: int = 0) -> SkeletonSequence:
    return SkeletonSequence(Clip(name, label, "7", "2", "", "1"), joints.astype(np.float32), KINECT20)


def moving(existing: list[list[int]], seed: int = 0) -> np.ndarray:
    """Joints (M, T, V, 3), non-zero where ``existing`` (M, T) is 1."""
    exists = np.array(existing, dtype=bool)
    joints = np.zeros((*exists.shape, V, 3), dtype=np.float32)
    joints[exists] = np.random.default_rng(seed).normal(size=(exists.sum(), V, 3))
    return joints


def write(out: Path, sequences: list[SkeletonSequence], **benchmarks: Split) -> SkeletonSet:
    with SetWriter(
        out, KINECT20, CLASSES, "nw_ucla", {"missing": (Path("a.txt"),), "names": frozenset("cab")}
    ) as writer:
        for sequence in sequences:
            writer.add(sequence)
        writer.finish(benchmarks)
    return SkeletonSet.open(out)


@pytest.fixture
def sequences() -> list[SkeletonSequence]:
    exists = [
        [[1, 1, 1, 1]],
        [[1, 0, 1], [0, 0, 1]],  # no body in frame 1: two valid frames, so frame 2 is beyond the valid length
        [[0, 1, 1, 0, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 1]],
        [[1, 1], [0, 0]],  # recorded as two bodies, of which the second never exists
    ]
    return [clip_of(moving(rows, seed), f"clip {seed}", seed % 2) for seed, rows in enumerate(exists)]


@pytest.fixture
def prepared(tmp_path: Path, sequences: list[SkeletonSequence]) -> SkeletonSet:
    return write(tmp_path / "set", sequences, xsub=Split((2, 0), (1, 3)))


def test_what_is_written_is_read(prepared: SkeletonSet, sequences: list[SkeletonSequence]) -> None:
    assert (prepared.layout, prepared.classes, prepared.source) == (KINECT20, CLASSES, "nw_ucla")
    assert prepared.options == {"missing": ["a.txt"], "names": ["a", "b", "c"]}
    assert prepared.clips == tuple(sequence.clip for sequence in sequences)
    assert len(prepared) == 4
    assert prepared.coordinates == 3
    assert prepared.labels.tolist() == [0, 1, 0, 1]
    assert prepared.bodies.tolist() == [1, 2, 3, 2]
    assert prepared.frames.tolist() == [4, 3, 5, 2]
    assert prepared.valid_frames.tolist() == [4, 2, 4, 2]
    assert prepared.max_bodies == 3
    assert prepared.benchmarks == {"xsub": Split((2, 0), (1, 3))}
    for position, sequence in enumerate(sequences):
        assert prepared.sequence(position).joints.tobytes() == sequence.joints.tobytes()


bodies_and_frames = st.tuples(st.integers(1, 3), st.integers(1, 9)).flatmap(
    lambda shape: st.lists(
        st.lists(st.integers(0, 1), min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0]
    )
)


@given(st.lists(bodies_and_frames.filter(lambda exists: np.any(exists)), min_size=1, max_size=5), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_any_clips_come_back_whole_and_in_batches(existing: list[list[list[int]]], bodies: int) -> None:
    written = [moving(exists, seed) for seed, exists in enumerate(existing)]
    with TemporaryDirectory() as folder:
        prepared = write(Path(folder) / "set", [clip_of(joints, f"{i}") for i, joints in enumerate(written)])
        order = np.arange(len(written))[::-1].copy()
        batch = prepared.gather(order, bodies)
        for slot, position in enumerate(order.tolist()):
            joints = written[position]
            assert np.array_equal(prepared.sequence(position).joints, joints)
            valid = int((joints != 0).any(axis=(0, 2, 3)).sum())
            expected = np.zeros(batch.joints.shape[1:], np.float32)
            kept = joints[:bodies, :valid]
            expected[: len(kept), :valid] = kept
            assert prepared.valid_frames[position] == batch.lengths[slot] == valid
            assert np.array_equal(batch.joints[slot].numpy(), expected)
            present = expected.any(axis=(1, 2, 3))
            present[0] |= not present.any()  # a clip whose bodies come too late still has a first one
            assert np.array_equal(batch.present[slot].numpy(), present)
        start, length = random_crop(batch.lengths, torch.rand(len(order), 2), 0.2, 1.0, 1)
        frames = view_frames(start, length, 7)

        def batches() -> list[dict[str, Any]]:
            given = itertools.product(("zero", "copy"), (None, frames))
            return [vars(prepared.gather(order, bodies, filling, view)) for filling, view in given]

        expected = batches()
        for whole, seen in zip(expected[::2], expected[1::2], strict=True):
            resampled = SkeletonBatch(**whole).with_joints(resample(whole["joints"], start, length, 7))
            tiny.assert_identical(seen, vars(resampled))
        prepared.keep_on(torch.device("cpu"))
        tiny.assert_identical(batches(), expected)


def test_body_frames_are_the_clips_without_what_is_absent(
    prepared: SkeletonSet, sequences: list[SkeletonSequence]
) -> None:
    for start, stop in ((0, 4), (1, 3), (2, 3)):
        rows = prepared.body_frames(start, stop)
        rebuilt = [np.zeros_like(sequence.joints) for sequence in sequences]
        for joints, clip, body, frame in zip(rows.joints, rows.clip, rows.body, rows.frame, strict=True):
            assert joints.any()
            rebuilt[clip][body, frame] = joints
        assert all(np.array_equal(rebuilt[clip], sequences[clip].joints) for clip in range(start, stop))
        assert set(rows.clip) == set(range(start, stop))
    assert prepared.num_body_frames == len(prepared.body_frames(0, 4).joints)


def test_a_clip_keeps_its_recording_and_its_frames_there(tmp_path: Path) -> None:
    cut = Clip("0007-L_0", 1, camera="L", recording="0007-L", first_frame=120, end_frame=470)
    assert write(tmp_path / "set", [replace(clip_of(moving([[1, 1]])), clip=cut)]).clips == (cut,)


def test_a_set_of_the_second_version_is_still_read(prepared: SkeletonSet) -> None:
    change_json("meta.json", lambda meta: meta.update(version=2))(prepared.path)
    (prepared.path / "counts.csv").unlink()
    assert SkeletonSet.open(prepared.path).clips == prepared.clips


def test_what_was_made_up_is_kept_for_each_clip(tmp_path: Path) -> None:
    with SetWriter(tmp_path / "set", NTU25, ("wave",), "test", {}) as writer:
        for name, counts in (("a", {}), ("b", {"missing joints": 3, "bodies left out": 0})):
            writer.add(SkeletonSequence(Clip(name, 0), np.ones((1, 4, 25, 3), np.float32), NTU25, counts))
        writer.finish({})
    assert SkeletonSet.open(tmp_path / "set").counts == {1: {"missing joints": 3}}


def write_whole(folder: Path, **split: Split) -> Path:
    """Two whole recordings of 6 frames: one with two labelled ranges, one with none."""
    ranges = (LabelledRange(1, 0, 4), LabelledRange(0, 2, 6))
    with SetWriter(folder, NTU25, ("wave", "bow"), "test", {}, untrimmed=True) as writer:
        for name, some in (("a", ranges), ("b", ())):
            joints = np.ones((1, 6, 25, 3), np.float32)
            writer.add(SkeletonSequence(Clip(name, UNLABELLED), joints, NTU25, {}, some))
        writer.finish(split or {"all": Split((0,), (), (1,))})
    return folder


def test_whole_recordings_keep_their_labelled_ranges(tmp_path: Path) -> None:
    opened = SkeletonSet.open(write_whole(tmp_path / "set"), untrimmed=True)
    assert opened.untrimmed
    assert opened.ranges == ((LabelledRange(1, 0, 4), LabelledRange(0, 2, 6)), ())
    assert opened.split("all", "train").tolist() == [0]
    again = pickle.loads(pickle.dumps(opened))
    assert again.ranges == opened.ranges
    with pytest.raises(InputError, match=r"holds whole recordings .*, expected clips with one label each"):
        SkeletonSet.open(tmp_path / "set")


def test_ranges_survive_an_interruption(tmp_path: Path) -> None:
    def job(folder: Path) -> SetWriter:
        return SetWriter(folder, NTU25, ("wave", "bow"), "test", {}, job={"files": "two"}, untrimmed=True)

    def recording(name: str) -> SkeletonSequence:
        ranges = (LabelledRange(1, 0, 4), LabelledRange(0, 2, 6))
        return SkeletonSequence(Clip(name, UNLABELLED), np.ones((1, 6, 25, 3), np.float32), NTU25, {}, ranges)

    with suppress(CutOffError), job(tmp_path / "cut") as writer:
        writer.add(recording("a"))
        writer.record({})
        raise CutOffError("no power")
    assert not (tmp_path / "cut").exists()
    for folder in ("cut", "whole"):
        with job(tmp_path / folder) as writer:
            assert writer.recorded == (folder == "cut")
            for name in "ab"[writer.recorded :]:
                writer.add(recording(name))
                writer.record({})
            writer.finish({"all": Split((0, 1), ())})
    for file in (tmp_path / "whole").iterdir():
        assert (tmp_path / "cut" / file.name).read_bytes() == file.read_bytes()
    assert len(SkeletonSet.open(tmp_path / "cut", untrimmed=True).ranges[0]) == 2


@pytest.mark.parametrize(
    "line", ["2,0,0,1", "0,2,0,1", "0,-1,0,1", "0,0,3,3", "0,0,-1,3", "0,0,3,7", "0,0,3", "0,0,3,last"]
)
def test_a_damaged_range_is_refused(line: str, tmp_path: Path) -> None:
    write_whole(tmp_path / "set")
    (tmp_path / "set" / "ranges.csv").write_text(f"clip,label,first_frame,end_frame\n{line}\n")
    with pytest.raises(InputError, match="cannot be read as a prepared set"):
        SkeletonSet.open(tmp_path / "set", untrimmed=True)


def test_a_recording_without_a_range_neither_trains_nor_tests(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="clips with and without a label mixed up"):
        SkeletonSet.open(write_whole(tmp_path / "set", xsub=Split((0,), (1,))), untrimmed=True)


def test_ranges_need_an_untrimmed_set_and_frames_of_the_recording(tmp_path: Path) -> None:
    sequence = SkeletonSequence(
        Clip("a", UNLABELLED), np.ones((1, 6, 25, 3), np.float32), NTU25, {}, (LabelledRange(0, 0, 7),)
    )
    for untrimmed, complaint in ((False, "expected none in a set of trimmed clips"), (True, "frames of the recording")):
        with (
            SetWriter(tmp_path / "set", NTU25, ("wave",), "test", {}, untrimmed=untrimmed) as writer,
            pytest.raises(ValueError, match=complaint),
        ):
            writer.add(sequence)


def test_a_set_of_the_first_version_is_to_be_prepared_again(prepared: SkeletonSet) -> None:
    change_json("meta.json", lambda meta: meta.update(version=1))(prepared.path)
    with pytest.raises(
        InputError, match=r"holds version 1 of the set's format, expected 2 or 3 or 4\); prepare it again"
    ):
        SkeletonSet.open(prepared.path)


def test_negative_zeros_and_single_zero_joints_of_a_body_are_kept(tmp_path: Path) -> None:
    joints = moving([[1, 1]])
    joints[0, 0, 3] = 0
    joints[0, 1, 5] = -0.0
    assert write(tmp_path / "set", [clip_of(joints)]).sequence(0).joints.tobytes() == joints.tobytes()


def test_a_copy_fills_the_second_slot_only_where_one_body_was_recorded(prepared: SkeletonSet) -> None:
    positions = np.array([0, 3, 1])
    zero = prepared.gather(positions, 2, "zero")
    copy = prepared.gather(positions, 2, "copy")
    assert not zero.joints[:2, 1].any()
    assert copy.joints[0, 1].equal(copy.joints[0, 0])
    assert copy.joints[1:].equal(zero.joints[1:])  # clip 3 has two bodies, if one that never exists
    # clip 1's second body exists only beyond the valid length
    assert copy.present.tolist() == zero.present.tolist() == [[True, False]] * 3
    assert copy.labels.tolist() == [0, 1, 1]
    assert copy.clips.tolist() == [0, 3, 1]
    assert prepared.gather(positions, 1, "copy").joints.shape[:2] == (3, 1)


def test_gather_refuses_what_is_not_there(prepared: SkeletonSet) -> None:
    for outside in (-1, 4):
        with pytest.raises(IndexError, match="outside 0 to 3"):
            prepared.gather(np.array([outside]), 1)
        with pytest.raises(IndexError, match="expected 0 to 3"):
            prepared.sequence(outside)
    with pytest.raises(ValueError, match="at least 1"):
        prepared.gather(np.array([0]), 0)


def test_splits_keep_their_order_and_hash_names(prepared: SkeletonSet) -> None:
    assert prepared.split("xsub", "train").tolist() == [2, 0]
    assert prepared.split_hash("xsub", "train") == hashlib.sha256(b"clip 2\nclip 0").hexdigest()[:16]
    with pytest.raises(InputError, match="no benchmark called 'xview'; it has: xsub"):
        prepared.split("xview", "train")
    with pytest.raises(InputError, match="no part called 'val'; it has: train, test"):
        prepared.split("xsub", "val")


def test_pickles_by_path(prepared: SkeletonSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(prepared.path.parent)
    pickled = pickle.dumps(SkeletonSet.open("set"))
    monkeypatch.chdir("/")
    assert len(pickled) < 500
    again = pickle.loads(pickled)
    assert again.gather(np.array([2]), 3).joints.equal(prepared.gather(np.array([2]), 3).joints)


def test_a_set_is_hardly_larger_than_its_joints(tmp_path: Path) -> None:
    joints = moving([[1] * 60])
    prepared = write(
        tmp_path / "set",
        [clip_of(joints, f"S001C001P001R001A{i:03}") for i in range(300)],
        **{name: Split(tuple(range(0, 300, 2)), tuple(range(1, 300, 2))) for name in ("xsub", "xview", "xset")},
    )
    assert sum(file.stat().st_size for file in prepared.path.iterdir()) <= 1.05 * 300 * joints.nbytes


def test_opening_reads_no_joints(prepared: SkeletonSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_MOST_PACKED", 2**40)  # else a file with such holes is refused
    # 1,000 clips of 2^20 frames, 240 GB: a sparse file whose content could not be read in any test's time or memory
    clips, frames = 1000, 2**20
    folder = prepared.path
    meta = json.loads((folder / "meta.json").read_text())
    meta["counts"] = {"clips": clips, "segments": clips, "rows": clips * frames}
    (folder / "meta.json").write_text(json.dumps(meta))
    with (folder / "clips.csv").open("w", newline="") as file:
        table = csv.writer(file)
        columns = "name label subject camera setup replication recording first_frame end_frame bodies frames"
        table.writerow(columns.split())
        table.writerows((f"c{i}", 0, "", "", "", "", "", 0, 0, 1, frames) for i in range(clips))
    np.save(folder / "segments.npy", np.array([(i, 0, 0, frames) for i in range(clips)], dtype=np.int32))
    with (folder / "joints.npy").open("wb") as file:
        shape = (clips * frames, V, 3)
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + 4 * int(np.prod(shape)))
    assert len(SkeletonSet.open(folder)) == clips


def test_equal_clips_give_equal_files(tmp_path: Path, sequences: list[SkeletonSequence]) -> None:
    first, second = (write(tmp_path / name, sequences, xsub=Split((0,), (1,))) for name in ("first", "second"))
    for file in first.path.iterdir():
        assert file.read_bytes() == (second.path / file.name).read_bytes()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, None])
def test_nothing_stays_of_an_unfinished_set(tmp_path: Path, error: type[BaseException] | None) -> None:
    def start() -> None:
        with SetWriter(tmp_path / "set", KINECT20, CLASSES, "nw_ucla", {}) as writer:
            writer.add(clip_of(moving([[1]])))
            assert list(tmp_path.iterdir())
            if error is not None:
                raise error

    if error is None:
        start()
    else:
        with pytest.raises(error):
            start()
    assert not list(tmp_path.iterdir())


def test_where_no_open_file_can_be_removed_the_unfinished_folder_still_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed = []
    monkeypatch.setattr(store_writer, "sys", SimpleNamespace(platform="win32"))
    with SetWriter(tmp_path / "set", KINECT20, CLASSES, "nw_ucla", {}, job={}) as writer:
        monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: removed.append(writer._journal.closed))
        writer.add(clip_of(moving([[1]])))
        writer.finish({})
    assert removed[0]


def test_an_existing_folder_is_left_alone(prepared: SkeletonSet, sequences: list[SkeletonSequence]) -> None:
    with pytest.raises(InputError, match="exists already; remove it or choose another name"):
        write(prepared.path, sequences[:1])
    assert len(SkeletonSet.open(prepared.path)) == 4
    assert len(list(prepared.path.parent.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write the prepared set"):
        write(tmp_path / "file" / "set", [clip_of(moving([[1]]))])


def test_the_writer_refuses_clips_that_do_not_fit(tmp_path: Path) -> None:
    good = clip_of(moving([[1]]))
    other_layout = SkeletonSequence(Clip("b", 0), np.ones((1, 1, 25, 3), np.float32), NTU25)
    flat = SkeletonSequence(Clip("b", 0), np.ones((1, 1, V, 2), np.float32), KINECT20)
    with SetWriter(tmp_path / "set", KINECT20, CLASSES, "nw_ucla", {}) as writer:
        writer.add(good)
        with pytest.raises(InputError, match="two raw files give a clip called c0"):
            writer.add(good)
        for bad, message in [
            (other_layout, "found layout ntu25, expected kinect20"),
            (flat, "found 2 channels, expected x, y, z"),
            (replace(good, clip=Clip("b", 2)), "found label 2, expected 0 to 1"),
            (replace(good, clip=Clip("b\nc", 0)), "a name of one line"),
            (clip_of(np.zeros((1, 3, V, 3)), "b"), "no body exists"),
        ]:
            with pytest.raises(ValueError, match=message):
                writer.add(bad)
        with pytest.raises(ValueError, match="outside 0 to 0"):
            writer.finish({"xsub": Split((0,), (1,))})
        writer.finish({"xsub": Split((0,), ())})
    assert SkeletonSet.open(tmp_path / "set").split("xsub", "test").tolist() == []


def test_an_empty_set_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no clip was found"):
        write(tmp_path / "set", [])
    assert not list(tmp_path.iterdir())


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; write one with `maskel prepare`"):
        SkeletonSet.open(tmp_path / "nothing")
    with pytest.raises(InputError, match="is not a prepared set"):
        SkeletonSet.open(tmp_path)


def change_json(name: str, change: Callable[[dict], object]) -> Callable[[Path], object]:  # type: ignore[type-arg]
    def damage(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        change(content)
        (folder / name).write_text(json.dumps(content))

    return damage


def change_text(name: str, old: str, new: str) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return damage


def change_segment(row: int, column: int, value: int) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        segments = np.load(folder / "segments.npy")
        segments[row, column] = value
        np.save(folder / "segments.npy", segments)

    return damage


DAMAGES: dict[str, Callable[[Path], object]] = {
    "joints missing": lambda folder: (folder / "joints.npy").unlink(),
    "joints cut": lambda folder: (folder / "joints.npy").write_bytes((folder / "joints.npy").read_bytes()[:-1]),
    "joints longer": lambda folder: (folder / "joints.npy").write_bytes((folder / "joints.npy").read_bytes() + b"0"),
    "joints empty": lambda folder: (folder / "joints.npy").write_bytes(b""),
    "joints pickled": lambda folder: np.save(folder / "joints.npy", np.array([{}]), allow_pickle=True),
    "joints float64": lambda folder: np.save(folder / "joints.npy", np.load(folder / "joints.npy").astype(float)),
    "joints of another layout": change_json("meta.json", lambda meta: meta.update(layout="ntu25")),
    "segments missing": lambda folder: (folder / "segments.npy").unlink(),
    "segment of no clip": change_segment(0, 0, -1),
    "segment of a clip too many": change_segment(-1, 0, 4),
    "segment of no body": change_segment(0, 1, 1),
    "segment before the first frame": change_segment(1, 2, -1),
    "segment beyond the last frame": change_segment(0, 2, 1),
    "segment empty": change_segment(1, 3, 0),
    "segments of other rows": change_segment(0, 3, 3),
    "segments out of order": change_segment(0, 0, 1),
    "clips missing": lambda folder: (folder / "clips.csv").unlink(),
    "clips not text": lambda folder: (folder / "clips.csv").write_bytes(b"\xff\xfe\x00"),
    "clips empty": lambda folder: (folder / "clips.csv").write_text(""),
    "clip twice": change_text("clips.csv", "clip 1", "clip 0"),
    "clip too many": change_text("clips.csv", "clip 0", "clip x,0,7,2,,1,,0,0,1,4\nclip 0"),
    "column too few": change_text("clips.csv", "clip 0,", ""),
    "other column": change_text("clips.csv", "camera", "lens"),
    "label out of range": change_text("clips.csv", "clip 0,0", "clip 0,2"),
    "label negative": change_text("clips.csv", "clip 0,0", "clip 0,-1"),
    "label not a number": change_text("clips.csv", "clip 0,0", "clip 0,wave"),
    "label too long": change_text("clips.csv", "clip 0,0", "clip 0," + "9" * 30),
    "clip without bodies": change_text("clips.csv", ",1,4\n", ",0,4\n"),
    "clip that ends before it starts": change_text("clips.csv", ",0,0,", ",5,4,"),
    "first frame negative": change_text("clips.csv", ",0,0,", ",-1,0,"),
    "end not a number": change_text("clips.csv", ",0,0,", ",0,last,"),
    "quote open": change_text("clips.csv", "clip 0", '"clip 0'),
    "splits missing": lambda folder: (folder / "splits.json").unlink(),
    "splits no json": lambda folder: (folder / "splits.json").write_text("{"),
    "splits a list": lambda folder: (folder / "splits.json").write_text("[]"),
    "splits nested": lambda folder: (folder / "splits.json").write_text("[" * 100_000),
    "split position too large": change_json("splits.json", lambda splits: splits["xsub"]["train"].append(4)),
    "split position negative": change_json("splits.json", lambda splits: splits["xsub"]["test"].append(-1)),
    "split position a fraction": change_json("splits.json", lambda splits: splits["xsub"]["test"].append(0.5)),
    "split position a name": change_json("splits.json", lambda splits: splits["xsub"].update(test=["clip 0"])),
    "split of one part": change_json("splits.json", lambda splits: splits["xsub"].pop("test")),
    "meta no json": lambda folder: (folder / "meta.json").write_text("nothing"),
    "meta a list": lambda folder: (folder / "meta.json").write_text("[]"),
    "another format": change_json("meta.json", lambda meta: meta.update(format="zarr")),
    "no table of counts": lambda folder: (folder / "counts.csv").unlink(),
    "count of no clip": lambda folder: (folder / "counts.csv").write_text("clip,what,number\n99,joints,1\n"),
    "count of no number": lambda folder: (folder / "counts.csv").write_text("clip,what,number\n0,joints,many\n"),
    "another version": change_json("meta.json", lambda meta: meta.update(version=5)),
    "ranges missing": change_json("meta.json", lambda meta: meta.update(version=4)),
    "unknown layout": change_json("meta.json", lambda meta: meta.update(layout="octopus")),
    "classes missing": change_json("meta.json", lambda meta: meta.pop("classes")),
    "classes no names": change_json("meta.json", lambda meta: meta.update(classes=[1, 2])),
    "counts missing": change_json("meta.json", lambda meta: meta.pop("counts")),
    "count no number": change_json("meta.json", lambda meta: meta["counts"].update(rows="many")),
    "count negative": change_json("meta.json", lambda meta: meta["counts"].update(clips=-1)),
    "channels wrong": change_json("meta.json", lambda meta: meta.update(channels=["x", "y"])),
    "channels unknown": change_json("meta.json", lambda meta: meta.update(channels=["x", "z", "y"])),
    "channels no list": change_json("meta.json", lambda meta: meta.update(channels=3)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_set_is_refused_in_one_sentence(prepared: SkeletonSet, damage: Callable[[Path], object]) -> None:
    damage(prepared.path)
    with pytest.raises(InputError, match=r"cannot be read as a prepared set \(.+\); prepare it again") as raised:
        SkeletonSet.open(prepared.path)
    assert "\n" not in str(raised.value)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("intact") / "set"
    write(folder, [clip_of(moving([[1, 0, 1], [1, 1, 1]]), f"{i}", i % 2) for i in range(3)], xsub=Split((0, 1), (2,)))
    return folder


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_changed_byte_of_a_table_is_read_or_refused(intact: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["joints.npy", "segments.npy", "clips.csv", "splits.json", "meta.json"]))
    content = bytearray((intact / name).read_bytes())
    content[data.draw(st.integers(0, min(len(content), 400) - 1))] = data.draw(st.integers(0, 255))
    with TemporaryDirectory() as temporary:
        changed = Path(temporary) / "set"
        shutil.copytree(intact, changed)
        (changed / name).write_bytes(content)
        try:
            prepared = SkeletonSet.open(changed)
            batch = prepared.gather(np.arange(len(prepared)), prepared.max_bodies)
        except InputError:
            return
        assert batch.joints.shape[:2] == (len(prepared), prepared.max_bodies)


def test_a_set_with_a_coordinate_that_is_not_finite_is_not_kept_on_a_device(prepared: SkeletonSet) -> None:
    file = prepared.path / "joints.npy"
    joints = np.load(file)
    joints[len(prepared.body_frames(0, 2).joints), 3, 1] = np.nan
    np.save(file, joints)
    with pytest.raises(InputError, match=f"clip {prepared.clips[2].name} holds a coordinate that is not finite"):
        SkeletonSet.open(prepared.path).keep_on(torch.device("cpu"))


def test_a_set_that_does_not_fit_on_a_device_is_refused(prepared: SkeletonSet, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*shape: object, **options: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(InputError, match=r"resident: the joints of .* take 0.0 GiB, more than is free on cpu"):
        prepared.keep_on(torch.device("cpu"))
