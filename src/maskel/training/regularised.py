"""Classifiers of fixed feature vectors, by scikit-learn, whose strength is chosen on held-out training subjects."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from jaxtyping import Float64, Int64
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.svm import SVC, LinearSVC
from threadpoolctl import threadpool_limits

from maskel.errors import InputError

FOLDS = 5
"""Most parts into which the training clips are divided to choose a strength."""
C_LOGISTIC = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
C_SVM = (1.0, 10.0, 100.0)
C_PROBE = (*C_LOGISTIC, 10.0, 100.0)
C_LINEAR_SVM = (1e-6, *C_LOGISTIC[:-1])
"""Inverse strengths of the L2 penalty that are tried: on raw joints, and on the features of an encoder."""
MAX_SVM_CLIPS = 10_000
"""Training clips beyond which the support vector machine, whose cost grows with their square, is not tried."""
NO_SCORE = -1e3
"""Score of a class without a training clip."""

FittedProbe = Literal["regularised", "svm"]
Folds = list[tuple[np.ndarray, np.ndarray]]
"""Positions to fit on and positions held out, of each part."""
Scoring = Callable[[Float64[np.ndarray, "n f"]], Float64[np.ndarray, "n k"]]
"""A classifier that scores features."""
_Scoring = TypeVar("_Scoring", bound=Scoring)


@dataclass(frozen=True)
class Linear:
    """Class scores that are linear in standardised features.

    Args:
        mean: (F,) of the training clips' features.
        spread: (F,) their standard deviation; 1 where it is 0.
        weight: (K, F) of the standardised features.
        bias: (K,)
    """

    mean: Float64[np.ndarray, " f"]
    spread: Float64[np.ndarray, " f"]
    weight: Float64[np.ndarray, "k f"]
    bias: Float64[np.ndarray, " k"]

    def __call__(self, features: Float64[np.ndarray, "n f"]) -> Float64[np.ndarray, "n k"]:
        """Class scores."""
        return (features - self.mean) / self.spread @ self.weight.T + self.bias


@dataclass(frozen=True)
class Fitted(Generic[_Scoring]):
    """A classifier, and how its strength was chosen.

    Args:
        name: ``logistic`` or ``svm``.
        strength: The inverse strength C that was chosen.
        right: Right answers on the held-out parts, by the C that was tried.
        held_out: Clips that these answers are of.
        scores: Function from features (N, F) to class scores (N, K).
    """

    name: str
    strength: float
    right: dict[float, int]
    held_out: int
    scores: _Scoring

    def describe(self) -> dict[str, Any]:
        """Describe the choice for a result."""
        return {
            "C": self.strength,
            "right_by_C": {f"{c:g}": right for c, right in self.right.items()},
            "held_out": {"correct": self.right[self.strength], "seen": self.held_out},
        }


def divide(labels: Int64[np.ndarray, " n"], groups: Sequence[str], seed: int) -> tuple[Folds, str]:
    """The training clips in parts to hold out in turn, and what the parts are made of, in words.

    Args:
        labels: (N,) classes.
        groups: Subject of each clip; by subject where at least two are known and all are, else by clip.
        seed: Seed of the draw where clips are divided.

    Raises:
        InputError: If there is one class only.
    """
    counts = np.bincount(labels)
    if np.count_nonzero(counts) < 2:
        raise InputError("the training part has clips of one class only; there is nothing to tell apart")
    subjects = len(set(groups))
    if subjects > 1 and all(groups):
        by_subject = _of_two_classes(GroupKFold(min(FOLDS, subjects)).split(labels, labels, groups), labels)
        if by_subject:
            return by_subject, "held-out training subjects"
    most = int(counts.max())
    if most < 2:
        return [], "nothing: the training part has one clip of each class, so a middle strength is taken"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        drawn = StratifiedKFold(min(FOLDS, most), shuffle=True, random_state=seed % 2**32).split(labels, labels)
        parts = _of_two_classes(drawn, labels)
    return parts, "held-out training clips, as clips cannot be held out by subject"


def _of_two_classes(parts: Iterable[tuple[np.ndarray, np.ndarray]], labels: Int64[np.ndarray, " n"]) -> Folds:
    """Keep the parts that leave two classes or more to fit on: where a class has one clip, not every part does."""
    return [(known, held_out) for known, held_out in parts if len(set(labels[known])) > 1]


def fit_logistic(
    features: Float64[np.ndarray, "n f"],
    labels: Int64[np.ndarray, " n"],
    folds: Folds,
    strengths: Sequence[float] = C_LOGISTIC,
    balanced: bool = False,
) -> Fitted[Linear]:
    """Multinomial logistic regression with an L2 penalty on standardised features.

    Features of more values than clips are turned into the space that the clips span; the answer is the same.

    Args:
        features: (N, F) of the training clips.
        labels: (N,) their classes.
        folds: Parts to hold out in turn, as `divide` gives them.
        strengths: Inverse strengths C to choose from.
        balanced: Have every class weigh alike in the sum.
    """

    def build(strength: float) -> LogisticRegression:
        return LogisticRegression(
            C=strength, class_weight="balanced" if balanced else None, solver="newton-cg", max_iter=1000, tol=1e-6
        )

    return _choose("logistic", strengths, partial(_linear_fit, build), features, labels, folds)


def fit_features(
    probe: FittedProbe,
    features: Float64[np.ndarray, "n f"],
    labels: Int64[np.ndarray, " n"],
    folds: Folds,
    balanced: bool,
) -> Fitted[Linear]:
    """Fit a linear layer to standardised features.

    Args:
        probe: ``regularised`` for a logistic regression, ``svm`` for linear support vector machines.
        features: (N, F) of the training clips.
        labels: (N,) their classes.
        folds: Parts to hold out in turn, as `divide` gives them.
        balanced: Have every class weigh alike in the sum.
    """
    if probe == "regularised":
        return fit_logistic(features, labels, folds, C_PROBE, balanced)

    def build(strength: float) -> LinearSVC:  # each class against all others; the loss is the squared hinge
        return LinearSVC(C=strength, class_weight="balanced" if balanced else None, dual=False, max_iter=1000, tol=1e-6)

    return _choose("svm", C_LINEAR_SVM, partial(_linear_fit, build), features, labels, folds)


def fit_svm(features: Float64[np.ndarray, "n f"], labels: Int64[np.ndarray, " n"], folds: Folds) -> Fitted[Scoring]:
    """A support vector machine with radial basis functions on standardised features; gamma is 1 / F."""
    return _choose("svm", C_SVM, _kernel_fit, features, labels, folds)


def _choose(
    name: str,
    strengths: Sequence[float],
    prepare: Callable[[Float64[np.ndarray, "n f"], Int64[np.ndarray, " n"], int], Callable[[float], _Scoring]],
    features: Float64[np.ndarray, "n f"],
    labels: Int64[np.ndarray, " n"],
    folds: Folds,
) -> Fitted[_Scoring]:
    """Fit with the strength that gets most right on the clips held out; see `fit_logistic`.

    ``prepare`` makes, of training features, their labels and the number of classes, what fits with a strength.
    """
    classes, right = int(labels.max()) + 1, dict.fromkeys(strengths, 0)
    with threadpool_limits(1):  # small products: threads would wait for each other longer than they compute
        for train, test in folds:
            fit = prepare(features[train], labels[train], classes)
            for strength in strengths:
                right[strength] += int((fit(strength)(features[test]).argmax(1) == labels[test]).sum())
        best = max(strengths, key=lambda strength: (right[strength], -strength))  # of equals the stronger penalty
        best = best if folds else strengths[len(strengths) // 2]
        scores = prepare(features, labels, classes)(best)
    return Fitted(name, best, right, sum(len(test) for _, test in folds), scores)


def _standardised(features: Float64[np.ndarray, "n f"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standardise features; return mean and standard deviations too, which are 1 where they are 0."""
    mean, spread = features.mean(0), features.std(0)
    spread[spread < 1e-9] = 1.0
    return (features - mean) / spread, mean, spread


