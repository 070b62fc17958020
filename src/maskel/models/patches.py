"""Functions that cut sequences into patches and move tokens between a full grid and a part of it."""

from jaxtyping import Float, Int64
from torch import Tensor


def to_patches(
    joints: Float[Tensor, "b t v c"], patch_frames: int, patch_joints: int = 1
) -> Float[Tensor, "b tp vp p"]:
    """Cut (B, T, V, C) into patches of patch_frames x patch_joints; values inside one are ordered (frame, joint, C)."""
    batch, frames, count, coordinates = joints.shape
    grid = joints.reshape(batch, frames // patch_frames, patch_frames, count // patch_joints, patch_joints, coordinates)
    return grid.transpose(2, 3).flatten(3)  # (B, T', V', u, p, C) -> (B, T', V', P)


def take_tokens(tokens: Float[Tensor, "b n d"], index: Int64[Tensor, "b k"]) -> Float[Tensor, "b k d"]:
    """Take the tokens at grid positions ``index``."""
    return tokens.gather(1, index[:, :, None].expand(-1, -1, tokens.shape[2]))


def put_tokens(
    grid: Float[Tensor, "b n d"], index: Int64[Tensor, "b k"], tokens: Float[Tensor, "b k d"]
) -> Float[Tensor, "b n d"]:
    """Put ``tokens`` into ``grid`` at grid positions ``index``; returns a new grid."""
    return grid.scatter(1, index[:, :, None].expand(-1, -1, grid.shape[2]), tokens.to(grid.dtype))
