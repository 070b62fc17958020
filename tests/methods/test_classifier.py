import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch.nn import functional

import tiny
from maskel import load_classifier
from maskel.datasets.store import SkeletonSet
from maskel.draws import clip_keys
from maskel.errors import InputError
from maskel.layouts import LAYOUTS, NTU25, Layout
from maskel.methods import METHODS
from maskel.methods.classifier import CLASSIFIERS, Classifier, class_weights
from maskel.sequence import SkeletonBatch
from maskel.training.optim import FinetuneConfig

kinds = pytest.mark.parametrize("kind", CLASSIFIERS)
encoders = pytest.mark.parametrize("name", METHODS)


def rows_of(batch: SkeletonBatch, rows: list[int]) -> SkeletonBatch:
    parts = (batch.joints, batch.lengths, batch.present, batch.labels, batch.clips)
    return SkeletonBatch(*(tensor[rows] for tensor in parts))


@kinds
@encoders
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_trained_parameter_gets_a_gradient(kind: str, name: str, layout: Layout) -> None:
    model = tiny.tiny_classifier(kind, layout, name).train()
    batch = tiny.random_batch(layout, clips=6, window=model.encoder.config.window)
    result = model(batch, clip_keys(0, 0, batch.clips))
    assert result["weight"].item() == 6
    result["loss"].backward()
    for parameter_name, parameter in model.named_parameters():
        if kind == "linear" and parameter_name.startswith("encoder."):
            assert not parameter.requires_grad
            continue
        assert parameter.grad is not None, parameter_name
        # What BatchNorm takes away again has no gradient: a bias that shifts every clip alike.
        assert parameter.grad.any() or parameter_name == "head.fc1.bias", parameter_name


@kinds
@encoders
def test_a_file_gives_the_classifier_back(kind: str, name: str, tmp_path: Path, tiny_set: SkeletonSet) -> None:
    model = tiny.tiny_classifier(kind, name=name)
    batch = tiny.random_batch(NTU25, window=model.encoder.config.window)
    model.train()(batch, clip_keys(0, 0, batch.clips))  # moves BatchNorm's statistics
    model.eval().save(tmp_path / "classifier.safetensors")
    for path in (tmp_path, tmp_path / "classifier.safetensors"):
        again = load_classifier(path)
        assert (again.kind, again.label_spec, again.options) == (kind, model.label_spec, model.options)
        tiny.assert_identical(dict(again.state_dict()), dict(model.state_dict()))
        assert not again.training
        assert torch.equal(again.classify(batch), model.classify(batch))
    clips = tiny_set.gather(np.arange(5), 2)  # of any length
    shares = again.classify(clips)
    torch.testing.assert_close(shares.sum(1), torch.ones(5))


@pytest.mark.parametrize("bodies", ["all", "present"])
def test_dropout_and_stochastic_depth_follow_the_clip(bodies: Any) -> None:
    model = tiny.tiny_classifier("finetune", bodies=bodies, drop_path=0.5).train()
    batch = tiny.random_batch(NTU25, clips=6)
    keys = clip_keys(1, 2, batch.clips)
    whole = model._random_features(batch, keys)
    torch.manual_seed(5)
    part = model._random_features(rows_of(batch, [4, 1]), keys[[4, 1]])
    torch.testing.assert_close(part, whole[[4, 1]])
    later = model._random_features(batch, clip_keys(1, 3, batch.clips))
    assert not torch.isclose(later, whole).all(1).any()


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    model = tiny.tiny_classifier("finetune", drop_path=0.0, dropout=0.3)
    model.encoder.pooled = lambda tokens, pool: tokens.flatten(1)  # type: ignore[method-assign]
    batch = tiny.random_batch(NTU25, clips=8)
    with torch.no_grad():
        model.bodies = "present"
        batch = replace(batch, present=torch.tensor([[True, False]] * 8))
        tokens = model.encoder(batch.joints[:, 0]).flatten(1)
        kept = model._random_features(batch, clip_keys(0, 0, batch.clips)) / tokens
    dropped = (kept == 0).float().mean().item()
    assert dropped == pytest.approx(0.3, abs=0.02)
    torch.testing.assert_close(kept[kept != 0], torch.full_like(kept[kept != 0], 1 / 0.7))


def test_without_anything_random_training_features_are_those_of_evaluation() -> None:
    model = tiny.tiny_classifier("finetune", drop_path=0.0, dropout=0.0)
    batch = tiny.random_batch(NTU25)
    for bodies in ("all", "present"):
        model.bodies = bodies
        random = model._random_features(batch, clip_keys(0, 0, batch.clips))
        torch.testing.assert_close(model.features(batch), random, rtol=1e-5, atol=1e-6)


def test_absent_bodies_change_nothing_where_only_present_ones_count() -> None:
    batch = tiny.random_batch(NTU25)
    changed = batch.joints.clone()
    changed[~batch.present] = 5.0
    keys = clip_keys(0, 0, batch.clips)
    for bodies, same in (("present", True), ("all", False)):
        model = tiny.tiny_classifier("finetune", bodies=bodies).train()
        losses = [model(some, keys)["loss"].item() for some in (batch, batch.with_joints(changed))]
        assert (losses[0] == losses[1]) is same


