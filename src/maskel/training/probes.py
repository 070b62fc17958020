"""Fitting a linear layer to a frozen encoder's features at once, its penalty chosen on held-out training subjects."""

from functools import partial
from typing import Any

import numpy as np
import torch

from maskel.augmentation import mirrored
from maskel.distributed import notify
from maskel.methods.classifier import Classifier
from maskel.models.heads import LinearHead
from maskel.training.experiment import Experiment
from maskel.training.regularised import NO_SCORE, FittedProbe, Linear, divide, fit_features
from maskel.training.supervised import score_clips
from maskel.transforms import TrainView


def fit_head(experiment: Experiment, probe: FittedProbe, classifier: Classifier) -> dict[str, Any]:
    """Fit a classifier's linear head to the features that its encoder gives now; describe the choice for a result.

    Args:
        experiment: Started. Its options say if classes weigh alike, and if mirror images of the clips are learned too;
            what is held out is not mirrored. Where subjects are unknown, its seed draws what is held out.
        probe: ``regularised`` for a logistic regression, ``svm`` for linear support vector machines.
        classifier: On its device already; its head is linear.

    Raises:
        InputError: If the training clips are of one class, or the layout has no left and right to mirror.
    """
    assert isinstance(classifier.head, LinearHead)
    dataset, train, options = experiment.dataset, experiment.labelled.train, experiment.options
    mirror, balanced = options["view"].mirror, options["class_weights"] == "balanced"
    TrainView(mirror=mirror).require_fit(dataset.layout)
    labels = dataset.labels[train]
    folds, chosen_on = divide(labels, [dataset.clips[position].subject for position in train.tolist()], options["seed"])
    changes = (None, partial(mirrored, layout=dataset.layout)) if mirror else (None,)
    rows = [
        score_clips(classifier, dataset, train, experiment.world, experiment.precision, change, torch.Tensor.float)
        for change in changes
    ]
    features, labels = torch.cat(rows).double().cpu().numpy(), np.tile(labels, len(rows))
    images = len(train) * np.arange(len(rows))  # of clip i in rows i, i + len(train)
    folds = [((known + images[:, None]).flatten(), held_out) for known, held_out in folds]
    fitted = fit_features(probe, features, labels, folds, balanced)
    _put(fitted.scores, classifier.head, len(dataset.classes))
    notify(f"probe {probe}: C {fitted.strength:g}, chosen on {chosen_on}")
    return {"probe": probe, "chosen_on": chosen_on, **fitted.describe()}


def _put(linear: Linear, head: LinearHead, classes: int) -> None:
    """Give the head what was fitted; a class of the set without a training clip keeps the lowest score."""
    missing = classes - len(linear.bias)
    weight = np.pad(linear.weight, ((0, missing), (0, 0)))
    bias = np.pad(linear.bias, (0, missing), constant_values=NO_SCORE)
    head.take(*map(torch.from_numpy, (linear.mean, linear.spread, weight, bias)))
