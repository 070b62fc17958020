"""Features of a frozen encoder, and counting right answers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from maskel.datasets.store import SkeletonSet
from maskel.models.encoder import Encoder
from maskel.training.distributed import World, gather_rows
from maskel.training.loading import SingleBody
from maskel.training.precision import Precision, autocast
from maskel.transforms import test_view


@torch.no_grad()
def extract(
    encoder: Encoder,
    data: SkeletonSet,
    positions: Int64[np.ndarray, " n"],
    world: World,
    single_body: SingleBody,
    precision: Precision = "fp32",
    batch_size: int = 256,
) -> Float32[Tensor, "n d"]:
    """Features of the clips at ``positions`` in the test view, each exactly once, on every process.

    The mean runs over all body slots, as published.
    """
    encoder.eval()
    rows = []
    share = np.array_split(positions, world.size)[world.rank]
    for start in range(0, len(share), batch_size):
        batch = data.gather(share[start : start + batch_size], data.max_bodies, single_body).to(world.device)
        with autocast(precision, world.device):
            pooled = encoder.pool(test_view(batch, encoder.config.window), absent_bodies=True)
        rows.append(pooled)
    if not rows:
        rows.append(torch.zeros(0, encoder.config.dim, device=world.device))
    return gather_rows(torch.cat(rows))


def count(
    predicted: Int64[Tensor, " n"], labels: Int64[Tensor, " n"], classes: Sequence[str], expected: int
) -> dict[str, Any]:
    """``correct``, ``seen``, ``accuracy`` and the same per class.

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
    return {
        "correct": int(right.sum()),
        "seen": len(labels),
        "accuracy": int(right.sum()) / len(labels),
        "per_class": [
            {"class": name, "correct": c, "seen": s, "accuracy": c / s if s else None}
            for name, c, s in zip(classes, correct, seen, strict=True)
        ],
    }
