"""Batches of training views, against a DataLoader that makes them clip by clip.

    python benchmarks/loading.py [--only maskel] [--device cuda]

Both read the same prepared set of generated clips and make the same views of 120 frames, in the same order. The plain
way pads every clip to 300 frames in memory, as the field's arrays are, and crops, resamples and rotates each on its own
in two worker processes. `resident` keeps the set on the device, which is meant for a GPU.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

import comparison
import plain
from comparison import Variant, Work
from maskel import distributed
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.draws import Purpose, clip_keys, uniform
from maskel.layouts import NTU25
from maskel.sequence import Clip, SkeletonSequence
from maskel.training.loading import ClipBatches
from maskel.transforms import TrainView

BATCH, STEPS, WINDOW = 64, 4, 120


def generated() -> SkeletonSet:
    """A prepared set of random walks of 40 to 300 frames, a quarter of them with two bodies."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        with SetWriter(out, NTU25, ("any",), "generated", {}) as writer:
            for number in range(STEPS * BATCH):
                draws = np.random.default_rng(number)
                shape = (1 + (number % 4 == 0), int(draws.integers(40, 301)), len(NTU25), 3)
                walk = draws.normal(scale=0.02, size=shape).cumsum(1).astype(np.float32)
                writer.add(SkeletonSequence(Clip(f"clip{number}", 0), walk, NTU25))
            writer.finish({})
        return SkeletonSet.open(out)  # stays mapped when the folder is gone


class Padded(Dataset[torch.Tensor]):
    """Clips as rows of one array of 300 frames; a view is made when one is asked for."""

    def __init__(self, dataset: SkeletonSet) -> None:
        self.valid = dataset.valid_frames
        self.joints = torch.zeros(len(dataset), 2, 300, len(dataset.layout), 3)
        for position in range(len(dataset)):
            batch = dataset.gather(np.array([position]), 2)
            frames = min(300, batch.joints.shape[2])
            self.joints[position, :, :frames] = batch.joints[0, :, :frames]
        self.draws = uniform(clip_keys(0, 0, torch.arange(len(dataset))), Purpose.VIEW, 5)

    def __len__(self) -> int:
        return len(self.valid)

    def __getitem__(self, position: int) -> torch.Tensor:
        return plain.view(self.joints[position], min(int(self.valid[position]), 300), self.draws[position], WINDOW)


def squares(joints: torch.Tensor) -> torch.Tensor:
    """What both ways must agree on; quick, for it is timed with them."""
    return joints.flatten() @ joints.flatten()


def plain_batches(device: torch.device) -> Work:
    """A DataLoader with two workers that stay."""
    dataset = generated()
    order = batches(device, dataset)
    chosen = [order.step_clips(0, step).tolist() for step in range(STEPS)]
    loader = DataLoader(Padded(dataset), batch_sampler=chosen, num_workers=2, persistent_workers=True)

    def work() -> float:
        return float(sum(squares(batch.to(device)) for batch in loader))

    return work


def batches(device: torch.device, dataset: SkeletonSet) -> ClipBatches:
    """What `maskel pretrain` iterates over."""
    return ClipBatches(dataset, np.arange(len(dataset)), BATCH, 0, WINDOW, TrainView(), "zero", device)


def maskel_batches(resident: bool) -> Variant:
    """Whole batches, in this process."""

    def build(device: torch.device) -> Work:
        distributed.start(str(device))
        dataset = generated()
        if resident:
            dataset.keep_on(device)
        found = batches(device, dataset)

        def work() -> float:
            loaded = (found.load(0, found.step_clips(0, step)) for step in range(STEPS))
            return float(sum(squares(batch.joints) for batch in loaded))

        return work

    return Variant(build)


VARIANTS = {"plain": Variant(plain_batches), "maskel": maskel_batches(False), "resident": maskel_batches(True)}

if __name__ == "__main__":
    title = f"{STEPS} batches of {BATCH} training views of {WINDOW} frames"
    comparison.compare(__file__, title, VARIANTS, STEPS * BATCH, "clips")
