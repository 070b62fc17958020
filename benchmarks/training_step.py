"""One pre-training step of MAMP at the published size, against the plain way of doing the same; and one of AMR.

    python benchmarks/training_step.py [--only fp32 ...] [--device cuda]

75 % of the clips have one body, as in NTU RGB+D about. The plain way also keeps the system's allocator as it is.
"""

import torch

import comparison
import plain
from comparison import Variant, Work
from maskel import distributed
from maskel.draws import Purpose, body_keys, clip_keys, uniform
from maskel.layouts import NTU25
from maskel.methods import AMR, MAMP
from maskel.methods.base import build_seeded
from maskel.models.decoder import DecoderKind
from maskel.models.encoder import Encoder
from maskel.sequence import SkeletonBatch

CLIPS = 4
SINGLE_BODY_SHARE = 0.75
FLOP = 18.8e9 * CLIPS * 2
"""Multiply-adds times two of the plain step: 18.8 GFLOP a body, forward and backward."""


def clips(window: int = 120) -> SkeletonBatch:
    """Clips of random walks in metres, most with one body."""
    generator = torch.Generator().manual_seed(0)
    joints = 0.02 * torch.randn(CLIPS, 2, window, 25, 3, generator=generator).cumsum(2)
    present = torch.ones(CLIPS, 2, dtype=torch.bool)
    present[: int(CLIPS * SINGLE_BODY_SHARE), 1] = False
    joints[~present] = 0
    positions = torch.arange(CLIPS)
    labels, lengths = torch.zeros_like(positions), torch.full((CLIPS,), window)
    places = present.flatten().nonzero().squeeze(1)  # as a prepared set gives them
    return SkeletonBatch(joints, lengths, present, labels, positions, bodies=places)


def plain_step(device: torch.device) -> Work:
    """Shuffled tokens, spelled-out attention, plain AdamW."""
    method = build_seeded(lambda: MAMP(Encoder(NTU25)), 0).to(device)
    batch = clips().to(device)
    draws = uniform(body_keys(clip_keys(0, 0, batch.clips), 2).flatten(), Purpose.MASK, 750)

    return comparison.training_step(
        method, lambda: plain.loss(method, batch.joints.flatten(0, 1), draws), device, fused=False
    )


def maskel_step(
    *, bf16: bool = False, compiled: bool = False, present: bool = False, decoder: DecoderKind = "full"
) -> Variant:
    """The step that `maskel pretrain` makes."""

    def build(device: torch.device) -> Work:
        distributed.start(str(device))  # what every command does: it also has glibc keep large blocks
        bodies = "present" if present else "all"
        method = build_seeded(lambda: MAMP(Encoder(NTU25), bodies=bodies, decoder=decoder), 0).to(device)
        forward = torch.compile(method) if compiled else method
        batch = clips().to(device)
        keys = clip_keys(0, 0, batch.clips)
        return comparison.training_step(method, lambda: forward(batch, keys)["loss"], device, bf16=bf16)

    other = present or decoder != "full"
    return Variant(build, agrees=None if other else 1e-2 if bf16 else 1e-5, bf16=bf16)


def amr_step(*, bf16: bool = False) -> Variant:
    """A step of AMR, whose loss is another; its cost is what is compared."""

    def build(device: torch.device) -> Work:
        distributed.start(str(device))
        method = build_seeded(lambda: AMR(Encoder(NTU25)), 0).to(device)
        batch = clips().to(device)
        keys = clip_keys(0, 0, batch.clips)
        return comparison.training_step(method, lambda: method(batch, keys)["loss"], device, bf16=bf16)

    return Variant(build, agrees=None, bf16=bf16)


VARIANTS = {
    "plain": Variant(plain_step),
    "fp32": maskel_step(),
    "fp32 compiled": maskel_step(compiled=True),
    "fp32 present": maskel_step(present=True),
    "fp32 cross": maskel_step(decoder="cross"),
    "fp32 present cross": maskel_step(present=True, decoder="cross"),
    "amr fp32": amr_step(),
    "bf16": maskel_step(bf16=True),
    "bf16 compiled": maskel_step(bf16=True, compiled=True),
    "amr bf16": amr_step(bf16=True),
    "bf16 present": maskel_step(bf16=True, present=True),
    "bf16 present cross": maskel_step(bf16=True, present=True, decoder="cross"),
}

if __name__ == "__main__":
    title = f"MAMP pre-training step, {CLIPS} clips x 2 bodies, {SINGLE_BODY_SHARE:.0%} with one body"
    comparison.compare(__file__, title, VARIANTS, CLIPS, "clips", FLOP)
