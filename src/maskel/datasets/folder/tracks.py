"""Bodies of a clip as tracks: who was gone and came back is linked again, and who matters comes first."""

import itertools
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from maskel.datasets.counts import Counts
from maskel.errors import BadFileError

ACTORS = ("longest", "motion", "central", "largest")
"""Who comes first: seen in most frames, moving most, nearest to the middle, of the largest size."""
LONGEST_ABSENCE = 300
"""Frames; who is gone for longer is not linked again."""
REACH, REACH_EACH_FRAME, FARTHEST = 1.0, 0.05, 3.0
"""How far away somebody may come back, in body sizes: at once, more for each frame of absence, and at most."""
SIZE_RATIO = 1.6
"""Largest ratio of the sizes of the body that left and of the one that came back."""
BRIEF = 3
"""Frames; a shorter track may be a ghost, which must not take a person's place."""
RIVAL_RATIO, RIVAL_MARGIN = 2.0, 0.3
"""A link is sure if every other one that would exclude it is more than this times as far, and this much farther."""
TIME_COST = 0.02
"""What a frame of absence costs, in body sizes: of several tracks that follow each other the first is linked first."""
FEW = 0.1
"""A track of less than this share of the longest one's frames is never the main actor, unless chosen by its name."""
LINKED = "people linked again after a gap or jump"
"""Counts every link."""
NOT_LINKED = "people who may have come back, left apart"
"""Counts tracks that begin where more than one person could have come back."""


@dataclass(eq=False)
class Track:
    """One body in the frames in which it is seen.

    Args:
        frames: Their numbers, increasing.
        people: Coordinates and, last, the score of each joint; NaN where missing or unknown.
        names: What the file calls the person; several where tracks of different names were linked.
    """

    frames: Int64[np.ndarray, " n"]
    people: Float64[np.ndarray, "n v c"]
    names: tuple[str, ...] = ()

    @property
    def start(self) -> int:
        """First frame."""
        return int(self.frames[0])

    @property
    def end(self) -> int:
        """Last frame, inclusive."""
        return int(self.frames[-1])


def link_again(tracks: Sequence[Track]) -> tuple[list[Track], Counts]:
    """Links a track that ends to one that begins later, if it is the same person by position, size and time.

    Where only one person is ever seen at a time, it is the same one by size and time, wherever it comes back; not if
    the file calls them by more than numbers, which trackers give anew to who returns. Where two links exclude each
    other and neither is clearly better, none is made. Among them a track of fewer than `BRIEF` frames never stands
    against a longer one.

    Returns:
        The tracks, ordered by their first frame, and how many were linked or left apart.
    """
    tracks = sorted(tracks, key=lambda track: track.start)
    after, unsure = _alone(tracks), 0
    if len(tracks) > 1 and not after:
        after, unsure = _links(tracks)
    linked = []
    for first in sorted(set(range(len(tracks))) - set(after.values())):
        chain = [first]
        while chain[-1] in after:
            chain.append(after[chain[-1]])
        parts = [tracks[place] for place in chain]
        names = tuple(dict.fromkeys(name for part in parts for name in part.names))
        frames, people = np.concatenate([t.frames for t in parts]), np.concatenate([t.people for t in parts])
        linked.append(Track(frames, people, names))
    return linked, {LINKED: len(after), NOT_LINKED: unsure}


def in_order(tracks: Sequence[Track], actor: str, middle: Float64[np.ndarray, " d"] | None = None) -> list[Track]:
    """The tracks by how much they matter, the main actor first; equal ones stay in order.

    Args:
        tracks: Tracks of one clip.
        actor: One of `ACTORS`, or the name of a person.
        middle: The middle of the image or scene; by default of all that is seen.
    """
    if len(tracks) < 2:
        return list(tracks)
    if actor == "longest" or actor not in ACTORS:
        return sorted(tracks, key=lambda track: (actor in track.names, len(track.frames)), reverse=True)
    longest = max(len(track.frames) for track in tracks)
    if actor == "central" and middle is None:
        seen = np.concatenate([track.people[..., :-1].reshape(-1, track.people.shape[-1] - 1) for track in tracks])
        middle = (np.nanmin(seen, 0) + np.nanmax(seen, 0)) / 2

    def weight(track: Track) -> tuple[bool, float]:
        joints = track.people[..., :-1]
        with _all_may_be_missing():
            if actor == "motion":
                value = float(np.nansum(np.nanvar(joints, 0))) * len(joints)
            elif actor == "largest":
                value = float(np.nanmedian(_sizes(joints)))
            else:
                value = -float(np.nanmedian(np.linalg.norm(np.nanmean(joints, 1) - middle, axis=-1)))
        return len(joints) >= FEW * longest, value

    return sorted(tracks, key=weight, reverse=True)


def check_actor(path: object, tracks: Sequence[Track], actor: str) -> None:
    """Makes sure that a person who is chosen by name is there.

    Raises:
        BadFileError: If nobody in the clip has the name.
    """
    names = [name for track in tracks for name in track.names]
    if actor not in ACTORS and actor not in names:
        people = f"people {', '.join(names[:9])}" if names else "no names of people"
        expected = f"{actor!r}, as --actor says, or --actor {', '.join(ACTORS)}"
        raise BadFileError(str(path), "no such person", people, expected)


