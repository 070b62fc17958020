"""Classifiers: an encoder and a classification head, trained as a method like any other.

Linear evaluation and fine-tuning as published with MAMP (arXiv 2308.07092, and its release).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn
from torch.nn import functional

from maskel.datasets.base import Provenance
from maskel.datasets.store import SkeletonSet
from maskel.distributed import gather_rows, gather_rows_with_gradient
from maskel.draws import Purpose, body_keys, uniform
from maskel.errors import InputError
from maskel.hub import CLASSIFIER as CLASSIFIER
from maskel.methods.base import Method, fold_bodies
from maskel.methods.masked import Bodies
from maskel.models.encoder import LARGEST, Encoder
from maskel.models.familiarity import Familiarity
from maskel.models.heads import FinetuneHead, LinearHead
from maskel.models.pooling import Pool, put_bodies
from maskel.models.transformer import drop_path_scales
from maskel.models.weights import save_weights
from maskel.sequence import FeatureBatch, SingleBody, SkeletonBatch
from maskel.transforms import test_view

ClassWeights = Literal["none", "balanced"]
"""Weights of the classes in the loss: equal for all clips, or larger for clips of rare classes."""
HeadKind = Literal["mlp", "linear", "fitted"]
"""Head of fine-tuning: two layers, as published; the one of linear evaluation, with far fewer weights; or this one
beginning as a logistic regression that fits the features, which it standardises as at its beginning."""
FORMAT = "maskel classifier 1"


@dataclass(frozen=True)
class LabelSpec:
    """Class names, and how bodies are presented to the classifier.

    Args:
        classes: Class names; label i is ``classes[i]``.
        num_bodies: Body slots M of a clip.
        single_body: Filling of the second body slot of a clip with one body.
        provenance: Origin of the joints of the training clips; None where that is unknown.
        longest: Frames of the longest training clip; None where that is unknown.
        median: Frames of the median training clip; None where that is unknown, as in older files.
        spare: Number of the last ``classes`` that stand for no class: the public code trains some data sets with more
            outputs than they have classes. A clip for which one of these is highest counts as wrong.

    Raises:
        InputError: If there is no class or no slot, or ``single_body`` is unknown.
    """

    classes: tuple[str, ...]
    num_bodies: int = 2
    single_body: SingleBody = "zero"
    provenance: Provenance | None = None
    longest: int | None = None
    spare: int = 0
    median: int | None = None

    @classmethod
    def of(
        cls,
        dataset: SkeletonSet,
        train: Int64[np.ndarray, " n"],
        single_body: SingleBody,
        provenance: Provenance | None,
    ) -> "LabelSpec":
        """Describe the classes and bodies of a set, learned from its clips at the positions ``train``."""
        lengths = dataset.valid_frames[train]
        longest, median = int(lengths.max()), int(np.median(lengths))
        return cls(dataset.classes, dataset.max_bodies, single_body, provenance, longest, median=median)

    @classmethod
    def read(cls, about: Mapping[str, Any]) -> "LabelSpec":
        """Rebuild the specification from the dictionary that `asdict` made of it."""
        made = about.get("provenance")
        changes = {"classes": tuple(about["classes"]), "provenance": None if made is None else Provenance(**made)}
        return cls(**{**about, **changes})

    def __post_init__(self) -> None:
        if not (self.classes and all(isinstance(name, str) for name in self.classes)):
            raise InputError(f"classifier: found classes {self.classes!r}, expected one name or more")
        if not (type(self.num_bodies) is int and 1 <= self.num_bodies <= 1000):
            raise InputError(f"classifier: found {self.num_bodies!r} body slots, expected 1 to 1000")
        if self.single_body not in get_args(SingleBody):
            raise InputError(f"classifier: found single_body {self.single_body!r}, expected zero or copy")
        for name, frames in (("longest", self.longest), ("median", self.median)):
            if not (frames is None or (type(frames) is int and frames >= 1)):
                raise InputError(f"classifier: found a {name} clip of {frames!r} frames, expected 1 or more")
        if not (type(self.spare) is int and 0 <= self.spare < len(self.classes)):
            raise InputError(f"classifier: found {self.spare!r} spare outputs of {len(self.classes)}")

    @property
    def real_classes(self) -> tuple[str, ...]:
        """Classes without the spare outputs."""
        return self.classes[: len(self.classes) - self.spare]


def class_weights(labels: Int64[Tensor, " n"], classes: int, how: ClassWeights) -> Float32[Tensor, " classes"] | None:
    """Compute the weight of each class in the loss, (classes,), or None for 1.

    ``balanced`` is N / (K·n) for a class with n of N clips, K being the classes that have any, so that every class
    weighs alike in the sum. The loss of a batch is divided by the weights of its clips. A class without a clip has
    weight 1.
    """
    if how == "none":
        return None
    counts = torch.bincount(labels, minlength=classes).double()
    weights = len(labels) / ((counts > 0).sum() * counts)
    return torch.where(counts > 0, weights, 1.0).float()


class Classifier(Method):
    """Encoder with a classification head.

    BatchNorm looks at the whole batch, so that of all processes is gathered, and micro-batches are impossible.

    Attributes:
        kind: Name of the head; the classifier's file holds it.
        label_spec: Class names and body slots.
        pool: Pooling of each body's tokens.
        bodies: Body slots to average over: ``all``, or ``present``.
        head: Maps features to class scores.
        class_weights: (classes,) weight of each class in the loss; None where all weigh alike.
        familiarity: Features of training clips, once it is trained; None before, and in older files.
    """

    kind: ClassVar[str]
    label_spec: LabelSpec
    pool: Pool = "joints"
    bodies: Bodies = "all"
    label_smoothing: float = 0.0
    head: nn.Module
    class_weights: Float32[Tensor, " classes"] | None
    familiarity: Familiarity | None
    needs_whole_batch = True

    def __init__(self, encoder: Encoder, label_spec: LabelSpec) -> None:
        super().__init__()
        self.register_buffer("class_weights", None, persistent=False)  # of training, no part of the classifier
        self.familiarity = None
        self.encoder = encoder
        self.label_spec = label_spec

    @property
    def options(self) -> dict[str, Any]:
        """Constructor options on which the scores of a trained classifier depend."""
        return {}

    @property
    def num_values(self) -> int:
        """Number of values F of the features that the head reads."""
        return self.encoder.num_features(self.pool)

    def features(self, batch: SkeletonBatch) -> Float32[Tensor, "b f"]:
        """Compute the features that the head reads, from a view of the encoder's window, without dropout."""
        return self.encoder.pool(batch, absent_bodies=self.bodies == "all", pool=self.pool)

    def training_features(self, batch: SkeletonBatch, keys: Int64[Tensor, " b"]) -> Float32[Tensor, "b f"]:
        """Compute the features on which the head is trained; arguments as for `forward`."""
        return self.features(batch)

    def forward(self, batch: SkeletonBatch | FeatureBatch, keys: Int64[Tensor, " b"]) -> dict[str, Tensor]:
        """Compute the (weighted) cross-entropy of the batch of all processes, so that BatchNorm sees all of it."""
        features = batch.features if isinstance(batch, FeatureBatch) else self.training_features(batch, keys)
        scores, labels = self.scores(gather_rows_with_gradient(features)), gather_rows(batch.labels)
        loss = functional.cross_entropy(scores, labels, self.class_weights, label_smoothing=self.label_smoothing)
        return {"loss": loss, "weight": loss.new_full((), len(labels))}

    def scores(self, features: Float32[Tensor, "b f"]) -> Float32[Tensor, "b classes"]:
        """Compute class scores (logits) from features."""
        return self.head(features).float()

    def logits(self, batch: SkeletonBatch) -> Float32[Tensor, "b classes"]:
        """Compute class scores from a view of the encoder's window."""
        return self.scores(self.features(batch))

    def distances(self, features: Float32[Tensor, "b f"]) -> Float32[Tensor, " b"]:
        """Compute how far features are from those of the training clips; not a number where nothing is known of them.

        See `Familiarity`.
        """
        if self.familiarity is None:
            return features.new_full((len(features),), torch.nan)
        return self.familiarity.distance(features.float())

    def classify(self, batch: SkeletonBatch) -> Float32[Tensor, "b classes"]:
        """Compute the probability of each class, (B, classes), for clips of any length in the test view.

        Args:
            batch: As `SkeletonSet.gather` gives them for the ``num_bodies`` and ``single_body``, on any device.
        """
        return self.answer(batch)[0]

    @torch.no_grad()
    def answer(self, batch: SkeletonBatch) -> tuple[Float32[Tensor, "b classes"], Float32[Tensor, " b"]]:
        """Compute what `classify` does, and the distances of the clips to the training clips: see `distances`."""
        batch = batch.to(self.encoder.patch_embed.weight.device)
        features = self.features(test_view(batch, self.encoder.config.window))
        shares, distances = self.scores(features).softmax(1), self.distances(features)
        if not (shares.isfinite().all() and (self.familiarity is None or distances.isfinite().all())):
            raise InputError("a clip gives scores that are not finite; its joints or the weights are too large")
        return shares, distances

    def save(self, path: Path | str) -> None:
        """Write weights, classes, layout and everything else for classifying to one ``.safetensors`` file."""
        about: dict[str, Any] = {"head": self.kind, "task": asdict(self.label_spec), "options": self.options}
        if self.familiarity is not None:
            about["familiarity"] = len(self.familiarity.known)
        save_weights(Path(path), self, {"format": FORMAT, **self.encoder.about(), **about})


