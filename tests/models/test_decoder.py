"""The decoder: both ways of attending, against slow references."""

import pytest
import torch
from torch import Tensor

from maskel.errors import InputError
from maskel.layouts import KINECT20
from maskel.masking.base import TokenMask
from maskel.models.decoder import Decoder
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.models.patches import put_tokens, take_tokens

ENCODER = Encoder(KINECT20, EncoderConfig(window=8, dim=16, depth=1, num_heads=4))
TOKENS = ENCODER.num_tokens  # 40


def decoder(kind: str, depth: int = 2) -> Decoder:
    torch.manual_seed(0)
    return Decoder(ENCODER, 16, depth, kind)  # type: ignore[arg-type]


def mask() -> TokenMask:
    order = torch.rand(3, TOKENS, generator=torch.Generator().manual_seed(0)).argsort(1)
    return TokenMask(order[:, :4], order[:, 4:])


def latent() -> Tensor:
    return torch.randn(3, 4, 16, generator=torch.Generator().manual_seed(1))


def positions(module: Decoder) -> Tensor:
    return (module.time_embed + module.joint_embed).flatten(1, 2)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_full_is_a_transformer_over_the_whole_grid(depth: int) -> None:
    module, chosen, visible = decoder("full", depth), mask(), latent()
    grid = put_tokens(module.mask_token.expand(3, TOKENS, 16), chosen.keep, module.embed(visible)) + positions(module)
    expected = module.predict(take_tokens(module.transformer(grid), chosen.masked))
    torch.testing.assert_close(module(visible, chosen), expected)


def test_cross_looks_from_each_masked_token_at_the_visible_ones() -> None:
    module, chosen, visible = decoder("cross"), mask(), latent()
    seen = module.embed(visible) + positions(module)[0][chosen.keep]
    predicted = module(visible, chosen)
    for clip, place in ((0, 0), (1, 17), (2, 35)):
        token = module.mask_token[0] + positions(module)[0, chosen.masked[clip, place]]  # (1, D), alone
        for block in module.transformer.blocks:
            query, _, _ = block.attn.qkv(block.norm1(token)).view(3, 4, 4)  # (heads, D / heads) each
            _, keys, values = block.attn.qkv(block.norm1(seen[clip])).view(4, 3, 4, 4).unbind(1)
            heads = []
            for head in range(4):
                weights = torch.softmax(keys[:, head] @ query[head] / 4**0.5, 0)
                heads.append((weights[:, None] * values[:, head]).sum(0))
            token = token + block.attn.proj(torch.cat(heads))
            token = token + block.mlp(block.norm2(token)[None])[0]
        expected = module.predict(module.transformer.norm(token))[0]
        torch.testing.assert_close(predicted[clip, place], expected)


def test_both_have_the_same_weights() -> None:
    one, other = decoder("full").state_dict(), decoder("cross").state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("kind", "depth"), [("cross", 0), ("full", -1)])
def test_impossible_decoders_are_refused(kind: str, depth: int) -> None:
    with pytest.raises(InputError, match=r"^decoder: found"):
        decoder(kind, depth)
