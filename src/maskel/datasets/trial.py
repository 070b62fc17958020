"""Trial sets: a few classes, or a few clips, of a data set, chosen with as little reading as possible."""

import difflib
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maskel.datasets.base import RawFile, Source
from maskel.datasets.raw_file import READ_FAULTS
from maskel.errors import InputError
from maskel.sequence import UNLABELLED, Clip
from maskel.text import listed


@dataclass(frozen=True)
class Choice:
    """Files, classes and clips to keep of a data set.

    Args:
        files: Raw files to read.
        labels: Label in the source -> label in the set, for each kept class; also for `UNLABELLED`, unless classes were
            chosen.
        clips: Names of the clips to keep; None for every clip of these classes.
    """

    files: list[RawFile]
    labels: Mapping[int, int]
    clips: frozenset[str] | None = None

    def keeps(self, clip: Clip) -> bool:
        """Return True if a clip of a kept class is kept."""
        return self.clips is None or clip.name in self.clips


def choose(source: Source, files: list[RawFile], classes: Sequence[str], max_clips: int | None) -> Choice:
    """Choose the clips of a trial set.

    Args:
        source: The data set.
        files: Its raw files. A file whose clips cannot be listed is kept, so that reading it reports the fault.
        classes: Names or numbers, from 1, of the classes to keep; empty for all. Labels stay in the source's order.
        max_clips: Most clips to keep, >= 1; None for all. Clips take turns by class and by their sides of the
            benchmarks (training or test); within these groups, a hash of their names decides the order. So a larger
            number keeps all clips of a smaller one.

    Raises:
        InputError: If there is no such class, no clip of the classes, or ``max_clips`` is below 1.
    """
    if max_clips is not None and max_clips < 1:
        raise InputError(f"found max_clips {max_clips}, expected at least 1")
    kept = sorted({_label(source, name) for name in classes}) or range(len(source.classes))
    labels = {label: place for place, label in enumerate(kept)} | ({} if classes else {UNLABELLED: UNLABELLED})
    if not classes and max_clips is None:
        return Choice(files, labels)
    candidates: list[tuple[RawFile, Clip]] = []
    unknown: set[RawFile] = set()
    for file in files:
        try:
            candidates += [(file, clip) for clip in source.clips(file) if clip.label in labels]
        except READ_FAULTS:
            unknown.add(file)
    if not candidates and not unknown:
        raise InputError(f"no clip of {source.name} is of the classes {listed(classes)}; choose others")
    clips = [clip for _, clip in candidates]
    chosen = {clips[position].name for position in _spread(source, clips)[:max_clips]}
    reading = unknown | {file for file, clip in candidates if clip.name in chosen}
    return Choice([file for file in files if file in reading], labels, frozenset(chosen))


def _label(source: Source, name: str) -> int:
    if name.isdecimal():
        if not 1 <= int(name) <= len(source.classes):
            raise InputError(f"{source.name} has no class {name}; its classes are 1 to {len(source.classes)}")
        return int(name) - 1
    names = [known.casefold() for known in source.classes]
    if name.casefold() not in names:
        near = difflib.get_close_matches(name.casefold(), names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has: {listed(source.classes)}"
        raise InputError(f"{source.name} has no class called {name!r}; {hint}")
    return names.index(name.casefold())


def _spread(source: Source, clips: Sequence[Clip]) -> list[int]:
    """Return the positions of the clips in the order of their turns."""
    sides = [""] * len(clips)
    for split in source.benchmarks(clips).values():
        training = {*split.train, *split.unlabelled}
        sides = [side + ("train " if position in training else "test ") for position, side in enumerate(sides)]
    order = sorted(range(len(clips)), key=lambda position: hashlib.sha256(clips[position].name.encode()).digest())
    of_group: Counter[tuple[int, str]] = Counter()
    of_side: Counter[tuple[int, str]] = Counter()
    turn: dict[int, tuple[int, int]] = {}
    for position in order:
        label, side = clips[position].label, sides[position]
        first = of_group[label, side]
        turn[position] = first, of_side[first, side]
        of_group[label, side] += 1
        of_side[first, side] += 1
    return sorted(order, key=turn.__getitem__)
