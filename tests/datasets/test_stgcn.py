"""Arrays (N, C, T, V, M) with label pickles, as ST-GCN, 2s-AGCN, AimCLR and CMD keep them."""

import pickle
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskel.commands.prepare import PrepareSummary, prepare
from maskel.datasets import SOURCES
from maskel.datasets.counts import MISSING_JOINTS
from maskel.datasets.ntu import ACTIONS
from maskel.datasets.pickled import PickledArray, read_pickle
from maskel.datasets.stgcn import REPEATED, StGcn
from maskel.datasets.store import SkeletonSet
from maskel.errors import BadFileError, InputError

FRAMES = 20


def names(part: str, count: int = 4) -> list[str]:
    """Names of NTU's recordings; the classes are the first three, in turn."""
    return [f"S001C00{1 + (part == 'val')}P00{clip + 1}R001A00{clip % 3 + 1}.skeleton" for clip in range(count)]


def arrays(seed: int = 0, count: int = 4, joints: int = 25) -> np.ndarray:
    """Clips of one body or two (N, 3, T, V, 2), padded with zeros."""
    data = np.zeros((count, 3, FRAMES, joints, 2), "f4")
    for clip in range(count):
        shape = (3, 8 + clip % 8, joints, 1 + clip % 2)
        data[clip, :, : shape[1], :, : shape[3]] = np.random.default_rng(10 * seed + clip).normal(size=shape)
    return data


def write(folder: Path, data: str = "data_joint", protocol: int = 4, **parts: Any) -> Path:
    """A folder as the scripts of 2s-AGCN write it; ``parts`` replaces arrays and label files (train, val_label)."""
    folder.mkdir(parents=True)
    for seed, part in enumerate(("train", "val")):
        labels = (names(part), [clip % 3 for clip in range(4)])
        np.save(folder / f"{part}_{data}.npy", parts.get(part, arrays(seed)))
        (folder / f"{part}_label.pkl").write_bytes(pickle.dumps(parts.get(f"{part}_label", labels), protocol))
    return folder


def prepared(folder: Path, out: Path, **options: Any) -> tuple[SkeletonSet, PrepareSummary]:
    summary = prepare(StGcn(**options), [folder], out, workers=1, strict=True)
    return SkeletonSet.open(out), summary


