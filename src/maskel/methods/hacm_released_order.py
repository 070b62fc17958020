"""RELEASED CODE ONLY: the token order of HA-CM's public code, faults included, so that its numbers can be reproduced.

Nothing else in maskel uses this; delete the file and the two branches in `HACM` that lead here, and HA-CM is whole.
The release keeps tokens, scores, decoder slots and targets in orders that do not agree:

* R4: visible tokens of odd patches are put into the even patches' decoder slots, behind their own.
* R5: tokens of even patches are joint-major, decoder slots and targets time-major.
* R6: scores of odd patches are joint-major, their tokens time-major: times and joints are mixed up.
* R7: a decoder slot is a place among the even patches, then among the odd ones, not a time.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float32
from torch import Tensor

from maskel.masking.base import TokenMask
from maskel.masking.hierarchy_aware import CrossMasking
from maskel.methods.masked import Reconstruction
from maskel.models.decoder import Decoder
from maskel.models.encoder import Encoder
from maskel.models.patches import take_tokens


@runtime_checkable
class _Parts(Protocol):
    """The parts of `maskel.methods.hacm.HACM` that are put in another order here."""

    encoder: Encoder
    decoder: Decoder
    masking: CrossMasking

    def embed(self, joints: Float32[Tensor, "r t v c"]) -> tuple[Tensor, Tensor]: ...

    def targets(self, joints: Float32[Tensor, "r t v c"]) -> Tensor: ...


@torch.no_grad()
def masks(
    method: _Parts, joints: Float32[Tensor, "r t v c"], draws: Float32[Tensor, "r n"]
) -> tuple[TokenMask, TokenMask]:
    """Draw the mask, in our token numbers and in decoder slots.

    In both, ``keep`` holds the visible tokens and ``masked`` those of the loss; as released, the two overlap.

    Args:
        method: The method.
        joints: (R, T, V, C) a body each.
        draws: (R, N) uniform on [0, 1): the first half for even patches, joint-major, the second for odd ones.
    """
    times, count = method.encoder.grid
    size = times // 2 * count
    grid = torch.arange(times * count, device=joints.device).view(times, count)
    even, odd = method.masking.scores(*method.embed(joints))
    order_even = method.masking.order(even.transpose(1, 2).flatten(1), draws[:, :size])
    order_odd = method.masking.order(odd.transpose(1, 2).flatten(1), draws[:, size:])
    kept = method.masking.num_kept(size)
    even_tokens, odd_tokens = grid[0::2].T.flatten(), grid[1::2].flatten()
    slots = TokenMask(
        order_even[:, : 2 * kept],
        torch.cat((order_even[:, kept:], size + order_odd[:, kept:]), 1),
    )
    keep = torch.cat((even_tokens[order_even[:, :kept]], odd_tokens[order_odd[:, :kept]]), 1)
    targets = torch.cat((grid[0::2], grid[1::2])).flatten()  # our number of the token whose target a slot predicts
    return TokenMask(keep, targets[slots.masked]), slots


def reconstruct(method: _Parts, joints: Float32[Tensor, "r t v c"], draws: Float32[Tensor, "r n"]) -> Reconstruction:
    """Mask, encode, decode, with every token where the release puts it."""
    mask, slots = masks(method, joints, draws)
    visible = method.encoder(joints, mask.keep)
    predicted = method.decoder(visible, slots)
    return Reconstruction(mask, visible, predicted, take_tokens(method.targets(joints), mask.masked))
