"""Training without a run folder: what it saves on its way is removed at its end."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int64

from maskel.datasets.provenance import provenance_of
from maskel.datasets.store import SkeletonSet
from maskel.distributed import World
from maskel.errors import InputError, Stopped
from maskel.files import scratch_folder
from maskel.methods.base import Method, build_seeded
from maskel.methods.classifier import FineTuneClassifier, LabelSpec
from maskel.methods.masked import Bodies
from maskel.models.encoder import Encoder
from maskel.sequence import SkeletonBatch
from maskel.training.engine import Session, fit
from maskel.training.fitting import fitted, say_fitted
from maskel.training.loading import Batches, ClipBatches
from maskel.training.optim import FinetuneConfig, TrainingConfig
from maskel.training.run import RunFolder
from maskel.transforms import TrainView, ViewFrames


def train_unkept(method: Method, batches: Batches, training: TrainingConfig, world: World) -> None:
    """Train a method that is on its device, and show no progress.

    Raises:
        TrainingError: If a loss is not finite.
        KeyboardInterrupt: After Ctrl-C; there is no run to go on with.
    """
    with scratch_folder() as folder:
        try:
            fit(method, batches, Session(training, RunFolder(folder), world, kept=False))
        except Stopped as stop:
            raise KeyboardInterrupt from stop


class _RelabelledBatches(ClipBatches):
    """Clips of a set with labels that are not the set's."""

    relabelled: Int64[np.ndarray, " clips"]

    def _gather(self, positions: Int64[np.ndarray, " b"], frames: ViewFrames) -> SkeletonBatch:
        batch = super()._gather(positions, frames)
        return replace(batch, labels=torch.from_numpy(self.relabelled[positions]).to(batch.labels.device))


def finetune_clips(
    encoder: Encoder,
    dataset: SkeletonSet,
    positions: Int64[np.ndarray, " n"],
    labels: Int64[np.ndarray, " n"],
    classes: Sequence[str],
    bodies: Bodies,
    view: TrainView,
    recipe: FinetuneConfig,
    seed: int,
    world: World,
) -> FineTuneClassifier:
    """Train an encoder and the published head, as ``maskel finetune`` does by default.

    Args:
        encoder: The encoder to start from; it is trained itself, not a copy.
        dataset: The set.
        positions: (N,) training clips.
        labels: (N,) their classes, from 0; the set's own labels play no part.
        classes: Names of the classes.
        bodies: Body slots that the head averages over.
        view: The random view.
        recipe: One that `check_training` lets pass; shrunk where the clips cannot fill a batch or a warm-up, and a
            line says so.
        seed: Seed of head, views, order, dropout and stochastic depth.
        world: This process among all.

    Raises:
        InputError: If there are too few clips, or a clip that is given twice has two labels.
        TrainingError: If a loss is not finite.
    """
    relabelled = np.zeros(len(dataset), np.int64)
    relabelled[positions] = labels
    if (unlike := relabelled[positions] != labels).any():
        name = dataset.clips[int(positions[unlike][0])].name
        raise InputError(f"y: found two labels for clip {name}, which X has twice; expected one label a clip")
    if recipe.layer_decay is None:
        recipe = replace(recipe, layer_decay=0.8)
    training = fitted(recipe, len(positions), least=2)
    label_spec = replace(LabelSpec.of(dataset, positions, "zero", provenance_of(dataset)), classes=tuple(classes))
    encoder.requires_grad_(True)  # that of a fitted estimator is frozen
    classifier = build_seeded(lambda: FineTuneClassifier(encoder, label_spec, bodies), seed).to(world.device)
    window = classifier.encoder.config.window
    batches = _RelabelledBatches(dataset, positions, training.batch_size, seed, window, view, "zero", world.device)
    batches.relabelled = relabelled
    say_fitted(recipe, training)
    train_unkept(classifier, batches, training, world)
    return classifier
