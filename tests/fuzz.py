"""Damaged and hostile files, thousands of them, through every reader: python tests/fuzz.py [--cases N] [FORMAT ...].

A case is a valid file, changed in a few places that follow from (seed, format, case): bytes; every third time a value
of its structure (repeated, nested, long, huge, not finite, no text); now and then the file itself becomes a device, a
pipe or a sparse file. It passes if the reader gives a result or refuses in a sentence; a traceback, more than
`SECONDS` of processor time or more than `MEMORY` bytes above what the process had before fail it. Each format is read
in a process of its own, so that a crash fails as well.

A new format is one line of `FORMATS`: how a valid one is written, and how it is read.
"""

import argparse
import contextlib
import io
import json
import mmap
import os
import pickle
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
import traceback
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

import own
import published
import tiny
import tracked
from captured import bvh, c3d
from elements import require_safe
from maskel import cli
from maskel.commands.export import export_npz, export_pyskl
from maskel.commands.linear import linear
from maskel.datasets.base import RawFile, Source
from maskel.datasets.etri import Etri
from maskel.datasets.florence import FILE, Florence
from maskel.datasets.folder import Folder
from maskel.datasets.folder.bvh import MOTIONBUILDER
from maskel.datasets.folder.translation import AZURE_NAMES
from maskel.datasets.h36m import H36M
from maskel.datasets.kinetics import KineticsSkeleton
from maskel.datasets.npz import Npz
from maskel.datasets.ntu import NTU60
from maskel.datasets.nw_ucla import NwUcla
from maskel.datasets.pku_mmd import PKU1
from maskel.datasets.pyskl import Pyskl
from maskel.datasets.reading import read_all
from maskel.datasets.stgcn import StGcn
from maskel.datasets.store import SkeletonSet
from maskel.datasets.synthetic import synthesize
from maskel.datasets.toyota import Toyota
from maskel.datasets.utd_mhad import UtdMhad
from maskel.datasets.utkinect import UtKinect
from maskel.errors import BadFileError, InputError
from maskel.layouts import COCO17
from maskel.methods.released import load_release
from maskel.models.loading import load_encoder
from maskel.pictures.report import render
from maskel.training.classifiers import load_classifier
from maskel.training.finished import open_runs
from maskel.training.labelled import read_label_list
from maskel.training.loading import split_positions
from maskel.training.pretrained import load_method
from maskel.training.scores import Scores
from maskel.training.state import read_state
from released import write_checkpoint, write_classifier

SECONDS = 20.0
MEMORY = 1 << 30
HOSTILE = [
    *(b"-1", b"0", b"1e400", b"NaN", b"999999999999", b"9" * 5000, b"1e308", b"", b"\x00", b"\xff\xfe", b"None", b"{}"),
    *(
        b"<script>alert(1)</script>",
        b"&a [*a]",
        b"[" * 2000,
        b"{" * 2000,
        b"../../../etc/passwd",
        b'"',
        b"\n",
        b",",
        b"\r",
    ),
    *(b"\x1b[2J", "\u202e\u2028é".encode(), b"!!python/object/apply:os.abort []", b"__reduce__", b"true", b"\x80\x04"),
]
BODY = own.motion(frames=4)
FLAT = [own.flat(person) for person in own.motion(frames=4, coordinates=2)]
MEDIAPIPE = [{"pose_world_landmarks": own.landmarks(frame)} for frame in own.motion(frames=3, joints=33)]
COCO = [{"image_id": f"{frame:06d}.jpg", "keypoints": person, "score": 0.9} for frame, person in enumerate(FLAT)]
MMPOSE = [{"frame_id": frame, "instances": [{"keypoints": person}]} for frame, person in enumerate(BODY.tolist())]
OPENPOSE = {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": person} for person in FLAT[:2]]}
ULTRALYTICS = own.table([[0, 0.5, 0.5, 0.2, 0.6, *person, 0.8, 4] for person in FLAT[:2]], delimiter=" ")
CSV = own.table([[f"{joint}_{axis}" for joint in COCO17.joints for axis in "xyz"], *BODY.reshape(4, -1).tolist()])
TRACKS = own.table(
    [
        [
            "track",
            "frame_idx",
            "label",
            *(f"{joint}.{part}" for joint in COCO17.joints for part in ("x", "y", "score")),
        ],
        *([f"t{who}", 5 * time, "wave", *own.flat(BODY[time, :, :2] + who)] for who in range(2) for time in range(4)),
    ]
)
LEVELS = (
    own.table(
        [
            ["scorer", *["net"] * 34],
            ["bodyparts", *(joint for joint in COCO17.joints for _ in "xy")],
            ["coords", *"xy" * 17],
            *([f"img{time}.png", *BODY[time, :, :2].ravel().tolist()] for time in range(4)),
        ],
        ";",
    )
    .replace(".", ",")
    .replace(",png", ".png")
)
FLORENCE = published.florence({(1, 1, 1): own.motion(4, 15), (2, 10, 9): own.motion(3, 15)})
AZURE = {
    "frames": [
        {"bodies": [{"body_id": 1, "joint_positions": joints}], "frame_id": frame}
        for frame, joints in enumerate(own.motion(4, 32).tolist())
    ],
    "joint_names": AZURE_NAMES,
}
TRACKED = {"a": own.motion(6, coordinates=2), "b": own.motion(6, coordinates=2) + 2}
Draws = np.random.Generator


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Args:
        make: Writes a valid one, with all that belongs to it, into an empty folder; returns the file to change.
        read: Reads what ``make`` returned.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]


