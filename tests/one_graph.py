"""What `test_cost` runs in a process of its own, since the compiler cannot trace the shape checks of the tests."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import tiny
from maskel.datasets.store import SkeletonSet
from maskel.draws import clip_keys
from maskel.methods.base import Method
from maskel.training.loading import ClipBatches
from maskel.transforms import TrainView


def graphs(method: Method, batches: ClipBatches) -> int:
    """How many graphs the compiler makes of steps with different numbers of bodies; fails if it must cut one."""
    made = []

    def backend(graph: torch.fx.GraphModule, example: list[Any]) -> Callable[..., Any]:
        made.append(graph)
        return graph.forward

    torch.compiler.reset()
    forward = torch.compile(method.train(), backend=backend, fullgraph=True)
    seen = set()
    for step in range(batches.steps_per_epoch):
        batch = batches.load(0, batches.step_clips(0, step))
        seen.add(len(batch.present_bodies()))
        forward(batch, clip_keys(0, 0, batch.clips))["loss"].backward()
    assert len(seen) > 2, seen
    return len(made)


def main(data: Path) -> None:
    """Write how many graphs each method takes."""
    clips = SkeletonSet.open(data)
    window = tiny.ENCODER.window
    batches = ClipBatches(clips, np.arange(len(clips)), 4, 0, window, TrainView(), "zero", torch.device("cpu"))
    methods: dict[str, Method] = {name: tiny.tiny_method(name, bodies="present") for name in ("mamp", "hacm")}
    methods["finetune"] = tiny.tiny_classifier("finetune", bodies="present")
    sys.stdout.writelines(f"{name} {graphs(method, batches)}\n" for name, method in methods.items())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
