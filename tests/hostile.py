"""Files of the largest sizes that a reader takes, each made of what costs most: small values, repeated ones, claims.

`benchmarks/reading_limits.py` measures what reading each takes; tests make them small and lower the limits.
"""

import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fuzz
import own
import published
import tiny
from captured import bvh
from maskel.datasets.base import RawFile
from maskel.datasets.etri import Etri
from maskel.datasets.florence import FILE, Florence
from maskel.datasets.folder import Folder
from maskel.datasets.folder.bvh import MOTIONBUILDER
from maskel.datasets.h36m import H36M
from maskel.datasets.kinetics import KineticsSkeleton
from maskel.datasets.npz import Npz
from maskel.datasets.ntu import NTU60, _listed
from maskel.datasets.nw_ucla import NwUcla
from maskel.datasets.pyskl import Pyskl
from maskel.datasets.stgcn import StGcn
from maskel.datasets.store import SkeletonSet
from maskel.datasets.utkinect import UtKinect
from maskel.files import read_json, read_yaml
from maskel.layouts import COCO17
from maskel.methods.released import load_release
from maskel.models.loading import load_encoder
from maskel.training.run import RunFolder
from maskel.training.scores import Scores
from maskel.training.state import read_state

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class Attack:
    """One hostile file.

    Args:
        make: Writes it, with all that belongs to it, into an empty folder, about so many bytes large; returns it.
        read: Reads it.
        most: The size at which it costs most, in bytes.
    """

    make: Callable[[Path, int], Path]
    read: Callable[[Path], Any]
    most: int = 64 * MIB


