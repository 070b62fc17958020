"""Tracks of a clip's bodies: linked again after an absence, and sorted by importance."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from maskel.datasets.counts import Counts
from maskel.datasets.folder.gaps import all_may_be_missing
from maskel.errors import BadFileError

ACTORS = ("longest", "motion", "central", "largest")
"""Rules for the first body: seen in most frames, moving most, nearest to the middle, or largest."""
LONGEST_ABSENCE = 300
"""Frames. After a longer absence, a body is not linked again."""
REACH, REACH_EACH_FRAME, FARTHEST = 1.0, 0.05, 3.0
"""Largest distance of a return, in body sizes: without absence, more per frame of absence, and at most."""
SIZE_RATIO = 1.6
"""Largest ratio of sizes of the body that left and the one that returned."""
BRIEF = 3
"""Frames. A shorter track may be a ghost, which must not replace a person."""
RIVAL_RATIO, RIVAL_MARGIN = 2.0, 0.3
"""A link is sure if each competing link is longer than this factor times its length plus this margin in body sizes."""
TIME_COST = 0.02
"""Cost of a frame of absence, in body sizes: of several tracks in a row, the first is linked first."""
FEW = 0.1
"""Smallest share of the longest track's frames for the main actor, unless it is chosen by name."""
LINKED = "people linked again after a gap or jump"
NOT_LINKED = "people who may have come back, left apart"
"""Phrase for tracks that could be the return of more than one person."""


@dataclass(eq=False)
class Track:
    """One body in the frames in which it is seen.

    Args:
        frames: Numbers of these frames, increasing.
        people: Coordinates and, last, the score of each joint; NaN where missing or unknown.
        names: Names of the person in the file; several if tracks of different names were linked.
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
    """Link a track that ends to one that begins later, if position, size and time fit one person.

    If the clip never shows two people at once, size and time suffice, wherever the person returns. This does not hold
    if the file has real names; mere numbers do not count, as trackers give a new number to a returning person. If two
    links exclude each other and neither is clearly better, none is made. In this comparison a track of fewer than
    `BRIEF` frames never competes with a longer one.

    Returns:
        The tracks, ordered by their first frame, and counts of linked and unlinked tracks.
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
    """Sort tracks by importance, the main actor first; ties keep their order.

    Args:
        tracks: Tracks of one clip.
        actor: One of `ACTORS`, or the name of a person.
        middle: The middle of the image or scene; by default the middle of all bodies.
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
        with all_may_be_missing():
            if actor == "motion":
                value = float(np.nansum(np.nanvar(joints, 0))) * len(joints)
            elif actor == "largest":
                value = float(np.nanmedian(_sizes(joints)))
            else:
                value = -float(np.nanmedian(np.linalg.norm(np.nanmean(joints, 1) - middle, axis=-1)))
        return len(joints) >= FEW * longest, value

    return sorted(tracks, key=weight, reverse=True)


def check_actor(path: object, tracks: Sequence[Track], actor: str) -> None:
    """Check that a person who is chosen by name exists.

    Raises:
        BadFileError: If nobody in the clip has the name.
    """
    names = [name for track in tracks for name in track.names]
    if actor not in ACTORS and actor not in names:
        people = f"people {', '.join(names[:9])}" if names else "no names of people"
        expected = f"{actor!r}, as --actor says, or --actor {', '.join(ACTORS)}"
        raise BadFileError(str(path), "no such person", people, expected)


def _alone(tracks: Sequence[Track]) -> dict[int, int]:
    """Return the next track of each track if all are one person who leaves and returns; else nothing.

    A track of fewer than `BRIEF` frames is no return, and may overlap the rest.
    """
    places = [place for place, track in enumerate(tracks) if len(track.frames) >= BRIEF]
    pairs = list(itertools.pairwise(places))
    names = {name for place in places for name in tracks[place].names}
    if not pairs or not all(name.isdecimal() for name in names):
        return {}
    with all_may_be_missing():
        sizes = [float(np.nanmedian(_sizes(tracks[place].people[..., :-1]))) for place in places]
    gaps = [tracks[second].start - tracks[first].end for first, second in pairs]
    same_size = max(sizes) <= SIZE_RATIO * min(sizes)
    return dict(pairs) if same_size and all(0 < gap <= LONGEST_ABSENCE for gap in gaps) else {}


def _links(tracks: Sequence[Track]) -> tuple[dict[int, int], int]:
    """Return the next track of each track, and the number of tracks not linked because the choice is unclear."""
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
            apart = tracks[other].end < tracks[chosen].start or tracks[chosen].end < tracks[other].start
            if other == chosen or apart:
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
    """Return the distance of each possible link, in body sizes: (earlier track, later track) -> distance.

    ``tracks`` are ordered by first frame.
    """
    with all_may_be_missing():
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
        with all_may_be_missing():
            ratio = size / np.minimum(sizes_before[first], sizes_after[later])
            moved = np.linalg.norm(np.nanmean(starts[later] - ends[first], 1), axis=-1) / size
        gap = first_frames[later] - track.end
        allowed = np.minimum(REACH + REACH_EACH_FRAME * gap, FARTHEST)
        near = np.flatnonzero((moved <= allowed) & (ratio <= SIZE_RATIO))
        for place in near[:16].tolist():  # later tracks follow a track in between
            followers[first][begin + place] = predecessors[begin + place][first] = float(moved[place])
    return followers, predecessors


def _sizes(joints: Float64[np.ndarray, "n v d"]) -> Float64[np.ndarray, " n"]:
    """Return the diagonal of each body's bounding box."""
    low, high = np.nanmin(joints, 1), np.nanmax(joints, 1)
    return np.asarray(np.linalg.norm(high - low, axis=-1))
