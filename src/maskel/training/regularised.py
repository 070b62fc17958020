"""Classifiers of fixed feature vectors, by scikit-learn, whose strength is chosen on held-out training subjects."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from maskel.errors import InputError

FOLDS = 5
"""Most parts into which the training clips are divided to choose a strength."""
C_LOGISTIC = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
C_SVM = (1.0, 10.0, 100.0)
"""Inverse strengths of the L2 penalty that are tried."""
MAX_SVM_CLIPS = 10_000
"""Training clips beyond which the support vector machine, whose cost grows with their square, is not tried."""
_NO_SCORE = -1e3
"""Score of a class without a training clip."""

Folds = list[tuple[np.ndarray, np.ndarray]]
"""Positions to fit on and positions held out, of each part."""


@dataclass(frozen=True)
class Fitted:
    """A classifier, and how its strength was chosen.

    Args:
        name: ``logistic`` or ``svm``.
        strength: The inverse strength C that was chosen.
        right: Right answers on the held-out parts, by the C that was tried.
        held_out: Clips that these answers are of.
        scores: What gives (N, K) class scores of features (N, F).
    """

    name: str
    strength: float
    right: dict[float, int]
    held_out: int
    scores: Callable[[Float64[np.ndarray, "n f"]], Float64[np.ndarray, "n k"]]

    def describe(self) -> dict[str, Any]:
        """What a result says of the choice."""
        return {"C": self.strength, "right_by_C": {f"{c:g}": right for c, right in self.right.items()}}


def divide(labels: Int64[np.ndarray, " n"], groups: Sequence[str], seed: int) -> tuple[Folds, str]:
    """The training clips in parts to hold out in turn, and what the parts are made of, in words.

    Args:
        labels: (N,) classes.
        groups: Subject of each clip; by subject where at least two are known and all are, else by clip.
        seed: Of the draw where clips are divided.

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
        drawn = StratifiedKFold(min(FOLDS, most), shuffle=True, random_state=seed).split(labels, labels)
        parts = _of_two_classes(drawn, labels)
    return parts, "held-out training clips, as clips cannot be held out by subject"


def _of_two_classes(parts: Iterable[tuple[np.ndarray, np.ndarray]], labels: Int64[np.ndarray, " n"]) -> Folds:
    """Those parts that leave two classes or more to fit on: where a class has one clip, not every part does."""
    return [(known, held_out) for known, held_out in parts if len(set(labels[known])) > 1]


def fit_logistic(features: Float64[np.ndarray, "n f"], labels: Int64[np.ndarray, " n"], folds: Folds) -> Fitted:
    """Multinomial logistic regression with an L2 penalty on standardised features.

    Features of more values than clips are turned into the space that the clips span; the answer is the same.
    """
    return _choose(
        "logistic",
        C_LOGISTIC,
        lambda c: LogisticRegression(C=c, max_iter=1000, tol=1e-6),
        True,
        features,
        labels,
        folds,
    )


def fit_svm(features: Float64[np.ndarray, "n f"], labels: Int64[np.ndarray, " n"], folds: Folds) -> Fitted:
    """A support vector machine with radial basis functions on standardised features; gamma is 1 / F."""
    return _choose("svm", C_SVM, lambda c: SVC(C=c, gamma="auto"), False, features, labels, folds)


def _choose(
    name: str,
    strengths: Sequence[float],
    build: Callable[[float], Any],
    in_span: bool,
    features: Float64[np.ndarray, "n f"],
    labels: Int64[np.ndarray, " n"],
    folds: Folds,
) -> Fitted:
    classes, right = int(labels.max()) + 1, dict.fromkeys(strengths, 0)
    with threadpool_limits(1):  # small products: threads would wait for each other longer than they compute
        for train, test in folds:
            space = _Space(features[train], in_span)
            known, asked = space.place(features[train]), space.place(features[test])
            for strength in strengths:
                scores = _fit(build(strength), known, labels[train], classes)
                right[strength] += int((scores(asked).argmax(1) == labels[test]).sum())
        best = max(strengths, key=lambda strength: (right[strength], -strength))  # of equals the stronger penalty
        best = best if folds else strengths[len(strengths) // 2]
        space = _Space(features, in_span)
        scores = _fit(build(best), space.place(features), labels, classes)
    held_out = sum(len(test) for _, test in folds)
    return Fitted(name, best, right, held_out, lambda some: scores(space.place(some)))


class _Space:
    """Standardised features; those of more values than clips in the space that the clips span, if ``in_span``.

    A penalised linear classifier is the same there. Distances of other clips are not.
    """

    def __init__(self, features: Float64[np.ndarray, "n f"], in_span: bool) -> None:
        self.mean, self.spread = features.mean(0), features.std(0)
        self.spread[self.spread < 1e-9] = 1.0
        self.axes: Float64[np.ndarray, "f n"] | None = None
        if in_span and features.shape[1] > len(features):
            standardised = (features - self.mean) / self.spread
            values, vectors = np.linalg.eigh(standardised @ standardised.T)
            kept = values > 1e-9 * values[-1]
            self.axes = standardised.T @ (vectors[:, kept] / np.sqrt(values[kept]))

    def place(self, features: Float64[np.ndarray, "q f"]) -> Float64[np.ndarray, "q d"]:
        standardised = (features - self.mean) / self.spread
        return standardised if self.axes is None else standardised @ self.axes


def _fit(
    model: Any, known: Float64[np.ndarray, "n d"], labels: Int64[np.ndarray, " n"], classes: int
) -> Callable[[Float64[np.ndarray, "q d"]], Float64[np.ndarray, "q k"]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(known, labels)

    def scores(asked: Float64[np.ndarray, "q d"]) -> Float64[np.ndarray, "q k"]:
        found = np.asarray(model.decision_function(asked))
        if found.ndim == 1:  # of two classes one number is given
            found = np.stack((-found, found), 1)
        every = np.full((len(asked), classes), _NO_SCORE)
        every[:, model.classes_] = found
        return every

    return scores
