"""Interpreter for pickles of unknown origin. Nothing named in a pickle is imported or called.

A pickle is a program for a stack machine. This machine knows the instructions for containers, numbers and texts. It
passes names, calls and states to the reader's own functions, and refuses all other instructions.
"""

import pickletools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader, BytesIO
from typing import Any

MAX_BYTES = 64 * 2**20
"""Largest single text, number or array of bytes."""


class Refused(ValueError):
    """A pickle needs something that its reader does not allow."""


@dataclass(frozen=True)
class Function:
    """Our replacement for a global named in the pickle; nothing else is callable."""

    call: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class InFile:
    """Bytes that stay in the file; ``as_text`` if an old protocol stores them as UTF-8 of Latin-1 characters."""

    start: int
    size: int
    as_text: bool = False


@dataclass(frozen=True)
class Allowed:
    """Items that a reader allows in a pickle besides plain containers, numbers, texts and bytes.

    Args:
        names: Replacement of each name ("module name"): a `Function`, or a value that is only passed on.
        states: Function that sets the state of an object, by its type.
        identity: Function that resolves a persistent id; without it none are allowed.
        most_values: Most instructions; a list, a dictionary and the result of a call count twice, a name three
            times, a value that is repeated as often as it stands. Each takes 90 bytes of memory at most.
        in_memory: Bytes above which a text or bytes stay in the file, as `InFile`; without it none do.
    """

    names: Mapping[str, Any]
    states: Mapping[type, Callable[[Any, Any], None]]
    identity: Callable[[Any], Any] | None = None
    most_values: int = 50_000
    in_memory: int | None = None


def interpret(file: BufferedReader | BytesIO, size: int, allowed: Allowed) -> Any:
    """Return the value that a pickle describes.

    Args:
        file: The pickle, from its start.
        size: Its size in bytes.
        allowed: The allowed items.

    Raises:
        Refused: If it needs anything else.
        ValueError: If it is damaged.
    """
    try:
        return _Machine(_Bounded(file, size), allowed).run()
    except (AttributeError, LookupError, OverflowError, TypeError) as fault:
        raise ValueError(str(fault)) from fault


class _Bounded:
    """File for pickletools that never allocates more bytes than the file has."""

    def __init__(self, file: BufferedReader | BytesIO, size: int) -> None:
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


