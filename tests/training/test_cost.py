"""What a training step costs, counted and not timed: a change that makes steps dearer shows here on every machine.

If a change is meant to cost more, its commit states the new figures.
"""

import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

import tiny
from maskel.datasets.store import SkeletonSet
from maskel.draws import clip_keys
from maskel.layouts import NTU25
from maskel.methods import METHODS
from maskel.methods.base import Method
from maskel.training import loading
from maskel.training.loading import ClipBatches
from maskel.transforms import Stream, TrainView

# method and its decoder -> operations of a step, forward and backward, millions of FLOP in them, and MB of results
STORED = {
    ("mamp", "full"): (515, 9.85, 2.71),
    ("mamp", "cross"): (512, 8.34, 2.18),
    ("mae", "full"): (497, 9.85, 2.62),
    ("hacm", "full"): (803, 7.48, 2.85),
    ("finetune", ""): (426, 15.44, 4.83),
    ("linear", ""): (114, 5.58, 1.43),
    ("features", ""): (98, 5.57, 1.43),
}
ROOM = 1.05  # versions of PyTorch differ a little in how they cut operations


class Operations(TorchDispatchMode):
    """Counts what reaches the device, on a GPU about one kernel each, and the bytes of what is made there."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.count += 1
        given = {each.untyped_storage().data_ptr() for each in tree_leaves(args) if isinstance(each, torch.Tensor)}
        for each in tree_leaves(made):
            if isinstance(each, torch.Tensor) and each.untyped_storage().data_ptr() not in given:  # no view
                self.bytes += each.untyped_storage().nbytes()
        return made


def build_work(name: str, decoder: str) -> Callable[[], object]:
    """A step of a method or classifier, or the features of a frozen encoder."""
    batch = tiny.random_batch(NTU25, clips=8)
    keys = clip_keys(0, 0, batch.clips)
    if name == "features":
        frozen = tiny.tiny_classifier("linear").encoder
        return lambda: frozen.pool(batch, absent_bodies=True)
    if name in METHODS:
        method: Method = tiny.tiny_method(name, decoder=decoder, bodies="present")
    else:
        method = tiny.tiny_classifier(name, **({"bodies": "present"} if name == "finetune" else {}))
    return lambda: method(batch, keys)["loss"].backward()


@pytest.mark.parametrize(("name", "decoder"), STORED)
def test_a_step_costs_no_more_than_it_did(name: str, decoder: str) -> None:
    work = build_work(name, decoder)
    work()  # what is made once is not counted
    with Operations() as operations, FlopCounterMode(display=False) as flops:
        work()
    found = (operations.count, flops.get_total_flops() / 1e6, operations.bytes / 1e6)
    for now, stored in zip(found, STORED[name, decoder], strict=True):
        assert stored / ROOM <= now <= ROOM * stored, f"operations, millions of FLOP and MB: found {found}"


class Copies(TorchFunctionMode):
    """Refuses tensors made of Python numbers on the device: a GPU's copy of unpinned memory is waited for."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__getitem__ and args[0].device.type != "cpu":
            places = args[1] if isinstance(args[1], tuple) else (args[1],)
            assert not any(isinstance(place, (list, np.ndarray)) for place in places), places
        made = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor):
            assert made.device.type == "cpu", func
        return made


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mamp", {"bodies": "all"}),
        ("mamp", {"bodies": "present"}),
        ("mae", {"bodies": "present", "decoder": "cross"}),
        ("hacm", {"bodies": "all"}),
        ("hacm", {"bodies": "present"}),
        ("amr", {"bodies": "present"}),
        ("finetune", {"bodies": "all"}),
        ("finetune", {"bodies": "present"}),
        ("finetune", {"drop_path": 0.0, "dropout": 0.0}),
        ("linear", {}),
    ],
)
@pytest.mark.parametrize("stream", ["joint", "bone"])
def test_no_value_of_the_device_is_needed_to_launch_a_step(
    name: str, options: dict[str, Any], stream: Stream, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tensors on ``meta`` have no values: what asks for one, or for a shape that depends on one, fails."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # meta has none
    monkeypatch.setattr(loading, "row_multiple", lambda device: 16)  # as on a GPU
    monkeypatch.setattr(tiny, "ENCODER", replace(tiny.ENCODER, stream=stream))
    method = (tiny.tiny_method if name in METHODS else tiny.tiny_classifier)(name, **options)
    meta = torch.device("meta")
    method.to(meta).train()
    data = SkeletonSet.open(prepared)
    data.keep_on(meta)
    view = TrainView() if stream == "joint" else TrainView(mirror=True, speed=0.1, joint_dropout=0.1, noise=0.01)
    batches = ClipBatches(data, np.arange(len(data)), 8, 0, tiny.ENCODER.window, view, "zero", meta)
    with Copies():
        batch = batches.load(0, batches.step_clips(0, 0))
        found = method(batch, clip_keys(0, 0, batch.clips))
        (found["loss"] * found["weight"]).backward()
    for parameter in method.parameters():
        assert (parameter.grad is not None) == parameter.requires_grad


@pytest.mark.slow
def test_a_step_compiles_to_one_graph_whatever_the_number_of_bodies(prepared: Path) -> None:
    """Another one once that number has changed; more would be compiled again and again."""
    command = [sys.executable, str(Path(__file__).parents[1] / "one_graph.py"), str(prepared)]
    shown = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert shown.splitlines() == ["mamp 2", "hacm 2", "finetune 2"]
