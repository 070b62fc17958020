"""Recipes of optimisation: one dataclass per optimiser, whose fields are the options of a command."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from maskel.errors import InputError
from maskel.methods.base import Method
from maskel.training.precision import Precision

Graph = Literal["auto", "off", "on"]
"""Steps are recorded as CUDA graphs: where that is possible, nowhere, or else the run is refused."""


@dataclass(frozen=True)
class TrainingConfig:
    """Options of every training run.

    Args:
        epochs: Passes over the training clips.
        batch_size: Clips per step, over all processes and accumulated micro-batches.
        accumulate: Micro-batches that each process cuts its share of a batch into; saves memory, changes nothing else.
        lr: Peak learning rate, for ``batch_size`` as it is (nothing scales it).
        min_lr: Learning rate at the end of the half-cycle cosine.
        warmup_epochs: Epochs of linear rise from 0.
        weight_decay: Decay of parameters with two or more dimensions; biases and norms have none.
        clip_grad: Largest norm of the gradient; 0 for no clipping, as published.
        precision: Number type of matrix products: ``fp32``, ``bf16``, or ``auto``: bf16 where the hardware has it.
        compile: Compile the method with torch.compile (needs a C++ compiler on a CPU).
        graph: Record steps as CUDA graphs; ``auto``: where possible.
        save_epochs: Epochs between two saved states; the last epoch always saves one.
        save_steps: Steps between two saved states within long epochs; 0 for none.
        deterministic: Refuse operations whose result depends on the order in which parallel parts finish, and use
            slower ones in their place. On a CPU the results are the same without.
    """

    epochs: int
    batch_size: int
    lr: float
    min_lr: float
    warmup_epochs: float
    weight_decay: float
    accumulate: int = 1
    clip_grad: float = 0.0
    precision: Precision = "fp32"
    compile: bool = False
    graph: Graph = "off"
    save_epochs: int = 1
    save_steps: int = 0
    deterministic: bool = False

    def __post_init__(self) -> None:
        least = dict.fromkeys(("epochs", "batch_size", "accumulate", "save_epochs"), 1)
        least |= dict.fromkeys(("save_steps", "lr", "min_lr", "warmup_epochs", "weight_decay", "clip_grad"), 0)
        for name, number in least.items():
            if not number <= (found := getattr(self, name)) < 2**31:  # what any optimiser and counter can hold
                expected = f"expected {number} or more" + ", and less than 2^31" * (found >= 2**31)
                raise InputError(f"training: found {name} {found}, {expected}")
        for name in ("momentum", "beta1", "beta2"):
            if not 0 <= getattr(self, name, 0) < 1:
                raise InputError(f"training: found {name} {getattr(self, name)}, expected 0 or more, and less than 1")

    def learning_rate(self, epoch: float) -> float:
        """Rate at a fractional epoch: linear warm-up from 0, then half-cycle cosine from ``lr`` to ``min_lr``."""
        if epoch < self.warmup_epochs:
            return self.lr * epoch / self.warmup_epochs
        progress = (epoch - self.warmup_epochs) / (self.epochs - self.warmup_epochs)
        return self.min_lr + (self.lr - self.min_lr) * 0.5 * (1 + math.cos(math.pi * progress))

    def optimizer(self, method: Method) -> Optimizer:
        """The optimiser of the method's trainable parameters; each recipe has its own."""
        raise NotImplementedError  # no abstract class: the command line wants plain dataclasses

    def groups(self, parameters: Iterable[nn.Parameter]) -> list[dict[str, object]]:
        """Trainable parameters with and without weight decay; 1-D ones (biases, norms) have none."""
        trainable = [parameter for parameter in parameters if parameter.requires_grad]
        return [
            {"params": [p for p in trainable if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
        ]


@dataclass(frozen=True)
class AdamWConfig(TrainingConfig):
    """Training with AdamW; the defaults are MAMP's pre-training recipe (arXiv 2308.07092 and its release).

    Args:
        beta1: Decay of the first moment.
        beta2: Decay of the second moment.
    """

    epochs: int = 400
    batch_size: int = 128
    lr: float = 1e-3
    min_lr: float = 5e-4
    warmup_epochs: float = 20.0
    weight_decay: float = 0.05
    beta1: float = 0.9
    beta2: float = 0.95

    def optimizer(self, method: Method) -> Optimizer:
        """AdamW, fused."""
        return _adamw(self, method, self.groups(method.parameters()))


@dataclass(frozen=True)
class SGDConfig(TrainingConfig):
    """Training with SGD; the defaults are the published linear evaluation's.

    Args:
        momentum: Momentum.
    """

    epochs: int = 100
    batch_size: int = 256
    lr: float = 0.1
    min_lr: float = 0.0
    warmup_epochs: float = 0.0
    weight_decay: float = 0.0
    momentum: float = 0.9

    def optimizer(self, method: Method) -> Optimizer:
        """SGD with momentum; fused on a GPU, where otherwise the rate would be read. On a CPU that rounds otherwise."""
        fused = True if _on_gpu(method) else None
        return SGD(self.groups(method.parameters()), lr=self.lr, momentum=self.momentum, fused=fused)


@dataclass(frozen=True)
class FinetuneConfig(AdamWConfig):
    """Training of encoder and head; the defaults are MAMP's fine-tuning recipe (arXiv 2308.07092 and its release).

    Args:
        layer_decay: Factor, in (0, 1], by which each layer's learning rate is smaller than that of the layer above it;
            by default 0.8 with an encoder to start from and 1 from scratch, as published.
    """

    epochs: int = 100
    batch_size: int = 48
    lr: float = 3e-4
    min_lr: float = 1e-5
    warmup_epochs: float = 5.0
    beta2: float = 0.999
    layer_decay: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layer_decay is not None and not 0 < self.layer_decay <= 1:
            raise InputError(f"training: found layer_decay {self.layer_decay}, expected a number above 0, at most 1")

    def optimizer(self, method: Method) -> Optimizer:
        """AdamW, fused; the layers are the encoder's embeddings, each of its blocks, and norm and head together."""
        *layers, last = method.encoder.layers()
        inside = {id(parameter) for parameter in method.encoder.parameters()}
        layers.append([*last, *(parameter for parameter in method.parameters() if id(parameter) not in inside)])
        decay = 1.0 if self.layer_decay is None else self.layer_decay
        groups: list[dict[str, object]] = []
        for below, layer in enumerate(reversed(layers)):
            if not method.freeze_epochs:
                groups += [group | {"scale": decay**below} for group in self.groups(layer)]
                continue
            for begin, of_encoder in ((0, False), (method.freeze_epochs, True)):
                members = [parameter for parameter in layer if (id(parameter) in inside) == of_encoder]
                begins = {"scale": decay**below, "from_epoch": begin}
                groups += [group | begins for group in self.groups(members) if group["params"]]
        return _adamw(self, method, groups)


def _adamw(training: AdamWConfig, method: Method, groups: list[dict[str, object]]) -> AdamW:
    """AdamW; on a GPU as one that a graph can hold."""
    return AdamW(groups, lr=training.lr, betas=(training.beta1, training.beta2), fused=True, capturable=_on_gpu(method))


def _on_gpu(method: Method) -> bool:
    return any(parameter.is_cuda for parameter in method.parameters())
