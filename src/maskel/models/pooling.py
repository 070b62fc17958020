"""Pooling of a body's tokens into one feature vector."""

from typing import Literal, get_args

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from maskel.errors import InputError
from maskel.layouts import Layout
from maskel.sequence import SkeletonBatch

Pool = Literal["mean", "regions", "joints", "regions_time"]
"""Groups of tokens to average: all of them, as published (D); those of each region of the body (up to 5·D); each
joint's over time (V'·D); or those of each region in each third of the time (up to 15·D)."""
THIRDS = 3


def pool_tokens(
    tokens: Float[Tensor, "r n d"], grid: tuple[int, int], pool: Pool, regions: Float32[Tensor, "g vp"]
) -> Float[Tensor, "r f"]:
    """Average each body's tokens as ``pool`` says; regions follow each other, in each third of the time.

    Args:
        tokens: (R, T'·V', D) tokens of a whole grid, in token order.
        grid: Patches in time T' and over joints V'.
        pool: Groups of tokens to average.
        regions: (G, V') the weight of each column of the grid in each region, as `region_weights` gives them.

    Raises:
        InputError: If there is no such ``pool``, or time has fewer patches than thirds.
    """
    if pool not in get_args(Pool):
        raise InputError(f"pool: found {pool!r}, expected one of {', '.join(get_args(Pool))}")
    if pool == "mean":
        return tokens.mean(1)
    table = tokens.unflatten(1, grid)  # (R, T', V', D)
    if pool == "joints":
        return table.mean(1).flatten(1)
    if pool == "regions":
        return (regions @ table.mean(1)).flatten(1)
    if grid[0] < THIRDS:
        raise InputError(f"pool regions_time: found {grid[0]} patches in time, expected {THIRDS} or more")
    parts = [part.mean(1) for part in table.tensor_split(THIRDS, 1)]
    return (regions @ torch.stack(parts, 1)).flatten(1)


def region_weights(layout: Layout, read: tuple[int, ...], patch_joints: int) -> Float32[Tensor, "g vp"]:
    """Compute the share of each column of the token grid in each region of the body, for regions that have joints.

    Args:
        layout: Layout with the regions.
        read: (R,) joints that the encoder reads, in the order of the grid.
        patch_joints: Joints of a column; a column with joints of several regions counts to each by its share.
    """
    columns = [read[start : start + patch_joints] for start in range(0, len(read), patch_joints)]
    inside = [[len(set(column) & set(joints)) for column in columns] for joints in layout.regions.values()]
    return torch.tensor([[count / sum(row) for count in row] for row in inside if any(row)])


def put_bodies(batch: SkeletonBatch, features: Float32[Tensor, "r f"]) -> Float32[Tensor, "b m f"]:
    """Put the features of the bodies present into the slots of their clips; zeros stand in the others.

    Args:
        batch: Clips.
        features: (R, F) of the bodies at `SkeletonBatch.present_bodies`; those that only fill up are left out.
    """
    slots = features.new_zeros(batch.present.numel(), features.shape[1])
    places = batch.present_bodies()
    if batch.weights is None:
        slots = slots.index_copy(0, places, features)
    else:  # a place named twice must get its features once, and pass its gradient on once
        slots = slots.index_add(0, places, features * batch.weights[:, None])
    return slots.unflatten(0, batch.present.shape)
