"""Batches for training: which clips a step sees, seen through the training view, on the device."""

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from maskel.datasets import exemplar_names
from maskel.datasets.joined import JoinedSets
from maskel.datasets.store import SkeletonSet
from maskel.distributed import World
from maskel.draws import clip_keys, epoch_order
from maskel.errors import InputError
from maskel.sequence import FeatureBatch, SingleBody, SkeletonBatch, move
from maskel.transforms import TrainView, ViewFrames, centre_crop, view_frames

Resident = bool | Literal["auto"]
"""Joints of the whole set stay on the device: yes, no, or where a GPU has room to spare."""


def split_positions(dataset: SkeletonSet, benchmark: str, name: str) -> Int64[np.ndarray, " n"]:
    """Positions of the clips of one part of a benchmark.

    Raises:
        InputError: If there is no such part, or no clip in it.
    """
    positions = dataset.split(benchmark, name)
    if not len(positions):
        raise InputError(
            f"{dataset.path}: the {name} part of {benchmark} is empty; choose another benchmark, or prepare more of "
            "the data set"
        )
    return positions


def gallery_positions(dataset: SkeletonSet, benchmark: str) -> Int64[np.ndarray, " n"]:
    """Positions of the clips that test clips are compared with: the training part, or one-shot exemplars.

    Raises:
        InputError: If there is no such benchmark or clip, or a tested class has no exemplar.
    """
    names = exemplar_names(dataset.source, benchmark)
    if not names:
        return split_positions(dataset, benchmark, "train")
    gallery = np.array([at for at, clip in enumerate(dataset.clips) if clip.name in names], dtype=np.int64)
    if lacking := sorted(
        set(dataset.labels[split_positions(dataset, benchmark, "test")]) - set(dataset.labels[gallery])
    ):
        classes = ", ".join(dataset.classes[label] for label in lacking)
        raise InputError(f"{dataset.path}: {benchmark} lacks the exemplars of {classes}; prepare all of the data set")
    return gallery


def pretraining_positions(dataset: SkeletonSet, benchmark: str) -> Int64[np.ndarray, " n"]:
    """Positions of the clips that pre-training sees: the training part, and the clips without a label beside it.

    Without such clips the order is the published one, else that of the set.

    Raises:
        InputError: If there is no such benchmark, or no clip.
    """
    unlabelled = dataset.split(benchmark, "unlabelled")
    if not len(unlabelled):
        return split_positions(dataset, benchmark, "train")
    return np.sort(np.concatenate((dataset.split(benchmark, "train"), unlabelled)))


