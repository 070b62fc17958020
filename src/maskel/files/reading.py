"""Reading of files that may come from anyone, within bounds."""

import csv
import errno
import io
import json
import math
import os
import re
import stat
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors import SafetensorError, safe_open

MOST_BYTES = 64 << 20
"""Of a table, a result, or any other file that is read whole."""
MOST_MEMORY = 900 << 20
"""Bytes of the values that JSON or a table stands for: empty containers take 20 times their text."""
_MOST_PACKED = 100  # bytes that a byte of an archive or of a sparse file stands for; zeros around joints are 20 to 1
_FEW = 64 << 20  # bytes for which that does not matter
_MOST_DIRECTORY = 32 << 20  # bytes of an archive's directory: half a million entries, of which each takes 600 in memory
MOST_HEADER = 2**14
"""Bytes of the part of a ``.npy`` file that says shape and type; numpy itself accepts 10,000."""
MOST_YAML_BYTES = 100_000
"""Largest YAML file. PyYAML reads some 100 kB a second; a run's options take one or two kB."""
_MOST_TENSORS = 16 << 20  # bytes of the header of a file of tensors, 100 for each
_DEEPEST = 30
_MOST_ALIASES = 10  # of one in another: a file of 100 kB stands for 4 MB at most

DAMAGE: tuple[type[Exception], ...] = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError),
    *(RuntimeError, SyntaxError),  # also RecursionError, NotImplementedError; numpy's parser of headers
    *(SafetensorError, csv.Error, struct.error, tokenize.TokenError, yaml.YAMLError, zipfile.BadZipFile, zlib.error),
)
"""All exceptions that the readers of Python, numpy, PyTorch and PyYAML raise on a damaged file."""

_OF_THE_MACHINE = (errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""Error numbers of memory or open files that ran out: they say nothing of the file."""


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
        if isinstance(fault, OSError) and fault.errno in _OF_THE_MACHINE:
            raise
        raise refusal(fault) from fault


def one_line(fault: Exception, most: int = 200) -> str:
    """Return an error's text as one line of at most ``most`` characters; its type if it has no text."""
    return " ".join(str(fault).split())[:most] or type(fault).__name__


class HugeNumberError(ValueError):
    """A whole number has more than 64 bits."""


class TooLargeError(ValueError):
    """A file is larger than the limit for its kind."""


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading; never waits for a writer to a pipe.

    Raises:
        OSError: If it cannot be opened.
        ValueError: If it is a device, a pipe or a socket: reading it may never end; or the disk holds hardly anything
            of what the file claims.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is a device or a pipe, no file")
        stored = 512 * getattr(status, "st_blocks", 0)  # 0 where the file system does not say
        if stored:
            refuse_packed(status.st_size, stored)
        return io.BufferedReader(io.FileIO(handle))
    except BaseException:
        os.close(handle)
        raise


def refuse_packed(size: int, stored: int) -> None:
    """Refuse content that a few bytes stand for: of an archive, or of a file with holes.

    Args:
        size: Bytes of the content.
        stored: Bytes that are stored of it.

    Raises:
        TooLargeError: If that is less than a hundredth.
    """
    if size > _FEW + _MOST_PACKED * stored:
        raise TooLargeError(f"{stored:,} bytes that stand for {size:,}")


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
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise TooLargeError(f"it is larger than {most:,} bytes")
        content = file.read(size + 1)  # not ``most``: for so much memory would be taken at once
        if len(content) > size:
            raise ValueError("it grows while it is read")
    return content


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Read a text in UTF-8; as `read_bounded`.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is larger, or not text.
    """
    return read_bounded(path, most).decode()


def parse_json(content: bytes | str) -> Any:
    """Parse JSON in bounded memory.

    Numbers may be NaN or infinite, as Python writes them; see `plain_values`.

    Raises:
        ValueError: If it is none, nested more deeply than Python takes, stands for too many values, or holds a whole
            number of more than 64 bits or text that UTF-8 cannot hold.
    """
    text = content if isinstance(content, str) else content.decode(json.detect_encoding(content))
    # bytes of the objects that Python makes of a container, a value and a text
    memory = 200 * text.count("{") + 80 * text.count("[") + 32 * text.count(",") + 25 * text.count('"')
    if memory + sys.getsizeof(text) > MOST_MEMORY:
        raise TooLargeError("it holds too many values")
    try:
        value = json.loads(text)
    except RecursionError as fault:
        raise ValueError(f"it is nested too deeply ({fault})") from fault
    except json.JSONDecodeError:
        raise
    except ValueError as fault:  # Python reads no whole number of more than 4,300 digits
        raise HugeNumberError("a whole number of more than 64 bits") from fault
    if _ODD.search(text):
        plain_values(value, finite=False)
    return value


_ODD = re.compile(r"\\u[dD]|(?<![\d.])\d{19,}(?![\d.eE])")  # half of a pair of surrogates; a huge whole number


def plain_values(value: Any, finite: bool = True) -> Any:
    """Return a value of containers, texts and numbers if every file and table can hold them.

    Args:
        value: The value.
        finite: Allow no number that is not finite.

    Raises:
        ValueError: If a whole number has more than 64 bits, a text cannot be written in UTF-8, or a number is NaN or
            infinite.
    """
    level: list[Any] = [dict(value) if isinstance(value, Mapping) else value]
    while level:  # all values of one depth at once: one by one, millions would take long
        if max((entry.bit_length() for entry in level if isinstance(entry, int)), default=0) > 64:
            raise HugeNumberError("a whole number of more than 64 bits")
        odd = (entry for entry in level if isinstance(entry, float) and not isfinite(entry))
        if finite and (found := next(odd, None)) is not None:
            raise ValueError(f"{found}, where a number is expected")
        for text in (entry for entry in level if isinstance(entry, str) and not entry.isascii()):
            text.encode()  # a UnicodeEncodeError is a ValueError
        below = (entry for entry in level if isinstance(entry, dict | list | tuple))
        level = list(
            chain.from_iterable((*entry, *entry.values()) if isinstance(entry, dict) else entry for entry in below)
        )
    return value


def described(value: object) -> str:
    """Describe a stranger's value in a few words, whatever it is: its text may never end."""
    if isinstance(value, str | bytes):
        return str(value[:40])
    if isinstance(value, bool | float) or value is None:
        return str(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 64 else "a whole number of more than 64 bits"
    if isinstance(value, list | tuple | dict):
        flat = len(value) <= 4 and not any(isinstance(entry, list | tuple | dict) for entry in value)
        inner = ", ".join(map(described, value)) if flat else None
        return f"({inner})" if inner else f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def read_json(path: Path) -> Any:
    """Read a JSON file of maskel.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is not JSON, or larger or more deeply nested than any file of maskel, or a number is not
            finite.
    """
    return plain_values(parse_json(read_text(path)))


def open_archive(source: Path | io.BytesIO) -> zipfile.ZipFile:
    """Open a zip archive.

    Raises:
        Exception: One of `DAMAGE`, if it is none, its directory takes too much memory, or a file in it is packed so
            tightly that it can only be made to fill memory or time.
    """
    with io.BytesIO(source.getbuffer()) if isinstance(source, io.BytesIO) else open_regular(source) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2**16 - 100))  # the directory's end, before a comment of up to 64 KB
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    directory = int.from_bytes(tail[end + 12 : end + 16], "little")
    if directory == 2**32 - 1:  # then the record before says it, in 64 bits
        directory = int.from_bytes(tail[end - 36 : end - 28], "little")
    if end >= 0 and directory > _MOST_DIRECTORY:
        raise TooLargeError("an archive of too many files")
    archive = zipfile.ZipFile(source)
    try:
        for member in archive.infolist():
            refuse_packed(member.file_size, member.compress_size)
    except TooLargeError:
        archive.close()
        raise
    return archive


