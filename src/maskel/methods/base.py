"""Interface between a method and the training loop."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeVar

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from maskel.errors import InputError
from maskel.models.encoder import Encoder
from maskel.sequence import SkeletonBatch

_Module = TypeVar("_Module", bound=nn.Module)


class Method(nn.Module, ABC):
    """Model with a loss. The training loop calls nothing else.

    Attributes:
        encoder: The network to train, kept for downstream tasks.
        logged: Names of further values that `forward` returns besides ``loss`` and ``weight``.
        freeze_epochs: Number of epochs at the start in which fine-tuning leaves the encoder's weights as they are.
        needs_whole_batch: The loss compares the clips of a batch, of all processes, with each other, so micro-batches
            would change it.
    """

    encoder: Encoder
    logged: ClassVar[tuple[str, ...]] = ()
    freeze_epochs: int = 0
    needs_whole_batch: bool = False

    @abstractmethod
    def forward(self, batch: SkeletonBatch, keys: Int64[Tensor, " b"]) -> dict[str, Tensor]:
        """Compute the loss of a batch.

        Args:
            batch: Clips resampled to the encoder's window, joint positions.
            keys: (B,) one per clip and epoch (`maskel.draws.clip_keys`); every random draw follows from them.

        Returns:
            ``loss``, a mean, and ``weight``, the number of things it is the mean of: micro-batches and processes are
            averaged with these weights, so that neither changes the result. The entries named in ``logged`` are
            averaged in the same way and join the metrics.
        """


def fold_bodies(
    batch: SkeletonBatch, keys: Int64[Tensor, "b m"], only_present: bool
) -> tuple[Tensor, Int64[Tensor, " r"]]:
    """Return bodies as sequences of their own: joints (R, T, V, C) and their keys (R,).

    Args:
        batch: Clips.
        keys: (B, M) a key per body.
        only_present: Leave out absent bodies and copies.
    """
    joints = batch.joints.flatten(0, 1)
    if not only_present:
        return joints, keys.flatten()
    rows = batch.present_bodies()
    return joints.index_select(0, rows), keys.flatten().index_select(0, rows)


def check_seed(seed: int) -> None:
    """Refuse a seed that no draw can hold.

    Raises:
        InputError: If it is not in [0, 2^63).
    """
    if not 0 <= seed < 2**63:
        raise InputError(f"seed: found {seed}, expected 0 or more, and less than 2^63")


def build_seeded(build: Callable[[], _Module], seed: int) -> _Module:
    """Call ``build`` so that its weights depend on ``seed`` alone; torch's generator is left as it was.

    Raises:
        InputError: If the seed is not in [0, 2^63).
    """
    check_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
