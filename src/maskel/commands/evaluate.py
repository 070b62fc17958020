"""``maskel evaluate``: count a trained classifier's right answers on any part of any benchmark."""

from pathlib import Path
from typing import Any, Literal

from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.hub import cached
from maskel.methods.classifier import CLASSIFIER, Classifier
from maskel.training.classifiers import load_classifier
from maskel.training.experiment import Experiment
from maskel.training.finished import Run
from maskel.training.loading import split_positions
from maskel.training.options import plain
from maskel.training.precision import Precision
from maskel.training.pretrained import require_fit, say_differences
from maskel.training.run import RunFolder
from maskel.training.scores import Scores
from maskel.training.supervised import score_clips
from maskel.training.trained_on import TrainedOn


def evaluate(
    classifier: Path,
    data: Path,
    benchmark: str = "xsub",
    part: Literal["test", "train"] = "test",
    trained_on: TrainedOn | None = None,
    precision: Precision = "fp32",
    device: str = "auto",
    out: Path | None = None,
) -> RunFolder:
    """Count the right answers of a trained classifier on one part of a benchmark.

    On the test part of the benchmark it was trained for, in the same precision, this is the training run's own count.

    Args:
        data: A prepared set of the classifier's layout and classes.
        benchmark: Name of the benchmark.
        part: Part of the benchmark: test or train.

    Returns:
        The run folder, with ``result.json``, ``predictions.csv`` and ``scores.npz``.

    Raises:
        InputError: If data and classifier do not fit each other.

    Examples:
        >>> evaluate(Path("classifier"), Path("set"), out=Path("evaluated")).result["seen"]
        13
    """
    experiment = Experiment(evaluate, locals())
    dataset = experiment.dataset
    positions = split_positions(dataset, benchmark, part)
    experiment.refuse_taken()
    model = classifier_for(experiment)
    answers = score_clips(model, dataset, positions, experiment.world, precision)
    scores = Scores.of(dataset, positions, answers, model.label_spec.classes)
    counted = count_of(scores, dataset)
    run = experiment.open_run()
    if experiment.is_main:
        scores.write(run)
    return experiment.finish(part=part, precision=experiment.precision, **counted)


def classifier_for(experiment: Experiment) -> Classifier:
    """Load the classifier to evaluate, which must have the set's classes, and start with it.

    Raises:
        InputError: If there is no such classifier, or it does not fit the set.
    """
    dataset, classifier = experiment.dataset, experiment.options["classifier"]
    model = load_classifier(classifier, trained_on=experiment.options["trained_on"], dataset=dataset)
    require_fit(classifier, model.encoder, dataset)
    if (classes := model.label_spec.real_classes) != dataset.classes:
        raise InputError(
            f"{classifier} has {len(classes)} classes, the first {classes[0]!r}; {dataset.path} has "
            f"{len(dataset.classes)}, the first {dataset.classes[0]!r}; expected the same classes"
        )
    start_classifier(experiment, model)
    return model


def start_classifier(experiment: Experiment, model: Classifier) -> None:
    """Start the evaluation of a classifier with it on the device; say how the set was prepared otherwise than its own.

    Args:
        experiment: Not started; its result will begin with what is known of the classifier's own run.
        model: The classifier.
    """
    classifier: Path = experiment.options["classifier"]
    run = RunFolder(classifier.parent if classifier.name == CLASSIFIER else cached(classifier))
    trained = Run.of(run.result).origin if run.finished else {}
    experiment.about = {"classifier": plain(classifier), "head": model.kind, "trained": trained}
    experiment.start()
    say_differences(classifier, model.label_spec.provenance, experiment.dataset)
    model.to(experiment.world.device)


def count_of(scores: Scores, dataset: SkeletonSet) -> dict[str, Any]:
    """Count right answers, and of each class of the set; no clip is of a spare output's class."""
    counted = scores.count(len(scores.names))
    return counted | {"per_class": counted["per_class"][: len(dataset.classes)]}
