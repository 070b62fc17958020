"""``maskel export``: writes a prepared set, or the model of a run, in a form that other code reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32

from maskel import distributed
from maskel.commands.export_run import export_onnx, export_torch
from maskel.datasets.npz import BODIES, write_npz
from maskel.datasets.pyskl_writing import write_pyskl
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.files import described, free_memory, readable_size, refuse_unwritable, require_disk, stream_of
from maskel.sequence import UNLABELLED, XYZ

PUBLISHED_FRAMES = 300


def export_npz(
    data: Path,
    out: Path,
    benchmark: str = "xsub",
    single_body: Literal["zero", "copy"] | None = None,
    max_frames: int | None = None,
) -> Path:
    """Write one benchmark as the npz that MAMP and CTR-GCN read: x_train, y_train, x_test, y_test.

    Clips with more than two bodies keep the first two, the main actors.

    Args:
        data: A prepared set in 3D.
        out: The file; must not exist.
        benchmark: Name of the benchmark.
        single_body: Second slot of a clip with one body: zeros, or a copy. By default as in the npz that the set was
            prepared from; copies for ntu120, as its published script writes; else zeros.
        max_frames: Frames of every clip, filled up with zeros; by default those of the npz that the set was prepared
            from, or 300. Clips are never cut.

    Raises:
        InputError: If the set is not in 3D or has no such benchmark, a clip is longer, or the file exists or cannot be
            written.
    """
    dataset = _open(data, out)
    if dataset.channels != XYZ:
        raise InputError(
            f"{data} holds {', '.join(dataset.channels)}, but this npz format holds x, y, z; use export pyskl"
        )
    recorded = dataset.options if dataset.source == "npz" else {}
    frames = max_frames or recorded.get("frames", PUBLISHED_FRAMES)
    if type(frames) is not int or frames < 1:
        raise InputError(f"max_frames: found {described(frames)}, expected a whole number of frames, 1 or more")
    single_body = single_body or recorded.get("single_body", "copy" if dataset.source == "ntu120" else "zero")
    parts = {part: dataset.split(benchmark, part) for part in ("train", "test")}
    _say_left_out(int((dataset.labels == UNLABELLED).sum()))
    longest = max(int(dataset.frames[positions].max(initial=0)) for positions in parts.values())
    if longest > frames:
        raise InputError(f"the longest clip of {benchmark} has {longest} frames; use --max-frames {longest} or more")
    width = BODIES * len(dataset.layout) * len(XYZ)
    row = 4 * frames * width
    if 4 * row > free_memory():
        raise InputError(
            f"a clip of {frames:,} frames takes {readable_size(4 * row)} of memory, more than the "
            f"{readable_size(free_memory())} that are free; use a smaller --max-frames, {longest} or more"
        )
    clips = sum(map(len, parts.values()))
    require_disk(out, clips * (row + len(dataset.classes)), f"the {clips:,} clips of {out}")

    def rows(part: str) -> Iterator[Float32[np.ndarray, "t w"]]:
        for position in parts[part].tolist():
            joints = dataset.sequence(position).joints[:BODIES].swapaxes(0, 1)  # (T, M, V, C)
            row = np.zeros((frames, BODIES, width // BODIES), dtype=np.float32)
            row[: len(joints), : joints.shape[1]] = joints.reshape(*joints.shape[:2], -1)
            if joints.shape[1] == 1 and single_body == "copy":
                row[:, 1] = row[:, 0]
            yield row.reshape(frames, width)

    arrays = {part: (rows(part), dataset.labels[positions]) for part, positions in parts.items()}
    write_npz(out, arrays, frames, width, len(dataset.classes), recorded.get("label_dtype", "<f8"))
    return out


def export_pyskl(data: Path, out: Path) -> Path:
    """Write all benchmarks as the pickle that PYSKL and MMAction2 read.

    Args:
        data: A prepared set.
        out: The file; must not exist.

    Raises:
        InputError: If the file exists or cannot be written.
    """
    dataset = _open(data, out)
    _say_left_out(int((dataset.labels == UNLABELLED).sum()))
    each = 4 * len(dataset.layout) * len(dataset.channels)  # bytes of a body in a frame
    labelled = dataset.labels != UNLABELLED
    body_frames = (dataset.bodies * dataset.frames)[labelled]
    require_disk(out, int(body_frames.sum()) * each, f"the {int(labelled.sum()):,} clips of {out}")
    write_pyskl(out, dataset)
    return out


def _say_left_out(num_clips: int) -> None:
    if num_clips:
        distributed.notify(f"left out: {num_clips:,} clips without a label, which this format cannot hold")


def _open(data: Path, out: Path) -> SkeletonSet:
    dataset = SkeletonSet.open(data)
    if out.exists() and stream_of(out) is None:
        raise InputError(f"{out} exists already; remove it or choose another name")
    refuse_unwritable(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    return dataset


FORMATS = {"npz": export_npz, "pyskl": export_pyskl, "onnx": export_onnx, "torch": export_torch}
"""Every form to write, by its name on the command line."""
