"""Random draws that depend on a seed and a position only.

Every draw for a clip is a hash of (seed, epoch, clip, purpose, counter). No generator state exists, so a resumed run,
another batch size, or another number of processes sees the same draws for the same clip in the same epoch.
"""

from enum import IntEnum

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

_GOLDEN_GAMMA = 0x9E3779B97F4A7C15 - (1 << 64)  # splitmix64's constants as signed 64-bit numbers
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)


class Purpose(IntEnum):
    """Purpose of a draw; draws for different purposes are independent."""

    VIEW = 1
    MASK = 2
    DROP_PATH = 3
    DROPOUT = 4
    LABELS = 5
    VALIDATION = 6
    MIRROR = 7
    SPEED = 8
    JOINT_DROPOUT = 9
    NOISE = 10
    CLASSES = 11
    SHOTS = 12
    PICTURES = 13
    SHARES = 14
    DROPPED_FRAMES = 15
    DIRECTIONS = 16


def _shift_right(bits: Tensor, count: int) -> Tensor:
    return (bits >> count) & ((1 << (64 - count)) - 1)  # torch shifts int64 arithmetically


def _mix(bits: Tensor) -> Tensor:
    bits = bits + _GOLDEN_GAMMA
    bits = (bits ^ _shift_right(bits, 30)) * _MIX_1
    bits = (bits ^ _shift_right(bits, 27)) * _MIX_2
    return bits ^ _shift_right(bits, 31)


def clip_keys(seed: int, epoch: int, positions: Int64[Tensor, " b"]) -> Int64[Tensor, " b"]:
    """Compute one key per clip of an epoch, from which all its draws follow.

    Args:
        seed: The run's seed, 0 or more.
        epoch: Epoch, from 0.
        positions: (B,) positions of the clips in their prepared set.

    Examples:
        >>> import torch
        >>> from maskel.draws import Purpose, clip_keys, uniform
        >>> keys = clip_keys(seed=0, epoch=3, positions=torch.tensor([7, 8]))
        >>> draws = uniform(keys, Purpose.MASK, 5)
        >>> bool((draws[1] == uniform(clip_keys(0, 3, torch.tensor([8])), Purpose.MASK, 5)[0]).all())  # in any batch
        True
    """
    start = torch.full((), seed, dtype=torch.int64, device=positions.device)  # torch.tensor would wait for a GPU
    return _mix(_mix(_mix(start) + epoch) + positions)


def body_keys(keys: Int64[Tensor, " b"], bodies: int) -> Int64[Tensor, "b m"]:
    """Compute one key per body of each clip: (B, M)."""
    return _mix(keys[:, None] ^ torch.arange(1, bodies + 1, device=keys.device))


def uniform(keys: Int64[Tensor, " b"], purpose: Purpose, count: int) -> Float32[Tensor, "b n"]:
    """Draw ``count`` values per key, uniform on [0, 1), multiples of 2^-24: (B, count)."""
    counters = torch.arange(count, device=keys.device)
    bits = _mix(_mix(keys ^ (int(purpose) << 32))[:, None] + counters * 2)
    return (_shift_right(bits, 40)).to(torch.float32) * 2.0**-24


def normal(keys: Int64[Tensor, " b"], purpose: Purpose, count: int) -> Float32[Tensor, "b n"]:
    """Draw ``count`` values per key with mean 0 and standard deviation 1: (B, count), each within 5.5 of 0."""
    middles = uniform(keys, purpose, count).double() + 2.0**-25  # of 2^24 intervals, so never 0 or 1
    return torch.special.ndtri(middles).float()


def order_drawn(seed: int, epoch: int, positions: Int64[np.ndarray, " n"], purpose: Purpose) -> Int64[np.ndarray, " n"]:
    """Sort the places of ``positions`` by a draw for each; the first of them are a sample without replacement."""
    draws = uniform(clip_keys(seed, epoch, torch.from_numpy(positions)), purpose, 1)[:, 0].numpy()
    return np.argsort(draws, kind="stable")


def epoch_order(seed: int, epoch: int, positions: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Draw the order in which an epoch visits ``positions``: a permutation that depends on (seed, epoch)."""
    return np.random.default_rng((seed, epoch)).permutation(positions)
