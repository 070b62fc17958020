"""A prepared set and models small enough that a whole run takes a fraction of a second."""

import csv
import itertools
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from maskel.commands.finetune import finetune
from maskel.commands.pretrain import pretrain
from maskel.datasets.base import Split
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.distributed import World
from maskel.layouts import NTU25, Layout
from maskel.methods import METHODS, MaskedMethod
from maskel.methods.base import build_seeded
from maskel.methods.classifier import CLASSIFIERS, Classifier, LabelSpec
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.sequence import SCORE, XYZ, Channels, Clip, SkeletonBatch, SkeletonSequence
from maskel.training.loading import MicroBatches
from maskel.training.optim import AdamWConfig, FinetuneConfig, SGDConfig
from maskel.training.run import RunFolder
from maskel.transforms import TrainView, read_frames

CLASSES = ("wave", "clap", "kick")
TRAIN, TEST = 16, 8
ENCODER = EncoderConfig(window=8, dim=16, depth=2, num_heads=2, mlp_ratio=2.0)
OPTIONS: dict[str, Any] = {"ratio": 0.8, "decoder_dim": 16, "decoder_depth": 1}
TRAINING = AdamWConfig(epochs=3, batch_size=5, warmup_epochs=1.0)
FINETUNE = FinetuneConfig(epochs=3, batch_size=5, warmup_epochs=1.0)
PROBE = SGDConfig(epochs=4, batch_size=8)
ALONE = World(0, 1, torch.device("cpu"))


def generated_clip(number: int, layout: Layout, channels: Channels = XYZ) -> SkeletonSequence:
    """Clip ``number``: one body or two, 5 to 60 frames, each class with a frequency of its own; scores in [0, 1]."""
    draws = np.random.default_rng((7, number))
    label, bodies, frames = number % len(CLASSES), 1 + number % 2, 5 + (number * 23) % 56
    rest = draws.normal(size=(bodies, 1, len(layout), len(channels)))
    phase = draws.uniform(0, 0.5, size=rest.shape)
    time = np.arange(frames)[None, :, None, None]
    joints = rest + 0.5 * np.sin(0.1 * (1 + 2 * label) * time + phase)
    if SCORE in channels:
        joints[..., -1] = 1 / (1 + np.exp(joints[..., -1]))
    clip = Clip(f"clip{number:02d}", label, subject=str(number % 4))
    return SkeletonSequence(clip, joints.astype(np.float32), layout)


def write_set(
    out: Path,
    layout: Layout = NTU25,
    train: int = TRAIN,
    test: int = TEST,
    channels: Channels = XYZ,
    classes: tuple[str, ...] = CLASSES,
) -> Path:
    """Prepare ``train`` + ``test`` generated clips, whose benchmark xsub mixes the two."""
    order = tuple(int(position) for position in np.random.default_rng(3).permutation(train + test))
    with SetWriter(out, layout, classes, "generated", {}, channels) as writer:
        for number in range(train + test):
            writer.add(generated_clip(number, layout, channels))
        writer.finish({"xsub": Split(order[:train], order[train:])})
    return out


def encoder_for(name: str) -> EncoderConfig:
    """The encoder that a method needs."""
    return replace(ENCODER, joints="kept", geometry="poincare") if name == "hacm" else ENCODER


def tiny_pretrain(data: Path | Sequence[Path], out: Path, **changes: Any) -> RunFolder:
    """One tiny pre-training run on the CPU."""
    encoder = encoder_for(changes.get("method", "mamp"))
    given: dict[str, Any] = {"options": OPTIONS, "encoder": encoder, "training": TRAINING, "device": "cpu"}
    return pretrain(data, out=out, **(given | changes))


def tiny_finetune(data: Path, out: Path, encoder: Path | EncoderConfig = ENCODER, **changes: Any) -> RunFolder:
    """One tiny fine-tuning run on the CPU; from scratch unless an encoder is given."""
    given: dict[str, Any] = {"head_dim": 12, "training": FINETUNE, "device": "cpu"}
    return finetune(data, encoder, out=out, **(given | changes))


