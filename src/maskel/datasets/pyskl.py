"""The pickles of PYSKL and MMAction2: annotations of clips in 2D or 3D, and the names of each split's clips.

Duan, Wang, Chen, Lin: PYSKL: Towards Good Practices for Skeleton Action Recognition, 2022. A file holds
``dict(split={name: [frame_dir, …]}, annotations=[…])``; an annotation has ``frame_dir``, ``total_frames``, ``label``,
``keypoint`` (M, T, V, C) and, in 2D, ``keypoint_score`` (M, T, V) and ``img_shape`` (height, width) in pixels.
"""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float32

from maskel.datasets.base import RawFile, Source, Split
from maskel.datasets.interchange import MAX_CLASSES, numbered_classes
from maskel.datasets.ntu import ACTIONS, NAME, NTU60, NTU120
from maskel.datasets.pickled import PickledArray, read_pickle
from maskel.datasets.store import SkeletonSet
from maskel.errors import BadFileError, InputError
from maskel.files import replacing
from maskel.layouts import COCO17, KINECT20, NTU25, OPENPOSE18, layout_named
from maskel.sequence import SCORE, XYZ, Clip, SkeletonSequence

LAYOUTS = {2: (COCO17, OPENPOSE18), 3: (NTU25, KINECT20)}
"""Layouts that a file means, by coordinates and number of joints, when the user does not say."""
UNIT_IMAGE = (2, 2)
"""Image on which PYSKL's normalisation is a shift by 1: for normalised joints whose images differ in size."""

Annotation = Mapping[str, Any]


class Pyskl(Source):
    """A pickle in the form of PYSKL and MMAction2; nothing in it is ever run.

    Joints in 2D are in pixels; they become (x - w/2)/(w/2) and (y - h/2)/(h/2), as PYSKL normalises them, so that the
    image spans [-1, 1] and y points down. Joints in 3D are kept as they stand. Bodies of zeros behind the last real
    one are left out. Splits ``xsub_train`` and ``xsub_val`` become benchmark ``xsub``, ``train`` and ``val`` become
    ``val``, ``train1`` and ``test1`` become ``split1``.

    Args:
        layout: Joint layout; by default that of the number of joints (17 in 2D: coco17, 25 in 3D: ntu25, …).
        scores: Keep the detector's scores as a third channel.

    Raises:
        InputError: If there is no such layout.
    """

    name: ClassVar[str] = "pyskl"
    one_process: ClassVar[bool] = True

    def __init__(self, layout: str = "", scores: bool = False) -> None:
        self.asked = layout_named(layout) if layout else None
        self.scores = scores
        self.image: tuple[int, int] | None = None
        self.annotations: Sequence[Annotation] = ()
        self.splits: Mapping[str, Sequence[str]] = {}

    def find(self, roots: Sequence[Path]) -> list[RawFile]:
        """The clips of the one file in ``roots``, in its order.

        Raises:
            InputError: If there is not exactly one file.
            BadFileError: If it holds anything but such annotations and splits.
        """
        if len(roots) != 1 or not roots[0].is_file():
            raise InputError(f"found {', '.join(map(str, roots))}, expected one pickle of PYSKL or MMAction2")
        path = roots[0]
        content = read_pickle(path)
        self.splits, self.annotations = _content(path, content)
        labels = [_label(RawFile(path, _member(at)), clip) for at, clip in enumerate(self.annotations)]
        self._channels(path)
        known = all(NAME.fullmatch(str(clip.get("frame_dir"))) for clip in self.annotations)
        count = max(labels) + 1
        ntu = [source for source in (NTU60, NTU120) if known and count <= len(source.classes)]
        self.classes = ntu[0].classes if ntu else numbered_classes(count)
        self.published = ntu[0].published if ntu else {}
        images = {_image(clip) for clip in self.annotations}
        self.image = images.pop() if len(images) == 1 else None
        return [RawFile(path, _member(at)) for at in range(len(self.annotations))]

    def _channels(self, path: Path) -> None:
        """Layout and channels, from the first clip's shape."""
        first = self.annotations[0].get("keypoint")
        shape = first.shape if isinstance(first, PickledArray) else ()
        if len(shape) != 4 or shape[3] not in LAYOUTS:
            expected = "keypoint of shape (bodies, frames, joints, 2 or 3)"
            raise BadFileError(f"{path}/{_member(0)}", "wrong count", f"shape {shape}", expected)
        joints, coordinates = shape[2:]
        layouts = [layout for layout in LAYOUTS[coordinates] if len(layout) == joints]
        if not self.asked and not layouts:
            raise InputError(f"{path} has {joints} joints in {coordinates}D; say which they are with --layout NAME")
        self.layout = self.asked or layouts[0]
        self.channels = (*XYZ[:coordinates], SCORE) if self.scores else XYZ[:coordinates]

    def read(self, file: RawFile) -> list[SkeletonSequence]:
        """One clip; none if its joints are all zero.

        Raises:
            BadFileError: If the annotation is not what it should be.
        """
        annotation = self.annotations[int(file.member.partition("[")[2].rstrip("]"))]
        coordinates = len(self.channels) - self.scores
        joints = _array(file, annotation, "keypoint", (len(self.layout), coordinates))
        exists = (joints != 0).any(axis=(2, 3))  # (M, T)
        if not exists.any():
            return []
        if coordinates == 2:
            joints = _normalised(file, joints, _image(annotation))
        if self.scores:
            scores = _array(file, annotation, "keypoint_score", (len(self.layout),))
            if scores.shape != joints.shape[:3]:
                raise _wrong(file, f"keypoint_score of shape {scores.shape}", f"{joints.shape[:3]}, as keypoint has")
            joints = np.concatenate((joints, scores[..., None]), axis=3)
        joints[~exists] = 0
        bodies = int(np.flatnonzero(exists.any(axis=1))[-1]) + 1
        return [SkeletonSequence(_clip(file, annotation), joints[:bodies], self.layout)]

    def benchmarks(self, clips: Sequence[Clip]) -> dict[str, Split]:
        """One benchmark for each pair of a training and another split; clips that were left out are not in it."""
        positions = {clip.name: position for position, clip in enumerate(clips)}
        found = {
            name: tuple(positions[clip] for clip in names if clip in positions) for name, names in self.splits.items()
        }
        return {
            benchmark: Split(found[train], found[test])
            for benchmark, (train, test) in _benchmarks(tuple(self.splits)).items()
        }

    def recorded(self) -> dict[str, object]:
        """The options, and the images' height and width where all clips share them."""
        return {"layout": self.layout.name, "scores": self.scores, "img_shape": self.image}