class Batches(ABC):
    """Batches of the training loop: whole batches of a permutation drawn from (seed, epoch).

    The last incomplete batch of an epoch is dropped, as published.

    Args:
        dataset: The set, or several as one.
        positions: Training clips.
        batch_size: Clips per step, over all processes.
        seed: The run's seed.

    Attributes:
        in_parts: Clips of a batch may lack joints, and are grouped by these (`SkeletonBatch.parts`).

    Raises:
        InputError: If there are fewer clips than one batch.
    """

    in_parts: bool = False

    dataset: SkeletonSet | JoinedSets

    def __init__(
        self, dataset: SkeletonSet | JoinedSets, positions: Int64[np.ndarray, " n"], batch_size: int, seed: int
    ) -> None:
        if len(positions) < batch_size:
            raise InputError(
                f"the training part has {len(positions)} clips, fewer than one batch of {batch_size}; "
                f"use --training.batch-size {len(positions)} or less"
            )
        self.dataset = dataset
        self.positions = positions
        self.batch_size = batch_size
        self.seed = seed
        self._order: tuple[int, Int64[np.ndarray, " n"]] = (-1, positions)  # of the epoch last asked for

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one epoch."""
        return len(self.positions) // self.batch_size

    def step_clips(self, epoch: int, step: int) -> Int64[np.ndarray, " b"]:
        """Positions of all clips of a step, over all processes."""
        if self._order[0] != epoch:
            self._order = (epoch, epoch_order(self.seed, epoch, self.epoch_clips(epoch)))
        return self._order[1][step * self.batch_size : (step + 1) * self.batch_size]

    def epoch_clips(self, epoch: int) -> Int64[np.ndarray, " n"]:
        """Return the clips of an epoch, the same number in every epoch, before they are put in order."""
        return self.positions

    @property
    def names_hash(self) -> str:
        """Hash that stands for the training clips and their order."""
        return self.dataset.names_hash(self.positions)

    def names(self, positions: Int64[np.ndarray, " b"]) -> list[str]:
        """Names of the clips at these positions."""
        return [self.dataset.clips[position].name for position in positions.tolist()]

    @abstractmethod
    def load(self, epoch: int, positions: Int64[np.ndarray, " b"]) -> SkeletonBatch | FeatureBatch:
        """The clips at these positions as the method sees them in this epoch, on the device."""


def keep_resident(dataset: SkeletonSet | JoinedSets, device: torch.device, resident: Resident) -> bool:
    """Copy the joints of a set to the device, if ``resident`` says so; return True if they are there.

    Args:
        dataset: The set.
        device: Where batches are used.
        resident: ``auto`` copies to a GPU that has ten times the set's size free, and to nothing else.

    Raises:
        InputError: If they do not fit, or a coordinate is not finite.
    """
    if resident == "auto":
        resident = device.type == "cuda" and 10 * dataset.joint_bytes <= torch.cuda.mem_get_info(device)[0]
    if resident:
        dataset.keep_on(device)
    return resident


def row_multiple(device: torch.device) -> int:
    """Return the number that divides the number of a batch's bodies on ``device``; 1 leaves it as it is.

    On a GPU 16 of the 256 slots of 128 clips: of NTU RGB+D 60, where such a batch has 151 ± 5 bodies, nearly all have
    144 or 160 then, and 5 % of the work is for nothing.
    """
    return 16 if device.type == "cuda" else 1


def filled_up(batch: SkeletonBatch, device: torch.device) -> SkeletonBatch:
    """Return the same clips with one of a few numbers of bodies; see `row_multiple`."""
    return batch.filled_up(multiple) if (multiple := row_multiple(device)) > 1 else batch


class ClipBatches(Batches):
    """Clips of a prepared set through the training view.

    Args:
        dataset: The set, or several as one.
        positions: Training clips.
        batch_size: Clips per step, over all processes.
        seed: The run's seed.
        window: Frames of the view.
        view: The random view, or None for the test view.
        single_body: Filling of the second body slot of a clip with one body: ``zero`` or ``copy``.
        device: Where batches go.

    Raises:
        InputError: If there are fewer clips than one batch, or the view asks more of the layout than it has.
    """

    def __init__(
        self,
        dataset: SkeletonSet | JoinedSets,
        positions: Int64[np.ndarray, " n"],
        batch_size: int,
        seed: int,
        window: int,
        view: TrainView | None = TrainView(),
        single_body: SingleBody = "zero",
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(dataset, positions, batch_size, seed)
        if view is not None:
            view.require_fit(dataset.layout)
        self.window = window
        self.view = view
        self.single_body = single_body
        self.device = torch.device(device)

    def load(self, epoch: int, positions: Int64[np.ndarray, " b"]) -> SkeletonBatch:
        """Read the frames of the view, move them to the device, turn and change them there."""
        lengths = torch.from_numpy(self.dataset.valid_frames[positions % len(self.dataset)])
        keys = clip_keys(self.seed, epoch, torch.from_numpy(positions))
        if self.view is None:
            frames = view_frames(*centre_crop(lengths), self.window)
        else:
            frames = self.view.frames(lengths, keys, self.window)
        batch = self._gather(positions, frames).to(self.device)
        batch = batch if batch.parts else filled_up(batch, self.device)
        return batch if self.view is None else self.view.change(batch, move(keys, self.device), self.dataset.layout)

    def _gather(self, positions: Int64[np.ndarray, " b"], frames: ViewFrames) -> SkeletonBatch:
        assert isinstance(self.dataset, SkeletonSet)
        return self.dataset.gather(positions, self.dataset.max_bodies, self.single_body, frames)


class FeatureBatches(Batches):
    """Features computed once, for a frozen encoder without augmentation.

    Args:
        features: (N, D) features of the clips at ``positions``, in that order.
        dataset: The set.
        positions: (N,) the clips.
        batch_size: Clips per step.
        seed: The run's seed.
    """

    def __init__(
        self,
        features: Float32[Tensor, "n d"],
        dataset: SkeletonSet,
        positions: Int64[np.ndarray, " n"],
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__(dataset, positions, batch_size, seed)
        self.features = features
        self.labels = torch.tensor(dataset.labels, device=features.device)  # of all clips of the set
        self.row = torch.zeros(len(dataset), dtype=torch.int64, device=features.device)
        self.row[torch.from_numpy(positions)] = torch.arange(len(positions), device=features.device)

    def load(self, epoch: int, positions: Int64[np.ndarray, " b"]) -> FeatureBatch:
        """The clips' rows."""
        wanted = move(torch.from_numpy(positions), self.features.device)
        return FeatureBatch(self.features[self.row[wanted]], self.labels[wanted], wanted)


class MicroBatches:
    """Batches of this process, step by step; the next one can be loaded ahead.

    Args:
        batches: The run's.
        world: This process among all; a step's clips are dealt out to all of them.
        accumulate: Micro-batches into which each process cuts its share of a step.
        steps: Steps of the run, by number.
    """

    def __init__(self, batches: Batches, world: World, accumulate: int, steps: range) -> None:
        self._batches = batches
        self._parts = (
            (epoch, part)
            for epoch, step in (divmod(step, batches.steps_per_epoch) for step in steps)
            for part in np.array_split(batches.step_clips(epoch, step)[world.rank :: world.size], accumulate)
        )
        self._loaded: tuple[SkeletonBatch | FeatureBatch, Int64[Tensor, " share"]] | None = None
        self._part = next(self._parts, None)  # of the next one

    def take(self) -> tuple[SkeletonBatch | FeatureBatch, Int64[Tensor, " share"]]:
        """The next micro-batch, and the keys of its clips.

        Raises:
            StopIteration: If there is none.
            InputError: If a clip cannot be read.
        """
        taken = self._load() if self._loaded is None else self._loaded
        self._part, self._loaded = next(self._parts, None), None
        return taken

    def load_next(self) -> None:
        """Load the next one, if there is one: a GPU computes meanwhile.

        The next `take` raises the error of a clip that cannot be read: the current step can finish and be saved.
        """
        if self._part is not None:
            with suppress(InputError):
                self._loaded = self._load()

    def _load(self) -> tuple[SkeletonBatch | FeatureBatch, Int64[Tensor, " share"]]:
        if self._part is None:
            raise StopIteration
        epoch, clips = self._part
        batch = self._batches.load(epoch, clips)
        return batch, clip_keys(self._batches.seed, epoch, batch.clips)
