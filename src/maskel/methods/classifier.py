"""Classifiers: an encoder and a head that tells classes apart, trained as a method like any other.

Linear evaluation and fine-tuning as published with MAMP (arXiv 2308.07092, and its release).
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn
from torch.nn import functional

from maskel.datasets.provenance import Provenance
from maskel.datasets.store import SkeletonSet
from maskel.draws import Purpose, body_keys, uniform
from maskel.errors import InputError
from maskel.methods.base import Method, fold_bodies
from maskel.methods.masked import Bodies
from maskel.methods.trained_on import TrainedOn, output_names, training_set
from maskel.models.encoder import Encoder, build_encoder
from maskel.models.heads import FinetuneHead, LinearHead
from maskel.models.pooling import Pool
from maskel.models.released import Release, build_released, read_release
from maskel.models.torch_file import is_torch_file
from maskel.models.transformer import drop_path_scales
from maskel.models.weights import load_weights, save_weights
from maskel.sequence import SkeletonBatch
from maskel.training.distributed import gather_rows, gather_rows_with_gradient
from maskel.training.loading import FeatureBatch, SingleBody
from maskel.transforms import test_view

ClassWeights = Literal["none", "balanced"]
"""How much clips of a class count in the loss: all alike, or those of rare classes more."""
_FORMAT = "maskel classifier 1"
CLASSIFIER = "classifier.safetensors"


@dataclass(frozen=True)
class Task:
    """What a classifier is asked.

    Args:
        classes: Class names; label i is ``classes[i]``.
        num_bodies: Body slots M of a clip.
        single_body: What stands in the second slot of a clip with one body.
        provenance: How the joints of the clips that it learned from were made; None where that is not known.
        longest: Frames of the longest clip that it learned from; None where that is not known.
        spare: How many of ``classes``, the last ones, stand for no class: the public code trains some data sets with
            more outputs than they have classes. A clip for which one of these is highest is not right.

    Raises:
        InputError: If there is no class or no slot, or ``single_body`` is unknown.
    """

    classes: tuple[str, ...]
    num_bodies: int = 2
    single_body: SingleBody = "zero"
    provenance: Provenance | None = None
    longest: int | None = None
    spare: int = 0

    @classmethod
    def of(cls, clips: SkeletonSet, train: Int64[np.ndarray, " n"], single_body: SingleBody) -> "Task":
        """To tell the classes of a set apart, learning from its clips at the positions ``train``."""
        longest = int(clips.valid_frames[train].max())
        return cls(clips.classes, clips.max_bodies, single_body, Provenance.of(clips), longest)

    @classmethod
    def read(cls, about: Mapping[str, Any]) -> "Task":
        """What `asdict` made of a task, after it stood in a file."""
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
        if not (self.longest is None or (type(self.longest) is int and self.longest >= 1)):
            raise InputError(f"classifier: found a longest clip of {self.longest!r} frames, expected 1 or more")
        if not (type(self.spare) is int and 0 <= self.spare < len(self.classes)):
            raise InputError(f"classifier: found {self.spare!r} spare outputs of {len(self.classes)}")

    @property
    def real_classes(self) -> tuple[str, ...]:
        """The classes without the spare outputs."""
        return self.classes[: len(self.classes) - self.spare]


def class_weights(labels: Int64[Tensor, " n"], classes: int, how: ClassWeights) -> Float32[Tensor, " classes"] | None:
    """The weight of each class in the loss, (classes,), or None for 1.

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
    """An encoder with a head.

    BatchNorm looks at the whole batch, so that of all processes is gathered, and micro-batches are impossible.

    Attributes:
        kind: Of head; the classifier's file names it.
        task: What it is asked.
        head: Features in, class scores out.
        class_weights: (classes,) how much a clip of each class counts in the loss; None where all count alike.
    """

    kind: ClassVar[str]
    task: Task
    head: nn.Module
    class_weights: Float32[Tensor, " classes"] | None
    whole_batch = True

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("class_weights", None, persistent=False)  # of training, no part of the classifier

    @property
    def options(self) -> dict[str, Any]:
        """The constructor's options on which the scores of a trained classifier depend."""
        return {}

    @abstractmethod
    def features(self, batch: SkeletonBatch) -> Float32[Tensor, "b f"]:
        """What the head reads, from a view of the encoder's window; nothing random acts."""

    def scores(self, features: Float32[Tensor, "b f"]) -> Float32[Tensor, "b classes"]:
        """Class scores (logits) of features."""
        return self.head(features).float()

    def logits(self, batch: SkeletonBatch) -> Float32[Tensor, "b classes"]:
        """Class scores of a view of the encoder's window."""
        return self.scores(self.features(batch))

    @torch.no_grad()
    def classify(self, batch: SkeletonBatch) -> Float32[Tensor, "b classes"]:
        """Probability of each class, (B, classes), for clips of any length in the test view.

        Args:
            batch: As `SkeletonSet.gather` gives them for the task's ``num_bodies`` and ``single_body``, on any device.
        """
        batch = batch.to(self.encoder.patch_embed.weight.device)
        return self.logits(test_view(batch, self.encoder.config.window)).softmax(1)

    def save(self, path: Path) -> None:
        """Write weights, classes, layout and all else that classifying needs to one ``.safetensors`` file."""
        about = {"head": self.kind, "task": asdict(self.task), "options": self.options}
        save_weights(path, self, {"format": _FORMAT, **self.encoder.about(), **about})


