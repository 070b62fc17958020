"""Reading files of others within bounds, and writing files whole."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import yaml

from maskel.errors import InputError

try:
    import fcntl
except ImportError:  # not a POSIX system: run folders are not locked there
    fcntl = None  # type: ignore[assignment]

_MOST_BYTES = 64 << 20  # of a table or a result
_MOST_YAML_BYTES = 100_000  # PyYAML reads some 100 kB a second; a run's options take one or two
_DEEPEST = 30
_MOST_ALIASES = 10  # of one in another: a file of 100 kB stands for 4 MB at most


def write_atomically(path: Path, content: bytes | str, previous: Path | None = None, flush: bool = True) -> None:
    """Write ``content`` to ``path`` so that a reader sees the old file or the new one, never a part.

    Args:
        path: The file.
        content: All of it.
        previous: Where the old file goes instead of being replaced.
        flush: As for `replacing`.
    """
    with replacing(path, previous, flush) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing(path: Path, previous: Path | None = None, flush: bool = True) -> Iterator[Path]:
    """A file to write in the ``with`` block; it becomes ``path`` at its end, and vanishes if the block fails.

    The new file is on the disk before it takes the old one's name, so that a crash of the machine loses neither.

    Args:
        path: The file.
        previous: Where the old file goes instead of being replaced.
        flush: Wait for the disk; needless for thousands of files that can be made again.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        if flush:
            _flush(temporary)
        if previous is not None and path.exists():
            path.replace(previous)
        temporary.replace(path)
        if flush and os.name == "posix":  # elsewhere a folder cannot be opened
            _flush(path.parent)
    except OSError as fault:
        fault.filename = str(path)  # a full disk names no file, other faults the temporary one
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def as_output(path: Path, option: str = "--out") -> Iterator[None]:
    """What fails in the ``with`` block is said to fail for a file that the user named.

    Args:
        path: The file.
        option: What the user named it with.

    Raises:
        InputError: Instead of an `OSError`.
    """
    try:
        yield
    except OSError as fault:
        raise InputError(f"{path} cannot be written ({fault.strerror or fault}); choose another {option}") from fault


def refuse_unwritable(path: Path, option: str = "--out") -> None:
    """Notice before the work that a file cannot be written after it. Nothing is made, no folder either.

    Args:
        path: The file; folders above it may be missing.
        option: What the user named it with.

    Raises:
        InputError: If it is a folder, or the folder that it would be in, or be made in, takes no file.
    """
    with as_output(path, option):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        folder = next(above for above in path.absolute().parents if above.exists())
        with TemporaryFile(dir=folder):
            pass


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_text(path: Path, most: int = _MOST_BYTES) -> str:
    """The text of a file that may come from anyone.

    Args:
        path: The file, in UTF-8.
        most: Largest size in bytes.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is larger, or not text.
    """
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it is larger than {most:,} bytes")
    return content.decode()


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is not JSON, or larger or more deeply nested than any file of maskel.
    """
    try:
        return json.loads(read_text(path))
    except RecursionError as fault:
        raise ValueError("it is nested too deeply") from fault


class _Loader(yaml.SafeLoader):
    """YAML of plain values, without what lets a short file stand for a huge one: many aliases and endless nesting."""

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
    """What a YAML file holds; no tag runs code.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is not YAML, or is larger, more deeply nested or fuller of aliases than options are.
    """
    text = read_text(path, _MOST_YAML_BYTES)
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, LookupError, AttributeError, TypeError, OverflowError) as fault:
        # what is not a YAMLError comes from PyYAML's own conversions, of `!!bool maybe` for example
        raise ValueError(" ".join(str(fault).split())) from fault


class _Dumper(yaml.SafeDumper):
    """YAML that `read_yaml` reads: an object that stands in two places is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def yaml_text(options: Any) -> str:
    """Options as YAML, in their own order."""
    return yaml.dump(options, Dumper=_Dumper, sort_keys=False)


@contextmanager
def locked(folder: Path, by: Path) -> Iterator[None]:
    """Keep other processes out of a run folder, as far as the system can, by a lock on it or on a file in it.

    Raises:
        InputError: If another process does so.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(by, os.O_RDONLY if by.is_dir() else os.O_RDWR)  # over a network only what can be written is locked
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as fault:
        os.close(handle)
        raise InputError(f"{folder} is in use by another process; wait for it, or stop it first") from fault
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        os.close(handle)
