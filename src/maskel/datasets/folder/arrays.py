"""Own recordings as arrays (T, V, C) or (M, T, V, C): ``.npy``, ``.npz``, or nested lists of JSON."""

import io
import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np

from maskel.datasets.folder.pose import MAX_BYTES, Pose, check_numbers, check_size, read_bytes
from maskel.errors import BadFileError
from maskel.layouts import Layout

ArrayChannels = Literal["auto", "xy", "xyz", "xys", "xyzs"]
"""What the last axis of an array holds; ``s`` is the score. ``auto``: 2 numbers xy, 3 xyz, 4 xyzs."""
_AUTO: dict[int, ArrayChannels] = {2: "xy", 3: "xyz", 4: "xyzs"}


def read_npy(path: Path) -> np.ndarray:
    """The array of a ``.npy`` file; pickled objects are refused.

    Raises:
        BadFileError: If it is not a whole file of that format.
    """
    return _parse_npy(path, read_bytes(path))


def read_npz(path: Path) -> np.ndarray:
    """The only array of an ``.npz`` archive, or the one called ``joints``.

    Raises:
        BadFileError: If there is no such array, or the archive is damaged or larger unpacked than may be read.
    """
    content = read_bytes(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
            name = "joints" if len(names) != 1 else next(iter(names))
            if name not in names:
                raise BadFileError(
                    path, "wrong count", f"arrays {', '.join(names) or 'none'}", "one, or one named joints"
                )
            size = archive.getinfo(names[name]).file_size
            if size > MAX_BYTES:
                raise BadFileError(path, "wrong count", f"{size} bytes unpacked", f"at most {MAX_BYTES}")
            with archive.open(names[name]) as stream:
                return _parse_npy(path, stream.read(MAX_BYTES))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise BadFileError(path, "truncated", f"a damaged archive ({error})", "an intact .npz") from error
    except (RuntimeError, NotImplementedError) as error:  # encrypted, packed in an unknown way
        raise BadFileError(path, "not text", f"an archive that cannot be read ({error})", "numpy's .npz") from error


def _parse_npy(path: Path, content: bytes) -> np.ndarray:
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(stream)
    except (ValueError, TypeError, EOFError, SyntaxError, tokenize.TokenError, RecursionError) as error:
        raise BadFileError(path, "not text", f"no array ({error})", "numpy's .npy format") from error
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise BadFileError(path, "not a number", f"an array of {dtype}", "real numbers of at most 64 bits")
    start = stream.tell()
    if len(content) - start != math.prod(shape) * dtype.itemsize:
        found = f"{len(content) - start} bytes after the header"
        raise BadFileError(path, "truncated", found, f"those of shape {shape} and type {dtype}")
    return np.frombuffer(content, dtype, offset=start).reshape(shape, order="F" if fortran else "C")


def parse_nested(path: Path, nested: list[Any]) -> np.ndarray:
    """The array that nested lists of numbers (``null`` where missing) stand for.

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


def to_pose(path: Path, array: np.ndarray, layout: Layout, channels: ArrayChannels) -> Pose:
    """An array as a `Pose`, its last axis divided into coordinates and score.

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
