"""Defaults that fit the set: where it cannot fill a batch or a warm-up, these shrink, and one sentence says so.

Learning rates stay as they are. On the published sets nothing shrinks.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from maskel.distributed import World, notify
from maskel.errors import InputError
from maskel.files import free_memory, readable_size
from maskel.models.encoder import Encoder
from maskel.training.optim import TrainingConfig
from maskel.training.run import RunFolder

_Training = TypeVar("_Training", bound=TrainingConfig)
_WARMUPS = 20
"""Warm-ups that the epochs of the published recipes hold: 20 of 400, 5 of 100."""


def fitted(training: _Training, num_clips: int, resumed: Path | None = None, least: int = 1) -> _Training:
    """The recipe with a batch of all training clips where there are fewer than one batch, and a warm-up that ends.

    Args:
        training: The recipe.
        num_clips: Training clips.
        resumed: The run to go on with; what it was started with stays.
        least: Clips that a batch must have.

    Raises:
        InputError: If there are fewer clips than that.
    """
    if num_clips < least:
        raise InputError(f"found {num_clips} training clip, expected {least} or more: batch normalisation needs them")
    changes: dict[str, Any] = {}
    if num_clips < training.batch_size:
        changes["batch_size"] = num_clips
    if training.epochs <= training.warmup_epochs and not _started_so(training, resumed):
        changes["warmup_epochs"] = training.epochs / _WARMUPS
    return replace(training, **changes)


def require_memory(training: TrainingConfig, encoder: Encoder, world: World) -> None:
    """Refuse batches for which the device plainly has no memory: the tokens of one body of each clip do not fit twice.

    Raises:
        InputError: If they take more than is free.
    """
    clips = -(-training.batch_size // (world.size * training.accumulate))
    config = encoder.config
    frames = 4 * config.window * len(encoder.layout) * len(encoder.channels)
    needed = clips * (frames + 2 * 4 * encoder.num_tokens * config.dim)
    on_gpu = world.device.type == "cuda"
    free = torch.cuda.get_device_properties(world.device).total_memory if on_gpu else free_memory()
    if needed > free:
        raise InputError(
            f"{clips:,} clips of a window of {config.window:,} frames take {readable_size(needed)} of memory at least, "
            f"and {world.device} has {readable_size(free)}; take a smaller window or training.batch_size, or a larger "
            "training.accumulate"
        )


def say_fitted(recipe: TrainingConfig, training: TrainingConfig) -> None:
    """Say how the fitted recipe differs from the given one."""
    if training.batch_size != recipe.batch_size:
        notify(f"training: batches of {training.batch_size}, all training clips, instead of {recipe.batch_size}")
    if training.warmup_epochs != recipe.warmup_epochs:
        notify(
            f"training: {training.warmup_epochs:g} epochs of warm-up instead of {recipe.warmup_epochs:g}, as there are "
            f"{training.epochs} epochs in all"
        )


def _started_so(training: TrainingConfig, resumed: Path | None) -> bool:
    """Return whether an earlier version started the run with this warm-up."""
    if resumed is None or not RunFolder(resumed).has_config:
        return False
    before = RunFolder(resumed).read_config().get("training")
    return isinstance(before, dict) and before.get("warmup_epochs") == training.warmup_epochs
