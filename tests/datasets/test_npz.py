"""MAMP's npz: what is read is written back bit for bit, and nothing else than such a file is read."""

import io
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskel.commands.export import export_npz
from maskel.commands.prepare import prepare
from maskel.datasets import SOURCES
from maskel.datasets.npz import Npz
from maskel.datasets.ntu import ACTIONS
from maskel.datasets.pku_mmd import PKU2
from maskel.datasets.store import SkeletonSet
from maskel.errors import BadFileError, InputError

FRAMES = 12
Arrays = dict[str, np.ndarray]


def arrays(seed: int = 0, joints: int = 25, classes: int = 60, single_body: str = "zero", dtype: str = "<f4") -> Arrays:
    """Clips of one body or two with zeros in the middle, at the end or in the first body only, or without any."""
    rng = np.random.default_rng(seed)
    made = {}
    for part, clips in (("train", 9), ("test", 5)):
        x = np.zeros((clips, FRAMES, 2, joints * 3), dtype)
        for clip in range(clips):
            frames, bodies = (FRAMES if clip == 1 else 4 + clip % 5), 1 + clip % 2
            x[clip, :frames, :bodies] = rng.normal(size=(frames, bodies, joints * 3))
            x[clip, 2] = 0
            if clip == 3:
                x[clip, 0, 0] = 0
            if bodies == 1 and single_body == "copy":
                x[clip, :, 1] = x[clip, :, 0]
        made[f"x_{part}"] = x.reshape(clips, FRAMES, -1)
        made[f"y_{part}"] = np.eye(classes)[rng.integers(0, classes, clips)]
    return made


def write(path: Path, content: Arrays, save: Callable[..., None] = np.savez) -> Path:
    save(path, **content)
    return path


def prepared(path: Path, out: Path, **options: Any) -> SkeletonSet:
    prepare(Npz(**options), [path], out, workers=2, strict=True)
    return SkeletonSet.open(out)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("single_body", ["zero", "copy"])
def test_what_is_read_is_written_back_bit_for_bit(tmp_path: Path, save: Any, single_body: str) -> None:
    content = arrays(single_body=single_body)
    clips = prepared(write(tmp_path / "NTU60_CS.npz", content, save), tmp_path / "set")
    assert clips.options["single_body"] == single_body
    assert (clips.options["frames"], clips.options["label_dtype"]) == (FRAMES, "<f8")
    assert [len(part) for part in (clips.benchmarks["xsub"].train, clips.benchmarks["xsub"].test)] == [9, 5]
    assert [clip.name for clip in clips.clips][8:10] == ["train_000008", "test_000000"]
    assert clips.classes == ACTIONS[:60]
    assert clips.bodies.tolist() == [1, 2, 1, 2, 1, 2, 1, 2, 1, 1, 2, 1, 2, 1]
    assert clips.frames[:3].tolist() == [4, 12, 6]
    np.savez(tmp_path / "expected.npz", **content)
    export_npz(tmp_path / "set", tmp_path / "out.npz")
    assert (tmp_path / "out.npz").read_bytes() == (tmp_path / "expected.npz").read_bytes()


def test_a_clip_with_one_body_that_differs_from_the_rest_of_its_file_comes_back(tmp_path: Path) -> None:
    for single_body, other in (("copy", "zero"), ("zero", "copy")):
        content = arrays(single_body=single_body)
        content["x_test"] = arrays(seed=1, single_body=other)["x_test"]
        clips = prepared(write(tmp_path / f"a_xview_{other}.npz", content), tmp_path / other)
        assert clips.options["single_body"] == single_body
        export_npz(tmp_path / other, tmp_path / f"{other}.npz", "xview")
        with np.load(tmp_path / f"{other}.npz") as written:
            assert written["x_test"].tobytes() == content["x_test"].tobytes()


def test_other_layouts_and_number_types(tmp_path: Path) -> None:
    content = arrays(joints=20, classes=7, dtype=">f8")
    content = {name: array.astype("i1") if name[0] == "y" else array for name, array in content.items()}
    clips = prepared(write(tmp_path / "mine.npz", content), tmp_path / "set", layout="kinect20", benchmark="fold1")
    assert (clips.layout.name, clips.classes[6], tuple(clips.benchmarks)) == ("kinect20", "class_006", ("fold1",))
    export_npz(tmp_path / "set", tmp_path / "out.npz", "fold1")
    with np.load(tmp_path / "out.npz") as written:
        assert np.array_equal(written["x_train"], content["x_train"].astype(np.float32))
        assert written["y_test"].dtype == np.int8
        assert np.array_equal(written["y_test"], content["y_test"])


@pytest.mark.parametrize(
    ("stem", "benchmark"),
    [
        *(("NTU60_XSub", "xsub"), ("NTU60_XView", "xview"), ("NTU120_XSet", "xset"), ("PKUv1_XSub", "xsub")),
        *(("NTU60_CS", "xsub"), ("NTU60_CV", "xview"), ("NTU120_CSub", "xsub"), ("NTU120_CSet", "xset")),
    ],
)
def test_the_file_says_its_benchmark(tmp_path: Path, stem: str, benchmark: str) -> None:
    source = Npz()
    source.find([write(tmp_path / f"{stem}.npz", arrays())])
    assert source.benchmark == benchmark