@pytest.mark.parametrize("data", ["data", "data_joint", "position", "joint"])
def test_a_folder_is_one_benchmark(tmp_path: Path, data: str) -> None:
    folder = write(tmp_path / "NTU60_frame50" / "xsub", data)
    np.save(folder / "train_data_bone.npy", np.zeros(3))
    clips, summary = prepared(folder, tmp_path / "set")
    assert summary.notes == {"arrays not read: train_data_bone.npy": 1}
    assert (clips.layout.name, clips.channels, clips.classes) == ("ntu25", ("x", "y", "z"), ACTIONS[:60])
    assert list(clips.benchmarks) == ["xsub"]
    assert clips.benchmarks["xsub"].train == (0, 1, 2, 3)
    assert summary.benchmarks["xsub"].published == (40_091, 16_487)
    assert clips.labels.tolist() == [0, 1, 2, 0] * 2
    assert (clips.clips[5].name, clips.clips[5].camera, clips.clips[5].subject) == ("S001C002P002R001A002", "2", "2")
    assert (clips.bodies.tolist(), clips.frames.tolist()) == ([1, 2, 1, 2] * 2, [8, 9, 10, 11] * 2)
    for position in range(8):
        expected = arrays(position // 4)[position % 4].transpose(3, 1, 2, 0)
        joints = clips.sequence(position).joints
        np.testing.assert_array_equal(joints, expected[: joints.shape[0], : joints.shape[1]])


def python2(names: list[str], labels: list[int], protocol: int) -> bytes:
    """What Python 2 writes: its texts are bytes, and there are no others."""
    if protocol == 0:
        lists = ["".join(f"S'{name}'\na" for name in names), "".join(f"I{label}\na" for label in labels)]
        return f"((lp0\n{lists[0]}(lp1\n{lists[1]}tp2\n.".encode()
    texts = b"".join(b"U" + bytes([len(name)]) + name.encode() for name in names)
    content = np.array(labels, "<i8").tobytes()
    dtype = b"cnumpy\ndtype\nU\x02i8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K" + bytes([len(labels)])
    array += b"\x85" + dtype + b"\x89T" + len(content).to_bytes(4, "little") + content + b"tb"
    return b"\x80\x02](" + texts + b"e" + array + b"\x86."


@pytest.mark.parametrize("protocol", [0, 2])
def test_label_files_of_python_2_are_read(tmp_path: Path, protocol: int) -> None:
    folder = write(tmp_path / "xview", train=arrays(count=60), train_label=0)
    texts = [f"S001C001P001R{clip:03}A001.skeleton" for clip in range(60)]
    (folder / "train_label.pkl").write_bytes(python2(texts, [0] * 60, protocol))
    clips, _ = prepared(folder, tmp_path / "set")
    assert [clip.replication for clip in clips.clips[:60]] == [str(clip) for clip in range(60)]
    assert clips.labels[:60].tolist() == [0] * 60
    if protocol == 2:  # the labels' 480 bytes stay in the file
        _, labels = read_pickle(folder / "train_label.pkl")
        assert isinstance(labels, PickledArray)
        assert "InFile" in repr(labels)


@pytest.mark.parametrize(
    "labels",
    [
        [names("train"), [0, 1, 2, 0]],
        (names("train"), np.array([0, 1, 2, 0])),
        (tuple(names("train")), (np.int64(0), np.float32(1), np.array(2), np.array([0]))),
    ],
)
def test_labels_in_all_their_forms(tmp_path: Path, labels: Any) -> None:
    clips, _ = prepared(write(tmp_path / "xsub", train_label=labels), tmp_path / "set")
    assert clips.labels[:4].tolist() == [0, 1, 2, 0]


def test_frames_that_replay_the_clip_are_cut_off_and_counted(tmp_path: Path) -> None:
    """2s-AGCN fills an array by showing the clip again and again."""
    data = arrays()
    for clip in range(3):
        data[clip] = np.resize(data[clip].swapaxes(0, 1)[: 8 + clip], (FRAMES, 3, 25, 2)).swapaxes(0, 1)
    data[3] = data[3, :, :1]  # nobody moves: no padding
    clips, summary = prepared(write(tmp_path / "xsub", train=data), tmp_path / "set")
    assert clips.frames[:4].tolist() == [8, 9, 10, 20]
    assert summary.counts[REPEATED] == (12 + 11 + 10, 3)
    np.testing.assert_array_equal(clips.sequence(1).joints, data[1, :, :9].transpose(3, 1, 2, 0))


def test_a_file_of_lengths_is_heeded(tmp_path: Path) -> None:
    folder = write(tmp_path / "xsub")
    np.save(folder / "train_num_frame.npy", np.array([5, 6, 10, 11]))
    assert prepared(folder, tmp_path / "set")[0].frames[:4].tolist() == [5, 6, 10, 11]
    np.save(folder / "train_num_frame.npy", np.array([5, 6, 21, 11]))
    with pytest.raises(BadFileError, match="4 numbers from 0 to 20"):
        StGcn().find([folder])


def kinetics(count: int = 4) -> np.ndarray:
    """Fractions of the image less 0.5, and scores; a joint is missing for three frames, another always."""
    data = np.random.default_rng(0).uniform(-0.5, 0.5, (count, 3, FRAMES, 18, 2)).astype("f4")
    data[:, 2] = np.abs(data[:, 2]) + 0.1
    data[:, :, 5:8, 4] = 0
    data[:, :, :, 17] = 0
    data[:, :, 12:] = 0
    return data


def test_kinetics_is_in_2d_with_scores(tmp_path: Path) -> None:
    labels = {f"{part}_label": ([f"{part}{clip}" for clip in range(4)], [0, 1, 2, 0]) for part in ("train", "val")}
    folder = write(tmp_path / "kinetics-skeleton", "data", train=kinetics(), val=kinetics(), **labels)
    clips, summary = prepared(folder, tmp_path / "set", scores=True)
    assert (clips.layout.name, clips.channels, list(clips.benchmarks)) == ("openpose18", ("x", "y", "score"), ["val"])
    assert clips.frames.tolist() == [12] * 8
    given, joints = kinetics()[0].transpose(3, 1, 2, 0)[:, :12], clips.sequence(0).joints
    seen = given[..., 2] > 0
    np.testing.assert_allclose(joints[seen], given[seen] * (2, 2, 1), rtol=1e-6)
    line = given[:, 4:5, 4, :2] + (given[:, 8:9, 4, :2] - given[:, 4:5, 4, :2]) * np.array([1, 2, 3])[:, None] / 4
    np.testing.assert_allclose(joints[:, 5:8, 4, :2], 2 * line, rtol=1e-5)
    assert not joints[:, 5:8, 4, 2].any()
    assert joints[:, :, 17, :2].all()  # at its neighbour
    assert summary.counts[MISSING_JOINTS] == (8 * 2 * (12 + 3), 8)
    zero, _ = prepared(folder, tmp_path / "zero", missing="zero")
    assert not zero.sequence(0).joints[:, 5:8, 4].any()
    assert zero.channels == ("x", "y")


def test_without_a_part_to_test_on_the_clips_are_for_pretraining(tmp_path: Path) -> None:
    folder = write(tmp_path / "data")
    (folder / "val_data_joint.npy").unlink()
    clips, summary = prepared(folder, tmp_path / "set")
    assert {name: (len(split.train), len(split.test)) for name, split in clips.benchmarks.items()} == {"all": (4, 0)}
    assert "pre-training" in summary.benchmarks["all"].note


def test_labels_that_count_from_1_are_noticed(tmp_path: Path) -> None:
    ntu = {f"{part}_label": (names(part), [1, 2, 3, 1]) for part in ("train", "val")}
    with pytest.raises(InputError, match="the numbers in the clips' names, which count from 1; --first-label 1"):
        StGcn().find([write(tmp_path / "ntu" / "xsub", **ntu)])
    clips, _ = prepared(tmp_path / "ntu" / "xsub", tmp_path / "ntu-set", first_label=1)
    assert (clips.labels.tolist(), clips.classes[0]) == ([0, 1, 2, 0] * 2, "drink water")
    own = {f"{part}_label": ([f"{part}{clip}" for clip in range(4)], [1, 2, 4, 1]) for part in ("train", "val")}
    with pytest.raises(InputError, match=r"from 1 to 4, .*may count from 1; --first-label 1, or --first-label 0"):
        StGcn().find([write(tmp_path / "own", **own)])
    _, summary = prepared(tmp_path / "own", tmp_path / "own-set", first_label=0)
    assert summary.notes == {"classes without a clip": 2}
    with pytest.raises(InputError, match="a label is 0"):
        StGcn(first_label=1).find([write(tmp_path / "zero")])


def test_names_that_repeat_become_numbers(tmp_path: Path) -> None:
    same = {f"{part}_label": (list(range(4)), [0, 1, 2, 0]) for part in ("train", "val")}
    clips, summary = prepared(write(tmp_path / "xsub", **same), tmp_path / "set")
    assert [clip.name for clip in clips.clips[3:5]] == ["train_000003", "val_000000"]
    assert summary.notes == {"names that repeat, replaced by numbers": 4}


def test_parts_have_other_names_too(tmp_path: Path) -> None:
    folder = write(tmp_path / "data")
    for before, after in (("train", "training"), ("val", "Valid")):
        rename(folder, before, after)
    clips, _ = prepared(folder, tmp_path / "set")
    assert [len(part) for part in (clips.benchmarks["val"].train, clips.benchmarks["val"].test)] == [4, 4]


def test_millimetres_and_infinite_numbers_are_bad_clips(tmp_path: Path) -> None:
    data = arrays()
    data[1] *= 1000
    data[2, 0, 0, 0, 0] = np.inf
    data[3, :, 0, 0, 0] = np.nan
    val = arrays(1)
    val[2] = np.nan
    summary = prepare(StGcn(), [write(tmp_path / "xsub", train=data, val=val)], tmp_path / "set", workers=1)
    assert (summary.clips, summary.faults) == (5, {"wrong unit": 1, "not a number": 1})
    assert summary.left_out == 1
    assert summary.counts[MISSING_JOINTS] == (1, 1)
    data[[0, 2, 3]] = data[1]
    clips, _ = prepared(write(tmp_path / "mm" / "xsub", train=data, val=data), tmp_path / "mm-set", scale=0.001)
    with pytest.raises(BadFileError, match=r"a body of at most 0\.\d+ from side to side"):
        prepared(tmp_path / "xsub", tmp_path / "small", scale=0.005)
    np.testing.assert_allclose(clips.sequence(0).joints[:, 0], arrays()[1].transpose(3, 1, 2, 0)[:, 0], rtol=1e-6)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "other joints": ({"train": arrays(joints=21), "val": arrays(joints=21)}, r"V = 21 joints of C = 3.*--layout"),
    "two forms": ({"val": arrays(joints=20)}, "the same C, V and M"),
    "one clip": ({"train": arrays()[0]}, r"\(3, 20, 25, 2\), expected clips of shape \(N, C, T, V, M\)"),
    "other labels": ({"train_label": (names("train", 3), [0, 1, 2])}, "3 names, expected 4"),
    "fewer labels": ({"train_label": (names("train"), [0, 1, 2])}, "3 labels, expected 4"),
    "no pair": ({"train_label": [0, 1, 2, 0]}, "a list of 4, expected two lists"),
    "dictionary": ({"train_label": {"a": 1}}, "a dict, expected two lists"),
    "texts": ({"train_label": (names("train"), ["a"] * 4)}, "label a, expected a class"),
    "halves": ({"train_label": (names("train"), [0.5] * 4)}, "label 0.5"),
    "lines": ({"train_label": (["a\nb"] * 4, [0] * 4)}, "several lines"),
    "objects": ({"train": np.array([{}])}, "an array of object"),
    "crowd": ({"train": np.ones((4, 3, 20, 25, 13), "f4"), "val": np.ones((4, 3, 20, 25, 13), "f4")}, "at most 12"),
    "scores": ({"train": np.full((4, 3, 20, 25, 2), 0.4), "val": np.ones((4, 3, 20, 25, 2))}, "like a score"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    parts, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        prepare(StGcn(), [write(tmp_path / "xsub", **parts)], tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_axes_that_look_like_another_order_are_refused(tmp_path: Path) -> None:
    """(N, M, T, V, C) of two bodies in 3D would be three in 2D."""
    data = arrays().transpose(0, 4, 2, 3, 1)
    folder = write(tmp_path / "xsub", train=data, val=data)
    with pytest.raises(InputError, match="C = 2 numbers"):
        StGcn().find([folder])
    with pytest.raises(BadFileError, match=r"looks like \(N, M, T, V, C\), expected \(N, C, T, V, M\)"):
        StGcn().find([write(tmp_path / "17", train=data[:, :, :, :17], val=data[:, :, :, :17])])


def test_2d_in_pixels_is_refused(tmp_path: Path) -> None:
    data = kinetics()
    data[:, :2] *= 800
    with pytest.raises(BadFileError, match=r"positions up to 399.*, expected fractions of the image less 0\.5"):
        StGcn().find([write(tmp_path / "kinetics", train=data, val=data)])


def test_fractions_that_were_not_moved_to_the_middle_are_refused(tmp_path: Path) -> None:
    data = kinetics()
    data[:, :2] += 0.5 * (data[:, :2] != 0)
    folder = write(tmp_path / "kinetics", train=data, val=data)
    with pytest.raises(BadFileError, match="positions from 0 on, none negative, expected fractions of the image less"):
        StGcn().find([folder])
    assert len(StGcn(scale=1.0).find([folder])) == 2 * len(data)


FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "bones only": (lambda folder: [rename(folder, "joint", "bone")], "holds bones or motion"),
    "no labels": (lambda folder: (folder / "val_label.pkl").unlink(), "found no label file for .*val_data_joint.npy"),
    "two arrays": (lambda folder: np.save(folder / "train_position.npy", arrays()), "which holds the joints of train"),
    "no training": (lambda folder: (folder / "train_data_joint.npy").unlink(), "no array of the training part"),
    "below": (
        lambda folder: folder.rename(folder.parent / "down").rename(folder.parent / "xsub2"),
        "expected a folder",
    ),
}


def rename(folder: Path, before: str, after: str) -> None:
    for path in list(folder.glob(f"*{before}*")):
        path.rename(folder / path.name.replace(before, after))


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_that_lack_something_are_refused(tmp_path: Path, name: str) -> None:
    change, message = FOLDERS[name]
    folder = write(tmp_path / "xsub")
    change(folder)
    with pytest.raises(InputError, match=message):
        StGcn().find([folder])


def test_a_folder_above_names_those_below(tmp_path: Path) -> None:
    folder = write(tmp_path / "ntu" / "xsub")
    with pytest.raises(InputError, match=f"give one of {re.escape(str(folder))}"):
        StGcn().find([tmp_path / "ntu"])
    rename(folder, "train_label", "train_labels")
    files = StGcn().find([folder / "train_data_joint.npy", folder / "val_data_joint.npy"])
    assert len(files) == 8


def test_memory_stays_at_a_clip_and_claims_are_checked(tmp_path: Path) -> None:
    count, clip = 300, np.zeros((3, 300, 25, 2), "f4")
    folder = write(tmp_path / "xsub", train_label=([f"c{i}" for i in range(count)], [0] * count))
    clip[:, :9] = np.random.default_rng(0).normal(size=(3, 1, 25, 2))
    clip[:, 4] = 1.5
    path = folder / "train_data_joint.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (count, *clip.shape)}
        )
        start = file.tell()
        for at in (0, 150, count - 1):  # the rest is a hole
            file.seek(start + at * clip.nbytes)
            file.write(clip.tobytes())
    tracemalloc.start()
    source = StGcn()
    files = source.find([folder])
    assert [len(source.read(files[at])) for at in (0, 1, 150, count - 1)] == [1, 0, 1, 1]
    assert tracemalloc.get_traced_memory()[1] < 20e6  # the array has 54 MB
    tracemalloc.stop()
    with path.open("r+b") as file:
        file.truncate(start + 10 * clip.nbytes)
    with pytest.raises(BadFileError, match="bytes after the header"):
        StGcn().find([folder])


def test_stgcn_is_a_source() -> None:
    assert SOURCES["stgcn"] is StGcn
