"""The plain way of doing what maskel does: what the measured ratios are held against.

softmax(Q·Kᵀ/√d)·V spelled out, every token embedded, decoded and predicted, tokens shuffled and restored by sorting,
every body computed, fp32, clips cropped, resampled and rotated one by one. Written for this comparison, from the
papers; it is given maskel's weights and draws and must come to the same numbers.
"""

import torch
from torch import Tensor
from torch.nn import functional

from maskel.methods import MAMP
from maskel.models.encoder import Encoder
from maskel.models.transformer import Block


def block(module: Block, tokens: Tensor) -> Tensor:
    """A transformer block, spelled out."""
    normed = module.norm1(tokens)
    batch, count, dim = normed.shape
    heads = module.attn.num_heads
    qkv = module.attn.qkv(normed).reshape(batch, count, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
    weights = (qkv[0] @ qkv[1].transpose(-2, -1) * (dim // heads) ** -0.5).softmax(-1)
    tokens = tokens + module.attn.proj((weights @ qkv[2]).transpose(1, 2).reshape(batch, count, dim))
    return tokens + module.mlp(module.norm2(tokens))


def patches(joints: Tensor) -> Tensor:
    """(R, 120, 25, 3) in patches of four frames: (R, 30, 25, 12)."""
    return joints.reshape(len(joints), 30, 4, 25, 3).permute(0, 1, 3, 2, 4).reshape(len(joints), 30, 25, 12)


def loss(method: MAMP, joints: Tensor, draws: Tensor) -> Tensor:
    """MAMP's loss by shuffling all tokens, and decoding and predicting every one.

    Args:
        method: At the published size.
        joints: (R, 120, 25, 3) bodies.
        draws: (R, 750) uniform.
    """
    encoder, decoder = method.encoder, method.decoder
    cut = patches(joints)
    tokens = (encoder.patch_embed(cut) + encoder.time_embed + encoder.joint_embed).flatten(1, 2)
    motion = (cut[:, 1:] - cut[:, :-1]).abs().mean(-1)
    motion = torch.cat((motion[:, :1], motion), 1).flatten(1)
    chance = (motion / (motion.amax(1, keepdim=True) * 0.8 + 1e-10)).softmax(1)
    order = (chance.log() - (-(draws + 1e-10).log() + 1e-10).log()).argsort(1)
    restore = order.argsort(1)
    kept = int(750 * (1 - 0.9))
    visible = tokens.gather(1, order[:, :kept, None].expand(-1, -1, 256))
    for module in encoder.transformer.blocks:
        visible = block(module, visible)
    visible = decoder.embed(encoder.transformer.norm(visible))
    full = torch.cat((visible, decoder.mask_token.expand(len(visible), 750 - kept, -1)), 1)
    full = full.gather(1, restore[:, :, None].expand(-1, -1, 256))
    full = full + (decoder.time_embed + decoder.joint_embed).flatten(1, 2)
    for module in decoder.transformer.blocks:
        full = block(module, full)
    predicted = decoder.predict(decoder.transformer.norm(full))
    step = functional.pad(joints[:, 1:] - joints[:, :-1], (0, 0, 0, 0, 0, 1))
    target = patches(step).flatten(1, 2)
    target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6).sqrt()
    hidden = (restore >= kept).float()
    return (((predicted - target) ** 2).mean(-1) * hidden).sum() / hidden.sum()


def tokens(encoder: Encoder, joints: Tensor) -> Tensor:
    """(B, M, T', V', D) normed tokens of (B, M, 120, 25, 3) clips: every slot encoded, absent or not."""
    found = (encoder.patch_embed(patches(joints.flatten(0, 1))) + encoder.time_embed + encoder.joint_embed).flatten(
        1, 2
    )
    for module in encoder.transformer.blocks:
        found = block(module, found)
    return encoder.transformer.norm(found).unflatten(1, (30, 25)).unflatten(0, joints.shape[:2])


def features(encoder: Encoder, joints: Tensor) -> Tensor:
    """(B, D) features as linear evaluation reads them."""
    return tokens(encoder, joints).mean((1, 2, 3))


def per_joint(encoder: Encoder, joints: Tensor) -> Tensor:
    """(B, V'·D) features as fine-tuning reads them."""
    return tokens(encoder, joints).mean((1, 2)).flatten(1)


def rotation(angles: Tensor) -> Tensor:
    """Rz·Ry·Rx."""
    (sa, sb, sc), (ca, cb, cc) = angles.sin(), angles.cos()
    rx = torch.tensor([[1, 0, 0], [0, ca, sa], [0, -sa, ca]])
    ry = torch.tensor([[cb, 0, -sb], [0, 1, 0], [sb, 0, cb]])
    rz = torch.tensor([[cc, sc, 0], [-sc, cc, 0], [0, 0, 1]])
    return rz @ ry @ rx


def view(joints: Tensor, valid: int, draws: Tensor, window: int) -> Tensor:
    """One clip's training view, (M, window, V, C): crop, resample by `interpolate`, rotate.

    Args:
        joints: (M, T, V, C) padded clip.
        valid: Frames that count.
        draws: (5,) uniform.
        window: Frames of the view.
    """
    share = 0.5 + 0.5 * float(draws[0].double())
    length = min(max(int(valid * share), 64), valid)
    start = int((valid - length + 1) * float(draws[1].double()))
    bodies, _, count, channels = joints.shape
    flat = joints[:, start : start + length].permute(0, 2, 3, 1).reshape(1, bodies * count * channels, length, 1)
    resized = functional.interpolate(flat, size=(window, 1), mode="bilinear", align_corners=False)
    resized = resized.reshape(bodies, count, channels, window).permute(0, 3, 1, 2)
    return resized @ rotation((2 * draws[2:] - 1) * 0.3).T