class LinearProbe(Classifier):
    """Linear evaluation: a linear head on averaged tokens; the encoder stays frozen and in eval mode.

    Args:
        encoder: The encoder to evaluate.
        label_spec: Class names and body slots.
        pool: Pooling of the tokens: the mean of all, as published, or parts of the body kept apart.
    """

    kind = "linear"
    head: LinearHead

    def __init__(self, encoder: Encoder, label_spec: LabelSpec, pool: Pool = "mean") -> None:
        super().__init__(encoder.requires_grad_(False), label_spec)
        if pool not in get_args(Pool):
            raise InputError(f"pool: found {pool!r}, expected one of {', '.join(get_args(Pool))}")
        self.pool = pool
        self.head = LinearHead(encoder.num_features(pool), len(label_spec.classes))

    @property
    def options(self) -> dict[str, Any]:
        """Pooling of the tokens, where it is not the mean of all."""
        return {} if self.pool == "mean" else {"pool": self.pool}

    def train(self, mode: bool = True) -> "LinearProbe":
        """Switch the mode of the head; the encoder stays in eval mode."""
        super().train(mode)
        self.encoder.eval()
        return self


class FineTuneClassifier(Classifier):
    """Fine-tuning: encoder and head are trained together.

    The head reads each joint's mean over time, (B, V'·D), the mean of it over bodies. In training, dropout acts on the
    normed tokens and stochastic depth on the encoder, each body by draws of its own.

    Args:
        encoder: The encoder to start from.
        label_spec: Class names and body slots.
        bodies: ``all`` averages over all slots, absent bodies encoded like the others, as published; ``present`` over
            the bodies that were recorded.
        head_dim: Width of the ``mlp`` head between its two layers.
        drop_path: Share of branches that stochastic depth drops in the last block, in [0, 1).
        dropout: Share of the token values dropped before the head, in [0, 1).
        label_smoothing: Share of each label that is spread over all classes, in [0, 1].
        head: ``mlp`` as published, ``linear``: that of linear evaluation, or ``fitted``: the same; its BatchNorm keeps
            its averages.

    Raises:
        InputError: If an option is outside its range.
    """

    kind = "finetune"

    def __init__(
        self,
        encoder: Encoder,
        label_spec: LabelSpec,
        bodies: Bodies = "all",
        head_dim: int = 2048,
        drop_path: float = 0.3,
        dropout: float = 0.3,
        label_smoothing: float = 0.1,
        head: HeadKind = "mlp",
    ) -> None:
        super().__init__(encoder, label_spec)
        if head not in get_args(HeadKind):
            raise InputError(f"head: found {head!r}, expected one of {', '.join(get_args(HeadKind))}")
        if bodies not in get_args(Bodies):
            raise InputError(f"bodies: found {bodies!r}, expected all or present")
        if not 1 <= head_dim <= LARGEST:
            raise InputError(f"head_dim: found {head_dim}, expected 1 to {LARGEST:,}")
        if not (0 <= drop_path < 1 and 0 <= dropout < 1 and 0 <= label_smoothing <= 1):
            raise InputError(
                f"found drop_path {drop_path}, dropout {dropout}, label_smoothing {label_smoothing}; expected shares, "
                f"the first two below 1"
            )
        self.bodies = bodies
        self.head_dim = head_dim
        self.drop_path = drop_path
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.head_kind = head
        values, classes = self.num_values, len(label_spec.classes)
        self.head = FinetuneHead(values, head_dim, classes) if head == "mlp" else LinearHead(values, classes)

    @property
    def options(self) -> dict[str, Any]:
        """Bodies to average over, the head's width, and its kind where it is not the published one."""
        kind = {} if self.head_kind == "mlp" else {"head": self.head_kind}
        return {"bodies": self.bodies, "head_dim": self.head_dim, **kind}

    def train(self, mode: bool = True) -> "FineTuneClassifier":
        """Switch the mode; the BatchNorm of a fitted head stays in eval mode."""
        super().train(mode)
        if isinstance(self.head, LinearHead) and self.head_kind == "fitted":
            self.head.norm.eval()
        return self

    def training_features(self, batch: SkeletonBatch, keys: Int64[Tensor, " b"]) -> Float32[Tensor, "b f"]:
        """Compute `features` under dropout and stochastic depth."""
        return self._random_features(batch, keys) if self.drop_path or self.dropout else self.features(batch)

    def _random_features(self, batch: SkeletonBatch, keys: Int64[Tensor, " b"]) -> Float32[Tensor, "b f"]:
        present = self.bodies == "present"
        joints, rows = fold_bodies(batch, body_keys(keys, batch.joints.shape[1]), present)
        depth = self.encoder.config.depth
        scales = drop_path_scales(uniform(rows, Purpose.DROP_PATH, 2 * depth), depth, self.drop_path)
        tokens = self.encoder(self.encoder.stream(joints), scales=scales).float()
        if self.dropout:
            draws = uniform(rows, Purpose.DROPOUT, tokens[0].numel()).view_as(tokens)
            tokens = tokens * (draws >= self.dropout) / (1 - self.dropout)
        pooled = self.encoder.pooled(tokens, self.pool)
        if not present:
            return pooled.unflatten(0, batch.present.shape).mean(1)
        return put_bodies(batch, pooled).sum(1) / batch.present.sum(1, keepdim=True)


CLASSIFIERS: dict[str, Callable[..., Classifier]] = {kind.kind: kind for kind in (FineTuneClassifier, LinearProbe)}
"""Name in a classifier's file -> class."""
