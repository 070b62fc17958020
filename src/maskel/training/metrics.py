"""Accuracy and the other counts of right answers."""

from collections.abc import Sequence
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
    right = predicted == labels
    seen = torch.bincount(labels, minlength=len(classes)).tolist()
    correct = torch.bincount(labels[right], minlength=len(classes)).tolist()
    named = torch.bincount(predicted, minlength=len(classes)).tolist()
    return {
        "correct": int(right.sum()),
        "seen": len(labels),
        "accuracy": int(right.sum()) / len(labels),
        "balanced_accuracy": mean(c / s for c, s in zip(correct, seen, strict=True) if s),
        "macro_f1": mean(2 * c / (s + n) for c, s, n in zip(correct, seen, named, strict=True) if s + n),
        "per_class": [
            {"class": name, "correct": c, "seen": s, "accuracy": c / s if s else None}
            for name, c, s in zip(classes, correct, seen, strict=True)
        ],
    }
