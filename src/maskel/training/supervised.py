"""Training a classifier and counting its right answers: what linear evaluation and fine-tuning have in common."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from maskel.datasets.store import SkeletonSet
from maskel.distributed import World
from maskel.errors import InputError
from maskel.methods.classifier import CLASSIFIER, Classifier, class_weights
from maskel.models.familiarity import MOST_CLIPS, Familiarity
from maskel.sequence import SkeletonBatch
from maskel.training.experiment import Experiment
from maskel.training.features import CHUNK, Change, read_clips
from maskel.training.labelled import Positions
from maskel.training.loading import Batches
from maskel.training.loggers import confusion_pixels
from maskel.training.optim import TrainingConfig
from maskel.training.precision import Precision
from maskel.training.run import Row, RunFolder
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


def make_ready(experiment: Experiment, classifier: Classifier) -> None:
    """Give the classifier's loss the weights of the classes among the training clips, and move it to the device."""
    dataset = experiment.dataset
    labels = torch.tensor(dataset.labels[experiment.labelled.train])
    classifier.class_weights = class_weights(labels, len(dataset.classes), experiment.options["class_weights"])
    classifier.to(experiment.world.device)


def answer_clips(
    classifier: Classifier,
    dataset: SkeletonSet,
    positions: Positions,
    world: World,
    precision: Precision,
) -> tuple[Tensor, Tensor]:
    """Compute class scores (N, classes) and distances to the training clips (N,) of clips, as `score_clips` does.

    Distances of a classifier that knows nothing of its training clips are not numbers.
    """
    if classifier.familiarity is None:
        scores = score_clips(classifier, dataset, positions, world, precision)
        return scores, scores.new_full((len(scores),), torch.nan)

    def answer(features: Tensor) -> Tensor:
        return torch.cat((classifier.scores(features), classifier.distances(features)[:, None]), 1)

    rows = score_clips(classifier, dataset, positions, world, precision, make=answer)
    return rows[:, :-1], rows[:, -1]


def head_reader(classifier: Classifier, make: Callable[[Tensor], Tensor]) -> Callable[[SkeletonBatch], Tensor]:
    """Return a function that makes a row of the features of each clip of a batch, in fp32 even under autocast."""

    def read(batch: SkeletonBatch) -> Tensor:
        features = classifier.features(batch)
        with torch.autocast(features.device.type, enabled=False):  # the head in fp32, as linear evaluation's always is
            return make(features)

    return read


def score_clips(
    classifier: Classifier,
    dataset: SkeletonSet,
    positions: Positions,
    world: World,
    precision: Precision,
    change: Change | None = None,
    make: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Class scores (N, classes) of the clips at ``positions`` in the test view, on every process.

    ``change`` is made to the whole clips before. ``make`` makes other rows of what the head reads than scores.
    """
    classifier.eval()
    window, label_spec = classifier.encoder.config.window, classifier.label_spec
    read = head_reader(classifier, make or classifier.scores)
    bodies, single_body = label_spec.num_bodies, label_spec.single_body
    return read_clips(read, window, bodies, single_body, dataset, positions, world, precision, change=change)


def _remember(experiment: Experiment, classifier: Classifier) -> None:
    """Give a trained classifier features of its training clips: of all, or of some of every class; of one clip none."""
    dataset, train = experiment.dataset, experiment.labelled.train
    if len(train) > MOST_CLIPS:
        by_class = train[np.argsort(dataset.labels[train], kind="stable")]
        train = by_class[np.linspace(0, len(train) - 1, MOST_CLIPS).round().astype(np.int64)]
    if len(train) < 2:
        return
    features = score_clips(classifier, dataset, train, experiment.world, experiment.precision, make=Tensor.float)
    names = [dataset.clips[position].subject for position in train.tolist()]
    subjects = torch.from_numpy(np.unique(names, return_inverse=True)[1]) if all(names) else None
    classifier.familiarity = Familiarity.of(features, subjects)


@torch.no_grad()
def score_features(classifier: Classifier, features: Float32[Tensor, "n f"]) -> Float32[Tensor, "n classes"]:
    """Class scores of features in eval mode, as many at a time as `score_clips` reads: the same to the last bit."""
    classifier.eval()
    return torch.cat([classifier.scores(rows) for rows in features.split(CHUNK)])


def train_classifier(
    experiment: Experiment, classifier: Classifier, batches: Batches, score: Callable[[str], Tensor]
) -> RunFolder:
    """Train, count on the test part after every epoch, and write what the run leaves.

    The result is that of the last epoch. The best epoch on the test part is named as such; with a validation part
    also the epoch that is best on it.

    Args:
        experiment: Started; its run folder is opened here.
        classifier: On its device already.
        batches: Batches of training clips.
        score: Class scores (N, classes) of the clips of a part, ``test`` or ``validation``, on every process.

    Raises:
        TrainingError: If a loss is not finite.
    """
    labelled = experiment.labelled

    def scores_of(part: str) -> Scores:
        classifier.eval()
        with torch.no_grad():
            return Scores.of(labelled.dataset, labelled.eval_positions[part], score(part))

    def after_epoch() -> Row:
        row: Row = {}
        for part, positions in labelled.eval_positions.items():
            counted = scores_of(part).count(len(positions))
            prefix = "" if part == "test" else f"{part}_"
            row |= {prefix + name: counted[name] for name in ("correct", "seen", "accuracy")}
        return row

    experiment.open_run()
    rows = experiment.fit(classifier, batches, after_epoch).rows
    best = {"best_epoch": _epoch(max(rows, key=lambda row: row["accuracy"]))}
    if "validation" in labelled.eval_positions:
        best["best_validation_epoch"] = _epoch(max(rows, key=lambda row: row["validation_accuracy"]))
    epochs = experiment.training.epochs
    trained = {
        "last_epoch": _epoch(rows[-1]),
        **best,
        "epochs": epochs,
        "precision": experiment.precision,
        "steps": epochs * batches.steps_per_epoch,
    }
    return leave(experiment, classifier, scores_of("test"), trained)


def leave(experiment: Experiment, classifier: Classifier, scores: Scores, trained: Mapping[str, Any]) -> RunFolder:
    """Write what a trained classifier's run leaves.

    Args:
        experiment: Its run folder is open.
        classifier: Trained.
        scores: Scores of the test part.
        trained: Entries after the counts: measurements of the training.
    """
    labelled = experiment.labelled
    _remember(experiment, classifier)
    if experiment.is_main:
        labelled.write(experiment.run.path)
        classifier.save(experiment.run.path / CLASSIFIER)
        scores.write(experiment.run)
        if experiment.log:
            pixels = confusion_pixels(scores.labels, scores.predicted, len(scores.classes))
            experiment.log.picture("confusions", pixels)
    parameters = sum(weight.numel() for weight in classifier.parameters())
    counted = scores.count(len(labelled.test))
    return experiment.finish(**labelled.describe(), **counted, **trained, parameters=parameters)


def _epoch(row: Row) -> dict[str, float | int]:
    validation = {name: row[name] for name in row if name.startswith("validation_")}
    return {"epoch": int(row["epoch"]), "correct": int(row["correct"]), "accuracy": row["accuracy"], **validation}
