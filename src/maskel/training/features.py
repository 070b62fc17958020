"""Features of a frozen encoder, and counting right answers."""

from collections.abc import Callable, Mapping, Sequence
from statistics import mean
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from maskel.datasets.store import SkeletonSet
from maskel.models.encoder import Encoder
from maskel.models.pooling import Pool
from maskel.sequence import SkeletonBatch
from maskel.training.distributed import World, gather_rows
from maskel.training.loading import SingleBody
from maskel.training.precision import Precision, autocast
from maskel.transforms import centre_crop, view_frames

CHUNK = 256
"""Clips that are read at a time."""


def extract(
    encoder: Encoder,
    data: SkeletonSet,
    positions: Int64[np.ndarray, " n"],
    world: World,
    single_body: SingleBody,
    precision: Precision = "fp32",
    batch_size: int = CHUNK,
    pool: Pool = "mean",
) -> Float32[Tensor, "n f"]:
    """Features of the clips at ``positions`` in the test view, each exactly once, on every process.

    The mean runs over all body slots, as published, and over time and joints as far as ``pool`` says.
    """
    encoder.eval()

    def read(batch: SkeletonBatch) -> Tensor:
        return encoder.pool(batch, absent_bodies=True, pool=pool)

    window, bodies = encoder.config.window, data.max_bodies
    return read_clips(read, window, bodies, single_body, data, positions, world, precision, batch_size)


@torch.no_grad()
def read_clips(
    read: Callable[[SkeletonBatch], Tensor],
    window: int,
    bodies: int,
    single_body: SingleBody,
    data: SkeletonSet,
    positions: Int64[np.ndarray, " n"],
    world: World,
    precision: Precision = "fp32",
    batch_size: int = CHUNK,
) -> Float32[Tensor, "n d"]:
    """What ``read`` makes of the clips in the test view, each exactly once, on every process.

    Args:
        read: Makes one row (D,) of every clip of a batch.
        window: Frames of the view.
        bodies: Body slots M of a clip.
        single_body: What stands in the second slot of a clip with one body.
        data: The set.
        positions: (N,) clips, one or more.
        world: This process among all; each reads its share.
        precision: Of matrix products.
        batch_size: Clips to read at a time.
    """
    rows = []
    share = np.array_split(positions, world.size)[world.rank]
    some = share if len(share) else positions[:1]  # a process without a clip learns how wide a row is
    for start in range(0, len(some), batch_size):
        chosen = some[start : start + batch_size]
        frames = view_frames(*centre_crop(torch.from_numpy(data.valid_frames[chosen])), window)
        batch = data.gather(chosen, bodies, single_body, frames).to(world.device)
        with autocast(precision, world.device):
            rows.append(read(batch))
    return gather_rows(torch.cat(rows)[: len(share)])


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
    """What `count` gives of several parts together, from what it gave of each.

    Args:
        counts: One or more, of the same classes, and of parts that share no clip.
    """
    rows = [[(row["correct"], row["seen"], row["predicted"]) for row in counted["per_class"]] for counted in counts]
    sums = [tuple(map(sum, zip(*of_class, strict=True))) for of_class in zip(*rows, strict=True)]
    together = _counts([row["class"] for row in counts[0]["per_class"]], sums)
    if all("top5" in counted for counted in counts):
        together["top5"] = sum(counted["top5"] for counted in counts)
    return together


def _counts(classes: Sequence[str], counts: Sequence[tuple[int, ...]]) -> dict[str, Any]:
    """The result of these right answers, clips seen and clips predicted, a class each."""
    right, asked = sum(correct for correct, _, _ in counts), sum(seen for _, seen, _ in counts)
    return {
        "correct": right,
        "seen": asked,
        "accuracy": right / asked,
        "balanced_accuracy": mean(c / s for c, s, _ in counts if s),
        "macro_f1": mean(2 * c / (s + n) for c, s, n in counts if s + n),
        "per_class": [
            {"class": name, "correct": c, "seen": s, "predicted": n, "accuracy": c / s if s else None}
            for name, (c, s, n) in zip(classes, counts, strict=True)
        ],
    }
