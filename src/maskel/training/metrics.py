"""Accuracy and the other counts of right answers."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor


def count(
    predicted: Int64[Tensor, " n"], labels: Int64[Tensor, " n"], classes: Sequence[str], expected: int
) -> dict[str, Any]:
    """``correct``, ``seen``, ``accuracy`` and the same per class; ``balanced_accuracy`` and ``macro_f1``.

    Balanced accuracy is the mean recall of the classes that occur. Macro-F1 is the mean F1 of the classes that occur or
    are predicted; F1 is 2·correct / (seen + predicted).

    Args:
        predicted: (N,) classes.
        labels: (N,) right ones.
        classes: Class names.
        expected: Size of the split; every clip must have been seen once.

    Raises:
        RuntimeError: If ``seen`` is not the split's size: a fault of maskel, never of the data.
    """
    if len(labels) != expected:
        raise RuntimeError(f"counted {len(labels)} clips of a split of {expected}")
    size = len(classes)
    seen, named = (torch.bincount(which, minlength=size).tolist() for which in (labels, predicted))
    correct = torch.bincount(labels[predicted == labels], minlength=size).tolist()
    return _counts(classes, list(zip(correct, seen, named, strict=True)))


def add_up_counts(counts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up the counts of several parts, as `count` of all of them would give.

    Args:
        counts: One or more, of the same classes, and of parts that share no clip.
    """
    rows = [[(row["correct"], row["seen"], row["predicted"]) for row in counted["per_class"]] for counted in counts]
    sums = [tuple(map(sum, zip(*of_class, strict=True))) for of_class in zip(*rows, strict=True)]
    together = _counts([row["class"] for row in counts[0]["per_class"]], sums)
    if all("top5" in counted for counted in counts):
        together["top5"] = sum(counted["top5"] for counted in counts)
    if not all("macro_f1" in counted for counted in counts):
        together.pop("macro_f1")
    return together


def _counts(classes: Sequence[str], counts: Sequence[tuple[int, ...]]) -> dict[str, Any]:
    """The result of these right answers, clips seen and clips predicted, a class each."""
    right, seen_clips = sum(correct for correct, _, _ in counts), sum(seen for _, seen, _ in counts)
    return {
        "correct": right,
        "seen": seen_clips,
        "accuracy": right / seen_clips,
        "balanced_accuracy": mean(c / s for c, s, _ in counts if s),
        "macro_f1": mean(2 * c / (s + n) for c, s, n in counts if s + n),
        "per_class": [
            {"class": name, "correct": c, "seen": s, "predicted": n, "accuracy": c / s if s else None}
            for name, (c, s, n) in zip(classes, counts, strict=True)
        ],
    }
