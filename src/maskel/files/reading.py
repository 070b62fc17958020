"""Reading of files that may come from anyone, within bounds."""

import csv
import errno
import io
import json
import os
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open

MOST_BYTES = 64 << 20
"""Largest size of a table, a result, or any other file that is read whole."""
MOST_YAML_BYTES = 100_000
"""Largest YAML file. PyYAML reads some 100 kB a second; a run's options take one or two kB."""
_DEEPEST = 30
_MOST_ALIASES = 10  # of one in another: a file of 100 kB stands for 4 MB at most

DAMAGE: tuple[type[Exception], ...] = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError),
    *(RuntimeError, SyntaxError),  # also RecursionError, NotImplementedError; numpy's parser of headers
    *(SafetensorError, csv.Error, struct.error, tokenize.TokenError, yaml.YAMLError, zipfile.BadZipFile, zlib.error),
)
"""All exceptions that the readers of Python, numpy, PyTorch and PyYAML raise on a damaged file."""


@contextmanager
def damaged_as(refusal: Callable[[Exception], Exception], also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn every exception of a damaged file in the block into an error that names the file.

    Args:
        refusal: Makes this error from the raised one; `one_line` gives the text of that one.
        also: More errors to turn: `InputError` if its sentence lacks the file.
    """
    try:
        yield
    except (*DAMAGE, *also) as fault:
        raise refusal(fault) from fault


def one_line(fault: Exception, most: int = 200) -> str:
    """Return an error's text as one line of at most ``most`` characters; its type if it has no text."""
    return " ".join(str(fault).split())[:most] or type(fault).__name__


class TooLargeError(ValueError):
    """A file is larger than the limit for its kind."""


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading; never waits for a writer to a pipe.

    Raises:
        OSError: If it cannot be opened.
        ValueError: If it is a device, a pipe or a socket: reading it may never end.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise ValueError("it is a device or a pipe, no file")
        return io.BufferedReader(io.FileIO(handle))
    except BaseException:
        os.close(handle)
        raise


def read_bounded(path: Path, most: int = MOST_BYTES) -> bytes:
    """Read a whole file that may come from anyone.

    Args:
        path: The file.
        most: Largest size in bytes.

    Raises:
        OSError: If it cannot be read.
        TooLargeError: If it is larger.
        ValueError: If it is no regular file.
    """
    with open_regular(path) as file:
        content = b"" if os.fstat(file.fileno()).st_size > most else file.read(most + 1)
        if len(content) > most or os.fstat(file.fileno()).st_size > most:
            raise TooLargeError(f"it is larger than {most:,} bytes")
    return content


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Read a text in UTF-8; as `read_bounded`.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is larger, or not text.
    """
    return read_bounded(path, most).decode()


def read_rows(path: Path) -> Iterator[list[str]]:
    """Read the lines of a csv table, the heading first.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is too large, or not text.
        csv.Error: If it is no table.
    """
    yield from csv.reader(io.StringIO(read_text(path), newline=""), strict=True)


def parse_json(content: bytes | str) -> Any:
    """Parse JSON; a text nested too deeply for Python is a ValueError, like any other fault."""
    try:
        return json.loads(content)
    except RecursionError as fault:
        raise ValueError("it is nested too deeply") from fault


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is not JSON, or larger or more deeply nested than any file of maskel.
    """
    return parse_json(read_text(path))


@contextmanager
def open_tensors(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Open a file of safetensors.

    Yields:
        The file, as opened by `safetensors.safe_open`, and its metadata written by maskel.

    Raises:
        Exception: One of `DAMAGE`, if it is no such file.
    """
    with open_regular(path):
        pass
    with safe_open(path, framework="pt") as stored:
        about = parse_json((stored.metadata() or {}).get("maskel", "{}"))
        if not isinstance(about, dict):
            raise ValueError("no description of it")
        yield stored, about


def nested(mapping: Any, *keys: str) -> Any:
    """Look up a value under keys inside each other; None where there is none.

    >>> nested({"split": {"test": {"size": 3}}}, "split", "test", "size")
    3
    """
    for key in keys:
        mapping = mapping.get(key) if isinstance(mapping, Mapping) else None
    return mapping


class _Loader(yaml.SafeLoader):
    """Loader for YAML of plain values, without many aliases and deep nesting: a short file cannot become a huge one."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.depth = 0
        self.aliases = 0
        self.unfinished: list[str | None] = []

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > _MOST_ALIASES:
                raise yaml.YAMLError(f"it has more than {_MOST_ALIASES} aliases; write the values out")
            alias = self.peek_event().anchor
            if alias in self.unfinished:
                raise yaml.YAMLError(f"*{alias} stands inside what it stands for")
            return super().compose_node(parent, index)
        self.depth += 1
        if self.depth > _DEEPEST:
            raise yaml.YAMLError(f"it is nested more than {_DEEPEST} deep")
        anchor = self.peek_event().anchor
        self.unfinished.append(anchor)
        node = super().compose_node(parent, index)
        self.unfinished.pop()
        self.depth -= 1
        return node


def read_yaml(path: Path) -> Any:
    """Read a YAML file; no tag runs code.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is not YAML, or is larger, more deeply nested or fuller of aliases than options are.
    """
    text = read_text(path, MOST_YAML_BYTES)
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, LookupError, AttributeError, TypeError, OverflowError) as fault:
        # other exceptions come from PyYAML's own conversions, for example of `!!bool maybe`
        raise ValueError(" ".join(str(fault).split())) from fault
