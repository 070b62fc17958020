"""Bodies filled up to a few numbers, as on a GPU: losses, gradients, masks and features stay what they are."""

from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from maskel.datasets.store import SkeletonSet
from maskel.draws import clip_keys
from maskel.layouts import NTU25
from maskel.methods import METHODS
from maskel.methods.base import Method
from maskel.sequence import SkeletonBatch
from maskel.training import loading
from maskel.training.features import extract

CASES = [(name, {"bodies": bodies}) for name in METHODS for bodies in ("present", "all")]
CASES += [("hacm", {"bodies": "present", "cc_rows": "all"}), ("amr", {"bodies": "present", "energy": 0.0})]
CALM = {"drop_path": 0.0, "dropout": 0.0}
CASES += [("finetune", {"bodies": bodies, **rest}) for bodies in ("present", "all") for rest in ({}, CALM)]
CASES += [("linear", {})]


def some_clips() -> SkeletonBatch:
    """Six clips, nine bodies; of one body the view shows nothing, and the first body present is not the only one."""
    batch = tiny.random_batch(NTU25, clips=6)
    joints = batch.joints.clone()
    joints[3, 1] = 0
    return batch.with_joints(joints)


def gradients(method: Method, batch: SkeletonBatch) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """What a method finds and the gradient of its loss."""
    method.zero_grad()
    found = method(batch, clip_keys(0, 0, batch.clips))
    (found["loss"] * found["weight"]).backward()
    return (
        {name: value.detach() for name, value in found.items()},
        {name: weight.grad.clone() for name, weight in method.named_parameters() if weight.grad is not None},
    )


@pytest.mark.parametrize(("name", "options"), CASES)
def test_what_fills_up_changes_nothing_but_rounding(name: str, options: dict) -> None:
    method = (tiny.tiny_method if name in METHODS else tiny.tiny_classifier)(name, **options).train()
    batch = some_clips()
    filled = batch.filled_up(4)
    assert len(batch.present_bodies()) == 9
    assert filled.present_bodies().tolist() == [*batch.present_bodies().tolist(), 0, 0, 0]
    plain, other = gradients(method, batch), gradients(method, filled)
    assert plain[0].keys() == other[0].keys()
    for value, expected in ((other[0][name], plain[0][name]) for name in plain[0]):
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)
    assert plain[1].keys() == other[1].keys()
    for parameter, gradient in plain[1].items():
        torch.testing.assert_close(other[1][parameter], gradient, rtol=1e-4, atol=2e-6)


def test_there_is_never_more_than_every_slot() -> None:
    batch = some_clips()
    lengths = {multiple: len(batch.filled_up(multiple).present_bodies()) for multiple in (1, 5, 9, 11, 100)}
    assert lengths == {1: 9, 5: 10, 9: 9, 11: 11, 100: 12}
    weights = batch.filled_up(5).weights
    assert weights is not None
    assert weights.tolist() == [1.0] * 9 + [0.0]


@pytest.mark.parametrize("name", ["mamp", "hacm", "finetune"])
def test_a_run_with_bodies_filled_up_is_that_without(
    name: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(out: str) -> list[float]:
        if name == "finetune":
            run = tiny.tiny_finetune(prepared, tmp_path / out, bodies="present")
        else:
            options = {**tiny.OPTIONS, "bodies": "present"}
            run = tiny.tiny_pretrain(prepared, tmp_path / out, method=name, options=options)
        return [row["loss"] for row in run.metrics]

    plain = train("plain")
    seen: list[int] = []
    fill = SkeletonBatch.filled_up

    def noted(self: SkeletonBatch, multiple: int) -> SkeletonBatch:
        filled = fill(self, multiple)
        seen.append(len(filled.present_bodies()))
        return filled

    monkeypatch.setattr(SkeletonBatch, "filled_up", noted)
    monkeypatch.setattr(loading, "row_multiple", lambda device: 4)
    assert train("filled") == pytest.approx(plain, rel=1e-4)
    assert set(seen) <= {8, 10, 12, 24}  # of 5 clips, of 8 to count on, and of all whose features are kept


def test_features_of_clips_filled_up_are_the_same(tiny_set: SkeletonSet, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tiny.tiny_method("mamp").encoder
    plain = extract(encoder, tiny_set, np.arange(len(tiny_set)), tiny.ALONE, "copy", batch_size=7)
    monkeypatch.setattr(loading, "row_multiple", lambda device: 4)
    filled = extract(encoder, tiny_set, np.arange(len(tiny_set)), tiny.ALONE, "copy", batch_size=7)
    torch.testing.assert_close(filled, plain, rtol=1e-5, atol=1e-6)


def test_only_a_gpu_has_bodies_filled_up(tiny_set: SkeletonSet) -> None:
    assert loading.row_multiple(torch.device("cpu")) == 1
    assert loading.row_multiple(torch.device("cuda", 1)) == 16
    batches = loading.ClipBatches(tiny_set, np.arange(8), 8, 0, 8, None, "zero", tiny.ALONE.device)
    assert batches.load(0, np.arange(8)).weights is None
