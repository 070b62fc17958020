"""Both heads: equality with the published downstream models, and with encoding every body."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

import tiny
from maskel.draws import Purpose, body_keys, clip_keys, uniform
from maskel.layouts import NTU25
from maskel.methods.classifier import FineTuneClassifier, LabelSpec
from maskel.models.encoder import Encoder
from maskel.models.transformer import drop_path_scales
from maskel.sequence import SkeletonBatch
from maskel.transforms import Stream, test_view, to_stream
from released import bodies, encoder_config, fill, golden, released_weight


def test_pooled_features_equal_the_published_classifier() -> None:
    arrays, config = golden("classifier_linprobe")
    shapes, phase = json.loads(str(arrays["shapes"])), float(arrays["phase"])
    encoder = Encoder(NTU25, encoder_config(config))
    fill(torch.nn.ModuleDict({"encoder": encoder}), arrays)
    joints = bodies(arrays)
    present = joints.flatten(2).any(2)
    assert present.sum(1).tolist() == [2, 1, 2]
    clips = torch.arange(3)
    batch = SkeletonBatch(joints, torch.full((3,), joints.shape[2]), present, clips, clips)
    with torch.no_grad():
        features = encoder.eval().pool(batch, absent_bodies=True)
    weight, bias = (released_weight(f"head.fc.{n}", shapes[f"head.fc.{n}"], phase) for n in ("weight", "bias"))
    logits = features @ weight.T + bias
    torch.testing.assert_close(logits, torch.from_numpy(arrays["logits"]), rtol=1e-5, atol=1e-6)


def finetuned(name: str, **options: Any) -> tuple[FineTuneClassifier, SkeletonBatch, torch.Tensor]:
    """The published fine-tuning model with its golden weights, its input and its logits."""
    arrays, config = golden(name)
    kind = {"joints": "kept", "geometry": "poincare"} if name.startswith("hacm") else {}
    label_spec = LabelSpec(tuple("abcdefg"))
    model = FineTuneClassifier(Encoder(NTU25, encoder_config(config, **kind)), label_spec, **options)
    statistics = {key: value for key, value in model.state_dict().items() if ".bn.running" in key or "batches" in key}
    fill(model, arrays, more=statistics)
    joints = bodies(arrays)
    clips = torch.arange(3)
    batch = SkeletonBatch(joints, torch.full((3,), joints.shape[2]), joints.flatten(2).any(2), clips, clips)
    return model, batch, torch.from_numpy(arrays["logits"])


@pytest.mark.parametrize("name", ["classifier_finetune", "hacm_classifier_finetune"])
def test_the_fine_tuning_model_equals_the_published_one(name: str) -> None:
    model, batch, published = finetuned(name)
    assert batch.present.sum(1).tolist() == [2, 1, 2]
    with torch.no_grad():
        torch.testing.assert_close(model.eval().logits(batch), published, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bodies", ["all", "present"])
@pytest.mark.parametrize(("drop_path", "dropout"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.4), (0.5, 0.4)])
def test_the_fine_tuning_loss_equals_loops_over_bodies(bodies: Any, drop_path: float, dropout: float) -> None:
    options = {"bodies": bodies, "drop_path": drop_path, "dropout": dropout, "label_smoothing": 0.2}
    model, batch, _ = finetuned("classifier_finetune", **options)
    keys = clip_keys(3, 5, batch.clips)
    loss = model.train()(batch, keys)["loss"]
    depth, width = model.encoder.config.depth, model.encoder.config.dim
    rows = []
    for clip in range(3):
        features = []
        for body in range(2):
            if bodies == "present" and not batch.present[clip, body]:
                continue
            key = body_keys(keys, 2)[clip, body : body + 1]
            scales = drop_path_scales(uniform(key, Purpose.DROP_PATH, 2 * depth), depth, drop_path)
            tokens = model.encoder(batch.joints[clip, body][None], scales=scales)[0]  # (N, D)
            draws = uniform(key, Purpose.DROPOUT, tokens.numel()).view_as(tokens)
            tokens = torch.where(draws < dropout, 0, tokens / (1 - dropout)).view(*model.encoder.grid, width)
            features.append(tokens.mean(0).flatten())  # joint after joint
        rows.append(torch.stack(features).mean(0))
    values = torch.stack(rows) @ model.head.fc1.weight.T + model.head.fc1.bias
    norm = model.head.bn
    values = (values - values.mean(0)) / (values.var(0, unbiased=False) + norm.eps).sqrt() * norm.weight + norm.bias
    scores = values.clamp(min=0) @ model.head.fc2.weight.T + model.head.fc2.bias
    logarithms = scores.log_softmax(1)
    right = torch.full((3, 7), 0.2 / 7) + 0.8 * torch.eye(7)[batch.labels]
    torch.testing.assert_close(loss, -(right * logarithms).sum(1).mean(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("absent_bodies", [True, False])
@pytest.mark.parametrize("stream", ["joint", "bone", "motion", "bone_motion"])
def test_absent_bodies_computed_once_equal_each_computed(stream: Stream, absent_bodies: bool) -> None:
    encoder = tiny.tiny_method("mae").encoder.eval()
    encoder.config = replace(encoder.config, stream=stream)
    batch = tiny.random_batch(NTU25, clips=5)
    with torch.no_grad():
        pooled = encoder.pool(batch, absent_bodies)
        for clip in range(5):
            features = []
            for body in range(2):
                if absent_bodies or batch.present[clip, body]:
                    joints = to_stream(batch.joints[clip, body][None], stream, NTU25)
                    features.append(encoder(joints).mean(1)[0])
            torch.testing.assert_close(pooled[clip], torch.stack(features).mean(0), rtol=1e-5, atol=1e-6)


def test_encode_equals_pooling_the_test_view() -> None:
    encoder = tiny.tiny_method("mae").encoder.eval()
    batch = tiny.random_batch(NTU25, clips=3, window=20)
    expected = encoder.pool(test_view(batch, encoder.config.window), absent_bodies=False)
    found = encoder.encode(batch.joints)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-5, atol=1e-6)
    from_numpy = encoder.encode(batch.joints.numpy())
    assert torch.equal(from_numpy, found)
    padding = torch.full_like(batch.joints[:, :, :7], 9.0) * batch.present[:, :, None, None, None]
    longer = torch.cat((batch.joints, padding), 2)
    assert torch.equal(encoder.encode(longer, torch.full((3,), 20)), found)
    assert encoder.encode(torch.zeros(1, 2, 20, 25, 3)).isfinite().all()
