"""Search for equal and nearly equal clips of a set, without comparing every clip with every other."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from jaxtyping import Bool, Float64, Int64

from maskel.console import Report
from maskel.datasets.store import BodyFrames, SkeletonSet

NEAR_METRES = 0.001
"""Clips with a smaller mean joint distance, both centred, are near duplicates."""
NEAR_SIZES = 0.0005
"""The same limit for bodies that are not in metres, as a share of the usual size of the set's bodies."""
MOST_PAIRS = 100_000
"""Near pairs after which the search ends: a set with more is one clip many times."""
MOST_COMPARED = 20_000_000
"""Pairs whose keys are compared, and body-frames that are compared joint by joint, before the search ends."""

_KEYS = 8
_CELL_KEYS = 3
"""Keys that divide clips into cells as wide as the limit: near clips lie in one cell, or in two that touch."""
_STEP_COST = 1000  # of a round, in pairs, whatever number it compares
_PAIRS_A_REPORT = 500
_SLACK = 1.001  # keys are sums in float64; their rounding must not hide a pair


@dataclass(frozen=True)
class Duplicates:
    """Duplicate clips of a set.

    Args:
        first: (N,) position of the first clip with the same coordinates; a clip's own position if there is none.
        near: Pairs of clips (i, j), i < j, that are nearly equal, and their mean joint distance in the set's unit. Of
            clips with the same coordinates only the first is in a pair.
        complete: False if the search for near pairs ended at `MOST_PAIRS` or `MOST_COMPARED`.
    """

    first: Int64[np.ndarray, " n"]
    near: dict[tuple[int, int], float]
    complete: bool

    @cached_property
    def neighbours(self) -> Mapping[int, Sequence[tuple[float, int]]]:
        """The nearly equal clips of each clip that has any, with their distances."""
        found: dict[int, list[tuple[float, int]]] = defaultdict(list)
        for (first, second), distance in self.near.items():
            found[first].append((distance, second))
            found[second].append((distance, first))
        return found


