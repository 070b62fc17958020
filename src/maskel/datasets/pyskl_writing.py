"""Writer of prepared sets as pickles in PYSKL's form, which `maskel.datasets.pyskl` reads."""

import pickle
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from maskel.datasets.pyskl import Pyskl
from maskel.datasets.store import SkeletonSet
from maskel.files import replacing
from maskel.sequence import SCORE, UNLABELLED

UNIT_IMAGE = (2, 2)
"""Image size with which PYSKL's normalisation is a shift by 1; for normalised joints of images that differ in size."""


def write_pyskl(out: Path, dataset: SkeletonSet) -> None:
    """Write a prepared set as PYSKL's pickle, one clip in memory: plain containers and numpy arrays only.

    Clips without a label are left out: the format has no place for them.

    Every benchmark becomes two splits (xsub_train, xsub_val). Joints in 2D are written in pixels of the original images
    if all have one size, else of an image of 2 x 2 pixels, which PYSKL normalises to the same numbers.
    """
    recorded = dataset.options.get("img_shape") if dataset.source == Pyskl.name else None
    image = tuple(recorded) if recorded else UNIT_IMAGE
    names = [clip.name for clip in dataset.clips]
    splits = {}
    for benchmark, split in dataset.benchmarks.items():
        for name, positions in zip(_split_names(benchmark), (split.train, split.test), strict=True):
            splits[name] = [names[position] for position in positions]
    with replacing(out) as temporary, temporary.open("wb") as file:
        file.write(b"\x80\x03}" + _pickled("split") + _pickled(splits) + b"s" + _pickled("annotations") + b"]")
        for position in np.flatnonzero(dataset.labels != UNLABELLED).tolist():
            file.write(_pickled_annotation(dataset, position, image) + b"a")  # append to the list
        file.write(b"s.")


def _pickled_annotation(dataset: SkeletonSet, position: int, image: tuple[int, ...]) -> bytes:
    sequence = dataset.sequence(position)
    flat = dataset.coordinates == 2
    joints = sequence.joints[..., : dataset.coordinates]
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
    if SCORE in dataset.channels:
        arrays["keypoint_score"] = sequence.joints[..., -1]
    elif flat:
        arrays["keypoint_score"] = (sequence.joints != 0).any(axis=3).astype(np.float32)
    return _pickled(about) + b"".join(_pickled(name) + _pickled_array(array) + b"s" for name, array in arrays.items())


def _pickled(value: object) -> bytes:
    """Pickle a plain value, without the first and the last instruction; memo entries count from 0."""
    return pickle.dumps(value, protocol=3)[2:-1]


def _pickled_array(array: Float32[np.ndarray, "..."]) -> bytes:
    """Pickle an array under names that numpy 1 and 2 know (numpy 2 itself writes a name that numpy 1 lacks)."""
    call, build = b"R", b"b"
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + _pickled((0,)) + _pickled(b"b") + b"t" + call
    dtype = b"cnumpy\ndtype\n" + _pickled(("f4", False, True)) + call
    dtype += _pickled((3, "<", None, None, None, -1, -1, 0)) + build
    content = _pickled(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return empty + b"(" + _pickled(1) + _pickled(array.shape) + dtype + _pickled(False) + content + b"t" + build


def _split_names(benchmark: str) -> tuple[str, str]:
    """Return the names of a benchmark's training and test split, as `Pyskl` reads them."""
    if benchmark in ("val", "test"):
        return "train", benchmark
    if (number := benchmark.removeprefix("split")).isdigit():
        return f"train{number}", f"test{number}"
    return f"{benchmark}_train", f"{benchmark}_val"