def a_recording(folder: Path) -> Path:
    (folder / "all").mkdir()
    files = synthesize(out=folder / "all", performers=1, replications=1)
    return Path(shutil.copy(files[0], folder / "S001C001P001R001A001.skeleton"))


def a_kinect_file(folder: Path) -> Path:
    file = folder / "a01_s01_e00_v01.json"
    joints = tiny.generated_clip(0, NwUcla.layout).joints[0].round(4).tolist()
    file.write_text(json.dumps({"file_name": "a01_s01_e00_v01", "skeletons": joints, "label": 1}))
    return file


def a_kinect_archive(folder: Path) -> Path:
    file = a_kinect_file(folder)
    with zipfile.ZipFile(folder / "all_sqe.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(file, file.name)
        archive.write(file, "all_sqe/a01_s01_e01_v01.json")
    return folder / "all_sqe.zip"


def a_mat_file(folder: Path) -> Path:
    published.utd_mhad(folder, compressed=False)
    return folder / published.UTD


def kinetics(folder: Path) -> Path:
    body = own.motion(4, 18, 2)
    return published.kinetics_set(folder, train=body, val=body)


def a_pku_recording(name: str) -> Callable[[Path], Path]:
    """One recording with its labels and a split file; ``name`` is the file to change."""

    def make(folder: Path) -> Path:
        joints = tiny.generated_clip(9, PKU1.layout).joints.swapaxes(0, 1)
        lines = [" ".join(f"{number:f}" for number in frame.ravel()) for frame in joints]
        own.write(folder / "skeleton" / "0002-L.txt", "\n ".join(lines) + "\n")
        own.write(folder / "label" / "0002-L.txt", "1,0,4,2\n51,3,5,2\n7,2,30,1\n")
        own.write(folder / "split" / "cross-subject.txt", "Training videos: \n0002-L, 0003-L\nValidation videos: \n")
        return folder / name

    return make


def an_export(name: str, export: Callable[[Path, Path], Path]) -> Callable[[Path], Path]:
    return lambda folder: export(tiny.write_set(folder / "set", train=4, test=2), folder / name)


def stgcn_arrays(name: str) -> Callable[[Path], Path]:
    """ST-GCN's arrays of two clips and their labels; ``name`` is the file to change."""

    def make(folder: Path) -> Path:
        folder = folder / "xsub"
        for side in ("train", "val"):
            clips = np.stack([own.motion(frames=6, joints=25, seed=seed).transpose(2, 0, 1) for seed in range(2)])
            own.write_array(folder / f"{side}_data_joint.npy", (clips[..., np.newaxis] - 0.5).astype("f4"))
            own.write(folder / f"{side}_label.pkl", pickle.dumps(([f"{side}0", f"{side}1"], np.array([0, 1])), 2))
        return folder / name

    return make


def an_own_recording(name: str, content: object) -> Callable[[Path], Path]:
    return lambda folder: own.write(folder / "wave" / name, content)


def a_label_table(folder: Path) -> Path:
    own.write(folder / "wave" / "clip1.json", BODY.tolist())
    return own.write(folder / "tables" / "labels.csv", "file,label,subject,fps\nwave/clip1.json,wave,P1,30\n")


def in_set(name: str) -> Callable[[Path], Path]:
    return lambda folder: tiny.write_set(folder / "set", train=6, test=3) / name


def in_run(name: str) -> Callable[[Path], Path]:
    """A file of a finished linear run, beside the pre-training run that it evaluates."""

    def make(folder: Path) -> Path:
        data = tiny.write_set(folder / "set")
        run = tiny.tiny_pretrain(data, folder / "run", training=tiny.replace(tiny.TRAINING, epochs=1))
        linear(run.path, data, labels=0.8, training=tiny.PROBE, device="cpu", out=folder / "linear")
        return folder / name

    return make


def use_set(file: Path) -> None:
    clips = SkeletonSet.open(file.parent)
    for position in range(len(clips)):
        clips.sequence(position)
    clips.gather(np.arange(len(clips)), clips.max_bodies)
    for benchmark in clips.benchmarks:
        clips.split_hash(benchmark, "train")
    assert len(clips.clips) == len(clips)


def use_source(source: Source, root: Path) -> None:
    """All that ``maskel prepare`` asks of a source."""
    clips = []
    for found in read_all(source, source.find([root]), 1):
        if isinstance(found, BadFileError):
            raise found
        clips += [sequence.clip for sequence in found]
    source.benchmarks(clips)


def use_folder(layout: str) -> Callable[[Path], None]:
    return lambda file: use_source(Folder(layout), file.parents[1])


def use_pku(file: Path) -> None:
    use_source(PKU1(), file.parents[1])


def use_classifier(file: Path) -> None:
    classifier = load_classifier(file)
    classifier.classify(tiny.random_batch(classifier.encoder.layout))


def use_label_list(file: Path) -> None:
    clips = SkeletonSet.open(file.parents[1] / "set")
    read_label_list(file, clips, split_positions(clips, "xsub", "train"))


def use_encoder(file: Path) -> None:
    encoder = load_encoder(file)
    encoder.encode(torch.zeros(1, 1, encoder.config.window, len(encoder.layout), encoder.coordinates))


def use_report(file: Path) -> None:
    page = render(open_runs([file.parent, file.parents[1] / "linear", file.parents[1] / "run"]), 0)
    require_safe(page)  # no name became an element
    page.encode(errors="backslashreplace")


def use_config(file: Path) -> None:
    """As a recipe of pretrain; the set that it names is never there, so that nothing is trained."""
    with contextlib.redirect_stderr(sys.stdout):
        code = cli.main(["pretrain", "--config", str(file), "--data", str(file.parent / "no such set")])
    assert code == 2, f"exit code {code}"


def use_shown(*words: str) -> Callable[[Path], None]:
    """What a command shows of a file moves no cursor and is one sentence if it is refused."""

    def use(file: Path) -> None:
        text = io.StringIO()
        with contextlib.redirect_stderr(text), contextlib.redirect_stdout(text):
            code = cli.main([*words, str(file.parent)])
        assert code in (0, 2), f"exit code {code}\n{text.getvalue()}"
        odd = [letter for letter in text.getvalue() if ord(letter) < 32 and letter != "\n"]
        assert not odd, f"shown: {odd[:5]}"

    return use


FORMATS: dict[str, Format] = {
    "skeleton": Format(a_recording, lambda file: NTU60().read(RawFile(file))),
    "nw_ucla_json": Format(a_kinect_file, lambda file: NwUcla().read(RawFile(file))),
    "nw_ucla_zip": Format(a_kinect_archive, lambda file: use_source(NwUcla(), file)),
    "pku_skeleton": Format(a_pku_recording("skeleton/0002-L.txt"), use_pku),
    "pku_labels": Format(a_pku_recording("label/0002-L.txt"), use_pku),
    "pku_split": Format(a_pku_recording("split/cross-subject.txt"), use_pku),
    "npz": Format(an_export("xsub.npz", export_npz), lambda file: use_source(Npz(), file)),
    "pyskl": Format(an_export("clips.pkl", export_pyskl), lambda file: use_source(Pyskl(), file)),
    "stgcn_data": Format(stgcn_arrays("train_data_joint.npy"), lambda file: use_source(StGcn(), file.parent)),
    "stgcn_labels": Format(stgcn_arrays("val_label.pkl"), lambda file: use_source(StGcn(), file.parent)),
    "utd_mhad": Format(a_mat_file, lambda file: use_source(UtdMhad(), file.parent)),
    "florence": Format(lambda folder: own.write(folder / FILE, FLORENCE), lambda file: use_source(Florence(), file)),
    "utkinect": Format(
        lambda folder: published.utkinect(folder, own.motion(10, 20)),
        lambda file: use_source(UtKinect(), file.parents[1]),
    ),
    "utkinect_labels": Format(
        lambda folder: published.utkinect(folder, own.motion(10, 20)).parents[1] / "actionLabel.txt",
        lambda file: use_source(UtKinect(), file.parent),
    ),
    "etri": Format(
        lambda folder: own.write(folder / Etri.form, published.etri(own.motion(4, 25))),
        lambda file: use_source(Etri(), file.parent),
    ),
    "toyota": Format(
        lambda folder: own.write(folder / Toyota.form, published.smarthome(own.motion(4, 13))),
        lambda file: use_source(Toyota(), file.parent),
    ),
    "kinetics": Format(
        lambda folder: kinetics(folder).with_name("kinetics_train") / "train0.json",
        lambda file: use_source(KineticsSkeleton(), file.parents[1]),
    ),
    "kinetics_labels": Format(kinetics, lambda file: use_source(KineticsSkeleton(), file.parent)),
    "h36m": Format(
        lambda folder: published.h36m(folder / "data.npz", {"S1": {"Eating": own.motion(4, 32).astype("f4")}}),
        lambda file: use_source(H36M(), file),
    ),
    "folder_azure": Format(an_own_recording("a.json", AZURE), use_folder("azure32")),
    "folder_bvh": Format(an_own_recording("a.bvh", bvh(MOTIONBUILDER)), use_folder("smpl22")),
    "folder_c3d": Format(an_own_recording("a.c3d", c3d(own.motion(4, 17), COCO17.joints, "m")), use_folder("coco17")),
    "folder_sleap": Format(lambda folder: tracked.sleap(folder / "wave" / "a.h5", TRACKED), use_folder("coco17")),
    "folder_deeplabcut": Format(
        lambda folder: tracked.deeplabcut(folder / "wave" / "a.h5", TRACKED), use_folder("coco17")
    ),
    "folder_npy": Format(lambda folder: own.write_array(folder / "wave" / "a.npy", BODY), use_folder("coco17")),
    "folder_csv": Format(an_own_recording("a.csv", CSV), use_folder("coco17")),
    "folder_tracks": Format(an_own_recording("a.csv", TRACKS), use_folder("coco17")),
    "folder_levels": Format(an_own_recording("a.csv", LEVELS), use_folder("coco17")),
    "folder_json": Format(an_own_recording("a.json", BODY.tolist()), use_folder("coco17")),
    "folder_mediapipe": Format(an_own_recording("a.json", MEDIAPIPE), use_folder("mediapipe33")),
    "folder_openpose": Format(an_own_recording("a_000000000001_keypoints.json", OPENPOSE), use_folder("coco17")),
    "folder_ultralytics": Format(
        an_own_recording("a_1.txt", ULTRALYTICS),
        lambda file: use_source(Folder("coco17", image_size=(640, 480)), file.parents[1]),
    ),
    "folder_coco": Format(an_own_recording("a.json", COCO), use_folder("coco17")),
    "folder_mmpose": Format(an_own_recording("a.json", MMPOSE), use_folder("coco17")),
    "folder_labels": Format(a_label_table, lambda file: use_source(Folder("coco17", labels=file), file.parents[1])),
    "set_joints": Format(in_set("joints.npy"), use_set),
    "set_segments": Format(in_set("segments.npy"), use_set),
    "set_clips": Format(in_set("clips.csv"), use_set),
    "set_counts": Format(in_set("counts.csv"), use_set),
    "set_splits": Format(in_set("splits.json"), use_set),
    "set_meta": Format(in_set("meta.json"), use_set),
    "encoder": Format(in_run("run/encoder.safetensors"), use_encoder),
    "classifier": Format(in_run("linear/classifier.safetensors"), use_classifier),
    "released": Format(lambda folder: write_checkpoint(folder / "c.pth", "mamp", "model_mamp"), load_release),
    "released_classifier": Format(
        lambda folder: write_classifier(folder / "c.pth", 60, "NTU60_XSub.npz", name="classifier_finetune"),
        use_classifier,
    ),
    "state": Format(in_run("run/last.safetensors"), read_state),
    "scores": Format(in_run("linear/scores.npz"), lambda file: Scores.read(file.parent)),
    "label_list": Format(in_run("linear/labels.csv"), use_label_list),
    "config": Format(in_run("run/config.yaml"), use_config),
    "run_config": Format(in_run("run/config.yaml"), lambda file: load_method(tiny.RunFolder(file.parent))),
    "set_shown": Format(in_set("meta.json"), use_shown("inspect")),
    "splits_shown": Format(in_set("splits.json"), use_shown("inspect")),
    "result_shown": Format(in_run("linear/result.json"), use_shown("results")),
    "report_config": Format(in_run("linear/config.yaml"), use_report),
    "report_result": Format(in_run("linear/result.json"), use_report),
    "report_metrics": Format(in_run("linear/metrics.csv"), use_report),
    "report_predictions": Format(in_run("linear/predictions.csv"), use_report),
}


def changed(content: bytes, draws: Draws) -> bytes:
    """The file with one to four changes: bits, bytes, pieces lost, doubled, moved or cut off, numbers and words."""
    for _ in range(min(4, int(draws.geometric(0.6)))):
        size = len(content)
        # half of the changes fall into the first kilobyte, where headers are
        start = int(draws.integers(0, (min(size, 1024) if draws.random() < 0.5 else size) + 1))
        end = min(size, start + int(draws.integers(1, 64)))
        kind = int(draws.integers(0, 9))
        if kind == 0 and size:
            place = min(start, size - 1)
            content = content[:place] + bytes([content[place] ^ (1 << int(draws.integers(8)))]) + content[place + 1 :]
        elif kind == 1:
            content = content[:start] + draws.bytes(end - start) + content[end:]
        elif kind == 2:
            content = content[:start] + content[end:]
        elif kind == 3:
            content = content[:end] + content[start:end] * int(draws.integers(1, 50)) + content[end:]
        elif kind == 4:
            content = content[:start]
        elif kind == 5:
            other = int(draws.integers(0, size + 1))
            content = content[:start] + content[other : other + end - start] + content[end:]
        elif kind == 6:
            content = content[:start] + HOSTILE[int(draws.integers(len(HOSTILE)))] + content[end:]
        elif kind == 7:
            content = _other_word(content, draws)
        else:
            number = struct.pack("<Q", int(draws.integers(0, 2**63)) >> int(draws.integers(0, 63)))
            content = content[:start] + number + content[start + 8 :]
    return content


def bomb(levels: int) -> bytes:
    """A pickle of tuples in tuples through the memo, 2 ** levels values in 5 bytes a level."""
    steps = (b"h" + bytes([step]) + b"\x86q" + bytes([step + 1]) for step in range(levels))
    return b"\x80\x02K\x01q\x00" + b"".join(steps) + b"."


def odd_value(draws: Draws) -> Any:
    """A value that JSON or YAML can spell and few readers expect."""
    deep: Any = 1
    for _ in range(int(draws.integers(1, 200))):
        deep = [deep] if draws.random() < 0.5 else {"a": deep}
    values = (
        *(10**400, -(10**400), 2**63, -1, 0, float("nan"), float("-inf"), 1e308, True, None, "", [], {}),
        *("a" * 10**6, "\ud800", "\x1b[2J\x07[/red]<script>", "\u202e\u2028", ["a" * 10**5, *"b" * 3000]),
        *(deep, [[]] * 100_000, [{}] * 100_000, {str(key): [] for key in range(10_000)}, [[0] * 100] * 1000),
    )
    return values[int(draws.integers(len(values)))]


def structured(content: bytes, draws: Draws) -> bytes:
    """A file whose structure is whole and in which one value is odd; a line where it has no such structure."""
    for form in (_other_pickle, _other_header, _other_json, _other_tensors, _other_archive, _other_yaml):
        if (made := form(content, draws)) is not None:
            return made
    return _other_line(content, draws)


def _odd_inside(document: Any, draws: Draws) -> Any:
    """A tree of containers in which one value is odd, or stands in many places."""
    place, parent, key = document, None, None
    while isinstance(place, list | dict) and place and (parent is None or draws.random() < 0.8):
        keys = list(place) if isinstance(place, dict) else range(len(place))
        parent, key = place, keys[int(draws.integers(len(keys)))]
        place = parent[key]
    if parent is None:
        return odd_value(draws)
    repeated = isinstance(place, list | dict) and draws.random() < 0.3
    parent[key] = [place] * int(draws.integers(2, 2000)) if repeated else odd_value(draws)
    return document


def _other_pickle(content: bytes, draws: Draws) -> bytes | None:
    if content[:1] != b"\x80":
        return None
    if draws.random() < 0.3:
        return bomb(int(draws.integers(1, 60)))
    document = pickle.loads(content)  # of this program
    document = list(document) if isinstance(document, tuple) else document
    return pickle.dumps(_odd_inside(document, draws), int(draws.integers(2, 5)))


def _other_header(content: bytes, draws: Draws) -> bytes | None:
    """An array in numpy's format whose header claims something odd, or whose numbers are not finite."""
    if content[:6] != b"\x93NUMPY":
        return None
    if draws.random() < 0.2:
        return content[: len(content) // 2] + b"\xff" * (len(content) - len(content) // 2)
    shapes = ("(-4, -17, 3)", "(9223372036854775807, 0, 3)", "(" + "-" * 8000 + "4,)", "(" * 90 + ")" * 90, "()")
    shapes += ("(99999999999999999999,)", "(1048576, 1048576, 3)", "(True, 1)", "(1.5, 2)", "'a'", "(0, 0, 0)")
    kinds = ("<f8", "<f4", "|O", "<M8[s]", "|V99", "<U999999", "|S1", "<c16", "<i1", "|b1")
    shape, kind = shapes[int(draws.integers(len(shapes)))], kinds[int(draws.integers(len(kinds)))]
    head = f"{{'descr': '{kind}', 'fortran_order': {bool(draws.integers(2))}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(head)) + head + content[128:]


def _other_json(content: bytes, draws: Draws) -> bytes | None:
    try:
        return _written_json(_odd_inside(json.loads(content), draws))
    except ValueError:
        return None


def _other_tensors(content: bytes, draws: Draws) -> bytes | None:
    """A file of safetensors with an odd value in its header, or in the JSON of maskel in it."""
    size = int.from_bytes(content[:8], "little")
    if content[8:9] != b"{" or size > len(content) - 8:
        return None
    head = json.loads(content[8 : 8 + size])
    inner = head.get("__metadata__", {}).get("maskel")
    if inner and draws.random() < 0.6:
        head["__metadata__"]["maskel"] = _written_json(_odd_inside(json.loads(inner), draws)).decode()
    else:
        head = _odd_inside(head, draws)
    written = _written_json(head)
    return struct.pack("<Q", len(written)) + written + content[8 + size :]


def _other_archive(content: bytes, draws: Draws) -> bytes | None:
    return in_member(content, draws, structured) if content[:4] == b"PK\x03\x04" else None


def _other_yaml(content: bytes, draws: Draws) -> bytes | None:
    try:
        document = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError):
        return None
    if not isinstance(document, dict):
        return None
    text = yaml.dump(_odd_inside(document, draws), default_flow_style=bool(draws.integers(2)))
    return text.encode(errors="surrogatepass")


def _written_json(document: Any) -> bytes:
    sys.set_int_max_str_digits(0)
    written = json.dumps(document).encode()
    sys.set_int_max_str_digits(4300)
    return written


def _other_line(content: bytes, draws: Draws) -> bytes:
    """A text in which one field of a line is odd, or one line stands very often."""
    lines = content.split(b"\n")
    at = int(draws.integers(len(lines)))
    if draws.random() < 0.3:
        lines[at:at] = [lines[at]] * min(50_000, 2**22 // (len(lines[at]) + 1))
        return b"\n".join(lines)
    fields = re.split(rb"([,; :]+)", lines[at])
    fields[int(draws.integers(len(fields)))] = json.dumps(str(odd_value(draws))[:100_000]).encode()
    lines[at] = b"".join(fields)
    return b"\n".join(lines)


def special(file: Path, draws: Draws) -> None:
    """A device, a pipe or a sparse file of a terabyte in the place of a file."""
    kind = int(draws.integers(3))
    if kind == 0:
        file.symlink_to("/dev/zero")
    elif kind == 1:
        os.mkfifo(file)
    else:
        with file.open("wb") as out:
            out.truncate(2**40)


def in_member(content: bytes, draws: Draws, change: Callable[[bytes, Draws], bytes] = changed) -> bytes:
    """An archive in which one file is changed and the checksums are right."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(written, "w") as out:
        members = archive.infolist()
        chosen = int(draws.integers(len(members)))
        for number, member in enumerate(members):
            inside = archive.read(member)
            out.writestr(member, change(inside, draws) if number == chosen else inside)
    return written.getvalue()


def _other_word(content: bytes, draws: Draws) -> bytes:
    """A number or word replaced by a hostile one, so that the text around it stays valid."""
    letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-_"
    places = [at for at in draws.integers(0, len(content) + 1, 20).tolist() if content[at : at + 1] in letters]
    if not places or not content[places[0] : places[0] + 1]:
        return content
    start = end = places[0]
    while start and content[start - 1] in letters:
        start -= 1
    while end < len(content) and content[end] in letters:
        end += 1
    return content[:start] + HOSTILE[int(draws.integers(len(HOSTILE)))] + content[end:]


class Tally:
    """Counts that outlive the process that counts: cases begun, results given, refusals."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 24)

    def __getitem__(self, place: int) -> int:
        return int(struct.unpack_from("<q", self._shared, 8 * place)[0])

    def add(self, place: int) -> None:
        struct.pack_into("<q", self._shared, 8 * place, self[place] + 1)


def read_cases(name: str, cases: range, seed: int, tally: Tally, log: Path) -> None:
    """Read these cases of a format; failed ones are described in ``log``, their files are kept beside it."""
    torch.set_num_threads(1)
    log.parent.mkdir(parents=True, exist_ok=True)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    with tempfile.TemporaryDirectory() as folder:
        file = FORMATS[name].make(Path(folder))
        FORMATS[name].read(file)  # the valid one; whatever is loaded once is loaded now
        whole, is_archive = file.read_bytes(), zipfile.is_zipfile(file)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        for case in cases:
            tally.add(0)
            draws = np.random.default_rng((seed, zlib.crc32(name.encode()), case))
            change = in_member if case % 2 and is_archive else changed
            file.unlink(missing_ok=True)  # it may be a special one
            if case % 30 == 5:
                special(file, draws)
            else:
                file.write_bytes(structured(whole, draws) if case % 3 == 2 else change(whole, draws))
            signal.setitimer(signal.ITIMER_PROF, SECONDS)  # nobody handles it: the process ends
            try:
                FORMATS[name].read(file)
                tally.add(1)
            except InputError:
                tally.add(2)
            except Exception:  # noqa: BLE001 (whatever else a reader raises is what is looked for)
                keep(log, name, case, file, traceback.format_exc())
            signal.setitimer(signal.ITIMER_PROF, 0)


def keep(log: Path, name: str, case: int, file: Path | None, what: str) -> None:
    with log.open("a") as out:
        out.write(f"== {name} {case}\n{what}\n")
    if file is not None and file.is_file():
        shutil.copy(file, log.parent / f"{name}-{case}-{file.name}")


def fuzz(name: str, cases: int, seed: int, log: Path) -> tuple[int, int, int]:
    """Cases that failed, gave a result, were refused."""
    tally = Tally()
    while tally[0] < cases:
        begun = tally[0]
        child = os.fork()
        if child == 0:
            code = 1
            try:
                read_cases(name, range(begun, cases), seed, tally, log)
                code = 0
            except BaseException:
                keep(log, name, tally[0] - 1, None, traceback.format_exc())
                raise
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            keep(log, name, tally[0] - 1, None, f"the process ended with {code}")
        if tally[0] == begun:  # not one case could be begun
            return cases, 0, 0
    return cases - tally[1] - tally[2], tally[1], tally[2]


def main(arguments: list[str]) -> int:
    """Fuzz formats; the exit code is 1 if a case failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("formats", nargs="*", help=", ".join(FORMATS))
    parser.add_argument("--cases", type=int, default=10_000, help="of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path(tempfile.gettempdir()) / "maskel-fuzz" / "failed.txt")
    given = parser.parse_args(arguments)
    failed = 0
    for name in given.formats or FORMATS:
        bad, right, refused = fuzz(name, given.cases, given.seed, given.log)
        failed += bad
        print(f"{name:20}{given.cases:7} cases: {refused} refused, {right} read, {bad} failed", flush=True)  # noqa: T201
    if failed:
        print(f"{failed} failed: {given.log}")  # noqa: T201
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
