"""Reads a pickle as data: containers, numbers, texts and numpy arrays. Nothing that it names is imported or called.

A pickle is a program for a stack machine. This module interprets the few instructions that plain data need, with
functions of its own in place of numpy's, and refuses the rest. Arrays stay in the file until they are asked for, so
that memory grows with the number of values, of which there is a limit, and not with the size of the arrays.
"""

import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from maskel.errors import BadFileError

MAX_VALUES = 20_000_000
"""Most values of a file, of about 100 bytes each: 2 GB. NTU RGB+D 120's has three million."""
MAX_BYTES = 64 * 2**20
"""Largest single array, text or number."""
IN_MEMORY = 256
"""Bytes from which on an array's content stays in the file."""


@dataclass(frozen=True)
class _Stored:
    """Bytes that stay in the file; ``as_text`` where an old protocol holds them as UTF-8 of Latin-1 characters."""

    start: int
    size: int
    as_text: bool = False


@dataclass
class _Dtype:
    name: str
    order: str = "="

    def build(self, state: Any) -> None:
        """What `numpy.dtype` makes of its state: byte order and nothing of structures."""
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise _Refused("a numpy type of an unknown form")
        if any(entry is not None for entry in state[2:5]):
            raise _Refused("a numpy array of structures")
        self.order = state[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type, if it is one of plain numbers."""
        if self.name[:1] not in "fiub" or self.name[1:] not in ("1", "2", "4", "8"):
            raise _Refused(f"a numpy array of type {self.name[:20]!r}, which is no plain number")
        return np.dtype(self.name).newbyteorder("=" if self.order == "|" else self.order)  # type: ignore[arg-type]


@dataclass
class PickledArray:
    """A numpy array of a pickle; its content may still be in the file.

    Args:
        shape: Its shape.
    """

    shape: tuple[int, ...] = ()
    _dtype: _Dtype | None = None
    _fortran: bool = False
    _content: bytes | _Stored = b""

    def build(self, state: Any) -> None:
        """What `numpy.ndarray` makes of its state."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise _Refused("a numpy array of an unknown form")
        _, self.shape, self._dtype, self._fortran, self._content = state
        self.check()

    def check(self) -> "PickledArray":
        """This array, if its content fits its shape."""
        if not isinstance(self._dtype, _Dtype) or not isinstance(self._content, bytes | _Stored):
            raise _Refused("a numpy array of objects")
        shape = self.shape
        if not isinstance(shape, tuple) or len(shape) > 8 or not all(type(size) is int and size >= 0 for size in shape):
            raise _Refused("a numpy array whose shape is none")
        found = self._content.size if isinstance(self._content, _Stored) else len(self._content)
        expected = prod(shape) * self._dtype.dtype.itemsize
        exact = not (isinstance(self._content, _Stored) and self._content.as_text)
        if expected > MAX_BYTES or (found != expected if exact else not expected <= found <= 2 * expected):
            raise _Refused(f"a numpy array of shape {shape} with {found} bytes")
        return self

    def read(self, path: Path) -> np.ndarray:
        """The array, read from its file.

        Raises:
            BadFileError: If its content is not what it should be.
        """
        try:
            return self._read(path)
        except (_Refused, ValueError) as error:
            raise BadFileError(path, "truncated", str(error), "an array whose content fits its shape") from error

    def _read(self, path: Path) -> np.ndarray:
        content = self.check()._content
        if isinstance(content, _Stored):
            with path.open("rb") as file:
                file.seek(content.start)
                raw = file.read(content.size)
            content = raw.decode().encode("latin-1") if content.as_text else raw
        assert self._dtype is not None
        array = np.frombuffer(content, self._dtype.dtype)
        return array.reshape(self.shape, order="F" if self._fortran else "C")


class _Refused(Exception):
    """What a pickle holds and plain data do not."""


def read_pickle(path: Path) -> Any:
    """What a pickle holds, if that is nothing but plain data; arrays as `PickledArray`.

    Raises:
        BadFileError: If it holds anything else, more than `MAX_VALUES` values, or is damaged.
    """
    try:
        with path.open("rb") as file:
            return _Machine(_Bounded(file, path.stat().st_size)).run()
    except _Refused as refused:
        expected = "containers, numbers, texts and arrays of numbers; nothing else is loaded"
        raise BadFileError(path, "not data", str(refused), expected) from refused
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, UnicodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadFileError(path, "truncated", f"a damaged pickle ({reason})", "a whole pickle") from error


class _Bounded:
    """The file as pickletools reads it, without allocating what is not there."""

    def __init__(self, file: BufferedReader, size: int) -> None:
        self._file, self._size = file, size
        self.tell = file.tell

    def read(self, count: int) -> bytes:
        if count > 8 and (count > MAX_BYTES or count > self._size - self._file.tell()):
            raise ValueError(f"a value of {count} bytes, more than follow or than are read")
        return self._file.read(count)

    def readline(self) -> bytes:
        line = self._file.readline(4096)
        if not line.endswith(b"\n"):
            raise ValueError("a line of more than 4096 bytes, or without an end")
        return line


def _array_of(kind: Any, shape: Any, code: Any) -> PickledArray:
    if shape != (0,):
        raise _Refused("a numpy array that is not empty before it is filled")
    return PickledArray()


def _array_from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> PickledArray:
    return PickledArray(shape, dtype, order == "F", content).check()


def _number(dtype: Any, content: Any) -> float | int:
    array = PickledArray((), dtype, False, content).check()
    if not isinstance(content, bytes):
        raise _Refused("a number of many bytes")
    number: float | int = np.frombuffer(content, dtype.dtype)[0].item()
    return number if array.shape == () else 0


def _encoded(text: Any, encoding: Any) -> bytes | _Stored:
    if encoding not in ("latin1", "latin-1"):
        raise _Refused(f"bytes in encoding {str(encoding)[:20]!r}")
    return text if isinstance(text, _Stored) else text.encode("latin-1")


def _make_dtype(name: Any, align: Any = False, copy: Any = False) -> _Dtype:
    if not isinstance(name, str):
        raise _Refused("a numpy type of an unknown form")
    return _Dtype(name)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{f"numpy.{core}.multiarray _reconstruct": _array_of for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray scalar": _number for core in ("core", "_core")},
    **{f"numpy.{core}.numeric _frombuffer": _array_from_buffer for core in ("core", "_core")},
    "numpy dtype": _make_dtype,
    "_codecs encode": _encoded,
}
"""What stands here for each function that arrays are pickled with."""
_TYPES = frozenset(("numpy ndarray",))
"""Names that are only handed to these functions."""

_NUMBERS = frozenset(("INT", "LONG", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "FLOAT", "BINFLOAT"))
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TEXTS = {"SHORT_BINUNICODE": 2, "BINUNICODE": 5, "BINUNICODE8": 9}
_BYTES = {"SHORT_BINBYTES": 2, "BINBYTES": 5, "BINBYTES8": 9, "BYTEARRAY8": 9}
"""Instruction and bytes before its content."""
_PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_GETS = frozenset(("GET", "BINGET", "LONG_BINGET"))
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class _Name:
    """A name that the pickle wants imported."""

    name: str


class _Machine:
    """The pickle machine, without the instructions that run things."""

    def __init__(self, file: _Bounded) -> None:
        self.file = file
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.values = 0

    def run(self) -> Any:
        """What is on top of the stack at the end."""
        instructions: Iterator[tuple[pickletools.OpcodeInfo, Any, Any]] = pickletools.genops(self.file)  # type: ignore
        for opcode, argument, position in instructions:
            name = opcode.name
            if name in _GETS:
                self.stack.append(self.memo[argument])
            elif name in _PUTS:
                self.remember(argument)
            elif name in _NUMBERS:
                self.push(argument)
            elif name in _TEXTS:
                self.push(argument if len(argument) <= IN_MEMORY else self.stored(position + _TEXTS[name], True))
            elif name in _BYTES:
                kept = len(argument) <= IN_MEMORY
                self.push(bytes(argument) if kept else self.stored(position + _BYTES[name], False))
            elif name in _TUPLES:
                self.push(self.taken(len(self.stack) - _TUPLES[name]))
            elif name in _CONSTANTS:
                self.push(_CONSTANTS[name])
            elif name != "STOP":
                _STEPS.get(name, _refuse)(self, argument if name == "GLOBAL" else name)
        return self.stack.pop()

    def push(self, value: Any) -> None:
        """A new value."""
        self.values += 1
        if self.values > MAX_VALUES:
            raise _Refused(f"more than {MAX_VALUES:,} values")
        self.stack.append(value)

    def remember(self, key: int) -> None:
        """The top of the stack, for a later instruction that asks for it."""
        self.values += key not in self.memo
        self.memo[key] = self.stack[-1]

    def stored(self, start: int, as_text: bool) -> _Stored:
        """The content of the instruction just read, left in the file."""
        return _Stored(start, self.file.tell() - start, as_text)

    def taken(self, start: int) -> tuple[Any, ...]:
        """The values from ``start`` on, taken from the stack."""
        if not 0 <= start <= len(self.stack):
            raise IndexError("too few values")
        values = tuple(self.stack[start:])
        del self.stack[start:]
        return values

    def since_mark(self) -> tuple[Any, ...]:
        """The values since the last mark, taken from the stack."""
        return self.taken(self.marks.pop())

    def name(self, name: str) -> None:
        """A name, if it is one of those that arrays need."""
        if name not in _FUNCTIONS and name not in _TYPES:
            raise _Refused(f"the name {name.replace(' ', '.')[:80]!r}, which a pickle may import and call")
        self.push(_Name(name))

    def stack_name(self) -> None:
        """The name in the two topmost texts."""
        module, name = self.taken(len(self.stack) - 2)
        self.name(f"{module} {name}")

    def call(self) -> None:
        """What stands for a function, of its arguments."""
        function, arguments = self.taken(len(self.stack) - 2)
        if not isinstance(function, _Name) or function.name not in _FUNCTIONS or not isinstance(arguments, tuple):
            raise _Refused("a call of something else than numpy's array functions")
        self.push(_FUNCTIONS[function.name](*arguments))

    def build(self) -> None:
        """The state of an array or its type."""
        (state,) = self.taken(len(self.stack) - 1)
        if not isinstance(self.stack[-1], PickledArray | _Dtype):
            raise _Refused("an object with a state")
        self.stack[-1].build(state)

    def extend(self, values: tuple[Any, ...]) -> None:
        """Appends to the list on top."""
        if not isinstance(self.stack[-1], list):
            raise TypeError("values for something that is no list")
        self.stack[-1].extend(values)

    def update(self, values: tuple[Any, ...]) -> None:
        """Adds keys and values to the dictionary on top."""
        if not isinstance(self.stack[-1], dict):
            raise TypeError("keys for something that is no dictionary")
        if not all(isinstance(key, str) for key in values[::2]):
            raise _Refused("a dictionary with a key that is no text")
        self.stack[-1].update(zip(values[::2], values[1::2], strict=True))


def _refuse(machine: _Machine, name: str) -> None:
    raise _Refused(f"the instruction {name}")


_STEPS: dict[str, Callable[[_Machine, str], None]] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    "GLOBAL": lambda machine, name: machine.name(name),
    "STACK_GLOBAL": lambda machine, _: machine.stack_name(),
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "TUPLE": lambda machine, _: machine.push(machine.since_mark()),
    "LIST": lambda machine, _: machine.push(list(machine.since_mark())),
    "APPEND": lambda machine, _: machine.extend(machine.taken(len(machine.stack) - 1)),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.update(machine.taken(len(machine.stack) - 2)),
    "SETITEMS": lambda machine, _: machine.update(machine.since_mark()),
}
"""What the other instructions do; one that is not here is refused."""
