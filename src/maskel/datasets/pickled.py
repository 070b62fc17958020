"""Reader for pickles of plain data and numpy arrays, without numpy's own functions.

Arrays stay in the file until they are read. So memory grows with the number of values, which is limited, and not with
the size of the arrays.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from maskel.errors import BadFileError
from maskel.files import DAMAGE, one_line, open_regular
from maskel.pickles import MAX_BYTES, Allowed, Function, InFile, Refused, interpret

MAX_VALUES = 12_000_000
"""Most instructions of a file (`maskel.pickles.Allowed`). NTU RGB+D 120 takes four to nine million."""
MAX_OBJECTS = 1_000_000
"""The same of an array of objects; Human3.6M takes some 40,000."""
MOST_REPEATED = 64 * 2**20
"""Bytes of arrays that a pickle may name more than once."""
IN_MEMORY = 256
"""Bytes above which an array's content stays in the file."""


@dataclass(slots=True)
class _Dtype:
    name: str
    order: str = "="

    def build(self, state: Any) -> None:
        """Set the state of `numpy.dtype`: the byte order, and no structures."""
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise Refused("a numpy type of an unknown form")
        if any(entry is not None for entry in state[2:5]):
            raise Refused("a numpy array of structures")
        self.order = state[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type; only plain numbers are accepted."""
        if self.name[:1] not in "fiub" or self.name[1:] not in ("1", "2", "4", "8"):
            raise Refused(f"a numpy array of type {self.name[:20]!r}, which is no plain number")
        return np.dtype(self.name).newbyteorder("=" if self.order == "|" else self.order)  # type: ignore[arg-type]


@dataclass(slots=True)
class PickledArray:
    """A numpy array of a pickle, whose content may still be in the file.

    Args:
        shape: Its shape.
        objects: The content of an array of objects, where those are read (`read_objects`).
        whole: Where the content is, if that is no file.
    """

    shape: tuple[int, ...] = ()
    _dtype: _Dtype | None = None
    _fortran: bool = False
    _content: bytes | InFile = b""
    objects: list[Any] = field(default_factory=list)
    whole: memoryview | None = None

    def build(self, state: Any) -> None:
        """Set the state of `numpy.ndarray`."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise Refused("a numpy array of an unknown form")
        _, self.shape, self._dtype, self._fortran, content = state
        self._content = content.encode("latin-1") if isinstance(content, str) else content  # Python 2 has no bytes
        self.check()

    def check(self) -> "PickledArray":
        """Return this array; refuses content that does not fit its shape."""
        if not isinstance(self._dtype, _Dtype) or not isinstance(self._content, bytes | InFile):
            raise Refused("a numpy array of objects")
        shape = self.shape
        if not isinstance(shape, tuple) or len(shape) > 8 or not all(type(size) is int and size >= 0 for size in shape):
            raise Refused("a numpy array whose shape is none")
        found = self._content.size if isinstance(self._content, InFile) else len(self._content)
        expected = prod(shape) * self._dtype.dtype.itemsize
        exact = not (isinstance(self._content, InFile) and self._content.as_text)
        if expected > MAX_BYTES or (found != expected if exact else not expected <= found <= 2 * expected):
            raise Refused(f"a numpy array of shape {shape} with {found} bytes")
        return self

    def read(self, path: Path) -> np.ndarray:
        """Read the array from its file.

        Raises:
            BadFileError: If its content does not fit its shape.
        """
        try:
            return self._read(path)
        except ValueError as error:
            raise BadFileError(path, "truncated", str(error), "an array whose content fits its shape") from error

    def _read(self, path: Path) -> np.ndarray:
        stored = self.check()._content
        content: bytes | memoryview
        if not isinstance(stored, InFile):
            content = stored
        elif self.whole is not None:
            content = self.whole[stored.start : stored.start + stored.size]
        else:
            with open_regular(path) as file:
                file.seek(stored.start)
                content = file.read(stored.size)
        if isinstance(stored, InFile) and stored.as_text:
            content = bytes(content).decode().encode("latin-1")
        assert self._dtype is not None
        array = np.frombuffer(content, self._dtype.dtype)
        return array.reshape(self.shape, order="F" if self._fortran else "C")


def refuse_repeated(path: Path, values: Iterable[object]) -> None:
    """Refuse arrays that stand for far more than the file holds, since many clips name the same one.

    Raises:
        BadFileError: If the repeated ones take more than `MOST_REPEATED` bytes.
    """
    arrays = [value for value in values if isinstance(value, PickledArray)]
    own = {id(array._content): array for array in arrays}
    repeated = sum(map(_size, arrays)) - sum(map(_size, own.values()))
    if repeated > MOST_REPEATED:
        found = f"{len(arrays):,} clips of {len(own):,} arrays, which would take {repeated / 2**20:,.0f} MiB more"
        raise BadFileError(path, "wrong count", found, "an array for each clip")


def _size(array: PickledArray) -> int:
    return array._content.size if isinstance(array._content, InFile) else len(array._content)


def read_pickle(path: Path) -> Any:
    """Read a pickle of plain data; arrays come as `PickledArray`.

    Raises:
        BadFileError: If it holds anything else, more than `MAX_VALUES` values, or is damaged.
    """
    allowed = Allowed(_NAMES, _STATES, most_values=MAX_VALUES, in_memory=IN_MEMORY)
    try:
        with open_regular(path) as file:
            return interpret(file, path.stat().st_size, allowed)
    except Refused as refused:
        expected = "containers, numbers, texts and arrays of numbers; nothing else is loaded"
        raise BadFileError(path, "not data", str(refused), expected) from refused
    except DAMAGE as error:
        raise BadFileError(path, "truncated", f"a damaged pickle ({one_line(error)})", "a whole pickle") from error


def read_objects(path: Path, content: BytesIO) -> Any:
    """Read the only object of an array of objects, as ``numpy.savez`` pickles a dictionary.

    Args:
        path: The file, for messages.
        content: A part of it in memory, of which the rest is the pickle; arrays are views of it.

    Raises:
        BadFileError: If it holds anything else, more than `MAX_OBJECTS` values, or is damaged.
    """
    expected = "a dictionary of arrays of numbers; nothing else is loaded"
    whole = content.getbuffer()

    def build(array: PickledArray, state: Any) -> None:
        if isinstance(state, tuple) and len(state) == 5 and isinstance(state[4], list):
            array.objects = state[4]
        else:
            array.build(state)
            array.whole = whole

    def from_buffer(*arguments: Any) -> PickledArray:
        array = _array_from_buffer(*arguments)
        array.whole = whole
        return array

    names = _NAMES | {name: Function(from_buffer) for name in _FROM_BUFFER}
    allowed = Allowed(names, {**_STATES, PickledArray: build}, most_values=MAX_OBJECTS, in_memory=IN_MEMORY)
    try:
        found = interpret(content, len(whole), allowed)
    except Refused as refused:
        raise BadFileError(path, "not data", str(refused), expected) from refused
    except DAMAGE as error:
        raise BadFileError(path, "truncated", f"a damaged pickle ({one_line(error)})", expected) from error
    if not isinstance(found, PickledArray) or len(found.objects) != 1:
        raise BadFileError(path, "not data", "an array of other than one object", expected)
    return found.objects[0]


def one_number(path: Path, value: Any) -> Any:
    """Return the number in an array of one, such as ``np.array(3)``; any other value unchanged.

    Raises:
        BadFileError: If the array's content does not fit its shape.
    """
    if isinstance(value, PickledArray) and prod(value.shape) == 1:
        return value.read(path).reshape(-1)[0].item()
    return value


def _array_of(kind: Any, shape: Any, code: Any) -> PickledArray:
    if shape != (0,):
        raise Refused("a numpy array that is not empty before it is filled")
    return PickledArray()


def _array_from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> PickledArray:
    return PickledArray(shape, dtype, order == "F", content).check()


def _number(dtype: Any, content: Any) -> float | int:
    content = content.encode("latin-1") if isinstance(content, str) else content
    array = PickledArray((), dtype, False, content).check()
    if not isinstance(content, bytes):
        raise Refused("a number of many bytes")
    number: float | int = np.frombuffer(content, dtype.dtype)[0].item()
    return number if array.shape == () else 0


def _encoded(text: Any, encoding: Any) -> bytes | InFile:
    if encoding not in ("latin1", "latin-1"):
        raise Refused(f"bytes in encoding {str(encoding)[:20]!r}")
    return text if isinstance(text, InFile) else text.encode("latin-1")


def _make_dtype(name: Any, align: Any = False, copy: Any = False) -> _Dtype:
    if not isinstance(name, str):
        raise Refused("a numpy type of an unknown form")
    return _Dtype(name)


_FROM_BUFFER = ("numpy.core.numeric _frombuffer", "numpy._core.numeric _frombuffer")
_NAMES = {
    **{f"numpy.{core}.multiarray _reconstruct": Function(_array_of) for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray scalar": Function(_number) for core in ("core", "_core")},
    **{name: Function(_array_from_buffer) for name in _FROM_BUFFER},
    "numpy dtype": Function(_make_dtype),
    "numpy ndarray": np.ndarray,  # only passed to these functions
    "_codecs encode": Function(_encoded),
}
"""Our replacement for each name with which arrays are pickled."""
_STATES: dict[type, Callable[[Any, Any], None]] = {PickledArray: PickledArray.build, _Dtype: _Dtype.build}
