"""One fine-tuning step at the published size, against the plain way of doing the same.

    python benchmarks/finetuning_step.py [--only fp32 ...] [--device cuda]

The plain way spells attention out and encodes every body slot. Neither drops anything out here, so that both must
come to the same loss; maskel's step with dropout and stochastic depth, as published, is measured too.
"""

import torch
from torch import Tensor
from torch.nn import functional

import comparison
import plain
from comparison import Variant, Work
from maskel import distributed
from maskel.draws import clip_keys
from maskel.layouts import NTU25
from maskel.methods.base import build_seeded
from maskel.methods.classifier import FineTuneClassifier, LabelSpec
from maskel.models.encoder import Encoder
from training_step import CLIPS, SINGLE_BODY_SHARE, clips

CLASSES = tuple(f"class {number}" for number in range(60))


def classifier(device: torch.device, random: float, present: bool) -> FineTuneClassifier:
    """The published model; ``random`` is its drop path and dropout."""

    def build() -> FineTuneClassifier:
        bodies = "present" if present else "all"
        return FineTuneClassifier(Encoder(NTU25), LabelSpec(CLASSES), bodies, drop_path=random, dropout=random)

    return build_seeded(build, 0).to(device).train()


def plain_step(device: torch.device) -> Work:
    """Every slot, spelled-out attention, plain AdamW."""
    method, batch = classifier(device, 0.0, False), clips().to(device)

    def loss() -> Tensor:
        pooled = plain.per_joint(method.encoder, batch.joints)
        return functional.cross_entropy(method.head(pooled), batch.labels, label_smoothing=0.1)

    return comparison.training_step(method, loss, device, fused=False)


def maskel_step(*, bf16: bool = False, random: float = 0.0, present: bool = False) -> Variant:
    """The step that `maskel finetune` makes."""

    def build(device: torch.device) -> Work:
        distributed.start(str(device))
        method, batch = classifier(device, random, present), clips().to(device)
        keys = clip_keys(0, 0, batch.clips)
        return comparison.training_step(method, lambda: method(batch, keys)["loss"], device, bf16=bf16)

    other = present or random
    return Variant(build, agrees=None if other else 1e-2 if bf16 else 1e-5, bf16=bf16)


VARIANTS = {
    "plain": Variant(plain_step),
    "fp32": maskel_step(),
    "fp32 dropout": maskel_step(random=0.3),
    "fp32 dropout present": maskel_step(random=0.3, present=True),
    "bf16": maskel_step(bf16=True),
    "bf16 dropout": maskel_step(bf16=True, random=0.3),
}

if __name__ == "__main__":
    title = f"fine-tuning step, {CLIPS} clips x 2 bodies, {SINGLE_BODY_SHARE:.0%} with one body"
    comparison.compare(__file__, title, VARIANTS, CLIPS, "clips")
