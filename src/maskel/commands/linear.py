"""``maskel linear``: linear evaluation of a frozen encoder."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from maskel.errors import InputError
from maskel.methods.base import build_seeded
from maskel.methods.classifier import ClassWeights, LinearProbe
from maskel.models.pooling import Pool
from maskel.sequence import SingleBody
from maskel.training.dry_run import Check
from maskel.training.experiment import Experiment
from maskel.training.loading import ClipBatches, FeatureBatches, Resident
from maskel.training.loggers import Log
from maskel.training.optim import SGDConfig
from maskel.training.options import flat_options, plain
from maskel.training.run import RunFolder
from maskel.training.scores import Scores
from maskel.training.supervised import check_training, leave, make_ready, score_features, train_classifier
from maskel.transforms import TrainView

Probe = Literal["sgd", "regularised", "svm"]
"""Training of the linear layer: by gradient descent, as published; or at once, as a logistic regression or a support
vector machine whose penalty is chosen on held-out training subjects."""
_PUBLISHED: dict[str, Any] = {
    "augment": True,
    "cache_features": False,
    "validation": 0.0,
    "view": TrainView(),
    "training": SGDConfig(),
}
"""Options that act on the published probe alone, and their defaults."""
_FITTED_TAKE = ("training.precision", "view.mirror")
"""Those among them that act on the others too."""


def linear(
    encoder: Path,
    data: Path,
    benchmark: str = "xsub",
    window: int | None = None,
    pool: Pool = "mean",
    probe: Probe = "sgd",
    labels: float = 1.0,
    stratified: bool = True,
    label_list: Path | None = None,
    validation: float = 0.0,
    class_weights: ClassWeights = "none",
    augment: bool = True,
    cache_features: bool = False,
    untrained: bool = False,
    view: TrainView = TrainView(),
    single_body: SingleBody = "zero",
    training: SGDConfig = SGDConfig(),
    seed: int = 0,
    device: str = "auto",
    resident: Resident = "auto",
    log: Log = "csv",
    out: Path | None = None,
    resume: bool = False,
    check: bool = False,
) -> RunFolder | Check:
    """Train a linear layer on a frozen encoder's features and count right answers on the test part.

    The result of the published probe is the last epoch's accuracy; the best epoch's is reported beside it, and named as
    such. The other probes have no epochs: they see the training clips once, in the test view.

    Args:
        probe: Fit of the linear layer: ``sgd``, as published; ``regularised``, a logistic regression on
            standardised features whose L2 penalty is chosen on held-out training subjects (on held-out clips where
            subjects are not known); or ``svm``, linear support vector machines with a penalty chosen likewise. Of the
            options of views and training the last two take ``training.precision``, and ``view.mirror``: each training
            clip's mirror image is a training clip too.
        augment: Train on the random view, as published; if false, on the test view.
        cache_features: Compute the training features once; needs ``augment`` off.
        untrained: Evaluate the encoder with random weights instead: the baseline that pre-training must beat.
        seed: Seed of the linear layer, labels, views and order (and of the weights, when untrained).

    Returns:
        The run folder, with ``result.json``, ``predictions.csv``, ``scores.npz`` and ``classifier.safetensors``;
        or what the check found.

    Raises:
        InputError: If data, options and encoder do not fit each other.
        TrainingError: If a loss is not finite.

    Examples:
        >>> run = linear(Path("run"), Path("set"), training=SGDConfig(epochs=2, batch_size=8), out=Path("linear"))
        >>> run.result["seen"]
        13
    """
    if probe != "sgd":
        _refuse_published(probe, locals())
    if cache_features and augment:
        raise InputError("cache_features: the random view changes every epoch; add --augment false")
    if view.extras and not augment:
        raise InputError(f"view.{view.extras[0]}: without the random view it does nothing; leave out --augment false")
    check_training(training)
    experiment = Experiment(linear, locals())
    labelled = experiment.choose_labelled()
    if probe == "sgd":
        experiment.fit_training()
    experiment.refuse_taken()
    frozen = experiment.start_frozen()
    experiment.about["seed"] = seed
    classifier = build_seeded(lambda: LinearProbe(frozen, experiment.label_spec(), pool), seed)
    make_ready(experiment, classifier)
    features_of = partial(experiment.features, frozen)
    if probe != "sgd":
        if check:
            read_once = np.concatenate((labelled.train, labelled.test))
            return experiment.check(classifier, read=features_of, positions=read_once)
        from maskel.training.probes import fit_head  # scikit-learn takes a second to import

        choice = fit_head(experiment, probe, classifier)
        experiment.about |= {"precision": experiment.precision, **choice}
        scores = Scores.of(labelled.dataset, labelled.test, score_features(classifier, features_of(labelled.test)))
        experiment.open_run()
        return leave(experiment, classifier, scores, {})
    batches: ClipBatches | FeatureBatches
    if cache_features:
        blank = torch.zeros(len(labelled.train), frozen.num_features(pool), device=experiment.world.device)
        cached = blank if check else features_of(labelled.train)
        batches = FeatureBatches(cached, experiment.dataset, labelled.train, experiment.training.batch_size, seed)
    else:
        batches = experiment.clip_batches(frozen.config.window, view if augment else None)
    if check:
        read = [*labelled.eval_positions.values(), *([labelled.train] if cache_features else [])]
        return experiment.check(classifier, batches, features_of, np.concatenate(read))
    features = {name: features_of(positions) for name, positions in labelled.eval_positions.items()}
    return train_classifier(experiment, classifier, batches, lambda name: score_features(classifier, features[name]))


def _refuse_published(probe: Probe, given: Mapping[str, Any]) -> None:
    """Refuse options that act on the published probe alone and differ from their defaults."""
    found, default = (
        flat_options({name: plain(options[name]) for name in _PUBLISHED}) for options in (given, _PUBLISHED)
    )
    changed = [name for name in default if found[name] != default[name] and name not in _FITTED_TAKE]
    if changed:
        raise InputError(
            f"{', '.join(changed)}: no effect with --probe {probe}, which reads the training clips once, in the test "
            "view, and chooses held-out subjects itself; leave the option out, and recipes that set it"
        )
