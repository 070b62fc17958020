"""Names that people write by hand: comparison of spellings, and search for the intended name."""

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from maskel.errors import InputError

NO_LABEL = ("unlabelled", "unlabeled")
"""Names of folders and labels that mean: no label."""
_VIDEOS = "mp4 avi mov mkv webm m4v mpg mpeg wmv flv".split()
_POSES = "csv tsv txt json npy npz mat pkl bvh c3d h5 skeleton".split()
ENDING = re.compile(rf"\.({'|'.join(_VIDEOS + _POSES)})$", re.IGNORECASE)
"""Endings of files that names of clips may keep."""


def clean(text: str) -> str:
    """Clean a name for storage: composed Unicode (NFC), single blanks between words."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def likeness(text: str) -> str:
    """Return a key that ignores case, Unicode form, blanks, underscores and leading zeros."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("_", " ")
    whole = re.sub(r"^(\d+)\.0+$", r"\1", " ".join(folded.split()))  # pandas writes 7 as 7.0 beside an empty field
    return re.sub(r"(?<!\d)0+(?=\d)", "", whole)


def numerically(name: str) -> list[tuple[int, str]]:
    """Return a sort key that puts ``s2`` before ``s10``."""
    return [(int(part or 0), "") if place % 2 else (0, part) for place, part in enumerate(re.split("([0-9]+)", name))]


def refuse_alike(kind: str, names: Iterable[str]) -> None:
    """Refuse names that differ only in their spelling: they are probably one class or person.

    Args:
        kind: The named things, in the plural, for messages.
        names: All names, repeated as often as used; empty names are ignored.

    Raises:
        InputError: If two do.
    """
    used = Counter(name for name in names if name)
    first: dict[str, str] = {}
    for name in used:
        other = first.setdefault(likeness(name), name)
        if other != name:
            raise InputError(
                f"{kind} {other!r} ({used[other]:,} clips) and {name!r} ({used[name]:,}) differ in case, blanks, "
                f"leading zeros or Unicode form only; write one of them everywhere, or names that differ in more"
            )


def meant(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is equal to ``name``, or the only similar one; None if there is none."""
    names = list(known)
    if name in names:
        return name
    alike = [other for other in names if likeness(other) == likeness(name)]
    return alike[0] if len(alike) == 1 else None


def hint(name: str, known: Sequence[str]) -> str:
    """Return advice for an unknown name: the nearest known name, or a list of known names."""
    near = difflib.get_close_matches(name, known, 1)
    more = ", …" if len(known) > 10 else ""
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known[:10])}{more}"


class Finder:
    """Search for clips by their names in a table or list.

    Case, Unicode form, slashes and a missing ending do not matter as long as one clip fits; nor does another ending,
    for example that of the original video.

    Args:
        names: Path of each clip below its folder, with its ending.
        stems: The same paths without the ending.

    Attributes:
        loose: Number of matched names that differ from the clip's name in spelling.
    """

    def __init__(self, names: Sequence[str], stems: Sequence[str]) -> None:
        self.loose = 0
        composed, short = ([unicodedata.normalize("NFC", name) for name in some] for some in (names, stems))
        self._levels: tuple[dict[str, set[int]], ...] = ({}, {})
        for place, (name, stem) in enumerate(zip(composed, short, strict=True)):
            for text in {name, stem}:
                self._levels[0].setdefault(text, set()).add(place)
                self._levels[1].setdefault(text.casefold(), set()).add(place)
        self._names = names

    def find(self, written: str, where: str) -> int | None:
        """Return the index of the clip with this name; None if there is none.

        Raises:
            InputError: If several clips fit.
        """
        name = unicodedata.normalize("NFC", PurePosixPath(written.replace("\\", "/")).as_posix())
        stem = ENDING.sub("", name)
        for level, text in ((0, name), (1, name.casefold()), (1, stem.casefold())):
            found = self._levels[level].get(text, set())
            if len(found) > 1:
                some = " and ".join(self._names[place] for place in sorted(found)[:3])
                raise InputError(f"{where}: {written} may be {some}; write it as it is, with its ending")
            if found:
                self.loose += level
                return min(found)
        return None
