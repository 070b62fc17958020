"""Long recordings, and a classifier of short ones like them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import own
import tiny
from maskel.commands.prepare import prepare
from maskel.datasets.folder import Folder
from maskel.training.run import RunFolder


def train(folder: Path, joints: int = 17, **options: Any) -> RunFolder:
    """A classifier of six clips of COCO's or Kinect v1's joints, in metres times 1 / ``scale``."""
    for number in range(6):
        body = own.motion(24 + 2 * number, joints, seed=number) / options.get("scale", 1.0)
        own.write_array(folder / "clips" / ("wave", "bow")[number % 2] / "abc"[number // 2] / f"{number}.npy", body)
    source = Folder("coco17" if joints == 17 else "kinect20", test_subjects=["c"], **options)
    prepare(source, [folder / "clips"], folder / "set", workers=1)
    training = replace(tiny.FINETUNE, epochs=2, batch_size=4, warmup_epochs=0.0)
    return tiny.tiny_finetune(folder / "set", folder / "run", training=training)


def long_one(people: int = 1, frames: int = 100) -> np.ndarray:
    """A recording (M, T, V, C) in millimetres, of four motions of each person, 3 m apart."""
    bodies = [
        np.concatenate([own.motion(frames // 4, seed=10 * body + part) for part in range(4)]) for body in range(people)
    ]
    return 1000 * (np.stack(bodies) + 3 * np.arange(people)[:, None, None, None]) + 4000
