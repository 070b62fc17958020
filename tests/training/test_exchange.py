"""The exchange of gradients, in a group of one process: its sums are made twice what this process has."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as processes

import tiny
from maskel import distributed
from maskel.datasets.store import SkeletonSet
from maskel.distributed import GradientExchange
from maskel.methods import METHODS
from maskel.training.run import RunFolder
from several_processes import one_step


class Doubled:
    """An exchange under way, of a process with another that has the same; done when it is waited for."""

    def __init__(self, flat: Tensor) -> None:
        self.flat = flat

    def wait(self) -> None:
        self.flat.mul_(2)


@pytest.fixture
def exchanged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Sizes of the parts of gradients that were exchanged, in order."""
    sizes: list[int] = []
    add_up = processes.all_reduce

    def hooked(tensor: Tensor, group: Any = None, async_op: bool = False) -> Any:
        if not async_op:
            return add_up(tensor, group=group)
        assert group is not processes.group.WORLD
        sizes.append(tensor.numel())
        return Doubled(tensor)

    monkeypatch.setattr(processes, "all_reduce", hooked)
    monkeypatch.setattr(distributed, "PART", 4096)
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
    assert sum(exchanged) == sum(weight.numel() for weight in trained.values())
    processes.destroy_process_group()
    one_step(tiny.tiny_method(name, **options), accumulate, tiny_set, tmp_path / "one", tiny.ALONE)
    two, one = (RunFolder(tmp_path / run).load_state()["method"] for run in ("two", "one"))
    for key, start in trained.items():
        torch.testing.assert_close(two[key] - start, 2 * (one[key] - start), rtol=1e-3, atol=1e-6)


def test_exchanges_begin_during_the_last_backward_pass_in_one_order(exchanged: list[int]) -> None:
    layers = [nn.Parameter(torch.ones(1000 * place)) for place in (1, 2, 3)]
    unused = nn.Parameter(torch.ones(5000))
    begun: list[list[int]] = []

    def loss() -> Tensor:
        value = torch.ones(())
        for layer in layers:
            value = value * layer.sum() / len(layer)
            value.register_hook(lambda _: begun.append(list(exchanged)))
        return value

    with closing(GradientExchange([unused, *layers])) as exchange:
        loss().backward()
        assert exchanged == []
        begun.clear()
        with exchange.exchange():
            loss().backward()
            assert exchanged == [3000, 2000, 1000]
    assert begun == [[], [3000], [3000, 2000]]
    assert exchanged == [3000, 2000, 1000, 5000]
    for layer in layers:
        torch.testing.assert_close(layer.grad, torch.full_like(layer, 4 / len(layer)))
    assert unused.grad is not None
    assert not unused.grad.any()
    loss().backward()
    assert exchanged == [3000, 2000, 1000, 5000]


def test_one_process_exchanges_nothing_and_every_weight_has_a_gradient() -> None:
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    with closing(GradientExchange([used, unused])) as exchange, exchange.exchange():
        used.sum().backward()
    assert used.grad is not None
    assert used.grad.tolist() == [1, 1]
    assert unused.grad is not None
    assert unused.grad.tolist() == [0, 0, 0]
    assert not used._post_accumulate_grad_hooks