def _linear_fit(
    build: Callable[[float], Any], features: Float64[np.ndarray, "n f"], labels: Int64[np.ndarray, " n"], classes: int
) -> Callable[[float], Linear]:
    """Return the fit of a penalised linear model with a strength."""
    fitted, mean, spread = _standardised(features)
    axes: Float64[np.ndarray, "f d"] | None = None
    if features.shape[1] > len(features):
        values, vectors = np.linalg.eigh(fitted @ fitted.T)
        kept = values > 1e-9 * values[-1]
        axes = fitted.T @ (vectors[:, kept] / np.sqrt(values[kept]))
        fitted = fitted @ axes

    def fit(strength: float) -> Linear:
        model = build(strength)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(fitted, labels)
        found = model.coef_ if axes is None else model.coef_ @ axes.T
        weight, bias = np.zeros((classes, found.shape[1])), np.full(classes, NO_SCORE)
        weight[model.classes_], bias[model.classes_] = _of_each_class(found), _of_each_class(model.intercept_)
        return Linear(mean, spread, weight, bias)

    return fit


def _kernel_fit(
    features: Float64[np.ndarray, "n f"], labels: Int64[np.ndarray, " n"], classes: int
) -> Callable[[float], Scoring]:
    """Return the fit of a support vector machine with radial basis functions with a strength."""
    fitted, mean, spread = _standardised(features)

    def fit(strength: float) -> Scoring:
        model = SVC(C=strength, gamma="auto").fit(fitted, labels)

        def scores(queries: Float64[np.ndarray, "q f"]) -> Float64[np.ndarray, "q k"]:
            every = np.full((len(queries), classes), NO_SCORE)
            decided = model.decision_function((queries - mean) / spread)
            every[:, model.classes_] = _of_each_class(np.atleast_2d(decided.T)).T
            return every

        return scores

    return fit


def _of_each_class(found: Float64[np.ndarray, "given *_"]) -> Float64[np.ndarray, "k *_"]:
    """A row for each class; of two classes scikit-learn gives one, whose sigmoid is the second one's probability."""
    return found if len(found) > 1 else np.concatenate((-found / 2, found / 2))
