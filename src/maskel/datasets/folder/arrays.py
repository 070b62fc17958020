"""Own recordings as arrays: ``.npy``, ``.npz``, or nested lists of JSON."""

import io
import math
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from maskel.datasets.folder.axes import arrange, settle
from maskel.datasets.folder.pose import MAX_BYTES, ArrayChannels, Form, Pose, check_numbers, check_size, read_bytes
from maskel.datasets.raw_file import READ_FAULTS, bad_file, read_member
from maskel.errors import BadFileError
from maskel.files import DAMAGE, npy_header, one_line, open_archive, open_regular
from maskel.layouts import Layout

_AUTO: dict[int, ArrayChannels] = {2: "xy", 3: "xyz", 4: "xyzs"}

_PARAMETERS = (
    "these are the parameters of SMPL's body model, not positions: run the model (smplx), and save its joints, "
    "(T, 22, 3) for layout smpl22, (T, 52, 3) for smplh52"
)
FOREIGN = {
    "x_train": "prepare npz reads it",
    "poses": _PARAMETERS,
    "pose_body": _PARAMETERS,
    "body_pose": _PARAMETERS,
    "positions_3d": "prepare h36m reads it",
    "positions_2d": "prepare h36m reads it",
}
"""Arrays of archives that are no clip, with the way to read them: AMASS, SMPL, VideoPose3D and MAMP."""


def read_npy(path: Path) -> np.ndarray:
    """Read the array of a ``.npy`` file; pickled objects are refused.

    Raises:
        BadFileError: If it is not a whole file of that format.
    """
    return _parse_npy(path, read_bytes(path))


def read_npz(path: Path) -> np.ndarray:
    """Read the only array of an ``.npz`` archive, or the one called ``joints``.

    Raises:
        BadFileError: If there is no such array, or the archive is damaged or larger unpacked than may be read.
    """
    content = read_bytes(path)
    with bad_file(path, "numpy's .npz"), open_archive(io.BytesIO(content)) as archive:
        names = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
        name = "joints" if len(names) != 1 else next(iter(names))
        if name not in names or (len(names) == 1 and name in FOREIGN):
            expected = "one, or one named joints" + next((f"; {FOREIGN[key]}" for key in FOREIGN if key in names), "")
            raise BadFileError(path, "wrong count", f"arrays {', '.join(names) or 'none'}", expected)
        return _parse_npy(path, read_member(archive, names[name], path, MAX_BYTES, "joints", "bytes unpacked"))


def _parse_npy(path: Path, content: bytes) -> np.ndarray:
    stream = io.BytesIO(content)
    shape, fortran, dtype = read_npy_header(path, stream)
    start = stream.tell()
    if len(content) - start != math.prod(shape) * dtype.itemsize:
        found = f"{len(content) - start} bytes after the header"
        raise BadFileError(path, "truncated", found, f"those of shape {shape} and type {dtype}")
    return np.frombuffer(content, dtype, offset=start).reshape(shape, order="F" if fortran else "C")


def read_npy_header(path: Path, stream: io.BufferedReader | io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read an array's header from a stream: shape, whether the first axis runs fastest, and type.

    Raises:
        BadFileError: If it is no such header, or the array holds anything but real numbers.
    """
    try:
        shape, fortran, dtype = npy_header(stream)
    except DAMAGE as error:
        raise BadFileError(path, "not text", f"no array ({one_line(error)})", "numpy's .npy format") from error
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise BadFileError(path, "not a number", f"an array of {dtype}", "real numbers of at most 64 bits")
    return shape, fortran, dtype


def parse_nested(path: Path, nested: list[Any]) -> np.ndarray:
    """Convert nested lists of numbers (``null`` where missing) to an array.

    Raises:
        BadFileError: If lists of one level differ in length, or hold something else.
    """
    expected = "numbers of shape (T, V, C) or (M, T, V, C)"
    flat, shape = nested, [len(nested)]
    while flat and isinstance(flat[0], list):
        inner = len(flat[0])
        if len(shape) == 4:
            raise BadFileError(path, "wrong count", "lists inside lists, five deep", expected)
        if any(not isinstance(entry, list) or len(entry) != inner for entry in flat):
            raise BadFileError(path, "wrong count", "lists of differing lengths", expected)
        shape.append(inner)
        flat = [value for entry in flat for value in entry]
    if not flat:
        raise BadFileError(path, "empty", "an empty list", expected)
    other = {type(value).__name__ for value in flat} - {"int", "float", "NoneType"}
    if other:
        raise BadFileError(path, "not a number", f"a coordinate of type {min(other)}", "numbers, null where missing")
    try:
        values = np.array([math.nan if value is None else value for value in flat], np.float64)
    except OverflowError as error:
        raise BadFileError(path, "not a number", "a whole number of hundreds of digits", "positions") from error
    return values.reshape(shape)


def numbers_of(channels: ArrayChannels) -> Collection[int]:
    """Return the possible counts of numbers of a joint."""
    return _AUTO if channels == "auto" else (len(channels),)


def settled_axes(paths: Iterable[Path], form: Form) -> tuple[str, ...]:
    """Find the orders of axes, with M and without, that the ``.npy`` files of one set decide together.

    Unreadable files decide nothing; they are reported later, when they are read.
    """
    shapes: dict[int, set[tuple[int, ...]]] = {3: set(), 4: set()}
    for path in paths:
        try:
            with open_regular(path) as stream:
                shape, _, _ = read_npy_header(path, stream)
        except READ_FAULTS:
            continue
        if len(shape) in shapes:
            shapes[len(shape)].add(shape)
    fits = (settle(sorted(alike), len(form.layout), numbers_of(form.channels)) for alike in shapes.values())
    return tuple(orders[0] for orders in fits if len(orders) == 1)


def array_pose(path: Path, array: np.ndarray, form: Form) -> Pose:
    """Convert an array with axes in any order (`arrange`) to a `Pose`.

    Raises:
        BadFileError: If no order fits or several do, or a number is out of range.
    """
    arranged, counts = arrange(path, array, form, numbers_of(form.channels))
    return replace(to_pose(path, arranged, form.layout, form.channels), counts=counts)


def to_pose(path: Path, array: np.ndarray, layout: Layout, channels: ArrayChannels) -> Pose:
    """Convert an array to a `Pose`: divide its last axis into coordinates and score.

    Raises:
        BadFileError: If its shape does not fit layout and channels, or a number is out of range.
    """
    named = _AUTO.get(array.shape[-1] if array.ndim else 0) if channels == "auto" else channels
    numbers = len(named) if named else "2, 3 or 4"
    if array.ndim not in (3, 4) or array.shape[-2] != len(layout) or named is None or array.shape[-1] != len(named):
        expected = f"(T, {len(layout)}, {numbers}) or (M, T, {len(layout)}, {numbers}) for layout {layout.name}"
        raise BadFileError(path, "wrong count", f"an array of shape {array.shape}", expected)
    if array.ndim == 3:
        array = array[np.newaxis]
    check_size(path, *array.shape[:3])
    values = array.astype(np.float64)
    check_numbers(path, values)
    if named.endswith("s"):
        return Pose(values[..., :-1], values[..., -1])
    return Pose(values)
