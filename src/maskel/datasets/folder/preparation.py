"""Preparation of a clip's joints from its file: gaps, units, frame rate, origin."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from maskel.datasets.counts import EMPTY_FRAMES, FILLED_FRAMES, MISSING_JOINTS, THINNED_FRAMES, Counts
from maskel.datasets.folder.arrays import array_pose, read_npy, read_npz
from maskel.datasets.folder.bvh import read_bvh
from maskel.datasets.folder.c3d import read_c3d
from maskel.datasets.folder.gaps import body_exists, fill_gaps, resample_frames
from maskel.datasets.folder.hdf5 import read_h5
from maskel.datasets.folder.keypoints import read_frames, read_keypoints
from maskel.datasets.folder.mat import read_mat
from maskel.datasets.folder.missing import missing_joints
from maskel.datasets.folder.people import MAX_PEOPLE, choose_bodies
from maskel.datasets.folder.pose import Form, Missing, Pose
from maskel.datasets.folder.tables import read_csv
from maskel.datasets.folder.ultralytics import ENDING, read_labels
from maskel.datasets.folder.units import FRACTIONS, place
from maskel.datasets.windows import Windows, counted_once, first_trunk
from maskel.errors import BadFileError
from maskel.sequence import SCORE, XYZ, Channels, Clip, SkeletonSequence

ORIGINS = "bodies with a joint at zero, taken for the origin"
"""Phrase for bodies with a joint at zero, in one or all frames, that is not missing."""
NO_SCORES = "clips whose scores are all zero, not used"
"""Phrase for clips without any score above zero: the scores cannot mark missing joints."""

ARRAYS = {".npy": read_npy, ".npz": read_npz, ".mat": read_mat}
POSES = {".csv": read_csv, ".json": read_keypoints, ".bvh": read_bvh, ".c3d": read_c3d, ".h5": read_h5}
SUFFIXES = (*ARRAYS, *POSES)
"""Endings of files that are one clip each."""
BAD_WINDOWS = "windows that cannot be prepared, left out"
"""Counts windows of a recording whose bodies are of an unlikely size, say, though those of the whole are not."""


@dataclass(frozen=True)
class Preparation(Form):
    """The options of `Folder` that change how joints are made; they are documented there.

    ``settled`` holds the orders of axes that the set's arrays decide together (`settled_axes`) if ``axes`` is empty.
    """

    scores: bool = False
    min_score: float = 0.0
    missing: Missing = "interpolate"
    bodies: int = 2
    fps: float | None = None
    source_fps: float | None = None
    scale: float | None = None
    centre: bool | None = None
    actor: str = "longest"

    def read(self, path: Path) -> Pose:
        """Read a file, or a folder that is one clip.

        Raises:
            BadFileError: If it is of no known form, or lacks scores that the options need.
        """
        ending = path.suffix.lower()
        if path.is_dir():
            pose = read_frames(path, self)
        elif ending == ENDING:
            pose = read_labels(path, self)
        elif ending in ARRAYS:
            pose = array_pose(path, ARRAYS[ending](path), self)
        else:
            pose = POSES[ending](path, self)
        if pose.scores is None and (self.scores or self.min_score > 0):
            raise BadFileError(path, "wrong count", "no scores", "scores, as --scores and --min-score need them")
        return pose

    def channels_of(self, pose: Pose) -> Channels:
        """Return the channels of the joints that `apply` makes of ``pose``."""
        return (*XYZ[: pose.joints.shape[-1]], *([SCORE] if self.scores else []))

    def apply(
        self, path: Path, pose: Pose, source_fps: float | None = None, every_frame: bool = False
    ) -> tuple[np.ndarray, Counts]:
        """Make the joints of a clip, and count dropped and filled-in items.

        Args:
            path: The file, for messages.
            pose: The result of `read`.
            source_fps: Frames a second of this file, if known.
            every_frame: Keep frames without anybody too, so that times stay.

        Returns:
            (M, T, V, C) float32, zero where a body is absent; all zero if all frames are empty.

        Raises:
            BadFileError: If the coordinates are in another unit, a frame rate is missing, or the actor is not there.
        """
        people = self.place_people(path, pose, self.bodies, self.actor)
        return self.complete(path, people, source_fps, every_frame)

    def place_people(self, path: Path, pose: Pose, bodies: int, actor: str) -> Pose:
        """Do the first half of `apply`: NaN where a joint is missing, the set's unit, the bodies that matter.

        Raises:
            BadFileError: If the coordinates are in another unit, or the actor is not there.
        """
        missing = missing_joints(pose.joints, pose.scores, self.min_score, occlusion=self.layout in FRACTIONS)
        guesses = {
            ORIGINS: int(((pose.joints == 0).all(-1) & ~missing).any((1, 2)).sum()),
            NO_SCORES: int(pose.scores is not None and not (pose.scores > 0).any()),
        }
        values = pose.joints.copy()
        values[missing] = np.nan
        may_be_score = self.channels == "auto" and pose.scores is None
        values, units = place(path, values, self, self.scale, may_be_score)
        middle = np.zeros(values.shape[-1]) if self.image_size else None
        pose = choose_bodies(path, replace(pose, joints=values), bodies, actor, middle)
        return replace(pose, counts={**pose.counts, **units, **guesses})

    def complete(
        self, path: Path, pose: Pose, source_fps: float | None = None, every_frame: bool = False
    ) -> tuple[np.ndarray, Counts]:
        """Do the second half of `apply`: fill gaps, bring to the set's frame rate and origin.

        Arguments and result are those of `apply`.

        Raises:
            BadFileError: If a frame rate is missing.
        """
        values, exists = pose.joints, body_exists(pose.joints)
        gaps = np.isnan(values).any(-1)
        counts = {**pose.counts, MISSING_JOINTS: int(gaps[exists].sum())}
        if self.missing == "interpolate" and (counts[MISSING_JOINTS] or (self.max_gap and not exists.all())):
            values = fill_gaps(values, self.layout, self.max_gap)
            counts[FILLED_FRAMES] = int((body_exists(values) & ~exists).sum())
        if self.scores and pose.scores is not None:
            sure = np.where(gaps, 0.0, np.nan_to_num(pose.scores))  # filled-in joints were not seen
            sure[np.isnan(values).any(-1)] = np.nan
            values = np.concatenate((values, sure[..., np.newaxis]), -1)
        if self.fps is not None:
            rate = source_fps or self.source_fps or pose.fps  # rate of the file's own frame numbers
            if rate is None:
                raise BadFileError(path, "wrong count", "no frame rate", "--source-fps, or a column fps in the table")
            before = values.shape[1]
            values = resample_frames(values, rate / pose.step, self.fps)
            counts[THINNED_FRAMES] = max(before - values.shape[1], 0)
        kept = np.asarray(body_exists(values).any(0) | every_frame)
        counts[EMPTY_FRAMES] = int((~kept).sum())
        return self._finish(values, kept), counts

    def windows(
        self, path: Path, pose: Pose, clip: Clip, windows: Windows, rate: float | None, source_fps: float | None
    ) -> list[SkeletonSequence]:
        """Cut a clip into windows, each prepared as if it were all of its file; counts are those of the whole.

        Args:
            path: Where the pose comes from, for messages.
            pose: Result of `read`.
            clip: Name, label and subject of the clip.
            windows: Length and step of the windows.
            rate: Frames a second, of the numbers by which the file counts its frames; None where unknown.
            source_fps: As for `apply`.

        Raises:
            BadFileError: If no window can be prepared, or the clip as a whole.
            InputError: See `Windows.frames`.
        """
        alone = replace(self, bodies=1, actor="longest")
        everyone = self.place_people(path, pose, MAX_PEOPLE, "longest")
        exists = body_exists(everyone.joints)
        groups = [("", np.asarray(exists.any(0)))]
        if windows.per_body:
            names = everyone.names or [()] * len(exists)
            groups = [("+".join(names[body]) or str(body + 1), exists[body]) for body in range(len(exists))]
        found: list[SkeletonSequence] = []
        fault: BadFileError | None = None
        left_out = 0
        for body, (person, seen) in enumerate(groups):
            for first, end in windows.spans(seen, rate and rate / pose.step, self.max_gap, path):
                try:
                    if windows.per_body:
                        joints, _ = alone.complete(path, everyone.cut(first, end, slice(body, body + 1)), source_fps)
                    else:
                        joints, _ = self.apply(path, pose.cut(first, end), source_fps)
                except BadFileError as wrong:
                    fault, left_out = wrong, left_out + 1
                    continue
                low, high = (pose.first_frame + place * pose.step for place in (first, end))
                about = replace(clip, subject=person, first_frame=low, end_frame=high)
                if joints.any():
                    found.append(SkeletonSequence(about, joints, self.layout))
        if fault and not found:
            raise fault
        chosen = everyone if windows.per_body else self.place_people(path, pose, self.bodies, self.actor)
        _, counts = self.complete(path, chosen, source_fps)
        return counted_once(found, {**counts, BAD_WINDOWS: left_out})

    def _finish(self, values: Float64[np.ndarray, "m t v c"], kept: Bool[np.ndarray, " t"]) -> np.ndarray:
        """Drop frames that are not kept, centre if the options say so, and set missing joints to zero."""
        values = values[:, kept]
        exists = body_exists(values)
        count = values.shape[-1] - self.scores
        if exists.any() and (count == 3 if self.centre is None else self.centre):
            values = values.copy()
            points = values[..., :count]
            points -= first_trunk(points, ~np.isnan(points).any(-1), self.layout)
        values = values[exists.any(1)]
        return np.nan_to_num(values, nan=0.0).astype(np.float32)
