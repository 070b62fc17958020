"""Right answers of a run: how many clips it classified correctly, in all and of each class."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from maskel.intervals import interval
from maskel.training.detection import measures_of

PRECISION, HALF_INTERVAL = "mean_average_precision", "half_interval"
"""Entries of ``result.json`` that only some protocols have."""


@dataclass(frozen=True)
class Count:
    """Right answers among the clips that were counted.

    Args:
        correct: Right answers.
        seen: Clips.
    """

    correct: int
    seen: int

    def __str__(self) -> str:
        return f"{self.correct} / {self.seen}" + (f" = {100 * self.share:.1f} %" if self.seen else "")

    @property
    def share(self) -> float:
        """Accuracy in [0, 1]; 0 where there was no clip."""
        return self.correct / self.seen if self.seen else 0.0


@dataclass(frozen=True)
class Answers:
    """Counts of one way of classifying.

    Args:
        way: ``linear``, ``finetune, 1 % of the labels``, ``1-NN``, ``20-NN vote`` or ``sum of logits``, for example.
        key: The entry of ``result.json`` that holds its counts; empty for the result itself.
        count: Over all clips of the part.
        classes: Class names; empty where the result was copied without them.
        per_class: A count for each class.
        balanced: Mean recall of the classes that occur; None where the run did not count so.
        macro_f1: Mean F1 of the classes that occur or are predicted; None likewise.
        top5: Clips whose class is among those of the five highest scores; None likewise, and where classes are few.
        precision: Mean average precision of a retrieval; None for everything else.
        half_interval: Half the width of the accuracy's 95 % interval, where it is one over drawn episodes; None where
            it is Wilson's.
        segments: Measures of segments by name, where frames were counted; else empty.
    """

    way: str
    key: str
    count: Count
    classes: tuple[str, ...]
    per_class: tuple[Count, ...]
    balanced: float | None
    macro_f1: float | None
    top5: Count | None
    precision: float | None = None
    half_interval: float | None = None
    segments: Mapping[str, float] = field(default_factory=dict)

    @property
    def interval(self) -> str:
        """The 95 % interval of the accuracy, in percent; a dash for frames, and where the counts make no sense."""
        correct, seen = self.count.correct, self.count.seen
        if self.segments:  # frames beside each other are not independent
            return "–"
        return interval(correct, seen, self.half_interval) if 0 <= correct <= seen != 0 else "–"

    @property
    def unequal(self) -> bool:
        """True if classes differ in their number of clips."""
        return len({count.seen for count in self.per_class}) > 1

    @classmethod
    def read(cls, way: str, key: str, counted: Mapping[str, Any]) -> "Answers":
        """From the counts in ``result.json``."""
        classes = counted.get("per_class", [])
        balanced, macro_f1 = (
            None if counted.get(name) is None else float(counted[name]) for name in ("balanced_accuracy", "macro_f1")
        )
        seen = int(counted["seen"])
        precision, half = (float(counted[name]) if name in counted else None for name in (PRECISION, HALF_INTERVAL))
        return cls(
            way,
            key,
            Count(int(counted["correct"]), seen),
            tuple(str(entry["class"]) for entry in classes),
            tuple(Count(int(entry["correct"]), int(entry["seen"])) for entry in classes),
            balanced,
            macro_f1,
            Count(int(counted["top5"]), seen) if "top5" in counted else None,
            precision,
            half,
            measures_of(counted["detection"]) if "detection" in counted else {},
        )
