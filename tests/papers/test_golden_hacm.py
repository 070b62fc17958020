"""Equality with HA-CM's released code (its earlier, runnable revision) for given weights, inputs and draws."""

import json

import pytest
import torch

from maskel.configuration import read_recipe
from maskel.draws import clip_keys
from maskel.layouts import NTU25
from maskel.losses import masked_mean_squared_error
from maskel.methods import HACM
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.sequence import SkeletonBatch
from released import bodies, encoder_config, fill, golden, released_weight

RELEASED = read_recipe("hacm_released", "pretrain")


def sizes(config: dict) -> EncoderConfig:
    return encoder_config(config, joints="kept", geometry="poincare")


@pytest.fixture(scope="module")
def case() -> tuple[HACM, dict, dict[str, str]]:
    arrays, config = golden("hacm_released")
    method = HACM(Encoder(NTU25, sizes(config)), decoder_depth=config["decoder_depth"], **RELEASED["hacm"])
    return method, arrays, fill(method, arrays)


def slot_targets() -> torch.Tensor:
    """Our number of the token whose target each of the 432 released slots predicts."""
    return torch.tensor(
        [(2 * (slot // 18) if slot < 216 else 2 * (slot // 18 - 12) + 1) * 18 + slot % 18 for slot in range(432)]
    )


def test_the_released_preset_equals_the_release(case: tuple[HACM, dict, dict[str, str]]) -> None:
    method, arrays, names = case
    method.zero_grad()
    joints = bodies(arrays).flatten(0, 1)
    draws = torch.from_numpy(arrays["uniform_temporal"]), torch.from_numpy(arrays["uniform_spatial"])
    result = method.reconstruct(joints, torch.cat(draws, 1))
    contrast = method.contrast(result.visible, torch.arange(4))
    loss = masked_mean_squared_error(result.predicted, result.target) + contrast
    loss.backward()

    torch.testing.assert_close(loss.detach(), torch.tensor(arrays["loss"]), rtol=1e-5, atol=0)
    torch.testing.assert_close(contrast.detach(), torch.tensor(arrays["contrast"]), rtol=1e-5, atol=0)
    assert (loss.item(), contrast.item()) == pytest.approx((2.215631, 1.124481), abs=2e-6)
    torch.testing.assert_close(result.visible.detach(), torch.from_numpy(arrays["latent"]), rtol=0, atol=5e-5)
    assert result.visible.abs().mean().item() == pytest.approx(0.8400339, abs=1e-5)
    for body in range(4):
        slots = torch.from_numpy(arrays["mask"][body]).nonzero().squeeze(1)
        own = dict(zip(result.mask.masked[body].tolist(), result.predicted[body].detach(), strict=True))
        assert sorted(own) == sorted(slot_targets()[slots].tolist())
        for slot in slots.tolist():
            published = torch.from_numpy(arrays["pred"][body, slot])
            torch.testing.assert_close(own[int(slot_targets()[slot])], published, rtol=0, atol=5e-5)
    ours = dict(method.named_parameters())
    compared = 0
    for released, own_name in names.items():
        if f"grad_norm.{released}" in arrays:
            expected = torch.tensor(arrays[f"grad_norm.{released}"]).float()
            torch.testing.assert_close(ours[own_name].grad.norm(), expected, rtol=1e-3, atol=1e-8)
            compared += 1
    assert compared == len(ours) == sum(name.startswith("grad_norm.") for name in arrays)


def test_scores_and_visible_tokens_are_the_published_figures(case: tuple[HACM, dict, dict[str, str]]) -> None:
    method, arrays, _ = case
    joints = bodies(arrays).flatten(0, 1)
    tokens, roots = method.embed(joints)
    norms = tokens.norm(dim=-1)
    assert (norms.min().item(), norms.max().item()) == pytest.approx((1.0282, 2.2215), abs=1e-4)
    temporal, spatial = method.masking.scores(tokens, roots)  # (B, 12, 18)
    assert spatial[0, 0, :4].tolist() == pytest.approx([112.08384, 106.93672, 103.57059, 108.44711], rel=2e-6)
    assert spatial.mean().item() == pytest.approx(99.31675, rel=1e-6)
    assert temporal[0, :2, 0].tolist() == pytest.approx([7.7866e-05, 1.379083], rel=1e-4)
    assert temporal[0, [0, 3], 5].tolist() == pytest.approx([1.657930, 0.0716234], rel=1e-4)
    draws = torch.cat([torch.from_numpy(arrays[f"uniform_{half}"]) for half in ("temporal", "spatial")], 1)
    keep = method.mask(joints, draws).keep[0]
    slots = "2 10 23 31 44 52 57 65 78 91 99 112 120 133 146 154 167 175 188 201 209"
    even = sorted((token % 18) * 12 + token // 36 for token in keep[:21].tolist())  # joint-major slot of a token
    assert even == [int(slot) for slot in slots.split()]
    slots = "8 16 29 37 50 63 71 84 97 105 118 126 139 152 160 173 181 186 194 207 215"
    odd = sorted(token // 36 * 18 + token % 18 for token in keep[21:].tolist())  # time-major slot
    assert odd == [int(slot) for slot in slots.split()]


def test_the_released_loss_is_what_training_sees(case: tuple[HACM, dict, dict[str, str]]) -> None:
    method, arrays, _ = case
    joints = bodies(arrays)
    clips = torch.arange(2)
    batch = SkeletonBatch(joints, torch.full((2,), 72), torch.ones(2, 2, dtype=torch.bool), clips, clips)
    result = method(batch, clip_keys(0, 0, clips))
    assert result["loss"].item() == pytest.approx((result["reconstruction"] + result["contrast"]).item())
    assert result["contrast"].item() == pytest.approx(1.124481, abs=0.05)  # other draws, same bodies


def test_pooled_features_equal_the_published_classifier() -> None:
    arrays, config = golden("hacm_classifier_linprobe")
    shapes, phase = json.loads(str(arrays["shapes"])), float(arrays["phase"])
    encoder = Encoder(NTU25, sizes(config))
    fill(torch.nn.ModuleDict({"encoder": encoder}), arrays)
    joints = bodies(arrays)
    present = joints.flatten(2).any(2)
    assert present.sum(1).tolist() == [2, 1, 2]
    clips = torch.arange(3)
    batch = SkeletonBatch(joints, torch.full((3,), joints.shape[2]), present, clips, clips)
    with torch.no_grad():
        features = encoder.eval().pool(batch, absent_bodies=True)
    weight, bias = (released_weight(f"head.fc.{name}", shapes[f"head.fc.{name}"], phase) for name in ("weight", "bias"))
    logits = features @ weight.T + bias
    torch.testing.assert_close(logits, torch.from_numpy(arrays["logits"]), rtol=1e-5, atol=1e-6)


def test_the_published_size_keeps_21_of_216_tokens_of_each_half() -> None:
    config = EncoderConfig(**read_recipe("hacm", "pretrain")["encoder"])
    assert config == EncoderConfig(**RELEASED["encoder"])
    method = HACM(Encoder(NTU25, config))
    assert method.kept == (21, 21)
    assert sum(weight.numel() for weight in method.encoder.parameters()) == 6_331_904


def test_the_released_linear_head_gives_the_published_logits(case: tuple[HACM, dict, dict[str, str]]) -> None:
    method, arrays, _ = case
    joints = bodies(arrays)
    with torch.no_grad():
        features = method.encoder(joints.flatten(0, 1)).mean(1).unflatten(0, (2, 2)).mean(1)
    weight, bias = released_weight("head.fc.weight", [60, 256], 0.0), released_weight("head.fc.bias", [60], 0.0)
    logits = (features @ weight.T + bias)[0, :4]
    assert logits.tolist() == pytest.approx([-0.4499648, -0.2054411, 0.0882221, 0.3665320], abs=2e-6)