def test_pku_files_name_their_classes(tmp_path: Path) -> None:
    source = Npz()
    source.find([write(tmp_path / "PKUv2_XView.npz", arrays(classes=51))])
    assert source.classes == PKU2.classes


def test_a_file_that_does_not_say_its_benchmark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="add --benchmark xsub"):
        Npz().find([write(tmp_path / "mine.npz", arrays())])


def test_all_zero_clips_and_bad_ones_are_left_out_and_counted(tmp_path: Path) -> None:
    content = arrays()
    content["x_train"][2] = 0
    content["x_train"][4, 0, 0] = np.nan
    summary = prepare(Npz(), [write(tmp_path / "NTU60_XSub.npz", content)], tmp_path / "set")
    assert (summary.clips, summary.left_out, summary.faults) == (12, 1, {"not a number": 1})
    assert summary.benchmarks["xsub"].found == (7, 5)
    assert "x_train[4]" in summary.first_faults[0]


def without(name: str) -> Callable[[Arrays], Arrays]:
    return lambda content: {key: array for key, array in content.items() if key != name}


def stgcn(content: Arrays) -> Arrays:
    """The same clips as (N, C, T, V, M)."""
    reshaped = {name: array.reshape(len(array), FRAMES, 2, -1, 3) for name, array in content.items() if name[0] == "x"}
    return content | {name: np.ascontiguousarray(array.transpose(0, 4, 1, 3, 2)) for name, array in reshaped.items()}


@pytest.mark.parametrize("single_body", ["zero", "copy"])
def test_clips_in_the_order_of_stgcn_are_the_same_clips(tmp_path: Path, single_body: str) -> None:
    content = arrays(single_body=single_body)
    flat = prepared(write(tmp_path / "NTU60_CS.npz", content), tmp_path / "flat")
    clips = prepared(write(tmp_path / "five_CS.npz", stgcn(content)), tmp_path / "set")
    assert (clips.bodies.tolist(), clips.frames.tolist()) == (flat.bodies.tolist(), flat.frames.tolist())
    for position in range(len(flat)):
        assert np.array_equal(clips.sequence(position).joints, flat.sequence(position).joints)
    export_npz(tmp_path / "set", tmp_path / "out.npz")
    export_npz(tmp_path / "flat", tmp_path / "expected.npz")
    assert (tmp_path / "out.npz").read_bytes() == (tmp_path / "expected.npz").read_bytes()


def test_classes_without_a_clip_and_millimetres_are_noticed(tmp_path: Path) -> None:
    content = arrays()
    content["x_train"][0] *= 1000
    labels = {name: np.eye(4)[1 + np.arange(len(content[name])) % 3] for name in ("y_train", "y_test")}
    summary = prepare(Npz(), [write(tmp_path / "mine_xsub.npz", content | labels)], tmp_path / "set")
    assert summary.notes == {"classes without a clip": 1}
    assert summary.faults == {"wrong unit": 1}
    assert "multiply millimetres" in summary.first_faults[0]


def test_bodies_in_centimetres_and_a_score_in_the_place_of_z_are_refused(tmp_path: Path) -> None:
    """Centred bodies in centimetres come no further than metres may."""
    content = arrays()
    content["x_test"][1] *= 20
    summary = prepare(Npz(), [write(tmp_path / "mine_xsub.npz", content)], tmp_path / "set")
    assert summary.faults == {"wrong unit": 1}
    assert "bodies of size 1" in summary.first_faults[0]
    scored = np.abs(np.tanh(content["x_train"].reshape(9, FRAMES, 2, 25, 3)))
    with pytest.raises(BadFileError, match="a third number from 0 to 1 throughout, like a score"):
        Npz().find([write(tmp_path / "scored_xsub.npz", content | {"x_train": scored.reshape(9, FRAMES, -1)})])


