"""Features of a frozen encoder at the published size, against the plain way.

    python benchmarks/inference.py [--only fp32 ...] [--device cuda]

The plain way encodes every slot of every clip, absent bodies too, with spelled-out attention. An epoch of linear
evaluation with augmentation is the same work for every training clip, and a linear layer; with cached features it is
the linear layer alone.
"""

import torch

import comparison
import plain
from comparison import Variant, Work
from maskel import distributed
from maskel.layouts import NTU25
from maskel.methods.base import build_seeded
from maskel.models.encoder import Encoder
from training_step import CLIPS, SINGLE_BODY_SHARE, clips


def encoder(device: torch.device) -> Encoder:
    """The published size, frozen."""
    return build_seeded(lambda: Encoder(NTU25), 0).to(device).requires_grad_(False).eval()


def plain_features(device: torch.device) -> Work:
    """Every slot, spelled out."""
    frozen, joints = encoder(device), clips().joints.to(device)

    @torch.no_grad()
    def work() -> float:
        return float(plain.features(frozen, joints).square().mean())

    return work


def pooled(bf16: bool) -> Variant:
    """What `extract` and the linear probe do: bodies that exist, and one absent body for all absent ones."""

    def build(device: torch.device) -> Work:
        distributed.start(str(device))
        frozen, batch = encoder(device), clips().to(device)

        @torch.no_grad()
        def work() -> float:
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                return float(frozen.pool(batch, absent_bodies=True).square().mean())

        return work

    return Variant(build, agrees=1e-2 if bf16 else 1e-5, bf16=bf16)


VARIANTS = {"plain": Variant(plain_features), "fp32": pooled(False), "bf16": pooled(True)}

if __name__ == "__main__":
    title = f"features of {CLIPS} clips x 2 bodies, {SINGLE_BODY_SHARE:.0%} with one body"
    comparison.compare(__file__, title, VARIANTS, CLIPS, "clips")
