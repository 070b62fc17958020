"""Features of a frozen encoder."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from maskel.console import reported
from maskel.datasets.store import SkeletonSet
from maskel.distributed import World, gather_rows
from maskel.errors import InputError
from maskel.models.encoder import Encoder
from maskel.models.pooling import Pool
from maskel.sequence import SingleBody, SkeletonBatch
from maskel.training.loading import filled_up
from maskel.training.precision import Precision, autocast
from maskel.transforms import centre_crop, test_view, view_frames

CHUNK = 256
"""Clips that are read at a time; fewer where they are long."""
_MANY = 4096  # clips from which on the reading of them is shown as a bar
_MOST_FRAMES = CHUNK * 2 * 300  # frames of all bodies that are read at a time
Change = Callable[[SkeletonBatch], SkeletonBatch]
"""Change of whole clips, as `maskel.disturbances` makes."""


def extract(
    encoder: Encoder,
    dataset: SkeletonSet,
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

    window, bodies = encoder.config.window, dataset.max_bodies
    return read_clips(read, window, bodies, single_body, dataset, positions, world, precision, batch_size)


@torch.no_grad()
def read_clips(
    read: Callable[[SkeletonBatch], Tensor],
    window: int,
    bodies: int,
    single_body: SingleBody,
    dataset: SkeletonSet,
    positions: Int64[np.ndarray, " n"],
    world: World,
    precision: Precision = "fp32",
    batch_size: int = CHUNK,
    change: Change | None = None,
) -> Float32[Tensor, "n d"]:
    """Apply ``read`` to the clips in the test view, to each exactly once; all processes get all rows.

    Args:
        read: Makes one row (D,) of every clip of a batch.
        window: Frames of the view.
        bodies: Body slots M of a clip.
        single_body: Filling of the second body slot of a clip with one body: ``zero`` or ``copy``.
        dataset: The set.
        positions: (N,) clips, one or more.
        world: This process among all; each reads its share.
        precision: Number type of matrix products.
        batch_size: Most clips to read at a time.
        change: Change of the whole clips before the view is taken; None for none.

    Raises:
        InputError: If a row is not finite; it names the clip.
    """
    rows = []
    frames_read = window if change is None else max(window, int(dataset.valid_frames[positions].max()))
    batch_size = max(1, min(batch_size, _MOST_FRAMES // (frames_read * bodies)))
    share = np.array_split(positions, world.size)[world.rank]
    positions_here = share if len(share) else positions[:1]  # a process without a clip learns how wide a row is
    with reported(show=world.is_main and len(share) >= _MANY) as report:
        for start in range(0, len(positions_here), batch_size):
            report("clips", start, len(share))
            chosen = positions_here[start : start + batch_size]
            if change is None:
                frames = view_frames(*centre_crop(torch.from_numpy(dataset.valid_frames[chosen])), window)
                batch = dataset.gather(chosen, bodies, single_body, frames).to(world.device)
            else:  # it needs all frames
                batch = test_view(change(dataset.gather(chosen, bodies, single_body).to(world.device)), window)
            batch = filled_up(batch, world.device)
            with autocast(precision, world.device):
                found = read(batch)
            bad = chosen[~found[: len(chosen)].isfinite().all(dim=1).cpu().numpy()]
            if len(bad):  # nothing that counts such clips would mean anything
                name = dataset.clips[int(bad[0])].name
                raise InputError(
                    f"{dataset.path}: clip {name} gives features or scores that are not finite; its coordinates, or "
                    "the model's weights, are too large"
                )
            rows.append(found)
    return gather_rows(torch.cat(rows)[: len(share)])


def require_power(power: float) -> None:
    """Refuse a power that `whiten` does not take.

    Raises:
        InputError: If it is not from 0 to 1.
    """
    if not 0 <= power <= 1:
        raise InputError(f"whiten: found {power}, expected 0 (off) to 1")


def whiten(
    gallery: Float32[Tensor, "n f"], queries: Float32[Tensor, "q f"], power: float
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "q d"]]:
    """Divide each principal component of the gallery's features by a power of its standard deviation.

    Components in which the gallery does not differ are left out. Features are centred by the gallery's mean first. With
    a ``power`` of 0 nothing is changed.

    Args:
        gallery: (N, F) features that say what the components are; two or more, not all alike.
        queries: (Q, F) features to change likewise.
        power: 0 to 1; 1 gives all components the same spread.

    Raises:
        InputError: If all features of the gallery are alike.
    """
    if power == 0:
        return gallery, queries
    known = gallery.double()
    mean = known.mean(0)
    known = known - mean
    wide = known.shape[1] > len(known)  # of the two tables with the same eigenvalues the smaller one
    values, vectors = torch.linalg.eigh(known @ known.T if wide else known.T @ known)
    kept = values > 1e-9 * values[-1]
    if not bool(values[-1] > 1e-20 * gallery.double().square().sum()):  # nothing but rounding
        raise InputError("whiten: all clips to compare with have the same features, so none has a spread; leave it out")
    spread = values[kept].sqrt()
    axes = known.T @ vectors[:, kept] / spread if wide else vectors[:, kept]
    axes = axes / (spread / len(known) ** 0.5) ** power
    return known @ axes, (queries.double() - mean) @ axes