@pytest.mark.parametrize("decay", [0.8, 0.5, 1.0])
def test_layer_decay_counts_from_the_head_down(decay: float) -> None:
    model = tiny.tiny_classifier("finetune")
    depth = model.encoder.config.depth
    found = {}
    for group in FinetuneConfig(layer_decay=decay).optimizer(model).param_groups:
        found |= {id(parameter): (group["scale"], group["weight_decay"]) for parameter in group["params"]}
    assert len(found) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        if name.startswith("encoder.transformer.blocks."):
            layer = int(name.split(".")[3]) + 1
        else:
            layer = depth + 1 if name.startswith(("head.", "encoder.transformer.norm")) else 0
        scale, weight_decay = found[id(parameter)]
        assert scale == pytest.approx(decay ** (depth + 1 - layer)), name
        assert weight_decay == (0.05 if parameter.ndim > 1 else 0.0), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drop_path": 1.0}, "drop_path 1.0"),
        ({"dropout": -0.1}, "dropout -0.1"),
        ({"label_smoothing": 1.5}, "label_smoothing 1.5"),
        ({"head_dim": 0}, "head_dim: found 0"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tiny.tiny_classifier("finetune", **options)


@pytest.mark.parametrize("decay", [0.0, -1.0, 1.1, float("nan")])
def test_an_impossible_layer_decay_is_refused(decay: float) -> None:
    with pytest.raises(InputError, match="layer_decay"):
        FinetuneConfig(layer_decay=decay)


def test_balanced_weights_are_those_of_the_counts() -> None:
    labels = torch.tensor([0] * 6 + [2] * 3 + [3])
    assert class_weights(labels, 5, "none") is None
    weights = class_weights(labels, 5, "balanced")
    assert weights is not None
    torch.testing.assert_close(weights, torch.tensor([10 / 18, 1, 10 / 9, 10 / 3, 1]))
    assert weights[labels].sum().item() == pytest.approx(10)
    assert (weights[labels][:6].sum() - weights[3]).abs() < 1e-6  # each class weighs alike


@kinds
def test_clips_of_rare_classes_count_more(kind: str, tmp_path: Path) -> None:
    options = {"drop_path": 0.0, "dropout": 0.0, "label_smoothing": 0.0} if kind == "finetune" else {}
    model = tiny.tiny_classifier(kind, **options).train()
    batch = replace(tiny.random_batch(NTU25, clips=6), labels=torch.tensor([0, 0, 0, 0, 1, 2]))
    keys = clip_keys(0, 0, batch.clips)
    plain = model(batch, keys)["loss"]
    weights = class_weights(batch.labels, 3, "balanced")
    model.class_weights = weights
    weighted = model(batch, keys)["loss"]
    each = functional.cross_entropy(model.logits(batch), batch.labels, reduction="none")
    torch.testing.assert_close(plain, each.mean())
    torch.testing.assert_close(weighted, (each * weights[batch.labels]).sum() / 6)  # type: ignore[index]
    assert "class_weights" not in model.state_dict()
    model.eval().save(tmp_path / "classifier.safetensors")
    assert load_classifier(tmp_path).class_weights is None


def rewritten(model: Classifier, folder: Path, weights: dict[str, Any] | None = None, **changes: Any) -> Path:
    """The classifier's file with other words or weights in it."""
    file = folder / "classifier.safetensors"
    model.save(file)
    content = load_file(file)
    about = {"head": model.kind, "task": {"classes": list(model.label_spec.classes)}, "options": model.options}
    about |= {"format": "maskel classifier 1", **model.encoder.about(), **changes}
    save_file(content | (weights or {}), file, {"maskel": json.dumps(about)})
    return file


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "maskel encoder 1"},
        {"head": "nonsense"},
        {"head": "linear"},
        {"task": {}},
        {"task": {"classes": []}},
        {"task": {"classes": [1, 2, 3]}},
        {"task": {"classes": ["a", "b"]}},
        {"task": {"classes": ["a", "b", "c"], "num_bodies": 10**9}},
        {"task": {"classes": ["a", "b", "c"], "single_body": "none"}},
        {"options": {"head_dim": 2**40}},
        {"options": {"head_dim": "wide"}},
        {"options": {"head_dim": 12, "nonsense": 1}},
        {"layout": "ntu26"},
        {"channels": ["x"] * 10},
        {"config": {"depth": 10**9}},
        {"config": {"dim": 2**40, "depth": 2, "num_heads": 2, "window": 8}},
        {"weights": {"head.fc1.weight": torch.zeros(1)}},
        {"weights": {"head.fc1.bias": torch.zeros(12, dtype=torch.float64)}},
        {"weights": {"another": torch.zeros(1)}},
    ],
    ids=str,
)
def test_a_file_that_does_not_fit_is_refused_before_it_costs_memory(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"classifier|joint layout"):
        load_classifier(rewritten(tiny.tiny_classifier("finetune"), tmp_path, **changes))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 2500), value=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_file_is_refused_or_gives_a_classifier(place: int, value: int, cut: bool, tmp_path: Path) -> None:
    file = tmp_path / "classifier.safetensors"
    if not file.exists():
        tiny.tiny_classifier("linear").save(file)
    content = file.read_bytes()
    other = tmp_path / "damaged.safetensors"
    other.write_bytes(content[:place] if cut else content[:place] + bytes([value]) + content[place + 1 :])
    try:
        assert isinstance(load_classifier(other), Classifier)
    except InputError as fault:
        assert "\n" not in str(fault)  # noqa: PT017 (either is right)


def test_no_classifier_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such classifier; expected a run folder of maskel finetune or linear"):
        load_classifier(tmp_path)
