"""Equality with the published MAMP and MAE models for given weights, inputs and draws."""

import pytest
import torch

from maskel.layouts import NTU25
from maskel.losses import masked_mean_squared_error
from maskel.methods import MAE, MAMP
from maskel.methods.masked import MaskedAutoencoder
from maskel.models.encoder import Encoder, EncoderConfig
from released import bodies, encoder_config, fill, golden


def build(name: str, config: dict) -> MaskedAutoencoder:
    encoder = Encoder(NTU25, encoder_config(config))
    shared = {
        "ratio": config["mask_ratio"],
        "normalize_target": config["norm_skes_loss"],
        "decoder_dim": config["decoder_dim_feat"],
        "decoder_depth": config["decoder_depth"],
    }
    if name == "mae":
        return MAE(encoder, **shared)
    return MAMP(encoder, tau=float(config["motion_aware_tau"]), motion_stride=config["motion_stride"], **shared)


@pytest.mark.parametrize("name", ["mamp", "mamp_stride2_uniform", "mae"])
def test_pretraining_equals_the_published_model(name: str) -> None:
    arrays, config = golden(name)
    method = build(name, config)
    names = fill(method, arrays)

    joints = bodies(arrays).flatten(0, 1)
    result = method.reconstruct(joints, torch.from_numpy(arrays["uniform"]))
    loss = masked_mean_squared_error(result.predicted, result.target)
    loss.backward()

    assert torch.equal(result.mask.hidden, torch.from_numpy(arrays["mask"]).bool())
    torch.testing.assert_close(loss.detach(), torch.tensor(arrays["loss"]), rtol=1e-5, atol=0)
    published = torch.from_numpy(arrays["pred"]).gather(
        1, result.mask.masked[:, :, None].expand(-1, -1, arrays["pred"].shape[2])
    )
    torch.testing.assert_close(result.predicted.detach(), published, rtol=1e-5, atol=1e-5)
    ours = dict(method.named_parameters())
    for released, own in names.items():
        found = ours[own].grad.norm()
        expected = torch.tensor(arrays[f"grad_norm.{released}"]).float()
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-8, msg=lambda m, n=released: f"{n}: {m}")


def test_published_size_keeps_74_of_750_tokens() -> None:
    method = MAMP(Encoder(NTU25, EncoderConfig(depth=1)), decoder_depth=1)
    assert method.masking.num_kept(method.encoder.num_tokens) == 74


def test_parameter_counts_are_the_published_ones() -> None:
    def count(depth: int) -> int:
        return sum(p.numel() for p in MAMP(Encoder(NTU25), decoder_depth=depth).parameters())

    assert count(3) == 8_789_004
    assert count(5) == 10_368_524