def filled(path: Path, unit: bytes | str, size: int, head: bytes | str = b"", tail: bytes | str = b"") -> Path:
    """A file of ``size`` bytes at most: a head, one unit again and again, a tail."""
    head, unit, tail = (text.encode() if isinstance(text, str) else text for text in (head, unit, tail))
    path.parent.mkdir(parents=True, exist_ok=True)
    number = max(0, (size - len(head) - len(tail)) // len(unit))
    at_once = max(1, MIB // len(unit))
    with path.open("wb") as out:
        out.write(head)
        for start in range(0, number, at_once):
            out.write(unit * min(at_once, number - start))
        out.write(tail)
    return path


def repeated(name: str, unit: bytes | str, head: bytes | str = b"", tail: bytes | str = b"") -> Callable[..., Path]:
    """Make a file called ``name``, relative to the folder."""
    return lambda folder, size: filled(folder / name, unit, size, head, tail)


def packed(name: str, member: str, unit: bytes, head: bytes = b"", tail: bytes = b"") -> Callable[..., Path]:
    """Make an archive whose member has ``size`` bytes unpacked."""

    def make(folder: Path, size: int) -> Path:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (
            zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open(member, "w", force_zip64=True) as out,
        ):
            out.write(head)
            number = (size - len(head) - len(tail)) // len(unit)
            at_once = max(1, MIB // len(unit))
            for start in range(0, number, at_once):
                out.write(unit * min(at_once, number - start))
            out.write(tail)
        return folder / name

    return make


def many_members(name: str) -> Callable[..., Path]:
    """Make an archive of very many empty members: an entry takes some 100 bytes."""

    def make(folder: Path, size: int) -> Path:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(folder / name, "w") as archive:
            for number in range(size // 100):
                archive.writestr(f"{number}.npy", b"")
        return folder / name

    return make


def npy(shape: tuple[int, ...] | str, kind: str) -> bytes:
    """The header of an array in numpy's format."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


# ------------------------------------------------------------------ pickles
def binary(text: str) -> bytes:
    """A text in a pickle."""
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def plain(value: Any) -> bytes:
    """The instructions of a plain value."""
    return pickle.dumps(value, protocol=3)[2:-1]


def nested_in_memo(levels: int) -> bytes:
    """Tuples of two, each of the one before."""
    return b"K\x01q\x00" + b"".join(b"h" + bytes([level]) + b"\x86q" + bytes([level + 1]) for level in range(levels))


def annotated(**over: bytes) -> bytes:
    """A file of PYSKL with one clip, up to its end, some values replaced."""
    array = pickle.dumps(np.random.default_rng(0).normal(size=(1, 4, 25, 3)).astype("f4"), 3)[2:-1]
    about = {"frame_dir": plain("c0"), "label": plain(0), "total_frames": plain(4), "keypoint": array} | over
    clip = b"}" + b"".join(binary(name) + value + b"s" for name, value in about.items())
    splits = plain({"xsub_train": ["c0"], "xsub_val": ["c0"]})
    return b"\x80\x03}" + binary("split") + splits + b"s" + binary("annotations") + b"](" + clip + b"es."


def in_annotation(key: str, unit: bytes, head: bytes = b"](", tail: bytes = b"e") -> Callable[..., Path]:
    """A file of PYSKL with one value made of many."""

    def make(folder: Path, size: int) -> Path:
        before, after = annotated(**{key: b"PLACE"}).split(b"PLACE")
        return filled(folder / "x.pkl", unit, size, before + head, tail + after)

    return make


def one_array_often(folder: Path, size: int) -> Path:
    """Clips that name one array: ``size`` bytes stand for 300 times as many."""
    array = np.random.default_rng(0).normal(size=(1, max(1, size // 300), 25, 3)).astype("f4")
    clips = [{"frame_dir": f"c{n}", "label": 0, "total_frames": array.shape[1], "keypoint": array} for n in range(300)]
    names = [clip["frame_dir"] for clip in clips]
    content = {"split": {"xsub_train": names[:150], "xsub_val": names[150:]}, "annotations": clips}
    return own.write(folder / "x.pkl", pickle.dumps(content, 3))


# ------------------------------------------------------------------ sets, runs, models
def in_set(name: str, unit: str, head: str = "", tail: str = "", **counts: int) -> Callable[..., Path]:
    """A prepared set with one other file; its description claims as many clips or rows as there are units."""

    def make(folder: Path, size: int) -> Path:
        data = tiny.write_set(folder / "set", train=6, test=3)
        file = filled(data / name, unit, size, head, tail)
        about = json.loads((data / "meta.json").read_text())
        if name == "clips.csv":
            about["counts"]["clips"] = (size - len(head) - len(tail)) // len(unit)
            (data / "meta.json").write_text(json.dumps(about))
        return file

    return make


CLIPS = "name,label,subject,camera,setup,replication,recording,first_frame,end_frame,bodies,frames\n"


def many_clips(folder: Path, size: int) -> Path:
    """A whole set of very many clips of one frame; ``size`` bytes of joints."""
    data = tiny.write_set(folder / "set", train=6, test=3)
    clips = size // 300
    about = json.loads((data / "meta.json").read_text())
    about["counts"] = {"clips": clips, "segments": clips, "rows": clips}
    (data / "meta.json").write_text(json.dumps(about))
    heading = (data / "clips.csv").read_text().partition("\n")[0]
    columns = heading.split(",")
    values = {"label": "0", "bodies": "1", "frames": "1", "first_frame": "0", "end_frame": "0"}
    with (data / "clips.csv").open("w") as out:
        out.write(heading + "\n")
        for clip in range(clips):
            out.write(",".join(f"{clip:x}" if name == "name" else values.get(name, "") for name in columns) + "\n")
    (data / "counts.csv").write_text((data / "counts.csv").read_text().partition("\n")[0] + "\n")
    segments = np.zeros((clips, 4), "<i4")
    segments[:, 0], segments[:, 3] = np.arange(clips), 1
    np.save(data / "segments.npy", segments)
    with (data / "joints.npy").open("wb") as out:
        head = npy((clips, 25, 3), "<f4")
        out.write(head)
        out.truncate(len(head) + clips * 300)
    every = list(range(clips))
    (data / "splits.json").write_text(json.dumps({"xsub": {"train": every, "test": every}}))
    return data / "meta.json"


def sparse_segments(folder: Path, size: int) -> Path:
    """A set that claims ``size`` bytes of segments, in a file that takes no room on the disk."""
    data = tiny.write_set(folder / "set", train=6, test=3)
    about = json.loads((data / "meta.json").read_text())
    about["counts"]["segments"] = size // 16
    (data / "meta.json").write_text(json.dumps(about))
    with (data / "segments.npy").open("wb") as out:
        head = npy((size // 16, 4), "<i4")
        out.write(head)
        out.truncate(len(head) + size // 16 * 16)
    return data / "segments.npy"


def in_run(name: str, unit: str, head: str = "", tail: str = "") -> Callable[..., Path]:
    """A run folder with one other file."""
    return lambda folder, size: filled(folder / "run" / name, unit, size, head, tail)


def tensors(folder: Path, size: int, metadata: dict[str, str] | None = None) -> Path:
    """Very many tensors of no number; the header takes all of the file."""
    text = io.StringIO()
    text.write("{" + (f'"__metadata__":{json.dumps(metadata)},' if metadata else ""))
    number = 0
    while text.tell() < size - 100:
        text.write(f'"{number:x}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}},')
        number += 1
    head = (text.getvalue().rstrip(",") + "}").encode()
    return own.write(folder / "encoder.safetensors", struct.pack("<Q", len(head)) + head)


def long_metadata(unit: str) -> Callable[..., Path]:
    """A file of tensors whose description is JSON of very many values."""

    def make(folder: Path, size: int) -> Path:
        about = json.dumps("[" + unit * (size // (len(unit) + unit.count('"'))) + "0]")
        head = f'{{"__metadata__":{{"maskel":{about}}}}}'.encode()
        return own.write(folder / "encoder.safetensors", struct.pack("<Q", len(head)) + head)

    return make


def checkpoint(content: Callable[[int], bytes]) -> Callable[..., Path]:
    """A file of ``torch.save`` with this pickle."""

    def make(folder: Path, size: int) -> Path:
        with zipfile.ZipFile(folder / "c.pth", "w") as archive:
            archive.writestr("c/data.pkl", b"\x80\x02" + content(size) + b".")
        return folder / "c.pth"

    return make


def scores(claim: str, kind: str = "<f4") -> Callable[..., Path]:
    """The scores of a run whose last array claims a shape; ``size`` bytes of it are there."""

    def make(folder: Path, size: int) -> Path:
        with zipfile.ZipFile(folder / "scores.npz", "w") as archive:
            for name, array in {
                "names": np.array(["a"]),
                "labels": np.zeros(1, int),
                "classes": np.array(["a"]),
            }.items():
                content = io.BytesIO()
                np.save(content, array)
                archive.writestr(f"{name}.npy", content.getvalue())
            archive.writestr("scores.npy", npy(claim.replace("SIZE", str(size // 4)), kind) + bytes(size))
        return folder / "scores.npz"

    return make


# ------------------------------------------------------------------ MATLAB, C3D, BVH, HDF5
def matrix(name: bytes, shape: tuple[int, ...], kind: int, numbers: bytes) -> bytes:
    """An element of a MATLAB file: a matrix."""

    def element(kind: int, content: bytes) -> bytes:
        return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)

    inner = element(6, struct.pack("<II", 6, 0)) + element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, inner + element(1, name) + element(kind, numbers))


MATLAB = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


def many_matrices(folder: Path, size: int) -> Path:
    """Very many matrices of one number, each of another name."""
    with (file := folder / "wave" / "a.mat").parent.mkdir() or file.open("wb") as out:
        out.write(MATLAB)
        for number in range(size // 80):
            out.write(matrix(f"{number:x}".encode(), (1, 1, 1), 2, b"\x01"))
    return file


def compressed_elements(unit: bytes) -> Callable[..., Path]:
    """Very many compressed elements."""
    inner = zlib.compress(unit, 9)
    return repeated("wave/a.mat", struct.pack("<II", 15, len(inner)) + inner, MATLAB)


def c3d_parameters(folder: Path, size: int) -> Path:
    """Very many parameters of one byte, each of another name."""
    head = bytes([2, 0x50]) + bytes(510) + bytes([0, 0, 0, 84])
    head += struct.pack("<bb", 5, -1) + b"POINT" + struct.pack("<hB", 3, 0)
    with (file := folder / "wave" / "a.c3d").parent.mkdir() or file.open("wb") as out:
        out.write(head)
        for number in range((size - len(head)) // 13):
            name = b"%05d" % (number % 100_000)
            out.write(
                struct.pack("<bb", 5, 1 + number // 100_000 % 100) + name + struct.pack("<hbBb", 6, 1, 0, 0)[:5] + b"\0"
            )
    return file


def c3d_labels(width: int) -> Callable[..., Path]:
    """One parameter of very many names of ``width`` letters."""

    def make(folder: Path, size: int) -> Path:
        head = bytearray([2, 0x50]) + bytes(510) + bytes([0, 0, 0, 84])
        head[2:4] = struct.pack("<H", 1000)
        head += struct.pack("<bb", 5, -1) + b"POINT" + struct.pack("<hB", 3, 0)
        sides = (width, 255, 255, max(1, min(255, size // (width * 255 * 255))))
        head += struct.pack("<bb", 6, 1) + b"LABELS" + struct.pack("<hbB", 0, -1, len(sides)) + bytes(sides)
        return filled(folder / "wave" / "a.c3d", b"a", size, bytes(head))

    return make


def bvh_channels(folder: Path, size: int) -> Path:
    """A hierarchy of nodes with very many channels, and a frame or two."""
    words = "Xrotation Yrotation Zrotation ".split()
    each, nodes = max(3, size // 11 // 400), 400
    channels = " ".join(words[n % 3] for n in range(each))
    lines = ["HIERARCHY"]
    for node in range(nodes):
        lines += [f"{'JOINT' if node else 'ROOT'} a{node}", "{", "OFFSET 0 0 0", f"CHANNELS {each} {channels}"]
    lines += ["}"] * nodes + ["MOTION", "Frames: 2", "Frame Time: 0.03"]
    lines += [" ".join(["1"] * (each * nodes))] * 2
    return own.write(folder / "wave" / "a.bvh", "\n".join(lines) + "\n")


def bvh_frames(folder: Path, size: int) -> Path:
    """A body whose file holds very many frames more than it says."""
    text = bvh(MOTIONBUILDER)
    head = text.partition("Frames:")[0] + "Frames: 1\nFrame Time: 0.03\n"
    line = text.strip().rpartition("\n")[2]
    return filled(folder / "wave" / "a.bvh", " ".join("0" for _ in line.split()) + "\n", size, head)


def h5(fill: Callable[[Any, int], None]) -> Callable[..., Path]:
    """An HDF5 file."""

    def make(folder: Path, size: int) -> Path:
        import h5py

        (folder / "wave").mkdir()
        with h5py.File(folder / "wave" / "a.h5", "w") as file:
            fill(file, size)
        return folder / "wave" / "a.h5"

    return make


def h5_bomb(file: Any, size: int) -> None:
    file["node_names"] = np.array(COCO17.joints, "S")
    shape = (1, 2, 17, size // (8 * 34))
    file.create_dataset("tracks", shape, "f8", chunks=(1, 2, 17, shape[3]), compression="gzip", fillvalue=0)[:] = 1.0


def h5_chunk(file: Any, size: int) -> None:
    """Small arrays in a chunk of ``size`` bytes."""
    file["node_names"] = np.array(COCO17.joints, "S")
    big = max(size // (8 * 34), 4)
    wide = file.create_dataset(
        "tracks", (1, 2, 17, 4), "f8", chunks=(1, 2, 17, big), compression="gzip", maxshape=(1, 2, 17, None)
    )
    wide[:] = 1.0


def h5_texts(file: Any, size: int) -> None:
    """One long text that very many entries name."""
    import h5py

    file.create_dataset("node_names", (1000,), h5py.string_dtype())
    file["tracks"] = np.zeros((1, 2, 17, 4))
    file["node_names"][0] = "a" * size
    file.flush()
    raw = file["node_names"].id
    place = raw.get_offset()
    name = Path(file.filename)
    file.close()
    with name.open("r+b") as out:
        out.seek(place)
        first = out.read(16)
        out.seek(place)
        out.write(first * 1000)


def h5_names(file: Any, size: int) -> None:
    for number in range(size // 300):
        file[f"{number:x}"] = 0


# ------------------------------------------------------------------ the table
def source(make_source: Callable[[], Any], up: int = 0) -> Callable[[Path], Any]:
    """Read with a source, of the file or of a folder above it."""
    return lambda file: fuzz.use_source(make_source(), file if up == 0 else file.parents[up - 1])


FOLDER = fuzz.use_folder("coco17")
PERSON = '{"people":[{"pose_keypoints_2d":[' + ",".join(["0.5"] * 51) + "]}]},"
ROW = "[" + ",".join(["[1,2,3]"] * 17) + "],"
CSV_HEAD = ",".join(f"{joint}_{axis}" for joint in COCO17.joints for axis in "xyz") + "\n"
BODY = "1\n7205 0 1 1 1 1 0 0 0 2\n25\n" + "0 1 2 0 0 0 0 0 0 0 0 2\n" * 25
LINES = "0 " * 149 + "0\n"

ATTACKS: dict[str, Attack] = {
    # JSON
    "json_lists": Attack(repeated("a.json", "[],", "[", "0]"), read_json, 20 * MIB),
    "json_dicts": Attack(repeated("a.json", "{},", "[", "0]"), read_json, 10 * MIB),
    "json_texts": Attack(repeated("a.json", '"a",', "[", "0]"), read_json, 40 * MIB),
    "json_keys": Attack(repeated("a.json", '{"a":1},', "[", "0]"), read_json, 24 * MIB),
    "json_ints": Attack(repeated("a.json", "1,", "[", "0]"), read_json, 50 * MIB),
    "json_whole_numbers": Attack(repeated("a.json", "999,", "[", "0]"), read_json),
    "json_floats": Attack(repeated("a.json", "1.5,", "[", "0]"), read_json),
    "json_mixed": Attack(repeated("a.json", '1.5,"\\ud83d\\ude00",99,', "[", "0]"), read_json),
    "folder_json_array": Attack(repeated("wave/a.json", ROW, "[", ROW[:-1] + "]"), FOLDER, 26 * MIB),
    "folder_json_people": Attack(repeated("wave/a.json", PERSON, "[", PERSON[:-1] + "]"), FOLDER, 45 * MIB),
    "folder_json_no_people": Attack(
        repeated("wave/a.json", '{"people":[]},', "[", PERSON[:-1] + "]"), FOLDER, 32 * MIB
    ),
    "folder_json_texts": Attack(repeated("wave/a.json", '"{}",', "[", '"{}"]'), FOLDER, 12 * MIB),
    "folder_json_lists": Attack(repeated("wave/a.json", "[],", "[", "[]]"), FOLDER, 20 * MIB),
    "folder_json_images": Attack(
        repeated("wave/a.json", '{"image_id":1,"keypoints":[1,2,1]},', "[", '{"image_id":1,"keypoints":[1,2,1]}]'),
        FOLDER,
        32 * MIB,
    ),
    "json_lines": Attack(repeated("wave/a.json", PERSON[:-1] + "\n"), FOLDER),
    "nw_ucla": Attack(
        repeated("a01_s01_e00_v01.json", "[" + ",".join(["[1,2,3]"] * 20) + "],", '{"label":1,"skeletons":[', "[]]}"),
        lambda file: NwUcla().read(RawFile(file)),
        16 * MIB,
    ),
    "nw_ucla_members": Attack(many_members("all_sqe.zip"), source(NwUcla), 48 * MIB),
    "nw_ucla_packed": Attack(
        packed("all_sqe.zip", "a01_s01_e00_v01.json", b"[],", b'{"label":1,"skeletons":[', b"[]]}"),
        source(NwUcla),
        16 * MIB,
    ),
    "kinetics_labels": Attack(
        repeated("kinetics_train_label.json", '{"a":1},', '{"a":[', "0]}"), source(KineticsSkeleton, 1), 24 * MIB
    ),
    # YAML
    "yaml_lists": Attack(repeated("a.yaml", "[],", "a: [", "]"), read_yaml, 100_000),
    "yaml_keys": Attack(repeated("a.yaml", "? []\n"), read_yaml, 100_000),
    "yaml_aliases": Attack(repeated("a.yaml", "[],", "a: &a [", "]\nb: [" + "*a," * 10 + "]"), read_yaml, 100_000),
    # text
    "csv_rows": Attack(repeated("wave/a.csv", "1,2\n", "a,b\n"), FOLDER, 8 * MIB),
    "csv_fields": Attack(repeated("wave/a.csv", ",".join(["1"] * 51) + "\n", CSV_HEAD), FOLDER, 18 * MIB),
    "csv_columns": Attack(
        repeated("wave/a.csv", ",".join(["1"] * 49_000) + "\n", ",".join(["c"] * 49_000) + "\n"), FOLDER, 18 * MIB
    ),
    "csv_empty_columns": Attack(repeated("wave/a.csv", "," * 49_000 + "\n", "," * 49_000 + "\n"), FOLDER, 8 * MIB),
    "csv_one_cell": Attack(repeated("wave/a.csv", "a"), FOLDER),
    "csv_quotes": Attack(repeated("wave/a.csv", '"1",', "a,b\n", "\n"), FOLDER, 8 * MIB),
    "csv_spaces": Attack(repeated("wave/a.csv", "1 2\n"), FOLDER, 8 * MIB),
    "csv_long": Attack(repeated("wave/a.csv", "0,nose,1,2\n", "frame,joint,x,y\n"), FOLDER, 13 * MIB),
    "csv_blank_lines": Attack(repeated("wave/a.csv", "\n", CSV_HEAD), FOLDER, 2 * MIB),
    "labels_csv": Attack(
        lambda folder, size: filled(
            own.write(folder / "wave" / "b.json", fuzz.BODY.tolist()).parents[1] / "labels.csv",
            "a,b\n",
            size,
            "file,label\n",
        ),
        source(lambda: Folder("coco17"), 1),
        6 * MIB,
    ),
    "test_list": Attack(
        lambda folder, size: filled(
            own.write(folder / "wave" / "b.json", fuzz.BODY.tolist()).parents[1] / "list.txt", "ab\n", size
        ),
        lambda file: fuzz.use_source(Folder("coco17", test_list=file), file.parent),
        11 * MIB,
    ),
    "missing_list": Attack(repeated("missing.txt", "ab\n"), _listed, 11 * MIB),
    "skeleton_bodies": Attack(
        lambda folder, size: filled(
            folder / "S001C001P001R001A001.skeleton", BODY, size, f"{(size - 20) // len(BODY)}\n"
        ),
        lambda file: NTU60().read(RawFile(file)),
        16 * MIB,
    ),
    "skeleton_bodies_by_line": Attack(
        lambda folder, size: filled(
            folder / "S001C001P001R001A001.skeleton",
            BODY.replace("7205 ", "7205\t"),
            size,
            f"{(size - 20) // len(BODY)}\n",
        ),
        lambda file: NTU60().read(RawFile(file)),
        16 * MIB,
    ),
    "skeleton_empty_frames": Attack(
        repeated("S001C001P001R001A001.skeleton", "0\n", "30000000\n"),
        lambda file: NTU60().read(RawFile(file)),
        16 * MIB,
    ),
    "skeleton_blanks": Attack(
        repeated("S001C001P001R001A001.skeleton", " 00\n", "9\n"), lambda file: NTU60().read(RawFile(file)), 16 * MIB
    ),
    "pku": Attack(
        lambda folder, size: filled(fuzz.a_pku_recording("skeleton/0002-L.txt")(folder), LINES, size),
        fuzz.use_pku,
        32 * MIB,
    ),
    "pku_labels": Attack(
        lambda folder, size: filled(fuzz.a_pku_recording("label/0002-L.txt")(folder), "1,0,4,2\n", size),
        fuzz.use_pku,
        MIB,
    ),
    "florence": Attack(repeated(FILE, "1 1 1 " + "0 " * 44 + "0\n"), source(Florence), 16 * MIB),
    "florence_short_lines": Attack(repeated(FILE, "12\n"), source(Florence), 16 * MIB),
    "utkinect": Attack(
        lambda folder, size: filled(published.utkinect(folder, own.motion(10, 20)), "252 " + "0 " * 59 + "0\n", size),
        source(UtKinect, 2),
        16 * MIB,
    ),
    "utkinect_labels": Attack(
        lambda folder, size: filled(
            published.utkinect(folder, own.motion(10, 20)).parents[1] / "actionLabel.txt",
            "walk: NaN NaN\n",
            size,
            "s01_e01\n",
        ),
        source(UtKinect, 1),
        16 * MIB,
    ),
    "etri": Attack(
        lambda folder, size: filled(
            folder / Etri.form,
            published.etri(own.motion(2, 25)).splitlines()[1] + "\n",
            size,
            published.etri(own.motion(2, 25)).splitlines()[0] + "\n",
        ),
        source(Etri, 1),
        30 * MIB,
    ),
    "bvh_lines": Attack(repeated("wave/a.bvh", "12\n"), fuzz.use_folder("smpl22")),
    "bvh_blank_lines": Attack(repeated("wave/a.bvh", "\n", "HIERARCHY\n"), fuzz.use_folder("smpl22")),
    "bvh_channels": Attack(bvh_channels, fuzz.use_folder("smpl22"), 20 * MIB),
    "bvh_frames": Attack(bvh_frames, fuzz.use_folder("smpl22")),
    "bvh_long": Attack(
        lambda folder, size: own.write(
            bvh_frames(folder, size),
            (text := (folder / "wave/a.bvh").read_text()).replace(
                "Frames: 1\n", f"Frames: {text.count(chr(10) + '0 ')}\n"
            ),
        ),
        fuzz.use_folder("smpl22"),
        10 * MIB,
    ),
    # arrays
    "npy_bytes": Attack(
        lambda folder, size: filled(
            folder / "wave/a.npy", b"\x01\x02\x01", size // 51 * 51 + 128, npy((size // 51, 17, 3), "|i1").ljust(0)
        ),
        FOLDER,
        24 * MIB,
    ),
    "npy_doubles": Attack(
        lambda folder, size: own.write_array(
            folder / "wave/a.npy", np.random.default_rng(0).normal(size=(size // 408, 17, 3))
        ),
        FOLDER,
        63 * MIB,
    ),
    "npy_bodies": Attack(
        lambda folder, size: own.write_array(
            folder / "wave/a.npy", np.random.default_rng(0).integers(0, 9, (12, size // 612, 17, 3)).astype("i1")
        ),
        FOLDER,
        24 * MIB,
    ),
    "npy_gaps": Attack(
        lambda folder, size: own.write_array(
            folder / "wave/a.npy",
            np.where(
                np.arange(size // 204)[:, None, None] % 2,
                np.nan,
                np.random.default_rng(0).normal(size=(size // 204, 17, 3)),
            ).astype("f4"),
        ),
        FOLDER,
        63 * MIB,
    ),
    "npz_packed": Attack(packed("wave/a.npz", "a.npy", bytes(1024), npy((10**6, 17, 3), "<f8")), FOLDER, 2 * GIB),
    "npz_members": Attack(many_members("wave/a.npz"), FOLDER, 48 * MIB),
    "mat_matrices": Attack(many_matrices, FOLDER),
    "mat_packed": Attack(compressed_elements(matrix(b"joints", (MIB, 1, 1), 2, bytes(MIB))), FOLDER, 6 * MIB),
    "mat_compressed": Attack(compressed_elements(matrix(b"a", (1, 1, 1), 2, b"\x01")), FOLDER),
    "mat_small": Attack(repeated("wave/a.mat", struct.pack("<II", 1, 0), MATLAB), FOLDER),
    "c3d_parameters": Attack(c3d_parameters, FOLDER),
    "c3d_labels_1": Attack(c3d_labels(1), FOLDER),
    "c3d_labels_2": Attack(c3d_labels(2), FOLDER),
    "h5_packed": Attack(h5(h5_bomb), FOLDER, 255 * MIB),
    "h5_chunk": Attack(h5(h5_chunk), FOLDER, 3 * GIB),
    "h5_texts": Attack(h5(h5_texts), FOLDER, 32 * MIB),
    "h5_names": Attack(h5(h5_names), FOLDER, 20 * MIB),
    "h36m_packed": Attack(
        packed("data.npz", "positions_3d.npy", b"]", npy((), "|O") + b"\x80\x03(", b"l."), source(H36M), GIB
    ),
    "h36m_texts": Attack(
        packed(
            "data.npz",
            "positions_3d.npy",
            b"X" + struct.pack("<I", 250) + b"a" * 250,
            npy((), "|O") + b"\x80\x03(",
            b"l.",
        ),
        source(H36M),
        GIB,
    ),
    "h36m_arrays": Attack(
        lambda folder, size: published.h36m(
            folder / "data.npz", {f"S{n}": {"Eating": np.zeros((size // 10 // 384, 32, 3), "f4")} for n in range(10)}
        ),
        source(H36M),
        1000 * MIB,
    ),
    "mamp_packed": Attack(
        packed("xsub.npz", "x_train.npy", bytes(1024), npy((1024, MIB // 150, 150), "|i1")), source(Npz), 8 * GIB
    ),
    "mamp_members": Attack(many_members("xsub.npz"), source(Npz), 48 * MIB),
    # pickles
    "pyskl_dicts": Attack(in_annotation("label", b"}"), source(Pyskl)),
    "pyskl_lists": Attack(in_annotation("label", b"]"), source(Pyskl)),
    "pyskl_memo": Attack(in_annotation("label", b"]\x94"), source(Pyskl)),
    "pyskl_nested": Attack(in_annotation("label", b"](", b"", b""), source(Pyskl), 20 * MIB),
    "pyskl_tuples": Attack(in_annotation("label", b"\x85", b"K\x01", b""), source(Pyskl), 20 * MIB),
    "pyskl_texts": Attack(in_annotation("label", binary("a" * 250)), source(Pyskl), 4 * GIB),
    "pyskl_short_texts": Attack(in_annotation("label", binary("ab")), source(Pyskl), 200 * MIB),
    "pyskl_long_texts": Attack(in_annotation("label", binary("a" * MIB)), source(Pyskl), GIB),
    "pyskl_floats": Attack(in_annotation("label", b"G" + struct.pack(">d", 1.5)), source(Pyskl), 200 * MIB),
    "pyskl_digits": Attack(in_annotation("label", b"I" + b"0" * 4000 + b"1\n"), source(Pyskl), 256 * MIB),
    "pyskl_repeated": Attack(in_annotation("label", b"h\x60", plain("a" * 200) + b"q\x60("), source(Pyskl)),
    "pyskl_bomb": Attack(
        lambda folder, size: own.write(folder / "x.pkl", annotated(label=nested_in_memo(60))), source(Pyskl)
    ),
    "pyskl_frames": Attack(in_annotation("label", b"\x95" + bytes(8), b"", b"K\x00"), source(Pyskl), GIB),
    "pyskl_names": Attack(in_annotation("label", b"cnumpy\nndarray\n"), source(Pyskl), 512 * MIB),
    "pyskl_types": Attack(in_annotation("label", b"cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85R"), source(Pyskl), 512 * MIB),
    "pyskl_clips": Attack(
        lambda folder, size: filled(folder / "x.pkl", b"}", size, b"\x80\x03](", b"e."), source(Pyskl), 64 * MIB
    ),
    "pyskl_splits": Attack(
        lambda folder, size: filled(
            folder / "x.pkl",
            binary("a"),
            size,
            b"\x80\x03}" + binary("split") + b"}" + binary("xsub_train") + b"](",
            b"ess" + annotated().partition(b"s" + binary("annotations"))[2].join([binary("annotations"), b""]),
        ),
        source(Pyskl),
        200 * MIB,
    ),
    "pyskl_nested_keypoint": Attack(in_annotation("keypoint", plain([[1.0, 2.0, 3.0]] * 25)), source(Pyskl), 64 * MIB),
    "pyskl_one_array": Attack(one_array_often, source(Pyskl), 64 * MIB),
    "pyskl_objects": Attack(
        lambda folder, size: own.write(
            folder / "x.pkl", annotated(keypoint=pickle.dumps(np.array([[]] * (size // 10) + [1], object), 3)[2:-1])
        ),
        source(Pyskl),
        20 * MIB,
    ),
    "stgcn_labels": Attack(
        lambda folder, size: filled(fuzz.stgcn_arrays("val_label.pkl")(folder), b"}", size, b"\x80\x03(", b"l."),
        source(StGcn, 1),
    ),
    # sets and runs
    "set_clips": Attack(many_clips, lambda file: SkeletonSet.open(file.parent), 300 * 1_000_000),
    "set_clips_rows": Attack(in_set("clips.csv", "," * 9 + "\n"), fuzz.use_set, GIB),
    "set_counts": Attack(in_set("counts.csv", "1,a,1\n", "clip,what,number\n"), fuzz.use_set, 40 * MIB),
    "set_segments": Attack(sparse_segments, fuzz.use_set, 64 * GIB),
    "set_splits": Attack(in_set("splits.json", "1,", '{"xsub":{"train":[', '1],"test":[1]}}'), fuzz.use_set, 50 * MIB),
    "set_benchmarks": Attack(
        in_set("splits.json", '"a":{"train":[],"test":[]},', "{", '"b":{"train":[],"test":[]}}'), fuzz.use_set
    ),
    "set_classes": Attack(in_set("meta.json", '"a",', '{"classes":[', '"a"]}'), fuzz.use_set, 40 * MIB),
    "run_metrics": Attack(in_run("metrics.csv", "1\n", "epoch\n"), lambda file: RunFolder(file.parent).metrics, GIB),
    "run_predictions": Attack(
        in_run("predictions.csv", "a,b\n", "name,class\n"), lambda file: RunFolder(file.parent).predictions, GIB
    ),
    "run_columns": Attack(in_run("metrics.csv", "1,", "", "1\n"), lambda file: RunFolder(file.parent).metrics, GIB),
    "run_result": Attack(in_run("result.json", "1.5,", "[", "1]"), lambda file: RunFolder(file.parent).result),
    "label_list": Attack(
        lambda folder, size: filled(
            tiny.write_set(folder / "set").parent / "linear" / "labels.csv", "ab\n", size, "name\n"
        ),
        fuzz.use_label_list,
    ),
    "scores_claim": Attack(scores("(1, 999999999999)"), lambda file: Scores.read(file.parent), 8 * MIB),
    "scores_large": Attack(scores("(1, SIZE)"), lambda file: Scores.read(file.parent), 511 * MIB),
    "scores_text": Attack(scores("(SIZE,)", "<U1"), lambda file: Scores.read(file.parent), 511 * MIB),
    "encoder_tensors": Attack(tensors, load_encoder, 16 * MIB),
    "encoder_metadata": Attack(long_metadata("[],"), load_encoder, 15 * MIB),
    "encoder_metadata_floats": Attack(long_metadata("1.5,"), load_encoder, 15 * MIB),
    "state_tensors": Attack(tensors, read_state, 16 * MIB),
    "checkpoint_members": Attack(many_members("c.pth"), load_release, 48 * MIB),
    "checkpoint_lists": Attack(checkpoint(lambda size: b"(" + b"]" * size + b"l"), load_release, 4 * MIB),
    "checkpoint_texts": Attack(
        checkpoint(lambda size: b"(" + binary("a" * 80) * (size // 85) + b"l"), load_release, 4 * MIB
    ),
}