def tiny_method(name: str, layout: Layout = NTU25, seed: int = 0, **options: Any) -> MaskedMethod:
    """A method as ``tiny_pretrain`` starts with."""
    return build_seeded(lambda: METHODS[name](Encoder(layout, encoder_for(name)), **(OPTIONS | options)), seed)


def tiny_classifier(kind: str, layout: Layout = NTU25, name: str = "mamp", **options: Any) -> Classifier:
    """A classifier on the encoder that a method needs."""
    options = ({"head_dim": 12} if kind == "finetune" else {}) | options
    label_spec = LabelSpec(CLASSES)
    return build_seeded(lambda: CLASSIFIERS[kind](Encoder(layout, encoder_for(name)), label_spec, **options), 0)


def random_batch(layout: Layout, clips: int = 4, window: int = ENCODER.window, seed: int = 0) -> SkeletonBatch:
    """Clips of which every second has an absent second body."""
    joints = torch.randn(clips, 2, window, len(layout), 3, generator=torch.Generator().manual_seed(seed))
    present = torch.ones(clips, 2, dtype=torch.bool)
    present[::2, 1] = False
    numbers = torch.arange(clips)
    joints = joints * present[:, :, None, None, None]
    return SkeletonBatch(joints, torch.full((clips,), window), present, numbers % len(CLASSES), numbers)


def seen(view: TrainView, batch: SkeletonBatch, keys: Tensor, window: int, layout: Layout = NTU25) -> SkeletonBatch:
    """A batch of whole clips through the training view that the clips' keys draw, ``window`` frames long."""
    frames = view.frames(batch.lengths, keys, window)
    return view.change(batch.with_joints(read_frames(batch.joints, frames)), keys, layout)


def state_of(run: RunFolder) -> dict[str, Any]:
    """The saved state without its wall time."""
    state = run.load_state()
    state.pop("seconds")
    return state


def predictions(run: RunFolder) -> list[dict[str, str]]:
    with (run.path / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def assert_counts_agree(result: dict[str, Any], rows: list[dict[str, str]], data: SkeletonSet) -> None:
    """The result, its sums per class and predictions.csv tell the same of the whole test part."""
    test = data.split("xsub", "test")
    assert [row["name"] for row in rows] == [data.clips[position].name for position in test]
    assert [row["class"] for row in rows] == [data.classes[data.labels[position]] for position in test]
    assert result["seen"] == len(test) == len(rows)
    assert result["correct"] == sum(row["class"] == row["predicted"] for row in rows)
    assert result["accuracy"] == result["correct"] / result["seen"]
    for part in result["per_class"]:
        own = [row for row in rows if row["class"] == part["class"]]
        assert part["seen"] == len(own)
        assert part["correct"] == sum(row["class"] == row["predicted"] for row in own)
    assert [part["class"] for part in result["per_class"]] == list(data.classes)
    for name in ("correct", "seen"):
        assert sum(part[name] for part in result["per_class"]) == result[name]


def assert_identical(one: Any, other: Any, where: str = "state") -> None:
    """Equal bit for bit, tensors and nested containers included."""
    assert type(one) is type(other), where
    if isinstance(one, Tensor):
        assert one.dtype == other.dtype, where
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            assert_identical(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for place, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_identical(a, b, f"{where}[{place}]")
    else:
        assert one == other, where


def as_steps_begin(monkeypatch: pytest.MonkeyPatch, do: Callable[[int], object]) -> None:
    """Call ``do`` with the number, from 1, of every micro-batch that is taken from now on."""
    take, taken = MicroBatches.take, itertools.count(1)

    def hooked(batches: MicroBatches) -> Any:
        do(next(taken))
        return take(batches)

    monkeypatch.setattr(MicroBatches, "take", hooked)


def ctrl_c_if(wish: bool) -> None:
    """What Ctrl-C sends to this process."""
    if wish:
        os.kill(os.getpid(), signal.SIGINT)