_NUMBERS = frozenset(("INT", "LONG", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "FLOAT", "BINFLOAT"))
_TEXTS = {"SHORT_BINUNICODE": 2, "BINUNICODE": 5, "BINUNICODE8": 9}
_BYTES = {
    **{"SHORT_BINBYTES": 2, "BINBYTES": 5, "BINBYTES8": 9, "BYTEARRAY8": 9},
    **{"SHORT_BINSTRING": 2, "BINSTRING": 5},  # Python 2's texts are bytes; the third form, STRING, is a short line
}
"""Instruction -> number of bytes before its content."""
_PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_GETS = frozenset(("GET", "BINGET", "LONG_BINGET"))
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass
class _Machine:
    """The pickle machine, without the instructions that run code."""

    file: _Bounded
    allowed: Allowed
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    shared: dict[int, Any] = field(default_factory=dict)
    """Containers that stand in two places, by id."""
    weights: dict[int, int] = field(default_factory=dict)
    """Values that they stand for; none of them grows any more."""
    values: int = 0

    def run(self) -> Any:
        """Run the pickle and return the value on the stack at its end."""
        instructions: Iterator[tuple[pickletools.OpcodeInfo, Any, Any]] = pickletools.genops(self.file)  # type: ignore
        for opcode, argument, position in instructions:
            self.count()
            _STEPS.get(opcode.name, _refuse)(self, argument, position, opcode.name)
        (content,) = self.stack
        return content

    def count(self, more: int = 1) -> None:
        """Count more values; refuses too many."""
        self.values += more
        if self.values > self.allowed.most_values:
            raise Refused(f"more than {self.allowed.most_values:,} values")

    def push_object(self, value: Any) -> None:
        """Push a value that takes more memory than others."""
        self.count()
        self.stack.append(value)

    def push_again(self, value: Any) -> None:
        """Push a remembered value on the stack; its content counts again, so that few bytes stay few values."""
        if not isinstance(value, list | tuple | dict):
            self.count(len(value) // 100 if isinstance(value, str | bytes) else 0)
            self.stack.append(value)
            return
        if id(value) not in self.weights:
            before, waiting = self.values, [value]
            while waiting:
                entry = waiting.pop()
                self.count(self.weights.get(id(entry), 1))
                if isinstance(entry, list | tuple | dict) and id(entry) not in self.weights:
                    self.shared[id(entry)] = entry
                    waiting += entry.values() if isinstance(entry, dict) else entry
            self.weights[id(value)] = self.values - before
        else:
            self.count(self.weights[id(value)])
        self.stack.append(value)

    def growing(self, kind: type) -> Any:
        """Return the container on top; one that stands in two places was counted once, so it must not grow."""
        if not isinstance(self.stack[-1], kind):
            raise TypeError(f"values for something that is no {kind.__name__}")
        if id(self.stack[-1]) in self.shared:
            raise Refused("a list or dictionary that grows where it stands twice")
        return self.stack[-1]

    def push_content(self, content: str | bytes | bytearray, start: int, as_text: bool) -> None:
        """Push a text or bytes, which stay in the file if they are long."""
        kept = self.allowed.in_memory is None or len(content) <= self.allowed.in_memory
        if kept and isinstance(content, str) and not content.isascii():
            content.encode()  # what UTF-8 cannot hold, no table can
        if kept and self.allowed.in_memory is not None:
            self.count(len(content) // 100)  # of files that may be large, long texts take long
        whole = bytes(content) if isinstance(content, bytearray) else content
        self.stack.append(whole if kept else InFile(start, self.file.tell() - start, as_text))

    def remember(self, key: int) -> None:
        """Store the top of the stack in the memo, for later instructions."""
        self.memo[key] = self.stack[-1]

    def taken(self, count: int) -> tuple[Any, ...]:
        """Take the topmost values from the stack."""
        start = len(self.stack) - count
        if start < 0 or count < 0:
            raise IndexError("too few values")
        values = tuple(self.stack[start:])
        del self.stack[start:]
        return values

    def since_mark(self) -> tuple[Any, ...]:
        """Take the values since the last mark from the stack."""
        return self.taken(len(self.stack) - self.marks.pop())

    def name(self, name: str) -> None:
        """Push the replacement of a name."""
        self.count(2)
        if name not in self.allowed.names:
            raise Refused(f"the name {name.replace(' ', '.')[:80]!r}, which a pickle may import and call")
        self.stack.append(self.allowed.names[name])

    def identify(self) -> None:
        """Replace the persistent id on top by its value."""
        if self.allowed.identity is None:
            raise Refused("the instruction BINPERSID")
        self.stack.append(self.allowed.identity(*self.taken(1)))

    def call(self) -> None:
        """Replace function and arguments by the result of the reader's function."""
        function, arguments = self.taken(2)
        if not isinstance(function, Function) or not isinstance(arguments, tuple):
            raise Refused("a call of something else than plain data need")
        self.push_object(function.call(*arguments))

    def build(self) -> None:
        """Set the state of the object below it."""
        (state,) = self.taken(1)
        build = self.allowed.states.get(type(self.stack[-1]))
        if build is None:
            raise Refused("an object with a state")
        build(self.stack[-1], state)

    def extend(self, values: tuple[Any, ...]) -> None:
        """Append to the list on top."""
        self.growing(list).extend(values)

    def update(self, values: tuple[Any, ...]) -> None:
        """Add keys and values to the dictionary on top."""
        content = self.growing(dict)
        if not all(isinstance(key, str | int) for key in values[::2]):  # a nested tuple's hash may never end
            raise Refused("a dictionary with a key that is neither text nor number")
        content.update(zip(values[::2], values[1::2], strict=True))


def _refuse(machine: _Machine, argument: Any, position: int, name: str) -> None:
    raise Refused(f"the instruction {name}")


def _number(machine: _Machine, argument: Any, *_: Any) -> None:
    if isinstance(argument, int) and argument.bit_length() > 64:
        raise Refused("a whole number of more than 64 bits")
    machine.stack.append(argument)


def _content(before: int, as_text: bool) -> "_Step":
    return lambda machine, argument, position, _: machine.push_content(argument, position + before, as_text)


def _tuple(size: int) -> "_Step":
    return lambda machine, *_: machine.stack.append(machine.taken(size))


_Step = Callable[[_Machine, Any, int, str], None]
_STEPS: dict[str, _Step] = {
    **dict.fromkeys(_GETS, lambda machine, argument, *_: machine.push_again(machine.memo[argument])),
    **dict.fromkeys(_PUTS, lambda machine, argument, *_: machine.remember(argument)),
    **dict.fromkeys(_NUMBERS, _number),
    **{name: _content(before, as_text=True) for name, before in _TEXTS.items()},
    **{name: _content(before, as_text=False) for name, before in _BYTES.items()},
    **dict.fromkeys(("STRING", "UNICODE"), lambda machine, argument, *_: machine.stack.append(argument)),
    **{name: _tuple(size) for name, size in _TUPLES.items()},
    "NONE": lambda machine, *_: machine.stack.append(None),
    "NEWTRUE": lambda machine, *_: machine.stack.append(True),
    "NEWFALSE": lambda machine, *_: machine.stack.append(False),
    "STOP": lambda machine, *_: None,
    "PROTO": lambda machine, *_: None,
    "FRAME": lambda machine, *_: None,
    "MARK": lambda machine, *_: machine.marks.append(len(machine.stack)),
    "MEMOIZE": lambda machine, *_: machine.remember(len(machine.memo)),
    "GLOBAL": lambda machine, argument, *_: machine.name(argument),
    "STACK_GLOBAL": lambda machine, *_: machine.name("{} {}".format(*machine.taken(2))),
    "BINPERSID": lambda machine, *_: machine.identify(),
    "REDUCE": lambda machine, *_: machine.call(),
    "NEWOBJ": lambda machine, *_: machine.call(),
    "BUILD": lambda machine, *_: machine.build(),
    "EMPTY_LIST": lambda machine, *_: machine.push_object([]),
    "EMPTY_DICT": lambda machine, *_: machine.push_object({}),
    "TUPLE": lambda machine, *_: machine.stack.append(machine.since_mark()),
    "LIST": lambda machine, *_: machine.push_object(list(machine.since_mark())),
    "APPEND": lambda machine, *_: machine.extend(machine.taken(1)),
    "APPENDS": lambda machine, *_: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, *_: machine.update(machine.taken(2)),
    "SETITEMS": lambda machine, *_: machine.update(machine.since_mark()),
}
"""Actions of the instructions; an instruction without an entry is refused."""
