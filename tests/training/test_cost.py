"""What a training step costs, counted and not timed: a change that makes steps dearer shows here on every machine.

If a change is meant to cost more, its commit states the new figures.
"""

from typing import Any

import pytest
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import tiny
from maskel.draws import clip_keys
from maskel.layouts import NTU25
from maskel.methods.base import Method

# method and its decoder -> operations of a step, forward and backward, and millions of FLOP in them
STORED = {
    ("mamp", "full"): (513, 9.85),
    ("mamp", "cross"): (510, 8.34),
    ("mae", "full"): (495, 9.85),
    ("hacm", "full"): (796, 7.48),
    ("finetune", ""): (419, 15.44),
}
ROOM = 1.05  # versions of PyTorch differ a little in how they cut operations


class Operations(TorchDispatchMode):
    """Counts what reaches the device: on a GPU about one kernel each."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("name", "decoder"), STORED)
def test_a_step_costs_no_more_than_it_did(name: str, decoder: str) -> None:
    if name == "finetune":
        method: Method = tiny.tiny_classifier(name, bodies="present")
    else:
        method = tiny.tiny_method(name, decoder=decoder, bodies="present")
    batch = tiny.random_batch(NTU25, clips=8)
    keys = clip_keys(0, 0, batch.clips)
    method(batch, keys)["loss"].backward()  # what is made once is not counted
    with Operations() as operations, FlopCounterMode(display=False) as flops:
        method(batch, keys)["loss"].backward()
    found = (operations.count, flops.get_total_flops() / 1e6)
    for now, stored in zip(found, STORED[name, decoder], strict=True):
        assert stored / ROOM <= now <= ROOM * stored, f"operations and millions of FLOP: found {found}"
