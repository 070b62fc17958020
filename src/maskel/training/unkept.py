"""Training without a run folder: what it saves on its way is removed at its end."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int64

from maskel import distributed
from maskel.datasets.store import SkeletonSet
from maskel.errors import Stopped
from maskel.files import scratch_folder
from maskel.methods.base import Method
from maskel.sequence import SkeletonBatch
from maskel.training.engine import Session, fit
from maskel.training.fitting import fitted, say_fitted
from maskel.training.loading import ClipBatches
from maskel.training.optim import TrainingConfig
from maskel.training.run import RunFolder
from maskel.transforms import TrainView, ViewFrames


def train_unkept(
    method: Method,
    recipe: TrainingConfig,
    dataset: SkeletonSet,
    positions: Int64[np.ndarray, " n"],
    view: TrainView,
    seed: int,
    device: str,
    labels: Int64[np.ndarray, " clips"] | None = None,
) -> None:
    """Train a method on clips of a set, and show no progress.

    Args:
        method: Its weights are trained, and are on the device afterwards.
        recipe: Shrunk where the clips cannot fill a batch or a warm-up, and a line says so.
        dataset: The set.
        positions: (N,) training clips.
        view: The random view.
        seed: Seed of views and order.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        labels: Labels of all clips of the set in place of its own.

    Raises:
        TrainingError: If a loss is not finite.
        KeyboardInterrupt: After Ctrl-C; there is no run to go on with.
    """
    world = distributed.start(device)
    training = fitted(recipe, len(positions))
    window = method.encoder.config.window
    batches = _RelabelledBatches(dataset, positions, training.batch_size, seed, window, view, "zero", world.device)
    batches.relabelled = labels
    say_fitted(recipe, training)
    with scratch_folder() as folder:
        try:
            fit(method.to(world.device), batches, Session(training, RunFolder(folder), world, kept=False))
        except Stopped as stop:
            raise KeyboardInterrupt from stop


class _RelabelledBatches(ClipBatches):
    """Clips of a set, with labels that are not its own where there are any."""

    relabelled: Int64[np.ndarray, " clips"] | None

    def _gather(self, positions: Int64[np.ndarray, " b"], frames: ViewFrames) -> SkeletonBatch:
        batch = super()._gather(positions, frames)
        if self.relabelled is None:
            return batch
        return replace(batch, labels=torch.from_numpy(self.relabelled[positions]).to(batch.labels.device))