def _benchmarks(splits: Sequence[str]) -> dict[str, tuple[str, str]]:
    """For each benchmark its training and its test split."""
    found = {}
    for train in splits:
        for part in ("val", "test"):
            test = train.replace("train", part)
            if "train" in train and test in splits:
                rest = train.replace("train", "").strip("_")
                other = train.replace("train", "test" if part == "val" else "val") in splits
                name = (
                    f"split{rest}"
                    if rest.isdigit()
                    else "_".join(filter(None, (rest, part if other or not rest else "")))
                )
                found[name] = (train, test)
    return found


def _split_names(benchmark: str) -> tuple[str, str]:
    """Training and test split under which a benchmark is written: what `_benchmarks` reads as it."""
    if benchmark in ("val", "test"):
        return "train", benchmark
    if (number := benchmark.removeprefix("split")).isdigit():
        return f"train{number}", f"test{number}"
    return f"{benchmark}_train", f"{benchmark}_val"


def _member(at: int) -> str:
    return f"annotations[{at}]"


def _wrong(file: RawFile, found: str, expected: str) -> BadFileError:
    return BadFileError(str(file), "wrong count", found, expected)


def _content(path: Path, content: Any) -> tuple[dict[str, list[str]], list[Annotation]]:
    """Splits and annotations."""
    expected = "dict(split={name: [frame_dir, …]}, annotations=[{…}, …]) as PYSKL writes it"
    splits = content.get("split") if isinstance(content, dict) else None
    clips = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(splits, dict) or not isinstance(clips, list):
        raise BadFileError(path, "not data", "something else", expected)
    if not clips or not all(isinstance(clip, dict) for clip in clips):
        raise BadFileError(path, "empty" if not clips else "not data", "no clip or one that is no dictionary", expected)
    for name, names in splits.items():
        if not isinstance(names, list) or not all(isinstance(text, str) for text in (name, *names)):
            raise BadFileError(path, "not data", f"a split {str(name)[:40]!r} that is no list of names", expected)
    return splits, clips


def _label(file: RawFile, annotation: Annotation) -> int:
    label = annotation.get("label")
    if type(label) is not int or not 0 <= label < MAX_CLASSES:
        raise BadFileError(
            str(file), "not a number", f"label {str(label)[:40]}", f"a class from 0 to {MAX_CLASSES - 1}"
        )
    return label


def _image(annotation: Annotation) -> tuple[int, int] | None:
    """Height and width of a clip's image in pixels, where they are known."""
    image = annotation.get("img_shape")
    if isinstance(image, tuple | list) and len(image) == 2 and all(type(size) is int and size > 0 for size in image):
        return image[0], image[1]
    return None


