"""The readers of other toolboxes' files in common: options, classes and names of clips, and missing joints."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from maskel.datasets.base import Source
from maskel.datasets.folder.gaps import body_exists
from maskel.datasets.folder.names import ENDING
from maskel.datasets.folder.people import choose_bodies
from maskel.datasets.folder.pose import Missing, Pose
from maskel.datasets.folder.preparation import Preparation
from maskel.datasets.folder.tracks import ACTORS
from maskel.datasets.ntu import NTU60, NTU120, clip_called
from maskel.errors import BadFileError, InputError
from maskel.files import described
from maskel.layouts import layout_named
from maskel.sequence import SCORE, XYZ, Clip, SkeletonSequence

MAX_CLASSES = 10_000
LARGEST = 100.0
"""Metres. No body is 100 m from the origin: larger coordinates in 3D are in another unit."""
SMALLEST = 0.05
"""Metres. A body that never extends this far along any axis is in another unit, or a single point."""
LARGEST_BODY = 10.0
"""Metres. No body is larger: the diagonal of its bounding box, in the median of its frames."""

GivenChannels = Literal["auto", "xy", "xyz", "xys"]
NO_CLIP = "classes without a clip"


class Toolbox(Source):
    """Base class of the files of other toolboxes, in which classes are numbers and people have no names.

    Its arguments are options of every such source, which documents them.

    Raises:
        InputError: If there is no such layout, or options are out of range.
    """

    def __init__(
        self,
        layout: str,
        channels: GivenChannels,
        scores: bool,
        missing: Missing,
        scale: float | None,
        first_label: int | None,
        bodies: int,
        actor: str,
    ) -> None:
        check_people(self.name, bodies, actor)
        if first_label not in (None, 0, 1) or (scale is not None and not 0 < scale < 10_000):
            raise InputError(f"{self.name}: expected --first-label 0 or 1, and --scale above 0")
        self.given_layout = layout_named(layout) if layout else None
        self.given_channels = channels
        self.scores = scores
        self.missing = missing
        self.scale = scale
        self.first_label = first_label
        self.bodies = bodies
        self.actor = actor
        self.may_miss_joints = missing == "zero"
        self.passed: Counter[str] = Counter()

    def settle_channels(self, read_as: str) -> None:
        """Read a joint's numbers as ``xy``, ``xyz`` or ``xys``; s is the score."""
        self.read_as, self.flat = read_as, read_as != "xyz"
        self.channels = (*XYZ[: 2 if self.flat else 3], *([SCORE] if self.scores else []))

    def refuse_scores(self, path: Path, likely: Sequence[bool]) -> None:
        """Refuse scores in the place of z, unless the user says what the numbers are.

        Args:
            path: The file, for messages.
            likely: For each of some clips, True if its third numbers look like scores.

        Raises:
            BadFileError: If all of them do.
        """
        if self.given_channels == "auto" and likely and all(likely):
            expected = "x, y, z; if it is a score, --channels xys and the --layout, else --channels xyz"
            raise BadFileError(path, "wrong unit", "a third number from 0 to 1 throughout, like a score", expected)

    def settle_classes(self, path: Path, names: Sequence[str], labels: Sequence[int]) -> tuple[int, ...]:
        """Set the classes by the labels of a file; begins the counts of `notes`.

        Args:
            path: The file, for messages.
            names: Names of its clips; NTU RGB+D names contain the class.
            labels: As they stand in the file, all >= 0.

        Returns:
            The label of each clip, from 0.

        Raises:
            InputError: If labels may count from 0 or from 1, or contradict ``--first-label`` or the names.
        """
        first = self.first_label
        actions = [clip and clip.label for clip in map(clip_called, names)]  # None for other names
        if first is None and list(labels) == actions:
            first = 0
        if first is None and min(labels) == 1:
            from_one = [label - 1 for label in labels] == actions
            reason = "are the numbers in the clips' names, which count from 1" if from_one else "may count from 1"
            choices = "--first-label 1" if from_one else "--first-label 1, or --first-label 0 if class 0 has no clip"
            raise InputError(
                f"{path}: labels run from 1 to {max(labels)}, and no clip has label 0: they {reason}; {choices}"
            )
        first = first or 0
        if min(labels) < first:
            raise InputError(f"{path}: a label is {min(labels)}, but --first-label says that they count from {first}")
        shifted = tuple(label - first for label in labels)
        count = max(shifted) + 1
        self.classes, self.published, self.passed = numbered_classes(count), {}, Counter()
        if list(shifted) == actions:
            source = NTU60 if count <= len(NTU60.classes) else NTU120
            self.classes, self.published = source.classes, source.published
        else:
            self.passed[NO_CLIP] = count - len(set(shifted))
        return shifted

    def completed(self, clip: Clip, pose: Pose) -> SkeletonSequence:
        """Make a clip: missing (NaN) joints of existing bodies are interpolated in time, or set to zero.

        Absent bodies and empty frames stay absent: they are zero.
        """
        how = Preparation(self.layout, scores=self.scores, missing=self.missing, centre=False, max_gap=0)
        joints, counts = how.complete(Path(clip.name), pose, every_frame=True)
        return SkeletonSequence(clip, joints, self.layout, counts)

    def recorded(self) -> dict[str, object]:
        """Return the options, with the layout that was found."""
        return super().recorded() | {"layout": self.layout.name, "channels": self.given_channels}


def key_of(name: str) -> str:
    """Normalise a clip's name: without differences of case, Unicode form, folders and ending."""
    return ENDING.sub("", unicodedata.normalize("NFC", name).casefold().replace("\\", "/").rpartition("/")[2])


