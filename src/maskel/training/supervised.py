"""Training a classifier and counting its right answers: what linear evaluation and fine-tuning have in common."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor

from maskel.datasets.store import SkeletonSet
from maskel.distributed import World
from maskel.errors import InputError
from maskel.methods.classifier import CLASSIFIER, Classifier, ClassWeights, class_weights
from maskel.sequence import SkeletonBatch
from maskel.training.engine import fit
from maskel.training.features import CHUNK, read_clips
from maskel.training.labelled import Labelled, Positions
from maskel.training.loading import Batches
from maskel.training.optim import TrainingConfig
from maskel.training.precision import Precision, resolved
from maskel.training.run import Row, RunFolder, describe
from maskel.training.scores import Scores


def check_training(training: TrainingConfig) -> None:
    """Refuse batches that BatchNorm cannot normalise.

    Raises:
        InputError: If a batch is one clip, or cut into micro-batches.
    """
    if training.accumulate != 1:
        raise InputError("training: a classifier normalises over the whole batch; accumulate must be 1")
    if training.batch_size < 2:
        raise InputError("training: batch normalisation needs a batch_size of 2 or more")


def weigh(classifier: Classifier, labelled: Labelled, how: ClassWeights) -> None:
    """Give the classifier's loss the weights of the classes among the training clips."""
    labels = torch.tensor(labelled.clips.labels[labelled.train])
    classifier.class_weights = class_weights(labels, len(labelled.clips.classes), how)


def score_clips(
    classifier: Classifier,
    clips: SkeletonSet,
    positions: Positions,
    world: World,
    precision: Precision,
) -> Tensor:
    """Class scores (N, classes) of the clips at ``positions`` in the test view, on every process."""
    classifier.eval()
    window, task = classifier.encoder.config.window, classifier.task

    def read(batch: SkeletonBatch) -> Tensor:
        features = classifier.features(batch)
        with torch.autocast(world.device.type, enabled=False):  # the head in fp32, as linear evaluation's always is
            return classifier.scores(features)

    return read_clips(read, window, task.num_bodies, task.single_body, clips, positions, world, precision)


@torch.no_grad()
def score_features(classifier: Classifier, features: Float32[Tensor, "n f"]) -> Float32[Tensor, "n classes"]:
    """Class scores of features in eval mode, as many at a time as `score_clips` reads: the same to the last bit."""
    classifier.eval()
    return torch.cat([classifier.scores(rows) for rows in features.split(CHUNK)])


def train_classifier(
    classifier: Classifier,
    batches: Batches,
    labelled: Labelled,
    ask: Callable[[str], Tensor],
    training: TrainingConfig,
    run: RunFolder,
    world: World,
    resume: bool,
    result: Mapping[str, Any],
) -> RunFolder:
    """Train, count on the test part after every epoch, and write what the run leaves.

    The result is that of the last epoch. The best epoch on the test part is named as such; with a validation part
    also the epoch that is best on it.

    Args:
        classifier: On its device already.
        batches: What it sees.
        labelled: Its training clips.
        ask: Class scores (N, classes) of the clips of a part, ``test`` or ``validation``, on every process.
        training: The recipe.
        run: Where everything goes.
        world: This process among all.
        resume: Go on from the run's saved state.
        result: What the command adds to ``result.json``.

    Raises:
        TrainingError: If a loss is not finite.
    """
    clips = labelled.clips

    def scores_of(part: str) -> Scores:
        classifier.eval()
        with torch.no_grad():
            return Scores.of(clips, labelled.asked[part], ask(part))

    def after_epoch() -> Row:
        row: Row = {}
        for part, positions in labelled.asked.items():
            counted = scores_of(part).count(len(positions))
            prefix = "" if part == "test" else f"{part}_"
            row |= {prefix + name: counted[name] for name in ("correct", "seen", "accuracy")}
        return row

    outcome = fit(
        classifier,
        batches,
        training,
        run,
        world,
        resume=resume,
        data_hash=clips.names_hash(labelled.train),
        name_clips=lambda some: [clips.clips[int(clip)].name for clip in some],
        after_epoch=after_epoch,
    )
    scores = scores_of("test")
    if world.leads:
        best = {"best_epoch": _epoch(max(outcome.rows, key=lambda row: row["accuracy"]))}
        if "validation" in labelled.asked:
            best["best_validation_epoch"] = _epoch(max(outcome.rows, key=lambda row: row["validation_accuracy"]))
        more = {
            "last_epoch": _epoch(outcome.rows[-1]),
            **best,
            "epochs": training.epochs,
            "precision": resolved(training.precision, world.device),
            "steps": training.epochs * batches.steps_per_epoch,
            "parameters": sum(weight.numel() for weight in classifier.parameters()),
            "minutes": outcome.minutes,
            "processes": world.size,
        }
        leave(run, classifier, labelled, scores, result, more)
    return run


def leave(
    run: RunFolder,
    classifier: Classifier,
    labelled: Labelled,
    scores: Scores,
    about: Mapping[str, Any],
    more: Mapping[str, Any],
) -> None:
    """Write what a trained classifier's run leaves.

    Args:
        run: Where.
        classifier: Trained.
        labelled: Its training clips.
        scores: Of the test part.
        about: What ``result.json`` says first: what was run.
        more: What it says last: how training went.
    """
    labelled.write(run.path)
    classifier.save(run.path / CLASSIFIER)
    scores.write(run)
    counted = scores.count(len(labelled.test))
    run.write_result(
        {**about, **describe(labelled.clips, labelled.benchmark), **labelled.describe(), **counted, **more}
    )


def _epoch(row: Row) -> dict[str, float | int]:
    validation = {name: row[name] for name in row if name.startswith("validation_")}
    return {"epoch": int(row["epoch"]), "correct": int(row["correct"]), "accuracy": row["accuracy"], **validation}
