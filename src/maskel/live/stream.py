"""A trained classifier behind a camera: one frame's keypoints in, smoothed classes of each person out."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from maskel.datasets.base import AS_RECORDED, METRES, ON_THE_BODY
from maskel.datasets.folder import Folder
from maskel.datasets.folder.pose import MAX_MAGNITUDE, Pose
from maskel.datasets.folder.preparation import Preparation
from maskel.errors import InputError
from maskel.layouts import Layout
from maskel.live.people import Filled, Joints, People, check_names
from maskel.methods.classifier import Classifier
from maskel.sequence import SCORE, UNLABELLED, Clip, SkeletonBatch, SkeletonSequence, num_coordinates
from maskel.training.classifiers import load_classifier
from maskel.training.recordings import Making, read_extent, usual_windows

_PLACE = Path("the stream")


@dataclass(frozen=True)
class Update:
    """The answer for one person.

    Args:
        person: As the tracker says, or ``#1``, ``#2``, … for people without a name.
        start: When the newest window starts, in seconds as pushed.
        end: Its last frame.
        label: The most probable class; a position in the classifier's ``label_spec.classes``.
        name: Name of the class.
        probability: Its smoothed probability.
        sure: Whether that is as high as was wanted, and the distance as small.
        probabilities: (K,) smoothed, of each class.
        window: (K,) of the newest window alone.
        distance: Smoothed distance to the training clips, 1 for that of the median training clip; not a number where
            the classifier does not know them.
        distance_percentile: Training clips, in percent, that are at most as far from the others; not a number likewise.
    """

    person: str
    start: float
    end: float
    label: int
    name: str
    probability: float
    sure: bool
    probabilities: Float64[np.ndarray, " k"]
    window: Float64[np.ndarray, " k"]
    distance: float = math.nan
    distance_percentile: float = math.nan


class Stream:
    """Classes of everybody in a stream of keypoints.

    Frames are brought to a regular rate, so that times may jitter. Every person has windows like those of
    ``maskel predict --per-body``: the same joints at regular times get the same probabilities. An answer is the mean
    over the windows that started while the newest one lasts. Memory does not grow with time.

    Args:
        classifier: A run folder of linear or finetune, its file, or a loaded classifier.
        fps: Frames a second to which the stream is brought; by default those of the training clips, where the
            classifier knows them.
        window_length: Length of a window, in frames at ``fps`` (``64``) or seconds (``2.5s``); by default that of the
            median training clip.
        step: From the start of a window to that of the next, likewise; by default a quarter of the window.
        min_probability: Answers that are less probable are unsure, in [0, 1].
        max_distance: Answers that are farther from the training clips are unsure too; None for no limit.
        device: Where the classifier runs, for one that is not loaded.

    Raises:
        InputError: If there is no such classifier, it does not say how its clips were made, or an option is wrong.

    Attributes:
        classifier: The classifier, in eval mode.
        layout: The joints that are pushed.
        forgets_after: Seconds after which a person who is not seen is forgotten, and smoothing begins anew.
        coordinates: Coordinates of a joint, 2 or 3.
        left_out: People beyond 32 in a frame, who are not looked at; all frames together.

    Examples:
        >>> stream = Stream("classifier", fps=30.0)
        >>> for number in range(90):  # one person who stands still, at almost regular times
        ...     updates = stream.push(np.ones((1, 25, 3)) * np.arange(25)[:, None] / 20, time=number / 30, ids=["ann"])
        ...     if updates:
        ...         break
        >>> updates[0].person, round(updates[0].end - updates[0].start, 2)
        ('ann', 2.13)
    """

    def __init__(
        self,
        classifier: Classifier | Path | str,
        fps: float | None = None,
        window_length: str | None = None,
        step: str | None = None,
        min_probability: float = 0.0,
        device: torch.device | str = "cpu",
        max_distance: float | None = None,
    ) -> None:
        name = "the classifier" if isinstance(classifier, Classifier) else classifier
        if fps is not None and not 0 < fps < 10_000:
            raise InputError(f"fps: found {fps}, expected frames a second, above 0")
        if not 0 <= min_probability <= 1:
            raise InputError(f"min_probability: found {min_probability}, expected 0 to 1")
        length, pace = read_extent("window_length", window_length), read_extent("step", step)
        model = classifier if isinstance(classifier, Classifier) else load_classifier(classifier, device)
        self.classifier = model.eval()
        if max_distance is not None and not (0 < max_distance < math.inf and model.familiarity):
            raise InputError(
                f"max_distance: found {max_distance}, expected more than 0, and a classifier that holds its training "
                "clips' features"
            )
        self._max_distance = math.inf if max_distance is None else max_distance
        if model.label_spec.provenance is None:
            raise InputError(
                f"{name} does not record how its training joints were made (released and older files do not), so those "
                "of a stream cannot be made alike; train a classifier on a set of maskel prepare"
            )
        self._making = Making.of(name, model)
        trained_fps = self._making.made.options.get("fps")
        rate = fps or trained_fps
        if rate is None:
            raise InputError(f"{name} does not say the frame rate of its training clips; give it as fps, such as 30")
        self._rate = float(rate)
        self.layout, self._preparation = _preparation(name, self._making, model)
        windows = usual_windows(model.label_spec, length, pace, True, self._rate)
        frames = windows.frames(self._rate, "windows")
        self.forgets_after = (self._preparation.max_gap + 1) / self._rate
        self.coordinates = num_coordinates(model.encoder.channels)
        self._min_probability = min_probability
        self._people = People(*frames, self._preparation.max_gap)
        self._recent: dict[str, deque[tuple[Float64[np.ndarray, " k"], float]]] = {}
        self._smoothed = -(-frames[0] // frames[1])  # windows
        self._scored: bool | None = None
        self._start: float | None = None
        self._last = -math.inf

    def see_images(self, size: tuple[int, int]) -> None:
        """State the width and height of the images, where positions are in pixels of others than the training's."""
        if self._preparation.image_size:
            self._preparation = replace(self._preparation, image_size=size)

    @property
    def left_out(self) -> int:
        """Number of people beyond 32 in a frame, all frames together."""
        return self._people.left_out

    @property
    def people(self) -> tuple[str, ...]:
        """Names of those who are remembered."""
        return tuple(self._people.known)

    def push(self, joints: Any, time: float, ids: Sequence[object] | None = None) -> list[Update]:
        """Take one frame.

        Args:
            joints: (P, V, C) of the P people in it, none or more: coordinates in the unit of the training recordings
                and maybe the score of each joint; NaN where a joint is missing.
            time: When, in seconds; later than the frame before. After a pause of more than ``forgets_after`` everybody
                is forgotten.
            ids: What a tracker calls each person over all frames, a text or whole number; None for people that it
                does not name, who are followed by position.

        Returns:
            An answer for each person whose window is full now; mostly none.

        Raises:
            InputError: If the frame is not what it should be; nothing of it is kept, and the next may follow.
        """
        if not math.isfinite(time):
            raise InputError(f"found time {time}, expected seconds")
        if time <= self._last:
            raise InputError(f"found a frame at {time:g} s after one at {self._last:g} s, expected a later one")
        people = self._checked(joints)
        names = check_names([None] * len(people) if ids is None else ids, self._people.unnamed)
        if len(names) != len(people):
            raise InputError(
                f"found {len(names)} ids of {len(people)} people, expected one for each; None where unknown"
            )
        seen = [not np.isnan(person[:, :-1]).any(1).all() for person in people]
        pause = (time - self._last) * self._rate
        if self._start is None or pause > self._preparation.max_gap + 1 + 1e-6:
            self._people.clear()
            self._recent.clear()
            self._start = time
        self._last = time
        filled = self._people.push(
            (time - self._start) * self._rate, list(compress(names, seen)), list(compress(people, seen))
        )
        self._recent = {key: some for key, some in self._recent.items() if key in self._people.known}
        return self._answers(filled)

    def _checked(self, joints: Any) -> list[Joints]:
        """Refuse people who are no joints of the layout; give the others scores, which are NaN where there are none."""
        count = self.coordinates
        needs = SCORE in self.classifier.encoder.channels or self._preparation.min_score > 0
        widths = (count + 1,) if needs else (count, count + 1)
        expected = (
            f"joints (P, {len(self.layout)}, {' or '.join(map(str, widths))}) of layout {self.layout.name}: "
            f"{', '.join('xyz'[:count])}{' and score' if needs else ', maybe with a score'}"
        )
        try:
            values = np.asarray(joints, dtype=np.float64)
        except (TypeError, ValueError) as fault:
            raise InputError(f"found joints that are no array of numbers, expected {expected}") from fault
        if not values.size:
            return []
        if values.ndim != 3 or values.shape[1] != len(self.layout) or values.shape[2] not in widths:
            raise InputError(f"found joints {values.shape}, expected {expected}")
        if (np.abs(values) > MAX_MAGNITUDE).any():
            wrong = values[np.abs(values) > MAX_MAGNITUDE][0]
            raise InputError(f"found a joint at {wrong:g}, expected positions, NaN where one is missing")
        scored = values.shape[2] > count
        if self._scored not in (None, scored):
            found, before = ("with", "without") if scored else ("without", "with")
            raise InputError(f"found joints {found} scores after frames {before} them, expected one form in all frames")
        self._scored = scored
        if not scored:
            values = np.concatenate((values, np.full((*values.shape[:2], 1), np.nan)), 2)
        return list(values)

    def _answers(self, filled: Sequence[Filled]) -> list[Update]:
        """Classify windows that are full."""
        made = [(window, sequence) for window in filled if (sequence := self._sequence(window)) is not None]
        if not made:
            return []
        answers = self.classifier.answer(self._batch([sequence for _, sequence in made]))
        shares, distances = (values.double().cpu().numpy() for values in answers)
        updates = []
        for (window, _), share, far in zip(made, shares, distances.tolist(), strict=True):
            recent = self._recent.setdefault(window.key, deque(maxlen=self._smoothed))
            if window.fresh:
                recent.clear()
            recent.append((share, far))
            mean = np.mean([share for share, _ in recent], axis=0)
            distance = float(np.mean([far for _, far in recent]))
            label = int(mean.argmax())
            start, end = (
                (self._start or 0.0) + at / self._rate for at in (window.first, window.first + len(window.frames) - 1)
            )
            probability = float(mean[label])
            sure = probability >= self._min_probability and not distance > self._max_distance
            name, familiarity = self.classifier.label_spec.classes[label], self.classifier.familiarity
            percentile = familiarity.percentile(distance) if familiarity else math.nan
            update = Update(window.key, start, end, label, name, probability, sure, mean, share, distance, percentile)
            updates.append(update)
        return updates

    def _sequence(self, window: Filled) -> SkeletonSequence | None:
        """Prepare a window as a clip; None if nothing of the person is left."""
        away = np.full((len(self.layout), self.coordinates + 1), np.nan)
        values = np.stack([away if frame is None else frame for frame in window.frames])[None]
        pose = Pose(values[..., :-1], values[..., -1] if self._scored else None)
        joints, _ = self._preparation.apply(_PLACE, pose, self._rate)
        if not joints.any():
            return None
        return self._making.apply(SkeletonSequence(Clip(window.key, UNLABELLED), joints, self.layout))

    def _batch(self, sequences: Sequence[SkeletonSequence]) -> SkeletonBatch:
        """Join clips of one body each, as `SkeletonSet.gather` does."""
        label_spec = self.classifier.label_spec
        lengths = [sequence.joints.shape[1] for sequence in sequences]
        joints = torch.zeros(len(sequences), label_spec.num_bodies, max(lengths), *sequences[0].joints.shape[2:])
        for place, sequence in enumerate(sequences):
            joints[place, 0, : lengths[place]] = torch.from_numpy(sequence.joints[0])
        if label_spec.single_body == "copy" and label_spec.num_bodies > 1:
            joints[:, 1] = joints[:, 0]
        present = torch.zeros(joints.shape[:2], dtype=torch.bool)
        present[:, 0] = True
        numbers = torch.arange(len(sequences))
        labels = torch.full_like(numbers, UNLABELLED)
        return SkeletonBatch(joints, torch.tensor(lengths), present, labels, numbers, self.classifier.encoder.channels)


def _preparation(name: object, making: Making, model: Classifier) -> tuple[Layout, Preparation]:
    """Return the layout of the joints that come in, and the training clips' preparation if it goes frame by frame."""
    source, count = making.source, num_coordinates(model.encoder.channels)
    channels: Any = "xyz"[:count] + ("s" if SCORE in model.encoder.channels else "")
    if isinstance(source, Folder):
        how = replace(source.preparation, channels=channels, bodies=1, actor="longest")
    else:
        origin = source.conventions(count)
        layout = getattr(source, "layout", None)
        if layout is None or origin.get("origin") not in (ON_THE_BODY, AS_RECORDED) or origin.get("unit") != METRES:
            raise InputError(
                f"{name} learned from clips of maskel prepare {source.name}, which does not record enough of how "
                "joints were made to make those of a stream alike; train on a set of maskel prepare folder"
            )
        centred = origin["origin"] == ON_THE_BODY
        how = Preparation(layout, channels, scores=SCORE in model.encoder.channels, bodies=1, centre=centred)
    target = making.converted.target if making.converted else how.layout
    if target != model.encoder.layout:
        raise InputError(f"{name} reads {model.encoder.layout.name}, but its clips were made as {target.name}")
    return how.layout, how
