"""How the joints of a clip are made from what its file holds: gaps, units, frame rate, origin."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float64

from maskel.conversion import trunk_middle
from maskel.datasets.counts import EMPTY_FRAMES, FILLED_FRAMES, MISSING_JOINTS, THINNED_FRAMES, Counts
from maskel.datasets.folder.arrays import ArrayChannels, array_pose, read_npy, read_npz
from maskel.datasets.folder.gaps import body_exists, fill_gaps, resample_frames
from maskel.datasets.folder.keypoints import read_keypoints, read_openpose
from maskel.datasets.folder.pose import Pose
from maskel.datasets.folder.tables import read_csv
from maskel.errors import BadFileError
from maskel.layouts import MEDIAPIPE33, Layout
from maskel.sequence import SCORE, XYZ, Channels

MAX_COORDINATE = 100
"""Coordinates beyond this are in another unit: no body is 100 m from the origin."""
FRACTIONS = (MEDIAPIPE33,)
"""Layouts whose detector gives positions in the image as fractions of its width (x, z) and height (y)."""


@dataclass(frozen=True)
class Preparation:
    """The options of `Folder` that say how joints are made; they are documented there.

    ``settled`` are the orders of axes that the set's arrays decided together (`settled_axes`), where ``axes`` is empty.
    """

    layout: Layout
    channels: ArrayChannels
    scores: bool
    min_score: float
    missing: Literal["interpolate", "zero"]
    bodies: int
    fps: float | None
    source_fps: float | None
    scale: float
    image_size: tuple[int, ...]
    centre: bool | None
    axes: str = ""
    settled: tuple[str, ...] = ()

    def read(self, path: Path) -> Pose:
        """What a file, or a folder that is one clip, holds.

        Raises:
            BadFileError: If it is of no known form, or lacks scores that the options need.
        """
        if path.is_dir():
            pose = read_openpose(path, self.layout, self.bodies)
        elif path.suffix == ".csv":
            pose = read_csv(path, self.layout, self.channels)
        elif path.suffix == ".json":
            pose = read_keypoints(
                path, self.layout, self.channels, self.bodies, bool(self.image_size), self.axes, self.settled
            )
        else:
            array = read_npy(path) if path.suffix == ".npy" else read_npz(path)
            pose = array_pose(path, array, self.layout, self.channels, self.axes, self.settled)
        if pose.scores is None and (self.scores or self.min_score > 0):
            raise BadFileError(path, "wrong count", "no scores", "scores, as --scores and --min-score need them")
        return pose

    def channels_of(self, pose: Pose) -> Channels:
        """The channels of the joints that `apply` makes of ``pose``."""
        return (*XYZ[: pose.joints.shape[-1]], *([SCORE] if self.scores else []))

    def apply(self, path: Path, pose: Pose, source_fps: float | None = None) -> tuple[np.ndarray, Counts]:
        """The joints of a clip, and what was dropped or filled in to make them.

        Args:
            path: Where the pose comes from, for messages.
            pose: What `read` gave.
            source_fps: Frames a second of this file, where that is known of it.

        Returns:
            (M, T, V, C) float32, zero where a body is absent; all zero if nobody is in any frame.

        Raises:
            BadFileError: If the coordinates are in another unit, or a frame rate is missing.
        """
        values = self._place(path, _with_gaps(pose, self.min_score))
        gaps = np.isnan(values).any(-1)
        counts = dict(pose.counts) | {MISSING_JOINTS: int(gaps[body_exists(values)].sum())}
        if self.missing == "interpolate":
            filled = fill_gaps(values, self.layout)
            counts[FILLED_FRAMES] = int((body_exists(filled) & ~body_exists(values)).sum())
            values = filled
        if self.scores and pose.scores is not None:
            sure = np.where(gaps, 0.0, np.nan_to_num(pose.scores))  # what is filled in was not seen
            sure[np.isnan(values).any(-1)] = np.nan
            values = np.concatenate((values, sure[..., np.newaxis]), -1)
        if self.fps is not None:
            rate = source_fps or self.source_fps
            if rate is None:
                raise BadFileError(path, "wrong count", "no frame rate", "--source-fps, or a column fps in the table")
            before = values.shape[1]
            values = resample_frames(values, rate, self.fps)
            counts[THINNED_FRAMES] = max(before - values.shape[1], 0)
        empty = ~body_exists(values).any(0)
        counts[EMPTY_FRAMES] = int(empty.sum())
        return self._finish(values), counts

    def _place(self, path: Path, values: Float64[np.ndarray, "m t v c"]) -> Float64[np.ndarray, "m t v c"]:
        """Coordinates in the set's unit."""
        count = values.shape[-1]
        factors, origin = np.full(count, self.scale), np.zeros(count)
        if self.image_size:
            width, height = self.image_size
            size = np.array([width, height, width][:count], np.float64)
            factors = np.full(count, 2 / max(self.image_size)) * (size if self.layout in FRACTIONS else self.scale)
            origin[:2] = np.array([width, height]) / max(self.image_size)
        placed = values * factors - origin
        largest = float(np.nanmax(np.abs(placed), initial=0.0))
        if largest > MAX_COORDINATE:
            unit, option = (
                ("metres", "--scale 0.001 for millimetres") if count == 3 else ("a body of size 1", "--image-size")
            )
            expected = f"{unit}, at most {MAX_COORDINATE} from the origin; is it another unit ({option})?"
            raise BadFileError(path, "wrong unit", f"a coordinate of {largest:.6g}", expected)
        return placed

    def _finish(self, values: Float64[np.ndarray, "m t v c"]) -> np.ndarray:
        """Frames without a body dropped, centred if asked for, zero where missing."""
        exists = body_exists(values)
        values, exists = values[:, exists.any(0)], exists[:, exists.any(0)]
        count = values.shape[-1] - self.scores
        if exists.any() and (count == 3 if self.centre is None else self.centre):
            values = values.copy()
            values[..., :count] -= _trunk_middle(values[..., :count], self.layout)
        values = values[exists.any(1)]
        return np.nan_to_num(values, nan=0.0).astype(np.float32)


def _with_gaps(pose: Pose, min_score: float) -> Float64[np.ndarray, "m t v c"]:
    """Coordinates, NaN where a joint is missing.

    Zeros stand for a missing joint, but for one joint in 3D that is always zero: it is the origin of the recording.
    """
    joints = pose.joints
    missing = np.isnan(joints).any(-1)
    zero = (joints == 0).all(-1)  # (M, T, V)
    for body_zero, body_missing in zip(zero, missing, strict=True):
        exists = ~(body_zero | body_missing).all(1)
        always = body_zero[exists].all(0)
        if joints.shape[-1] == 3 and always.sum() == 1:
            body_zero[np.ix_(exists, always)] = False
    missing |= zero
    if pose.scores is not None and min_score > 0:
        missing |= ~(pose.scores >= min_score)
    return np.where(missing[..., np.newaxis], np.nan, joints)


def _trunk_middle(values: Float64[np.ndarray, "m t v d"], layout: Layout) -> Float64[np.ndarray, " d"]:
    """The middle of the first body's trunk, in the first frame in which all joints that it is made of are there."""
    weights = trunk_middle(layout)
    used = weights > 0
    for body in values:
        whole = ~np.isnan(body[:, used]).any((1, 2))
        if whole.any():
            middle: np.ndarray = weights[used] @ body[whole.argmax()][used]
            return middle
    return np.zeros(values.shape[-1])