def _array(file: RawFile, annotation: Annotation, name: str, last: tuple[int, ...]) -> Float32[np.ndarray, "..."]:
    """An array of the annotation whose last axes are ``last``, as float32."""
    stored = annotation.get(name)
    expected = f"{name} of shape (bodies, frames, {', '.join(map(str, last))})"
    if not isinstance(stored, PickledArray):
        raise _wrong(file, f"no {name}", expected)
    if len(stored.shape) != 2 + len(last) or stored.shape[2:] != last or 0 in stored.shape:
        raise _wrong(file, f"shape {stored.shape}", expected)
    array = stored.read(file.path)
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = array.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise BadFileError(str(file), "not a number", f"a value in {name} that is no finite float32", "numbers")
    return numbers


def _normalised(
    file: RawFile, joints: Float32[np.ndarray, "m t v 2"], image: tuple[int, int] | None
) -> Float32[np.ndarray, "m t v 2"]:
    """Pixels as parts of half the image, from its centre."""
    if image is None:
        raise _wrong(file, "no img_shape", "the image's (height, width) in pixels, which 2D joints are normalised by")
    half = np.array(image[::-1], dtype=np.float32) / 2  # (width, height)
    return (joints - half) / half


def _clip(file: RawFile, annotation: Annotation) -> Clip:
    name, label = annotation.get("frame_dir"), _label(file, annotation)
    if not isinstance(name, str) or len(name.splitlines()) != 1:
        raise BadFileError(str(file), "bad name", f"frame_dir {str(name)[:40]!r}", "a name of one line")
    match = NAME.fullmatch(name)
    if match is None or int(match[5]) > len(ACTIONS):
        return Clip(name, label)
    setup, camera, performer, replication = (str(int(number)) for number in match.groups()[:4])
    return Clip(name, label, subject=performer, camera=camera, setup=setup, replication=replication)


def write_pyskl(out: Path, clips: SkeletonSet) -> None:
    """Write a prepared set as PYSKL's pickle, one clip in memory: plain containers and numpy arrays only.

    Every benchmark becomes two splits (xsub_train, xsub_val). Joints in 2D are written in pixels of the images that the
    set was prepared from where all had one size, else of an image of 2 x 2 pixels, which PYSKL normalises to the same
    numbers.

    Args:
        out: The file.
        clips: The set.
    """
    recorded = clips.options.get("img_shape") if clips.source == Pyskl.name else None
    image = tuple(recorded) if recorded else UNIT_IMAGE
    names = [clip.name for clip in clips.clips]
    splits = {}
    for benchmark, split in clips.benchmarks.items():
        for name, positions in zip(_split_names(benchmark), (split.train, split.test), strict=True):
            splits[name] = [names[position] for position in positions]
    with replacing(out) as temporary, temporary.open("wb") as file:
        file.write(b"\x80\x03}" + _pickled("split") + _pickled(splits) + b"s" + _pickled("annotations") + b"]")
        for position in range(len(clips)):
            file.write(_pickled_annotation(clips, position, image) + b"a")  # append to the list
        file.write(b"s.")


def _pickled_annotation(clips: SkeletonSet, position: int, image: tuple[int, ...]) -> bytes:
    sequence = clips.sequence(position)
    flat = clips.coordinates == 2
    joints = sequence.joints[..., : clips.coordinates]
    about: dict[str, object] = {
        "frame_dir": sequence.clip.name,
        "label": sequence.clip.label,
        "total_frames": joints.shape[1],
    }
    if flat:
        about |= {"img_shape": image, "original_shape": image}
        half = np.array(image[::-1], dtype=np.float32) / 2
        exists = (sequence.joints != 0).any(axis=(2, 3))[..., None, None]
        joints = np.where(exists, joints * half + half, 0).astype(np.float32)
    arrays = {"keypoint": joints}
    if SCORE in clips.channels:
        arrays["keypoint_score"] = sequence.joints[..., -1]
    elif flat:
        arrays["keypoint_score"] = (sequence.joints != 0).any(axis=3).astype(np.float32)
    return _pickled(about) + b"".join(_pickled(name) + _pickled_array(array) + b"s" for name, array in arrays.items())


def _pickled(value: object) -> bytes:
    """A plain value, without the first and the last instruction. Each numbers what it remembers from 0."""
    return pickle.dumps(value, protocol=3)[2:-1]


def _pickled_array(array: Float32[np.ndarray, "..."]) -> bytes:
    """An array under the names that numpy 1 and 2 know (numpy 2 itself writes one that old versions lack)."""
    call, build = b"R", b"b"
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + _pickled((0,)) + _pickled(b"b") + b"t" + call
    dtype = b"cnumpy\ndtype\n" + _pickled(("f4", False, True)) + call
    dtype += _pickled((3, "<", None, None, None, -1, -1, 0)) + build
    content = _pickled(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return empty + b"(" + _pickled(1) + _pickled(array.shape) + dtype + _pickled(False) + content + b"t" + build
