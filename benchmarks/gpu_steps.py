"""Time of a training step on a GPU: recorded as a graph, against its operations launched one by one.

    python benchmarks/gpu_steps.py [--only "mamp" ...] [--steps 40] [--rounds 5]

Steps of `maskel pretrain` with ``--config METHOD --config ntu60_xsub --config fast`` (HA-CM with the same batch of
128) on generated clips, views and loading included, numbers read a step late as in a run. Both ways take turns on one
card; the first steps of each, in which it compiles, plans and records, are given by themselves.
"""

import argparse
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from maskel import distributed
from maskel.datasets.stand_in import write_stand_in
from maskel.datasets.store import SkeletonSet
from maskel.distributed import World
from maskel.methods import METHODS
from maskel.methods.base import Method, build_seeded
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.training.loading import Batches, ClipBatches, keep_resident
from maskel.training.optim import AdamWConfig, TrainingConfig
from maskel.training.steps import Steps, steps_ahead
from maskel.transforms import TrainView

WARM_UP = 12
"""Steps after which every number of bodies has mostly been seen twice."""
STEPS_OF_A_RUN = 313 * 400
"""Steps of NTU RGB+D 60, cross-subject, at the published batch and epochs."""
HACM_ENCODER = EncoderConfig(window=72, patch_frames=3, joints="kept", geometry="poincare")


@dataclass(frozen=True)
class Case:
    """One method to time."""

    method: str
    options: dict[str, Any]


CASES = {
    "mamp": Case("mamp", {}),
    "mamp cross": Case("mamp", {"decoder": "cross"}),
    "mae": Case("mae", {}),
    "hacm": Case("hacm", {}),
    "amr": Case("amr", {}),
}


class Timed:
    """Steps of one method, launched one way.

    Args:
        method: On the device.
        batches: What it sees.
        training: The recipe.
        world: This process.
        steps: How many there are in all.
    """

    def __init__(self, method: Method, batches: Batches, training: TrainingConfig, world: World, steps: int) -> None:
        self._ahead = steps_ahead(world.device)
        self._device = world.device
        self._rate = training.lr
        self._steps = Steps(method.train(), training.optimizer(method), batches, training, world, range(steps + 1))

    def seconds(self, count: int) -> float:
        """Take so many steps; return the seconds of one."""
        started = time.perf_counter()
        for _ in range(count):
            self._steps.launch(self._rate)
            self._check(self._ahead)
        self._check(0)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return (time.perf_counter() - started) / count

    def _check(self, ahead: int) -> None:
        for found in self._steps.read(ahead):
            assert found.finite, found


def main() -> None:
    """Print the table, or that there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("gpu_steps.py times steps on a GPU, and PyTorch finds none here: nothing was measured")
        return
    world = distributed.start("cuda")
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, bf16, bodies present, batch 128")
    with TemporaryDirectory(prefix="maskel-steps-") as folder:
        dataset = SkeletonSet.open(write_stand_in(Path(folder) / "set", "ntu60", "xsub"))
        keep_resident(dataset, world.device, "auto")
        for name in options.only:
            report(name, CASES[name], dataset, world, options.steps, options.rounds)


def report(name: str, case: Case, dataset: SkeletonSet, world: World, steps: int, rounds: int) -> None:
    """Time one method both ways and print a line for each."""
    config = HACM_ENCODER if case.method == "hacm" else EncoderConfig()
    ways = {}
    for graph in ("off", "on"):
        encoder = Encoder(dataset.layout, config, dataset.channels)
        build = METHODS[case.method]
        method = build_seeded(lambda build=build, encoder=encoder: build(encoder, bodies="present", **case.options), 0)
        training = replace(AdamWConfig(), precision="bf16", graph=graph)
        positions = np.resize(dataset.split("xsub", "train"), max(len(dataset), training.batch_size))
        view, device = TrainView(), world.device
        batches = ClipBatches(dataset, positions, training.batch_size, 0, config.window, view, "zero", device)
        total = WARM_UP + steps * rounds
        ways[graph] = Timed(method.to(world.device), batches, training, world, total)
    first = {graph: WARM_UP * way.seconds(WARM_UP) for graph, way in ways.items()}
    taken: dict[str, list[float]] = {graph: [] for graph in ways}
    for _ in range(rounds):
        for graph, way in ways.items():
            taken[graph].append(way.seconds(steps))
    for graph, found in taken.items():
        middle, least, most = (1e3 * value for value in (statistics.median(found), min(found), max(found)))
        print(
            f"{name:12} graph {graph:3} {middle:7.2f} ms a step ({least:.2f} to {most:.2f})"
            f"  NTU-60, 400 epochs {STEPS_OF_A_RUN * middle / 6e4:6.1f} min"
            f"  first {WARM_UP} steps {first[graph]:5.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
