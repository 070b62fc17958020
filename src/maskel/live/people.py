"""The people of a stream: each with the frames of a window, brought to a regular frame rate."""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from maskel.datasets.folder.people import MAX_PEOPLE, continued
from maskel.errors import InputError

EXACT = 1e-6
"""A frame is at a regular moment if it is nearer to it than this, in frames."""

Joints = Float64[np.ndarray, "v c"]
"""Coordinates of one person and, last, the score of each joint; NaN where missing or unknown."""


@dataclass(frozen=True)
class Filled:
    """A window that is full.

    Args:
        key: Key of the person.
        first: Its first frame, counted at the regular rate.
        frames: Its frames; None where the person was not seen.
        fresh: The first one of the person since nobody was there.
    """

    key: str
    first: int
    frames: Sequence[Joints | None]
    fresh: bool


@dataclass(eq=False)
class _Person:
    frames: deque[Joints | None]
    seen: int = 0
    absent: int = 0
    waiting: list[Filled] = field(default_factory=list)


class People:
    """Windows of everybody who is seen; memory does not grow with time.

    Args:
        length: Frames of a window.
        step: Frames from the start of a window to that of the next.
        max_gap: Frames that a person may be missing; whoever is gone for longer is forgotten.
    """

    def __init__(self, length: int, step: int, max_gap: int) -> None:
        self.length, self.step, self.max_gap = length, step, max_gap
        self.known: dict[str, _Person] = {}
        self.left_out = 0
        """People in a frame beyond `MAX_PEOPLE`, all frames together."""
        self._last: dict[str, Joints] = {}  # of the last frame that was pushed
        self._unnamed: dict[str, Joints] = {}  # where everybody without a name was last seen
        self._count = 0
        self._index = -1  # of the last regular frame
        self._position = 0.0  # of the last frame that was pushed, in regular frames

    @property
    def unnamed(self) -> Collection[str]:
        """Names that were given to people without one."""
        return self._unnamed.keys()

    def clear(self) -> None:
        """Forget everybody, and count frames anew."""
        self.known.clear()
        self._last.clear()
        self._unnamed.clear()
        self._index, self._position = -1, 0.0

    def push(self, position: float, names: Sequence[str | None], people: Sequence[Joints]) -> list[Filled]:
        """Take one frame.

        Args:
            position: When, in regular frames since the first one; above that of the frame before.
            names: What the tracker calls each person; None where it does not say.
            people: The people.

        Returns:
            The windows that are full now.
        """
        now = self._keyed(names, people)
        before, start = self._last, self._position
        filled: list[Filled] = []
        for index in range(self._index + 1, int(np.floor(position + EXACT)) + 1):
            share = 1.0 if position - index < EXACT else (index - start) / (position - start)
            pairs = {key: (before.get(key), joints) for key, joints in now.items()}
            frame = {
                key: _between(last, new, share) for key, (last, new) in pairs.items() if last is not None or share == 1
            }
            filled += self._add(index, frame)
            self._index = index
        self._last, self._position = now, position
        return filled

    def _keyed(self, names: Sequence[str | None], people: Sequence[Joints]) -> dict[str, Joints]:
        """Give the people of a frame a name that stays; at most `MAX_PEOPLE`, those who are known before others."""
        self._unnamed = {key: joints for key, joints in self._unnamed.items() if key in self.known or key in self._last}
        without = [joints for name, joints in zip(names, people, strict=True) if name is None]
        keys = list(self._unnamed)
        if len(without) > MAX_PEOPLE:
            self.left_out += len(without) - MAX_PEOPLE
            without = without[:MAX_PEOPLE]
        bodies = continued([self._unnamed[key] for key in keys], without)
        found: dict[str, Joints] = {}
        for place, joints in enumerate(without):
            if place in bodies:
                key = keys[bodies[place]]
            else:
                self._count += 1
                key = f"#{self._count}"
            found[key] = self._unnamed[key] = joints
        named = {name: joints for name, joints in zip(names, people, strict=True) if name is not None}
        both = {**named, **found}
        if len(both) > MAX_PEOPLE:
            kept = sorted(both, key=lambda key: key not in self.known)[:MAX_PEOPLE]
            self.left_out += len(both) - MAX_PEOPLE
            both = {key: both[key] for key in kept}
        return both

    def _add(self, index: int, frame: Mapping[str, Joints]) -> list[Filled]:
        """Add one regular frame, and return the windows that are full now."""
        filled: list[Filled] = []
        for key in frame:
            self.known.setdefault(key, _Person(deque(maxlen=self.length)))
        for key, person in list(self.known.items()):
            joints = frame.get(key)
            person.absent = person.absent + 1 if joints is None else 0
            if person.absent > self.max_gap:
                del self.known[key]
                continue
            person.frames.append(joints)
            person.seen += 1
            if person.seen >= self.length and (person.seen - self.length) % self.step == 0:
                fresh = person.seen == self.length
                person.waiting.append(Filled(key, index + 1 - self.length, tuple(person.frames), fresh))
            if joints is not None:  # who may have left is answered when seen again
                filled += person.waiting
                person.waiting.clear()
        return filled


def _between(before: Joints | None, after: Joints, share: float) -> Joints:
    """Interpolate a person between two frames; what is missing in one of them is missing in between."""
    if before is None or share == 1:
        return after
    blended = (1 - share) * before + share * after
    blended[_coded(before) != _coded(after)] = np.nan
    return blended


def _coded(joints: Joints) -> np.ndarray:
    """Find joints that detectors did not find, by the usual codes."""
    places = joints[:, :-1]
    with np.errstate(invalid="ignore"):
        return np.asarray((places == 0).all(1) | (places == -1).all(1) | (joints[:, -1] <= 0))


def check_names(names: Sequence[object], taken: Collection[str]) -> list[str | None]:
    """Return the names of the people of a frame as texts.

    Args:
        names: A text, a whole number or None for each.
        taken: Names of people whom nobody named.

    Raises:
        InputError: If one is no name, two people have the same, or it is taken.
    """
    found: list[str | None] = []
    for name in names:
        whole = isinstance(name, str | int | np.integer) and not isinstance(name, bool)
        if name is not None and not (whole and 0 < len(str(name)) <= 100):
            raise InputError(f"found a person called {str(name)[:40]!r}, expected a whole number, a short text or none")
        found.append(None if name is None else str(name))
    given = [name for name in found if name is not None]
    if len(set(given)) < len(given):
        twice = next(name for name in given if given.count(name) > 1)
        raise InputError(f"found two people called {twice!r} in one frame, expected a name of its own for each")
    if others := sorted(set(given) & set(taken)):
        raise InputError(f"found a person called {others[0]!r}, which already stands for somebody without a name")
    return found
