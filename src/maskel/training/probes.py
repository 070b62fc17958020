"""Fitting a linear layer to a frozen encoder's features at once, its penalty chosen on held-out training subjects."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float64, Int64

from maskel.distributed import notify
from maskel.methods.classifier import LinearProbe
from maskel.training.experiment import Experiment
from maskel.training.labelled import Labelled
from maskel.training.regularised import C_PROBE, NO_SCORE, Fitted, Folds, Linear, divide, fit_linear_svm, fit_logistic
from maskel.training.run import RunFolder
from maskel.training.scores import Scores
from maskel.training.supervised import leave, score_features

FittedProbe = Literal["regularised", "svm"]


def fit_probe(
    experiment: Experiment,
    probe: FittedProbe,
    classifier: LinearProbe,
    labelled: Labelled,
    balanced: bool,
    about: Mapping[str, Any],
) -> RunFolder:
    """Fit the classifier's head, count on the test part, and write what the run leaves.

    Args:
        experiment: Started; its run folder is opened when all is fitted.
        probe: ``regularised`` for a logistic regression, ``svm`` for linear support vector machines.
        classifier: On its device already.
        labelled: Its training clips.
        balanced: Whether clips of rare classes count more.
        about: First entries of ``result.json``; its ``seed`` draws held-out clips where subjects are unknown.

    Raises:
        InputError: If the training clips are of one class.
    """
    dataset = labelled.dataset
    labels = dataset.labels[labelled.train]
    subjects = [dataset.clips[position].subject for position in labelled.train.tolist()]
    folds, chosen_on = divide(labels, subjects, about["seed"])
    features = experiment.features(classifier.encoder, labelled.train).double().cpu().numpy()
    fitted = fit_features(probe, features, labels, folds, balanced)
    _put(fitted.scores, classifier)
    notify(f"probe {probe}: C {fitted.strength:g}, chosen on {chosen_on}")
    answers = score_features(classifier, experiment.features(classifier.encoder, labelled.test))
    scores = Scores.of(dataset, labelled.test, answers)
    experiment.open_run()
    choice = {"precision": experiment.precision, "probe": probe, "chosen_on": chosen_on, **fitted.describe()}
    return leave(experiment, classifier, labelled, scores, {**about, **choice}, {})


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


def _put(linear: Linear, classifier: LinearProbe) -> None:
    """Give the classifier's head what was fitted; a class of the set without a training clip keeps the lowest score."""
    missing = len(classifier.label_spec.classes) - len(linear.bias)
    weight = np.pad(linear.weight, ((0, missing), (0, 0)))
    bias = np.pad(linear.bias, (0, missing), constant_values=NO_SCORE)
    classifier.head.take(*map(torch.from_numpy, (linear.mean, linear.spread, weight, bias)))
