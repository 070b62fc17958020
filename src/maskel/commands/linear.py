"""``maskel linear``: linear evaluation of a frozen encoder."""

from dataclasses import asdict
from pathlib import Path

import torch

from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.methods.base import build_seeded
from maskel.methods.linear_probe import LinearProbe
from maskel.models.encoder import Encoder, load_encoder
from maskel.training import distributed
from maskel.training.engine import fit
from maskel.training.features import count, extract
from maskel.training.loading import ClipBatches, FeatureBatches, SingleBody, part
from maskel.training.optim import SGDTraining
from maskel.training.precision import resolved
from maskel.training.run import Row, RunFolder, describe, open_run, refuse_taken, write_predictions
from maskel.transforms import TrainView


def linear(
    encoder: Path,
    data: Path,
    benchmark: str = "xsub",
    augment: bool = True,
    cache_features: bool = False,
    untrained: bool = False,
    view: TrainView = TrainView(),
    single_body: SingleBody = "zero",
    training: SGDTraining = SGDTraining(),
    seed: int = 0,
    device: str = "auto",
    out: Path | None = None,
    resume: bool = False,
) -> RunFolder:
    """Train a linear layer on a frozen encoder's features and count right answers on the test part.

    The result is the last epoch's accuracy; the best epoch's is reported beside it, and named as such.

    Args:
        encoder: A pre-training run folder or an ``encoder.safetensors`` file.
        data: A prepared set of the encoder's layout.
        benchmark: Whose training part to learn from and whose test part to count on.
        augment: See training clips through the random view, as published; without, in the test view.
        cache_features: Compute the training features once; needs ``augment`` off.
        untrained: Evaluate the encoder with random weights instead: the baseline that pre-training must beat.
        view: The random view of training clips.
        single_body: What stands in the second slot of a clip with one body.
        training: The recipe.
        seed: Of the linear layer, views and order (and of the weights, when untrained).
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        out: The run folder; by default the next free one under ``runs``.
        resume: Go on with the run in ``out``.

    Returns:
        The run folder, with ``result.json`` and ``predictions.csv``.

    Raises:
        InputError: If data, options and encoder do not fit each other.
        TrainingError: If a loss is not finite.
    """
    _check(augment, cache_features, training)
    config = {
        "encoder": str(encoder),
        "data": str(data),
        "benchmark": benchmark,
        "augment": augment,
        "cache_features": cache_features,
        "untrained": untrained,
        "view": asdict(view),
        "single_body": single_body,
        "training": asdict(training),
        "seed": seed,
        "device": device,
    }
    clips = SkeletonSet.open(data)
    train, test = part(clips, benchmark, "train"), part(clips, benchmark, "test")
    refuse_taken(None if resume else out)
    frozen = load_frozen(encoder, clips, untrained, seed)
    world = distributed.start(device)
    probe = build_seeded(lambda: LinearProbe(frozen, len(clips.classes)), seed)
    probe.to(world.device)
    labels = torch.tensor(clips.labels[test], device=world.device)
    features = extract(frozen, clips, test, world, single_body, training.precision)
    batches: ClipBatches | FeatureBatches
    if cache_features:
        cached = extract(frozen, clips, train, world, single_body, training.precision)
        batches = FeatureBatches(cached, clips, train, training.batch_size, seed)
    else:
        window, seen = frozen.config.window, view if augment else None
        batches = ClipBatches(clips, train, training.batch_size, seed, window, seen, single_body, world.device)

    @torch.no_grad()
    def predict() -> torch.Tensor:
        probe.eval()
        return probe.logits(features).argmax(1)

    def after_epoch() -> Row:
        correct = int((predict() == labels).sum())
        return {"correct": correct, "seen": len(labels), "accuracy": correct / len(labels)}

    run = open_run(out, "linear", config, resume, world)
    outcome = fit(
        probe,
        batches,
        training,
        run,
        world,
        resume=resume,
        data_hash=clips.split_hash(benchmark, "train"),
        name_clips=lambda some: [clips.clips[int(clip)].name for clip in some],
        after_epoch=after_epoch,
    )
    if world.leads:
        predicted = predict()
        write_predictions(run, clips, test, predicted.tolist())
        run.write_result(
            {
                "kind": "linear",
                "encoder": str(encoder),
                "untrained": untrained,
                **describe(clips, benchmark),
                "seed": seed,
                **count(predicted, labels, clips.classes, len(test)),
                "last_epoch": _epoch(outcome.rows[-1]),
                "best_epoch": _epoch(max(outcome.rows, key=lambda row: row["accuracy"])),
                "epochs": training.epochs,
                "precision": resolved(training.precision, world.device),
                "minutes": outcome.minutes,
                "processes": world.size,
            }
        )
    return run


def _check(augment: bool, cache_features: bool, training: SGDTraining) -> None:
    if cache_features and augment:
        raise InputError("cache_features: the random view changes every epoch; add --augment false")
    if training.accumulate != 1:
        raise InputError("training: linear evaluation normalises over the whole batch; accumulate must be 1")
    if training.batch_size < 2:
        raise InputError("training: batch normalisation needs a batch_size of 2 or more")


def _epoch(row: Row) -> dict[str, float | int]:
    return {"epoch": int(row["epoch"]), "correct": int(row["correct"]), "accuracy": row["accuracy"]}


def load_frozen(path: Path, clips: SkeletonSet, untrained: bool, seed: int) -> Encoder:
    """The encoder to evaluate, or one of the same sizes with random weights.

    Raises:
        InputError: If its layout or coordinates are not the set's.
    """
    encoder = load_encoder(path)
    if (encoder.layout.name, encoder.coordinates) != (clips.layout.name, clips.coordinates):
        raise InputError(
            f"{path} reads layout {encoder.layout.name} in {encoder.coordinates}D, but {clips.path} holds "
            f"{clips.layout.name} in {clips.coordinates}D; pre-train on a set of the same layout"
        )
    if untrained:
        encoder = build_seeded(lambda: Encoder(encoder.layout, encoder.config, encoder.coordinates), seed)
    return encoder.eval()
