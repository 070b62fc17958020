"""Keeping other processes out of a folder."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from maskel.console import tell
from maskel.errors import InputError

LOCK = ".lock"
"""File in a folder by which it is locked; it goes with the lock. What ``kill -9`` leaves of it locks nothing."""
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOTTY)
"""What file systems without locks answer."""
_told: list[Path] = []
IN_USE = "{} is in use by another process; wait for it, or stop it first"


@contextmanager
def locked(folder: Path, refusal: str = IN_USE) -> Iterator[None]:
    """Keep other processes out of a folder that exists, as far as its file system can.

    The operating system holds the lock and lets go of it when the process ends, however it ends.

    Args:
        folder: The folder; it may be removed within.
        refusal: The sentence if another process holds it, with ``{}`` for the folder.

    Raises:
        InputError: If another process holds it.
        OSError: If no file can be made in it.
    """
    lock = FileLock(folder / LOCK, timeout=0, fallback_to_soft=False)
    try:
        lock.acquire()
    except (Timeout, BlockingIOError) as fault:
        raise InputError(refusal.format(folder)) from fault
    except OSError as fault:
        if fault.errno not in _NO_LOCKS:
            raise
        if not _told:
            _told.append(folder)
            tell(f"the file system of {folder} has no locks: nothing keeps a second process from writing there")
    try:
        yield
    finally:
        with suppress(OSError):  # before the lock is let go of: who waits for it then sees a file without a name
            (folder / LOCK).unlink(missing_ok=True)
        lock.release()
