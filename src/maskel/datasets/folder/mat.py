"""Arrays of MATLAB's files (``.mat`` of versions 5 to 7), within bounds.

A file is a header of 128 bytes and elements, each a type, a size and its content. A compressed element is a zlib stream
that holds one element. An element of a matrix holds elements itself: flags, dimensions, name, numbers.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from maskel.datasets.folder.pose import MAX_BYTES, read_bytes
from maskel.datasets.raw_file import bad_file
from maskel.errors import BadFileError

_HEADER = 128
_MOST_ELEMENTS = 100_000
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Type of an element -> its numbers."""
_NUMERIC = range(6, 16)
"""Classes of matrices of plain numbers: double, single, and the whole numbers."""
_COMPLEX = 0x0800
_SAVE = "save(FILE, VARIABLE, '-v7')"
UTD_MHAD = "d_skel"
"""Name of the array of UTD-MHAD's skeletons."""


def read_mat(path: Path) -> np.ndarray:
    """Read the only array of a ``.mat`` file with three axes or more, or the one called ``joints``.

    Raises:
        BadFileError: If there is no such array, or the file is damaged, or larger unpacked than may be read.
    """
    arrays = mat_arrays(path)
    if UTD_MHAD in arrays:
        expected = "joints in a layout's order; maskel prepare utd_mhad reads these, which have an order of their own"
        raise BadFileError(path, "wrong count", f"UTD-MHAD's array {UTD_MHAD}", expected)
    solid = [name for name, array in arrays.items() if array.ndim > 2]
    name = "joints" if len(solid) != 1 or "joints" in arrays else solid[0]
    if name not in arrays:
        found = ", ".join(f"{name[:20]} {array.shape}" for name, array in list(arrays.items())[:6]) or "none"
        raise BadFileError(path, "wrong count", f"arrays of numbers {found}", "one of three or four axes, or joints")
    return arrays[name]


def mat_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of real numbers of a ``.mat`` file; texts, structures and cells are passed over.

    Raises:
        BadFileError: If it is of another version, damaged, or larger unpacked than may be read.
    """
    content = read_bytes(path)
    if content[:8] == b"\x89HDF\r\n\x1a\n" or content[124:126] == b"\x00\x02":
        raise BadFileError(path, "not data", "a .mat file of version 7.3", f"one of version 7: {_SAVE}")
    if len(content) < _HEADER or content[126:128] not in (b"IM", b"MI"):
        raise BadFileError(path, "not data", "no MATLAB file of version 5 to 7", f"one: {_SAVE}")
    order = "<" if content[126:128] == b"IM" else ">"
    arrays: dict[str, np.ndarray] = {}
    room = MAX_BYTES
    with bad_file(path, "a MATLAB file of version 5 to 7"):
        for number, (kind, part) in enumerate(_elements(memoryview(content)[_HEADER:], order)):
            if number == _MOST_ELEMENTS:
                raise ValueError(f"more than {_MOST_ELEMENTS:,} variables")
            if kind == _COMPRESSED:
                unpacked = zlib.decompressobj().decompress(part, room + 1)
                room -= len(unpacked)
                if room < 0:
                    raise ValueError(f"more than {MAX_BYTES} bytes unpacked")
                kind, part = next(_elements(memoryview(unpacked), order))
            if kind == _MATRIX:
                arrays |= _matrix(part, order)
    return arrays


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield type and content of the elements in a row; a small one has both in eight bytes."""
    place = 0
    while place + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        start = place + 8
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
        if start + size > len(content) or (start == place + 4 and size > 4):
            raise ValueError(f"an element of {size} bytes, of which {len(content) - start} follow")
        yield kind, content[start : start + size]
        place = start + size if kind == _COMPRESSED else place + 8 + (0 if start == place + 4 else -(-size // 8) * 8)


def _matrix(content: memoryview, order: str) -> dict[str, np.ndarray]:
    """Return a matrix of real numbers by its name; nothing for one of anything else."""
    elements = _elements(content, order)
    (_, flags), (_, dimensions), (_, name) = (next(elements) for _ in range(3))
    described = int(np.frombuffer(flags, f"{order}u4")[0])
    if (described & 0xFF) not in _NUMERIC or described & _COMPLEX:
        return {}
    shape = tuple(np.frombuffer(dimensions, f"{order}i4").tolist())
    kind, numbers = next(elements)
    array = np.frombuffer(numbers, f"{order}{_NUMBERS[kind]}")
    if len(shape) > 8 or min(shape, default=0) < 0 or math.prod(shape) != len(array):
        raise ValueError(f"a matrix of shape {shape[:8]} with {len(array)} numbers")
    return {bytes(name).decode("latin-1"): array.reshape(shape, order="F")}