def _alone(tracks: Sequence[Track]) -> dict[int, int]:
    """The track that follows each, if all of them are one person who leaves and returns; else nothing.

    A track of fewer than `BRIEF` frames is nobody's return, and may stand beside others.
    """
    places = [place for place, track in enumerate(tracks) if len(track.frames) >= BRIEF]
    pairs = list(itertools.pairwise(places))
    names = {name for place in places for name in tracks[place].names}
    if not pairs or not all(name.isdecimal() for name in names):
        return {}
    with _all_may_be_missing():
        sizes = [float(np.nanmedian(_sizes(tracks[place].people[..., :-1]))) for place in places]
    gaps = [tracks[second].start - tracks[first].end for first, second in pairs]
    same_size = max(sizes) <= SIZE_RATIO * min(sizes)
    return dict(pairs) if same_size and all(0 < gap <= LONGEST_ABSENCE for gap in gaps) else {}


def _links(tracks: Sequence[Track]) -> tuple[dict[int, int], int]:
    """The track that follows each, and the number of tracks that were left apart for want of a clear choice."""
    followers, predecessors = _candidates(tracks)
    after: dict[int, int] = {}
    before: dict[int, int] = {}

    def is_sure(first: int, second: int) -> bool:
        gap = tracks[second].start - tracks[first].end
        reach = RIVAL_RATIO * followers[first][second] + RIVAL_MARGIN
        rivals = [(other, far, first, other, second) for other, far in followers[first].items() if other not in before]
        rivals += [
            (other, far, other, second, first) for other, far in predecessors[second].items() if other not in after
        ]
        for other, far, left, right, chosen in rivals:
            if other == chosen or not _overlap(tracks[other], tracks[chosen]):
                continue
            brief, chosen_brief = (len(tracks[place].frames) < BRIEF for place in (other, chosen))
            later = max(tracks[right].start - tracks[left].end - gap, 0)
            if chosen_brief if brief != chosen_brief else far + TIME_COST * later < reach:
                return False
        return True

    waiting = sorted(
        (far + TIME_COST * (tracks[second].start - tracks[first].end), first, second)
        for first, seconds in followers.items()
        for second, far in seconds.items()
    )
    changed = True
    while changed:
        changed, left = False, []
        for cost, first, second in waiting:
            if first in after or second in before:
                continue
            if is_sure(first, second):
                after[first], before[second] = second, first
                changed = True
            else:
                left.append((cost, first, second))
        waiting = left
    return after, len({second for _, first, second in waiting if first not in after and second not in before})


def _candidates(tracks: Sequence[Track]) -> tuple[dict[int, dict[int, float]], dict[int, dict[int, float]]]:
    """How far, in body sizes, each possible link reaches, by the earlier and by the later track.

    ``tracks`` are ordered by first frame.
    """
    with _all_may_be_missing():
        ends = np.stack([np.nanmean(track.people[-3:, :, :-1], 0) for track in tracks])  # (N, V, D)
        starts = np.stack([np.nanmean(track.people[:3, :, :-1], 0) for track in tracks])
        sizes_before = np.array([np.nanmedian(_sizes(track.people[-30:, :, :-1])) for track in tracks])
        sizes_after = np.array([np.nanmedian(_sizes(track.people[:30, :, :-1])) for track in tracks])
    first_frames = np.array([track.start for track in tracks])
    followers: dict[int, dict[int, float]] = defaultdict(dict)
    predecessors: dict[int, dict[int, float]] = defaultdict(dict)
    for first, track in enumerate(tracks):
        begin = int(np.searchsorted(first_frames, track.end, side="right"))
        stop = int(np.searchsorted(first_frames, track.end + LONGEST_ABSENCE, side="right"))
        later = slice(begin, min(stop, begin + 1000))
        size = np.maximum(sizes_before[first], sizes_after[later])
        with _all_may_be_missing():
            ratio = size / np.minimum(sizes_before[first], sizes_after[later])
            moved = np.linalg.norm(np.nanmean(starts[later] - ends[first], 1), axis=-1) / size
        gap = first_frames[later] - track.end
        allowed = np.minimum(REACH + REACH_EACH_FRAME * gap, FARTHEST)
        near = np.flatnonzero((moved <= allowed) & (ratio <= SIZE_RATIO))
        for place in near[:16].tolist():  # further ones follow some track in between
            followers[first][begin + place] = predecessors[begin + place][first] = float(moved[place])
    return followers, predecessors


def _overlap(one: Track, other: Track) -> bool:
    return one.start <= other.end and other.start <= one.end


def _sizes(joints: Float64[np.ndarray, "n v d"]) -> Float64[np.ndarray, " n"]:
    """The diagonal of the bounding box of each body."""
    low, high = np.nanmin(joints, 1), np.nanmax(joints, 1)
    return np.asarray(np.linalg.norm(high - low, axis=-1))


@contextmanager
def _all_may_be_missing() -> Iterator[None]:
    """Silences what numpy says of means of nothing; the result, NaN, is what is wanted."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