class LinearProbe(Classifier):
    """Linear evaluation: a linear head on averaged tokens; the encoder stays frozen and in eval mode.

    Args:
        encoder: The encoder to evaluate.
        task: What to tell apart.
        pool: What tokens are averaged over; the mean of all, as published, or parts of the body kept apart.
    """

    kind = "linear"

    def __init__(self, encoder: Encoder, task: Task, pool: Pool = "mean") -> None:
        super().__init__()
        if pool not in get_args(Pool):
            raise InputError(f"pool: found {pool!r}, expected one of {', '.join(get_args(Pool))}")
        self.encoder = encoder.requires_grad_(False)
        self.task = task
        self.pool = pool
        self.head = LinearHead(encoder.num_features(pool), len(task.classes))

    @property
    def options(self) -> dict[str, Any]:
        """What tokens are averaged over, where it is not all of them."""
        return {} if self.pool == "mean" else {"pool": self.pool}

    def train(self, mode: bool = True) -> "LinearProbe":
        """Switch the head; the encoder stays in eval mode."""
        super().train(mode)
        self.encoder.eval()
        return self

    @torch.no_grad()
    def features(self, batch: SkeletonBatch) -> Float32[Tensor, "b f"]:
        """Mean over body slots, and over time and joints as far as ``pool`` says: (B, F)."""
        return self.encoder.pool(batch, absent_bodies=True, pool=self.pool)

    def forward(self, batch: SkeletonBatch | FeatureBatch, keys: Int64[Tensor, " b"]) -> dict[str, Tensor]:
        """(Weighted) cross-entropy of the batch of all processes, so that BatchNorm sees the whole batch on each."""
        features = batch.features if isinstance(batch, FeatureBatch) else self.features(batch)
        labels = gather_rows(batch.labels)
        loss = functional.cross_entropy(self.scores(gather_rows(features)), labels, self.class_weights)
        return {"loss": loss, "weight": loss.new_full((), len(labels))}


class FineTuned(Classifier):
    """Fine-tuning: encoder and head are trained together.

    The head reads each joint's mean over time, (B, V'·D), the mean of it over bodies. In training, dropout acts on the
    normed tokens and stochastic depth on the encoder, each body by draws of its own.

    Args:
        encoder: The encoder to start from.
        task: What to tell apart.
        bodies: ``all`` averages over all slots, absent bodies encoded like the others, as published; ``present`` over
            the bodies that were recorded.
        head_dim: Width of the head between its two layers.
        drop_path: Share of branches that stochastic depth drops in the last block, in [0, 1).
        dropout: Share of the token values dropped before the head, in [0, 1).
        label_smoothing: Share of each label that is spread over all classes, in [0, 1].

    Raises:
        InputError: If an option is outside its range.
    """

    kind = "finetune"

    def __init__(
        self,
        encoder: Encoder,
        task: Task,
        bodies: Bodies = "all",
        head_dim: int = 2048,
        drop_path: float = 0.3,
        dropout: float = 0.3,
        label_smoothing: float = 0.1,
    ) -> None:
        super().__init__()
        if bodies not in get_args(Bodies):
            raise InputError(f"bodies: found {bodies!r}, expected all or present")
        if head_dim < 1:
            raise InputError(f"head_dim: found {head_dim}, expected 1 or more")
        if not (0 <= drop_path < 1 and 0 <= dropout < 1 and 0 <= label_smoothing <= 1):
            raise InputError(
                f"found drop_path {drop_path}, dropout {dropout}, label_smoothing {label_smoothing}; expected shares, "
                f"the first two below 1"
            )
        self.encoder = encoder
        self.task = task
        self.bodies = bodies
        self.head_dim = head_dim
        self.drop_path = drop_path
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.head = FinetuneHead(encoder.grid[1] * encoder.config.dim, head_dim, len(task.classes))

    @property
    def options(self) -> dict[str, Any]:
        """Which bodies count, and the head's width."""
        return {"bodies": self.bodies, "head_dim": self.head_dim}

    def features(self, batch: SkeletonBatch) -> Float32[Tensor, "b f"]:
        """Mean over time and bodies: (B, V'·D)."""
        return self.encoder.pool(batch, absent_bodies=self.bodies == "all", pool="joints")

    def forward(self, batch: SkeletonBatch, keys: Int64[Tensor, " b"]) -> dict[str, Tensor]:
        """Smoothed (weighted) cross-entropy of the batch of all processes, so that BatchNorm sees all of it on each."""
        random = self.drop_path or self.dropout
        features = self._random_features(batch, keys) if random else self.features(batch)
        labels = gather_rows(batch.labels)
        scores = self.scores(gather_rows_with_gradient(features))
        loss = functional.cross_entropy(scores, labels, self.class_weights, label_smoothing=self.label_smoothing)
        return {"loss": loss, "weight": loss.new_full((), len(labels))}

    def _random_features(self, batch: SkeletonBatch, keys: Int64[Tensor, " b"]) -> Float32[Tensor, "b f"]:
        present = self.bodies == "present"
        joints, rows = fold_bodies(batch, body_keys(keys, batch.joints.shape[1]), present)
        depth = self.encoder.config.depth
        scales = drop_path_scales(uniform(rows, Purpose.DROP_PATH, 2 * depth), depth, self.drop_path)
        tokens = self.encoder(self.encoder.stream(joints), scales=scales).float()
        if self.dropout:
            draws = uniform(rows, Purpose.DROPOUT, tokens[0].numel()).view_as(tokens)
            tokens = tokens * (draws >= self.dropout) / (1 - self.dropout)
        pooled = self.encoder.pooled(tokens, "joints")
        if not present:
            return pooled.unflatten(0, batch.present.shape).mean(1)
        features = pooled.new_zeros(batch.present.numel(), pooled.shape[1])
        features = features.index_copy(0, batch.present_bodies(), pooled)
        return features.unflatten(0, batch.present.shape).sum(1) / batch.present.sum(1, keepdim=True)