class Fingerprints:
    """Collector of digests and keys that tell clips apart, filled while a set is read once.

    A clip's digest stands for every coordinate. Its keys bound distances from below: each is the mean over joints and
    frames of the centred joint's component along a direction that depends on the joint. The mean of lengths is at
    least the length of the mean, so two clips with the same frames are at least as far apart, in mean joint distance,
    as any of their keys. Clips whose keys differ by more than ``near`` are no near duplicates; all others are
    compared joint by joint. So no pair of the same length is missed.

    Args:
        dataset: The set.
        near: Clips that differ by less are near duplicates; in the set's unit.
    """

    def __init__(self, dataset: SkeletonSet, near: float = NEAR_METRES) -> None:
        self.data = dataset
        self._near = near
        self._seen: dict[bytes, int] = {}
        self._first = np.arange(len(dataset))
        self._rows = np.zeros(len(dataset), dtype=np.int64)
        self._keys = np.full((len(dataset), _KEYS), np.nan)
        shape = (_KEYS, len(dataset.layout), dataset.coordinates)
        directions = np.random.default_rng(0).normal(size=shape)
        self._directions = directions / np.linalg.norm(directions, axis=2, keepdims=True)

    def add(self, rows: BodyFrames) -> None:
        """Add the clips of ``rows``; each clip must be whole, and clips must come in order."""
        clips, starts, counts = np.unique(rows.clip, return_index=True, return_counts=True)
        pose = np.add.reduceat(rows.joints, starts, axis=0, dtype=np.float64) / counts[:, None, None]
        pose -= pose.mean(axis=1, keepdims=True)
        self._keys[clips] = np.einsum("nvc,kvc->nk", pose, self._directions) / pose.shape[1]
        self._rows[clips] = counts
        for clip, start, count in zip(clips.tolist(), starts.tolist(), counts.tolist(), strict=True):
            digest = hashlib.blake2b(f"{self.data.bodies[clip]} {self.data.frames[clip]}".encode(), digest_size=16)
            for values in (rows.body, rows.frame, rows.joints):
                digest.update(np.ascontiguousarray(values[start : start + count]).data)
            self._first[clip] = self._seen.setdefault(digest.digest(), clip)

    def duplicates(self, report: Report = lambda what, done, total: None) -> Duplicates:
        """Compare the added clips.

        Args:
            report: Takes word of the progress.
        """
        candidates, complete = self._candidates(report)
        pairs: dict[tuple[int, int], float] = {}
        compared = 0
        for number, (first, second) in enumerate(candidates.tolist()):
            if not number % _PAIRS_A_REPORT:
                report("near clips compared", number, len(candidates))
            compared += int(self._rows[first])
            if compared > MOST_COMPARED:
                return Duplicates(self._first, pairs, False)
            distance = self._distance(first, second)
            if distance < self._near:
                pairs[first, second] = distance
        return Duplicates(self._first, pairs, complete)

    def _candidates(self, report: Report) -> tuple[Int64[np.ndarray, "p 2"], bool]:
        """Return the pairs of clips with nearly equal keys, and whether the list is complete."""
        only = np.flatnonzero((self._first == np.arange(len(self._first))) & np.isfinite(self._keys).all(axis=1))
        width = max(_SLACK * self._near, np.finfo(np.float64).tiny)
        cells = np.floor(np.clip(self._keys[only, :_CELL_KEYS] / width, -(2.0**40), 2.0**40)).astype(np.int64)
        cells = np.column_stack((self.data.frames[only], self._rows[only], cells))
        # a hash that adds up, so that all clips of a neighbouring cell are found by one number more
        factors = np.random.default_rng(0).integers(1, 2**62, size=cells.shape[1]) | 1
        codes = (cells * factors).sum(axis=1)
        order = np.lexsort((self._keys[only, 0], codes))
        only, cells, codes = only[order], cells[order], codes[order]
        keys = self._keys[only]
        found, count, work = [np.zeros((0, 2), dtype=np.int64)], 0, 0
        offsets = [offset for offset in product((0, 1, -1), repeat=_CELL_KEYS) if offset >= (0,) * _CELL_KEYS]
        for number, offset in enumerate(offsets):  # each pair of cells once
            report("search for near clips", number, len(offsets))
            apart = np.array((0, 0, *offset))
            here = np.arange(len(only))
            there = codes + (apart * factors).sum()
            start = np.searchsorted(codes, there) if any(offset) else here + 1
            end = np.searchsorted(codes, there, side="right")
            while len(here := here[start[here] < end[here]]):
                other = start[here]
                near: Bool[np.ndarray, " p"] = (cells[other] - cells[here] == apart).all(axis=1)
                near &= (np.abs(keys[other] - keys[here]) <= _SLACK * self._near).all(axis=1)
                found.append(np.sort(np.column_stack((only[here[near]], only[other[near]])), axis=1))
                start[here] += 1
                count += int(near.sum())
                work += len(here) + _STEP_COST
                if count > MOST_PAIRS or work > MOST_COMPARED:
                    return np.concatenate(found)[:MOST_PAIRS], False
        pairs = np.concatenate(found)
        return pairs[np.lexsort(pairs.T[::-1])], True

    def _distance(self, first: int, second: int) -> float:
        """Return the mean joint distance of two centred clips; infinite if they differ in bodies or frames."""
        a, b = self.data.body_frames(first, first + 1), self.data.body_frames(second, second + 1)
        if not (np.array_equal(a.body, b.body) and np.array_equal(a.frame, b.frame)):
            return float("inf")
        apart: Float64[np.ndarray, "r v c"] = np.subtract(a.joints, b.joints, dtype=np.float64)
        return float(np.linalg.norm(apart - apart.mean(axis=(0, 1)), axis=2).mean())


def leaks(
    duplicates: Duplicates, train: Int64[np.ndarray, " n"], test: Int64[np.ndarray, " m"]
) -> dict[int, tuple[int, float]]:
    """Find test clips that are also in training: clip -> (training clip, mean joint distance; 0 if equal)."""
    of_class = dict(zip(duplicates.first[train][::-1].tolist(), train[::-1].tolist(), strict=True))
    found, neighbours = {}, duplicates.neighbours
    for clip, first in zip(test.tolist(), duplicates.first[test].tolist(), strict=True):
        if first in of_class:
            found[clip] = (of_class[first], 0.0)
        elif near := [(apart, of_class[twin]) for apart, twin in neighbours.get(first, ()) if twin in of_class]:
            distance, twin = min(near)
            found[clip] = (twin, distance)
    return found