FAULTS: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    "no labels": (without("y_test"), "no such array, but x_train.npy, y_train.npy, x_test.npy"),
    "no clips": (without("x_train"), "no such array"),
    "other joints": (lambda content: content | arrays(joints=20), r"\(clips, frames, 150\).*--layout"),
    "flat": (lambda content: content | {"x_test": np.zeros(4, "f4")}, "shape"),
    "other frames": (lambda content: content | {"x_test": content["x_test"][:, :5]}, "5 frames a clip.*12, as x_train"),
    "no test clips": (lambda content: content | {"x_test": content["x_test"][:0]}, "at least one clip"),
    "two orders": (lambda content: content | {"x_test": stgcn(content)["x_test"]}, "as x_train has"),
    "fewer labels": (lambda content: content | {"y_test": content["y_test"][:2]}, "one-hot classes of 5 clips"),
    "other classes": (lambda content: content | {"y_test": np.eye(9)[:5]}, "as y_train has"),
    "two classes": (lambda content: content | {"y_test": np.ones((5, 60))}, r"y_test\[0\].*not one-hot"),
    "soft": (lambda content: content | {"y_test": np.full((5, 60), 1 / 60)}, "not one-hot"),
    "nan": (lambda content: content | {"y_test": np.full((5, 60), np.nan)}, "not one-hot"),
    "objects": (lambda content: content | {"x_test": np.array([{}] * 5)}, "cannot be read"),
    "text": (lambda content: content | {"y_test": np.array([["a"] * 60] * 5)}, "cannot be read"),
    "columns first": (lambda content: content | {"x_test": np.asfortranarray(content["x_test"])}, "Fortran"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_no_such_file_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    change, message = FAULTS[name]
    path = write(tmp_path / "NTU60_XSub.npz", change(arrays()))
    with pytest.raises(BadFileError, match=message):
        prepare(Npz(), [path], tmp_path / "set")
    assert list(tmp_path.iterdir()) == [path]


def test_more_than_one_file_or_none_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "NTU60_XSub.npz", arrays())
    for roots in ([path, path], [tmp_path], [tmp_path / "nothing.npz"]):
        with pytest.raises(InputError, match=r"expected one \.npz file"):
            Npz().find(roots)


def with_header(shape: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An npz whose x_train claims a shape and holds ``content``."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    file = io.BytesIO()
    np.savez(file, **without("x_train")(arrays()))
    with zipfile.ZipFile(file, "a", method) as archive:
        member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content
        archive.writestr("x_train.npy", member)
    return file.getvalue()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("(4000000000, 300, 150)", "at most 1,000,000 clips"),
        ("(2, 30000000, 150)", "at most 1,000,000 clips of 67,108,864 bytes"),
        ("(900000, 300, 150)", "bytes, expected 162000000000, for shape"),
        ("(9, -1, 150)", "cannot be read"),
        ("(" * 500, "cannot be read"),
        ("[" * 2000, "cannot be read"),
        ("__import__('os').system('true')", "cannot be read"),
    ],
)
def test_a_claimed_shape_is_checked_before_anything_is_allocated(tmp_path: Path, shape: str, message: str) -> None:
    path = tmp_path / "NTU60_XSub.npz"
    path.write_bytes(with_header(shape, bytes(1000)))
    tracemalloc.start()
    with pytest.raises(BadFileError, match=message):
        Npz().find([path])
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_a_deflated_bomb_is_read_a_clip_at_a_time(tmp_path: Path) -> None:
    """Eight clips of 6 MB each in a file of 50 kB: memory stays at a few clips."""
    content = arrays()
    for part in ("train", "test"):
        content[f"x_{part}"] = np.zeros((4, 10_000, 150), "f4")
        content[f"x_{part}"][:, 7, 3] = 1
        content[f"y_{part}"] = np.eye(60)[:4]
    path = write(tmp_path / "NTU60_XSub.npz", content, np.savez_compressed)
    del content
    tracemalloc.start()
    assert prepared(path, tmp_path / "set").valid_frames.tolist() == [1] * 8
    assert tracemalloc.get_traced_memory()[1] < 30e6
    tracemalloc.stop()


def test_a_lying_directory_is_found_out(tmp_path: Path) -> None:
    """The zip directory says the member is as large as its header claims; the deflated data end early."""
    path = write(tmp_path / "NTU60_XSub.npz", arrays(), np.savez_compressed)
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo("x_train.npy").header_offset
    content = bytearray(path.read_bytes())
    start = offset + 30 + len("x_train.npy") + int.from_bytes(content[offset + 28 : offset + 30], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    short = packer.compress(np.lib.format.magic(1, 0) + bytes(200)) + packer.flush()
    content[start : start + len(short)] = short
    path.write_bytes(bytes(content))
    with pytest.raises(BadFileError):
        prepare(Npz(), [path], tmp_path / "set", strict=True)
    assert list(tmp_path.iterdir()) == [path]


WHOLE = io.BytesIO()
np.savez_compressed(WHOLE, **arrays(classes=3))


@given(
    cut=st.integers(0, 400),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=4),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutated_files_give_a_set_or_a_sentence(tmp_path: Path, cut: int, changes: list[tuple[float, int]]) -> None:
    content = bytearray(WHOLE.getvalue())
    for place, value in changes:
        content[int(place * len(content))] = value
    path = tmp_path / "NTU60_XSub.npz"
    path.write_bytes(bytes(content[: len(content) - max(0, cut - 200)]))
    source = Npz()
    try:
        files = source.find([path])
        for file in files[:: len(files) - 1]:
            assert all(np.isfinite(clip.joints).all() for clip in source.read(file))
    except InputError as error:
        said = str(error)
    else:
        return
    assert said
    assert "\n" not in said


def test_npz_is_a_source() -> None:
    assert SOURCES["npz"] is Npz
