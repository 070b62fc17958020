"""Fitting a linear layer to a frozen encoder's features at once, its penalty chosen on held-out training subjects."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from maskel.distributed import World, tell
from maskel.methods.classifier import ClassWeights, LinearProbe
from maskel.training.labelled import Labelled, Positions
from maskel.training.regularised import C_PROBE, NO_SCORE, Fitted, Folds, Linear, divide, fit_linear_svm, fit_logistic
from maskel.training.run import RunFolder
from maskel.training.scores import Scores
from maskel.training.supervised import leave, score_features

FittedProbe = Literal["regularised", "svm"]


def fit_probe(
    probe: FittedProbe,
    classifier: LinearProbe,
    labelled: Labelled,
    read: Callable[[Positions], Tensor],
    class_weights: ClassWeights,
    open_run: Callable[[], RunFolder],
    world: World,
    result: Mapping[str, Any],
) -> RunFolder:
    """Fit the classifier's head, count on the test part, and write what the run leaves.

    Args:
        probe: ``regularised`` for a logistic regression, ``svm`` for linear support vector machines.
        classifier: On its device already.
        labelled: Its training clips.
        read: Features of clips in the test view, on every process.
        class_weights: How much clips of each class count.
        open_run: Opens the run's folder; called when all is fitted.
        world: This process among all.
        result: What the command adds to ``result.json``; its ``seed`` draws held-out clips where subjects are unknown.

    Raises:
        InputError: If the training clips are of one class.
    """
    started = time.perf_counter()
    clips = labelled.clips
    labels = clips.labels[labelled.train]
    subjects = [clips.clips[position].subject for position in labelled.train.tolist()]
    folds, chosen_on = divide(labels, subjects, result["seed"])
    fitted = fit_features(
        probe, read(labelled.train).double().cpu().numpy(), labels, folds, class_weights == "balanced"
    )
    _put(fitted.scores, classifier)
    tell(f"probe {probe}: C {fitted.strength:g}, chosen on {chosen_on}")
    scores = Scores.of(clips, labelled.test, score_features(classifier, read(labelled.test)))
    run = open_run()
    if world.leads:
        choice = {"probe": probe, "chosen_on": chosen_on, **fitted.describe()}
        more = {
            "parameters": sum(weight.numel() for weight in classifier.parameters()),
            "minutes": (time.perf_counter() - started) / 60,
            "processes": world.size,
        }
        leave(run, classifier, labelled, scores, {**result, **choice}, more)
    return run


def fit_features(
    probe: FittedProbe,
    features: Float64[np.ndarray, "n f"],
    labels: Int64[np.ndarray, " n"],
    folds: Folds,
    balanced: bool,
) -> Fitted[Linear]:
    """Fit a linear layer to features.

    Args:
        probe: As for `fit_probe`.
        features: (N, F) of the training clips.
        labels: (N,) their classes.
        folds: Parts to hold out in turn, as `divide` gives them.
        balanced: Have every class weigh alike in the sum.
    """
    if probe == "svm":
        return fit_linear_svm(features, labels, folds, balanced)
    return fit_logistic(features, labels, folds, C_PROBE, balanced)


def _put(found: Linear, classifier: LinearProbe) -> None:
    """Give the classifier's head what was fitted; a class of the set without a training clip keeps the lowest score."""
    missing = len(classifier.task.classes) - len(found.bias)
    weight = np.pad(found.weight, ((0, missing), (0, 0)))
    bias = np.pad(found.bias, (0, missing), constant_values=NO_SCORE)
    classifier.head.take(*map(torch.from_numpy, (found.mean, found.spread, weight, bias)))