def npy_header(stream: io.BufferedIOBase) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read shape, whether the first axis runs fastest, and type of an array in numpy's format; the content follows.

    Raises:
        Exception: One of `DAMAGE`, if it is no such header.
    """
    magic = stream.read(8)
    width = 2 if magic[6:7] == b"\x01" else 4
    size = stream.read(width)
    length = int.from_bytes(size, "little")
    if length > MOST_HEADER:  # numpy would read 4 GB
        raise ValueError("a header that is too long")
    head = io.BytesIO(magic + size + stream.read(length))
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(head)
    if min(shape, default=0) < 0 or math.prod(max(axis, 1) for axis in shape) * dtype.itemsize >= 2**63:
        raise ValueError(f"an array of shape {shape}")
    return shape, fortran, dtype


def map_npy(path: Path) -> np.ndarray:
    """Map an array in numpy's format into memory; nothing of it is read, and objects are refused.

    Raises:
        Exception: One of `DAMAGE`, if it is none, or what its header claims is not what the file holds.
    """
    with open_regular(path) as stream:
        shape, fortran, dtype = npy_header(stream)
        start, size = stream.tell(), os.fstat(stream.fileno()).st_size
    if dtype.hasobject:
        raise ValueError("an array of objects")
    if size - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{size - start} bytes after the header, expected those of shape {shape} and type {dtype}")
    try:
        return np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")
    except OSError as fault:  # too little address space, or a file system that cannot
        reason = f"cannot be mapped into memory ({fault.strerror}); free some, or copy it to another file system"
        raise OSError(errno.ENOMEM, reason, str(path)) from fault


@contextmanager
def open_tensors(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Open a file of safetensors.

    Yields:
        The file, as opened by `safetensors.safe_open`, and its metadata written by maskel.

    Raises:
        Exception: One of `DAMAGE`, if it is no such file.
    """
    with open_regular(path) as file:
        if int.from_bytes(file.read(8), "little") > _MOST_TENSORS:
            raise TooLargeError(f"a header of more than {_MOST_TENSORS:,} bytes")
    with safe_open(path, framework="pt") as stored:
        about = plain_values(parse_json((stored.metadata() or {}).get("maskel", "{}")))
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
        return plain_values(yaml.load(text, _Loader), finite=False)
    except (yaml.YAMLError, LookupError, AttributeError, TypeError, OverflowError) as fault:
        # other exceptions come from PyYAML's own conversions, for example of `!!bool maybe`
        raise ValueError(" ".join(str(fault).split())) from fault
