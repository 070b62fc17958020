"""One pre-training step of MAMP at the published size, against the plain way of doing the same.

`python benchmarks/training_step.py` runs every variant in a process of its own, alternated, and prints medians.

The plain way: softmax(Q·Kᵀ/√d)·V spelled out, every token embedded and predicted, tokens shuffled and restored by
sorting, every body computed, fp32, the system's allocator as it is. Before timing, plain and fp32 are given the same
weights and draws, and must agree on the loss.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import torch
from torch import Tensor
from torch.nn import functional

from maskel.draws import Purpose, body_keys, clip_keys, uniform
from maskel.layouts import NTU25
from maskel.methods import MAMP
from maskel.methods.base import build_seeded
from maskel.models.encoder import Encoder
from maskel.models.transformer import Block
from maskel.sequence import SkeletonBatch
from maskel.training import distributed

CLIPS = 8
SINGLE_BODY_SHARE = 0.75  # of the clips: about NTU's share of one-person recordings
VARIANTS = ("plain", "fp32", "bf16", "bf16 present")


def clips() -> SkeletonBatch:
    """Clips of random walks in metres, most with one body."""
    generator = torch.Generator().manual_seed(0)
    joints = 0.02 * torch.randn(CLIPS, 2, 120, 25, 3, generator=generator).cumsum(2)
    present = torch.ones(CLIPS, 2, dtype=torch.bool)
    present[: int(CLIPS * SINGLE_BODY_SHARE), 1] = False
    joints[~present] = 0
    positions = torch.arange(CLIPS)
    return SkeletonBatch(joints, torch.full((CLIPS,), 120), present, torch.zeros_like(positions), positions)


def build(bodies: str) -> MAMP:
    """MAMP at the published size."""
    return build_seeded(lambda: MAMP(Encoder(NTU25), bodies=bodies), 0)


def plain_block(block: Block, tokens: Tensor) -> Tensor:
    """A transformer block, spelled out."""
    normed = block.norm1(tokens)
    batch, count, dim = normed.shape
    heads = block.attn.num_heads
    qkv = block.attn.qkv(normed).reshape(batch, count, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
    weights = (qkv[0] @ qkv[1].transpose(-2, -1) * (dim // heads) ** -0.5).softmax(-1)
    tokens = tokens + block.attn.proj((weights @ qkv[2]).transpose(1, 2).reshape(batch, count, dim))
    return tokens + block.mlp(block.norm2(tokens))


def plain_loss(method: MAMP, batch: SkeletonBatch, draws: Tensor) -> Tensor:
    """MAMP's loss by shuffling all tokens, and decoding and predicting every one."""
    joints = batch.joints.flatten(0, 1)
    encoder, decoder = method.encoder, method.decoder
    patches = joints.reshape(len(joints), 30, 4, 25, 3).permute(0, 1, 3, 2, 4).reshape(len(joints), 30, 25, 12)
    tokens = (encoder.patch_embed(patches) + encoder.time_embed + encoder.joint_embed).flatten(1, 2)
    motion = (patches[:, 1:] - patches[:, :-1]).abs().mean(-1)
    motion = torch.cat((motion[:, :1], motion), 1).flatten(1)
    chance = (motion / (motion.amax(1, keepdim=True) * 0.8 + 1e-10)).softmax(1)
    order = (chance.log() - (-(draws + 1e-10).log() + 1e-10).log()).argsort(1)
    restore = order.argsort(1)
    kept = int(750 * (1 - 0.9))
    visible = tokens.gather(1, order[:, :kept, None].expand(-1, -1, 256))
    for block in encoder.transformer.blocks:
        visible = plain_block(block, visible)
    visible = decoder.embed(encoder.transformer.norm(visible))
    full = torch.cat((visible, decoder.mask_token.expand(len(visible), 750 - kept, -1)), 1)
    full = full.gather(1, restore[:, :, None].expand(-1, -1, 256))
    full = full + (decoder.time_embed + decoder.joint_embed).flatten(1, 2)
    for block in decoder.transformer.blocks:
        full = plain_block(block, full)
    predicted = decoder.predict(decoder.transformer.norm(full))
    step = functional.pad(joints[:, 1:] - joints[:, :-1], (0, 0, 0, 0, 0, 1))
    target = step.reshape(len(joints), 30, 4, 25, 3).permute(0, 1, 3, 2, 4).reshape(len(joints), 750, 12)
    target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6).sqrt()
    hidden = (restore >= kept).float()
    return (((predicted - target) ** 2).mean(-1) * hidden).sum() / hidden.sum()


def loss_of(variant: str, method: MAMP, batch: SkeletonBatch, step: int) -> Tensor:
    """The loss of one step."""
    keys = clip_keys(0, step, batch.clips)
    if variant == "plain":
        return plain_loss(method, batch, uniform(body_keys(keys, 2).flatten(), Purpose.MASK, 750))
    with torch.autocast("cpu", torch.bfloat16, enabled=variant.startswith("bf16")):
        return method(batch, keys)["loss"]


def measure(variant: str, steps: int) -> None:
    """Print the first loss and the median seconds of a step, as JSON."""
    if variant != "plain":
        distributed.start("cpu")  # what every command does: it also has glibc keep large blocks
    method, batch = build("present" if variant.endswith("present") else "all"), clips()
    optimizer = torch.optim.AdamW(method.parameters(), fused=variant != "plain")
    seconds, losses = [], []
    for step in range(steps + 2):
        started = time.perf_counter()
        loss = loss_of(variant, method, batch, step)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"loss": losses[0], "seconds": statistics.median(seconds[2:])}))


def main() -> None:
    """Alternate the variants and print their medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--variant", choices=VARIANTS)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.variant:
        measure(options.variant, options.steps)
        return
    found: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    losses = {}
    for _ in range(options.rounds):
        for variant in VARIANTS:
            command = [sys.executable, __file__, "--variant", variant, "--steps", str(options.steps)]
            result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            found[variant].append(result["seconds"])
            losses[variant] = result["loss"]
    assert abs(losses["fp32"] / losses["plain"] - 1) < 1e-5, losses
    plain = statistics.median(found["plain"])
    print(f"{CLIPS} clips x 2 bodies, {SINGLE_BODY_SHARE:.0%} with one body; {torch.get_num_threads()} threads")
    for variant in VARIANTS:
        median = statistics.median(found[variant])
        print(f"{variant:14} {median:6.2f} s a step  {plain / median:5.2f} x plain  first loss {losses[variant]:.6f}")


if __name__ == "__main__":
    main()