def clip_named(name: str, label: int) -> Clip:
    """Return a clip; an NTU RGB+D name gives its subject, camera, setup and replication."""
    return replace(clip_called(name) or Clip(name, label), label=label)


def numbered_classes(count: int) -> tuple[str, ...]:
    """Return names for classes without names."""
    return tuple(f"class_{label:03}" for label in range(count))


def label_of(where: str, label: Any) -> int:
    """Return a label as a whole number; a float with a whole value is accepted.

    Raises:
        BadFileError: If it is not a whole number from 0 to below `MAX_CLASSES`.
    """
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    if type(label) is not int or not 0 <= label < MAX_CLASSES:
        raise BadFileError(where, "not a number", f"label {described(label)}", f"a class from 0 to {MAX_CLASSES - 1}")
    return label


def repeated(names: Sequence[str]) -> list[str]:
    """Return the repeated names, each once."""
    return [name for name, count in Counter(names).items() if count > 1]


def with_gaps(
    joints: Float64[np.ndarray, "m t v d"], scores: Float64[np.ndarray, "m t v"] | None, min_score: float = 0
) -> Float64[np.ndarray, "m t v d"]:
    """Replace missing joints by NaN: all zero, NaN, or with a score of 0 or less, or below ``min_score``.

    In 3D a joint may be the origin and is then not missing: the only joint that is zero in all frames, or the only one
    that is zero in the first frame. Scores that are nowhere above 0 are ignored.
    """
    missing = np.isnan(joints).any(-1)
    zero = (joints == 0).all(-1)  # (M, T, V)
    for body_zero, body_missing in zip(zero, missing, strict=True) if joints.shape[-1] == 3 else ():
        frames = np.flatnonzero(~(body_zero | body_missing).all(1))
        if not len(frames):
            continue
        always = body_zero[frames].all(0)
        if always.sum() == 1:
            body_zero[np.ix_(frames, always)] = False
        if body_zero[frames[0]].sum() == 1:
            body_zero[frames[0]] = False
    missing |= zero
    if scores is not None and (scores > 0).any():
        missing |= ~((scores > 0) & (scores >= min_score))
    return np.where(missing[..., np.newaxis], np.nan, joints)


def check_people(source: str, bodies: int, actor: str) -> None:
    """Check the options that choose people, for files in which people have no names.

    Raises:
        InputError: If ``bodies`` is below 1, or the actor is chosen by a name.
    """
    if bodies < 1 or actor not in ("", *ACTORS):
        raise InputError(
            f"{source}: found --bodies {bodies} --actor {actor!r}, expected 1 body or more, and {', '.join(ACTORS)}"
        )


def main_bodies(
    where: str, pose: Pose, bodies: int, actor: str, middle: Float64[np.ndarray, " d"] | None = None
) -> Pose:
    """Choose a clip's main bodies with `maskel.datasets.folder.people.choose_bodies`, which counts the others.

    Without ``actor``, a clip of at most ``bodies`` existing bodies keeps them unchanged; of more bodies it keeps those
    with the most frames.

    Args:
        where: The clip, for messages.
        pose: All bodies; NaN where a joint is missing.
        bodies: Bodies to keep, 1 or more.
        actor: Rule for the first body, one of `ACTORS`, or empty.
        middle: The middle of the image, if it is known.
    """
    there = np.flatnonzero(body_exists(pose.joints).any(1))
    if not actor and len(there) <= bodies:
        scores = None if pose.scores is None else pose.scores[there]
        return replace(pose, joints=pose.joints[there], scores=scores)
    return choose_bodies(Path(where), pose, bodies, actor or ACTORS[0], middle)


def check_metres(where: str, joints: np.ndarray, remedy: str) -> None:
    """Check that joints in 3D can be in metres.

    Args:
        where: The clip, for messages.
        joints: (M, T, V, 3); NaN where a joint is missing.
        remedy: Advice to the user for another unit.

    Raises:
        BadFileError: If one is further than `LARGEST` from the origin, the largest body is below `SMALLEST`, or the
            usual one above `LARGEST_BODY`.
    """
    largest = float(np.nanmax(np.abs(joints), initial=0))
    sides = np.nan_to_num(joints, nan=-np.inf).max(2) - np.nan_to_num(joints, nan=np.inf).min(2)  # (M, T, 3)
    extent = float(sides.max())  # minus infinity for a frame without joints
    exists = ((np.nan_to_num(joints) != 0).any((2, 3))) & np.isfinite(sides).all(2)
    usual = float(np.median(np.linalg.norm(sides[exists], axis=-1))) if exists.any() else 0.0
    if largest <= LARGEST and extent >= SMALLEST and usual <= LARGEST_BODY:
        return
    found = f"a body of at most {extent:.3g} from side to side"
    if largest > LARGEST or usual > LARGEST_BODY:
        found = f"a coordinate of {largest:.6g}" if largest > LARGEST else f"bodies of size {usual:.3g}"
    expected = f"metres: bodies of {SMALLEST:g} to {LARGEST_BODY:g}, at most {LARGEST:g} from the origin; {remedy}"
    raise BadFileError(where, "wrong unit", found, expected)


def is_score(third: np.ndarray) -> bool:
    """Return True if all z values lie between 0 and 1, as scores do; zeros and NaN are ignored."""
    numbers = third[np.isfinite(third) & (third != 0)]
    return bool(numbers.size > 0 and numbers.min() > 0 and numbers.max() <= 1)
