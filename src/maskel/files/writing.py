"""Writing of whole files."""

import csv
import errno
import io
import json
import math
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import yaml

from maskel.errors import CutOffError, InputError
from maskel.files.leftovers import partial_of, remove_partials
from maskel.text import shown

_MOST_LINKS = 40  # as on Linux


def write_atomically(path: Path, content: bytes | str, previous: Path | None = None, flush: bool = True) -> None:
    """Write ``content`` to ``path`` so that a reader sees the old file or the new one, never a part.

    Args:
        path: The file.
        content: All of it.
        previous: New place of the old file, which else is replaced.
        flush: As for `replacing`.
    """
    with replacing(path, previous, flush) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing(path: Path, previous: Path | None = None, flush: bool = True) -> Iterator[Path]:
    """Yield a file to write in the ``with`` block; it becomes ``path`` at its end, and vanishes if the block fails.

    The new file is on the disk before it takes the old one's name, so that a crash of the machine loses neither. A
    symbolic link stays, and its target is replaced. Content for ``/dev/stdout`` and the like goes there.

    Args:
        path: The file.
        previous: New place of the old file, which else is replaced.
        flush: Wait for the disk; needless for thousands of files that can easily be made again.

    Raises:
        InputError: If ``path`` is a device, a pipe or a socket.
    """
    if (stream := stream_of(path)) is not None:
        with TemporaryFile() as file:
            yield Path(f"/dev/fd/{file.fileno()}")
            sys.stdout.flush()
            file.seek(0)
            with os.fdopen(os.dup(stream), "wb") as out:
                shutil.copyfileobj(file, out)
        return
    _refuse_special(path)
    path = path.resolve() if path.is_symlink() else path
    temporary = partial_of(path)
    remove_partials(path)
    try:
        yield temporary
        if flush:
            _flush(temporary)
        if previous is not None and path.exists():
            path.replace(previous)
        temporary.replace(path)
        if flush and os.name == "posix":  # other systems cannot open a folder
            _flush(path.parent)
    except OSError as fault:
        fault.filename = str(path)  # a full disk names no file, other faults name the temporary one
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def as_output(path: Path, option: str = "--out") -> Iterator[None]:
    """Turn an OSError in the block into an InputError that names the user's file.

    Args:
        path: The file.
        option: The user's option for the file.

    Raises:
        InputError: Instead of an `OSError`; a `CutOffError` if the disk is full.
    """
    try:
        yield
    except OSError as fault:
        raise cannot_write(path, fault, f"choose another {option}") from fault


def write_output(path: Path, content: bytes | str, option: str = "--out") -> Path:
    """Write a file that the user named, and the folders above it.

    Args:
        path: The file.
        content: All of it.
        option: The user's option for the file.

    Raises:
        InputError: If it cannot be written.
    """
    with as_output(path, option):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    return path


_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EIO, errno.EFBIG)
"""Error numbers of disks that are full or fail: no fault of the input."""


def cannot_write(path: Path, fault: OSError, advice: str) -> InputError:
    """Return the error that says why something cannot be written; a full disk is no wrong input.

    Args:
        path: The file or folder.
        fault: The reason.
        advice: The sentence's end if something else than the disk is at fault.
    """
    if fault.errno in _FULL:
        return CutOffError(f"{path} cannot be written ({fault.strerror}); make room there")
    return InputError(f"{path} cannot be written ({fault.strerror or fault}); {advice}")


def refuse_unwritable(path: Path, option: str = "--out") -> None:
    """Fail early if the output cannot be written. Nothing is made, not even a folder.

    Args:
        path: The file; folders above it may be missing.
        option: The user's option for the file.

    Raises:
        InputError: If it is a folder, a device, a pipe or a socket, or its folder (or the nearest existing folder
            above it) takes no file.
    """
    with as_output(path, option):
        if (stream := stream_of(path)) is not None:
            os.fstat(stream)
            return
        _refuse_special(path, option)
        path = path.resolve() if path.is_symlink() else path
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        folder = next(above for above in path.absolute().parents if above.exists())
        with TemporaryFile(dir=folder):
            pass


def refuse_inside(out: Path, inputs: Iterable[Path], option: str = "--out") -> None:
    """Refuse an output inside a folder of inputs: the next reading would find it.

    Raises:
        InputError: If it does.
    """
    place = out.resolve()
    for folder in inputs:
        if folder.is_dir() and place.is_relative_to(folder.resolve()):
            raise InputError(
                f"{out} lies in {folder}, which is read with all that is below it; choose another {option}"
            )


def stream_of(path: Path) -> int | None:
    """Return the open descriptor behind ``/dev/stdout``, ``/dev/fd/3`` or a link to one of them."""
    name = os.path.abspath(path)  # noqa: PTH100 (links must stay)
    for _ in range(_MOST_LINKS if os.name == "posix" else 0):
        if match := re.fullmatch(rf"/(?:dev|proc/(?:self|thread-self|{os.getpid()}))/fd/(\d{{1,9}})", name):
            return int(match[1])
        if not os.path.islink(name):  # noqa: PTH114
            break
        name = os.path.normpath(os.path.join(os.path.dirname(name), os.readlink(name)))  # noqa: PTH115, PTH118, PTH120
    return None


def _refuse_special(path: Path, option: str = "--out") -> None:
    """Refuse to write to a device, a pipe or a socket: replacing it would take it from the system."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"{path} is a device, a pipe or a socket, and no file; choose another {option}")


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def require_suffix(path: Path, *endings: str, option: str = "out") -> None:
    """Refuse an output with another ending than required; ``/dev/stdout`` and the like need no ending.

    Raises:
        InputError: If it does.
    """
    if path.suffix not in endings and stream_of(path) is None:
        raise InputError(f"{option}: found {path}, expected a name that ends in {' or '.join(endings)}")


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as csv text with line ends LF."""
    text = io.StringIO()
    lines = ([shown(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def json_text(content: Any, **how: Any) -> str:
    """Return content as JSON text with a final line end.

    Args:
        content: Plain containers, texts and numbers.
        how: Options of `json.dumps`.
    """
    encoder = json.JSONEncoder(allow_nan=False, **how)
    if how.get("indent") is None:
        text = encoder.encode(content)
    else:  # what `encode` then collects takes many times the memory of the text
        written = io.StringIO()
        written.writelines(encoder.iterencode(content))
        text = written.getvalue()
    if "\\ud" in text:  # half of a pair of surrogates is no text
        json.dumps(content, **{**how, "ensure_ascii": False}).encode()
    return text + "\n"


def json_line(content: Any) -> str:
    """Return content as one line of JSON with sorted keys.

    A number that is not finite, as a stranger's options may hold it, stands as text, and so does what JSON lacks.
    """

    def finite(value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)
        if isinstance(value, dict):
            return {str(key): finite(entry) for key, entry in value.items()}
        return [finite(entry) for entry in value] if isinstance(value, list | tuple) else value

    return json_text(finite(content), sort_keys=True, default=str).rstrip("\n")


class _Dumper(yaml.SafeDumper):
    """Dumper for YAML that `read_yaml` reads: an object that occurs in two places is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def yaml_text(options: Any) -> str:
    """Return options as YAML text, in their own order."""
    return yaml.dump(options, Dumper=_Dumper, sort_keys=False)
