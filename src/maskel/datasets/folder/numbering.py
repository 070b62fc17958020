"""Numbers of frames, read from their names."""

import re
from collections.abc import Sequence
from operator import sub
from pathlib import Path

from maskel.errors import BadFileError

MAX_NUMBER = 10**15
"""Largest accepted number of a frame."""


def frame_numbers(path: Path, names: Sequence[str]) -> list[int]:
    """Return the number of each frame, from the one part of the names that counts frames.

    All names must be alike but for their numbers. A number that is the same in all names (``1080`` in
    ``frame_12_1080p``) does not count frames; a number that differs from frame to frame does. A slower number beside
    it, such as the minutes of a time stamp, must never decrease.

    Args:
        path: The file or folder, for messages.
        names: One name a frame, with or without a suffix; each differs from the others.

    Raises:
        BadFileError: If no part counts the frames, or more than one does.
    """
    stems = (re.sub(r"\.[A-Za-z]\w{0,4}$", "", name[-200:]) for name in names)  # "cam01.0001" has no suffix
    split = [re.split(r"(\d+)", stem) for stem in stems]  # text, number, text, number, …, text
    for name, parts in zip(names, split, strict=True):
        if len(parts) == 1 or max(map(len, parts[1::2])) > len(str(MAX_NUMBER)):
            raise BadFileError(
                path, "bad name", f"a frame called {name[-40:]!r}", "a name with the frame's number in it"
            )
    _check_alike(path, names, split)
    fields = [[int(parts[place]) for parts in split] for place in range(1, len(split[0]), 2)]
    if len(names) == 1:
        return fields[-1]
    changing = [field for field in fields if len(set(field)) > 1]
    counting = [field for field in changing if len(set(field)) == len(names)]
    if not counting:
        number, first, second = _twice(names, (changing or fields)[-1])
        raise BadFileError(path, "bad name", f"frame {number} twice ({first}, {second})", "one recording in one folder")
    frames = counting[0]
    if any(len(set(map(sub, frames, other))) > 1 for other in counting[1:]):  # they do not count alike
        found = f"names in which {len(counting)} numbers differ from frame to frame, such as {names[0][-60:]!r}"
        places = [f"number {place} ({field[0]})" for place, field in enumerate(fields, 1) if field in counting]
        raise BadFileError(path, "bad name", found, f"one such number; in this name {' and '.join(places)}")
    order = sorted(range(len(names)), key=frames.__getitem__)
    slower = [tuple(field[place] for field in changing if field not in counting) for place in order]
    if slower != sorted(slower):
        found = f"frames of several recordings, such as {names[order[0]][-40:]!r} and {names[order[-1]][-40:]!r}"
        raise BadFileError(path, "bad name", found, "one recording, whose names differ in one number")
    return frames


def _check_alike(path: Path, names: Sequence[str], split: Sequence[Sequence[str]]) -> None:
    first = split[0][::2]
    other = next((place for place, parts in enumerate(split) if parts[::2] != first), None)
    if other is None:
        return
    numbers = [int(parts[1]) for parts in split]
    if all(len(parts) == 3 for parts in split) and len(set(numbers)) < len(numbers):
        number, one, two = _twice(names, numbers)
        raise BadFileError(path, "bad name", f"frame {number} twice ({one}, {two})", "one file a frame, one recording")
    found = f"frames named {names[0][-40:]!r} and {names[other][-40:]!r}"
    raise BadFileError(path, "bad name", found, "names of one recording, alike but for the frame's number")


def _twice(names: Sequence[str], numbers: Sequence[int]) -> tuple[int, str, str]:
    """Return a number that two names share, and the names."""
    seen: dict[int, str] = {}
    for name, number in zip(names, numbers, strict=True):
        if number in seen:
            return number, seen[number][-40:], name[-40:]
        seen[number] = name
    return numbers[0], names[0][-40:], names[-1][-40:]
