"""Linear evaluation's features: equality with the published downstream model, and with encoding every body."""

import json
from dataclasses import replace

import pytest
import torch

import tiny
from maskel.layouts import NTU25
from maskel.models.encoder import Encoder
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
