"""Room on the disk and in memory, so that what plainly does not fit is refused before the work."""

import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from maskel.errors import CutOffError
from maskel.files.writing import stream_of

_MEMINFO, _GROUP, _GROUPS = Path("/proc/meminfo"), Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def machine_memory() -> float:
    """Return the bytes of memory that this process may have: the machine's, or its group's; infinity if unknown."""
    try:
        physical = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        physical = math.inf
    return min(physical, *(limit for limit, _ in _group_limits()), math.inf)


def free_memory() -> float:
    """Return the bytes of memory that this process can still take; infinity where the system does not say.

    Linux says what is available. A group of processes, such as a container or a job of a cluster, may have a limit.
    """
    try:
        lines = (line.split() for line in _MEMINFO.read_text().splitlines())
        sizes = {words[0]: 1024.0 * int(words[1]) for words in lines}
        free = sizes["MemAvailable:"] + sizes.get("SwapFree:", 0.0)
    except (OSError, LookupError, ValueError):
        free = machine_memory()
    return max(0.0, min(free, *(limit - used for limit, used in _group_limits()), math.inf))


def _group_limits() -> Iterator[tuple[float, float]]:
    """Yield the limit of each group that this process is in, and the bytes that the group has taken."""
    try:
        groups = [line.split(":", 2) for line in _GROUP.read_text().splitlines()]
    except OSError:
        return
    for _, controllers, path in (group for group in groups if len(group) == 3):
        if controllers and "memory" not in controllers.split(","):
            continue
        root, limit, taken = _GROUPS, "memory.max", "anon"
        if controllers:  # version 1
            root, limit, taken = _GROUPS / "memory", "memory.limit_in_bytes", "total_rss"
        folder = root / path.lstrip("/")
        for place in (folder, *folder.parents):
            if not place.is_relative_to(root):
                break
            try:
                most = float((place / limit).read_text())
                pairs = (line.split() for line in (place / "memory.stat").read_text().splitlines())
                yield most, float(dict(pairs)[taken])
            except (OSError, LookupError, ValueError):  # "max", or a file that is not there
                continue


def free_disk(path: Path) -> float:
    """Return the bytes that are free where ``path`` is or will be; infinity where the system does not say.

    A stream such as ``/dev/stdout`` has no end.
    """
    if stream_of(path) is not None:
        return math.inf
    for place in (path.absolute(), *path.absolute().parents):
        try:
            usage = shutil.disk_usage(place)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            break
        return float(usage.free) if usage.total else math.inf
    return math.inf


def require_disk(path: Path, size: int | float, what: str, at_hand: int | float = 0) -> None:
    """Refuse an output for which the disk plainly has no room.

    Args:
        path: The output.
        size: Bytes that it takes at least.
        what: The output, for the message.
        at_hand: Bytes of it that are there already.

    Raises:
        CutOffError: If less is free.
    """
    free = free_disk(path) + at_hand
    if size > free:
        where = path.absolute().parent
        raise CutOffError(
            f"{what} takes about {readable_size(size)}, and {readable_size(free)} are free in {where}; make room, or "
            "choose another --out"
        )


def readable_size(size: int | float) -> str:
    """Return bytes as a person reads them.

    Examples:
        >>> readable_size(123_456_789), readable_size(5_000)
        ('123 MB', '0.005 MB')
    """
    if size >= 1e12:
        return f"{size / 1e12:,.1f} TB"
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"
