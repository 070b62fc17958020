"""RELEASED CODE ONLY: the token order of HA-CM's public code, faults included, so that its numbers can be reproduced.

Nothing else in maskel uses this; delete the file and the branch in `HACM` that leads here, and HA-CM is whole.
The release keeps tokens, scores, decoder slots and targets in orders that do not agree:

* R4: visible tokens of odd patches are put into the even patches' decoder slots, behind their own.
* R5: tokens of even patches are joint-major, decoder slots and targets time-major.
* R6: scores of odd patches are joint-major, their tokens time-major: times and joints are mixed up.
* R7: a decoder slot is a place among the even patches, then among the odd ones, not a time.
"""

import torch
from jaxtyping import Float32
from torch import Tensor

from maskel.masking.base import TokenMask
from maskel.masking.hierarchy_aware import CrossMasking


@torch.no_grad()
def masks(
    masking: CrossMasking,
    tokens: Float32[Tensor, "r t v d"],
    roots: Float32[Tensor, "r t roots d"],
    draws: Float32[Tensor, "r n"],
) -> tuple[TokenMask, TokenMask]:
    """Draw the mask, in our token numbers and in decoder slots.

    In both, ``keep`` holds the visible tokens and ``masked`` those of the loss; as released, the two overlap.

    Args:
        masking: The method's.
        tokens: (R, T', V', D) as `CrossMasking` scores them, like the next.
        roots: (R, T', roots, D)
        draws: (R, N) uniform on [0, 1): the first half for even patches, joint-major, the second for odd ones.
    """
    times, count = tokens.shape[1:3]
    size = times // 2 * count
    grid = torch.arange(times * count, device=tokens.device).view(times, count)
    even, odd = masking.scores(tokens, roots)
    order_even = masking.order(even.transpose(1, 2).flatten(1), draws[:, :size])
    order_odd = masking.order(odd.transpose(1, 2).flatten(1), draws[:, size:])
    kept = masking.num_kept(size)
    even_tokens, odd_tokens = grid[0::2].T.flatten(), grid[1::2].flatten()
    slots = TokenMask(
        order_even[:, : 2 * kept],
        torch.cat((order_even[:, kept:], size + order_odd[:, kept:]), 1),
    )
    keep = torch.cat((even_tokens[order_even[:, :kept]], odd_tokens[order_odd[:, :kept]]), 1)
    targets = torch.cat((grid[0::2], grid[1::2])).flatten()  # our number of the token whose target a slot predicts
    return TokenMask(keep, targets[slots.masked]), slots