CLASSIFIERS: dict[str, Callable[..., Classifier]] = {kind.kind: kind for kind in (FineTuned, LinearProbe)}
"""Name in a classifier's file -> class."""


def load_classifier(
    path: Path | str,
    device: torch.device | str = "cpu",
    trained_on: TrainedOn | None = None,
    clips: SkeletonSet | None = None,
) -> Classifier:
    """The trained classifier of a run folder, its file, or a checkpoint of a public release, in eval mode.

    A release's checkpoint has no class names: those of the data set that it was trained on are used, in order. For NTU
    RGB+D 120 a single body is copied into the second slot, as published. Outputs beyond the set's classes stand for no
    class.

    Args:
        path: A run folder of ``maskel finetune`` or ``maskel linear``, its ``classifier.safetensors``, or a ``.pth``
            file of MAMP's or HA-CM's public code, after linear evaluation or fine-tuning.
        device: Where to put it.
        trained_on: The data set of a ``.pth`` file that does not say it: ``ntu60``, ``ntu120``, ``pku1``, ``pku2``, or
            ``data`` for the classes of ``clips``.
        clips: The set that it shall read; its source decides where nothing else does.

    Raises:
        InputError: If there is no such file, it is not a whole maskel classifier, or nothing says its data set.

    Examples:
        >>> clips = SkeletonSet.open("set")
        >>> model = load_classifier("classifier")
        >>> batch = clips.gather(np.array([0, 1]), model.task.num_bodies, model.task.single_body)
        >>> model.classify(batch).shape
        torch.Size([2, 13])
    """
    file = Path(path) / CLASSIFIER if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise InputError(f"{file}: no such classifier; expected a run folder of maskel finetune or linear, or its file")
    if is_torch_file(file):
        return _from_release(read_release(file), trained_on, clips).to(device)
    if trained_on is not None:
        raise InputError(f"trained_on: {file} knows its classes; leave the option out, it is for released .pth files")
    return load_weights(file, "classifier", _FORMAT, _build).to(device)


def _from_release(release: Release, trained_on: TrainedOn | None, clips: SkeletonSet | None) -> Classifier:
    about, _ = release.encoder
    options = {}
    if "head.fc1.weight" in release.weights:
        kind, last = FineTuned.kind, "head.fc2.weight"
        options["head_dim"] = release.weight("head.fc1.weight", 2).shape[0]
    else:
        kind, last = LinearProbe.kind, "head.fc.1.weight"
    outputs = release.weight(last, 2).shape[0]
    chosen = training_set(release, outputs, trained_on, clips)
    names = output_names(chosen.classes, outputs)
    task = Task(names, single_body=chosen.single_body, spare=outputs - len(chosen.classes))

    def build() -> Classifier:
        return CLASSIFIERS[kind](build_encoder(about), task, **options)

    return build_released(release.path, build, release.parameters)


def _build(about: Mapping[str, Any]) -> Classifier:
    return CLASSIFIERS[about["head"]](build_encoder(about), Task.read(about["task"]), **about["options"])
