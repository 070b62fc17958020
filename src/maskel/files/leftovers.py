"""Names of unfinished files and folders, by which the next start knows and removes what killed processes left."""

import os
import platform
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = ".lock"
"""Lock file in a folder; it is removed with the lock. A file left by ``kill -9`` locks nothing."""
_HOST = f"{zlib.crc32(platform.node().encode()):08x}"  # process numbers say nothing of other machines' processes


def owner() -> str:
    """Return a mark for names that says which process of which machine writes there."""
    return f"{_HOST}-{os.getpid()}"


def partial_of(path: Path) -> Path:
    """Return the place where this process writes a file until it is whole."""
    return path.with_name(f".{path.name}.{owner()}.partial")


def remove_partials(path: Path) -> None:
    """Remove what killed processes of this machine left of an unfinished file."""
    _remove(path.parent, rf"\.{re.escape(path.name)}\.{_HOST}-(\d+)\.partial")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a temporary folder that vanishes at the end; those of killed processes are removed first.

    Windows keeps files that are mapped into memory; then the folder stays until the next start.
    """
    _remove(Path(tempfile.gettempdir()), rf"maskel-{_HOST}-(\d+)-\w+")
    with tempfile.TemporaryDirectory(prefix=f"maskel-{owner()}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def holds_nothing(folder: Path) -> bool:
    """Return True if a folder holds at most what a process left that was killed before its first file was whole."""
    return all(entry.match(".*.partial") or entry.name == LOCK for entry in folder.iterdir())


def _remove(folder: Path, pattern: str) -> None:
    with suppress(OSError):
        for found in [entry for entry in folder.iterdir() if entry.name.startswith((".", "maskel-"))]:
            match = re.fullmatch(pattern, found.name)
            if match and not _runs(int(match[1])):
                _remove_one(found)


def _remove_one(path: Path) -> None:
    with suppress(OSError):  # of another user
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _runs(process: int) -> bool:
    """Return False if no such process runs; True where that is not known."""
    if os.name != "posix":  # on Windows the question would end the process
        return process != os.getpid()
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
