"""The exchange of gradients, in a group of one process: its sums are made twice what this process has."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as processes

import tiny
from maskel import distributed
from maskel.datasets.store import SkeletonSet
from maskel.distributed import sum_gradients
from maskel.methods import METHODS
from maskel.training.run import RunFolder
from several_processes import one_step


@pytest.fixture
def exchanged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Number of values in each exchange of gradients, in order; other sums are left alone."""
    sizes: list[int] = []

    def hooked(tensor: Tensor) -> None:
        if tensor.dtype == torch.float32 and tensor.dim() == 1:
            tensor.mul_(2)
            sizes.append(tensor.numel())

    monkeypatch.setattr(processes, "all_reduce", hooked)
    processes.init_process_group("gloo", store=processes.HashStore(), rank=0, world_size=1)
    try:
        yield sizes
    finally:
        distributed.finish(together=False)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("name", METHODS)
def test_every_gradient_of_a_step_is_summed_once_and_whole(
    name: str, accumulate: int, tiny_set: SkeletonSet, tmp_path: Path, exchanged: list[int]
) -> None:
    options: dict[str, Any] = {"cc_alpha": 0.0} if name == "hacm" else {}  # its contrast needs the whole batch at once
    method = tiny.tiny_method(name, **options)
    trained = {key: weight.detach().clone() for key, weight in method.named_parameters() if weight.requires_grad}
    one_step(method, accumulate, tiny_set, tmp_path / "two", tiny.ALONE)
    assert exchanged == [sum(weight.numel() for weight in trained.values())]
    processes.destroy_process_group()
    one_step(tiny.tiny_method(name, **options), accumulate, tiny_set, tmp_path / "one", tiny.ALONE)
    two, one = (RunFolder(tmp_path / run).load_state()["method"] for run in ("two", "one"))
    for key, start in trained.items():
        torch.testing.assert_close(two[key] - start, 2 * (one[key] - start), rtol=1e-3, atol=1e-6)


def test_gradients_are_summed_in_one_tensor_in_the_order_of_the_weights(exchanged: list[int]) -> None:
    layers = [nn.Parameter(torch.ones(length)) for length in (2, 1, 3)]
    unused = nn.Parameter(torch.ones(2, 2))
    sum((place * layer.sum() for place, layer in enumerate(layers, 1)), torch.zeros(())).backward()
    sum_gradients([*layers, unused])
    assert exchanged == [10]
    whole = layers[0].grad._base
    assert whole is not None
    assert whole.tolist() == [2, 2, 4, 6, 6, 6, 0, 0, 0, 0]
    assert [layer.grad.tolist() for layer in layers] == [[2, 2], [4], [6, 6, 6]]
    assert unused.grad.tolist() == [[0, 0], [0, 0]]


def test_one_process_exchanges_nothing_and_every_weight_has_a_gradient() -> None:
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    used.sum().backward()
    sum_gradients([used, unused])
    assert used.grad is not None
    assert used.grad.tolist() == [1, 1]
    assert unused.grad is not None
    assert unused.grad.tolist() == [0, 0, 0]
