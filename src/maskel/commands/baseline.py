"""``maskel baseline``: classify raw joints with scikit-learn, the yardstick for every encoder."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64

from maskel import distributed
from maskel.conversion import trunk_middle
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.layouts import Layout
from maskel.training.experiment import Experiment
from maskel.training.regularised import MAX_SVM_CLIPS, NO_SCORE, Fitted, divide, fit_logistic, fit_svm
from maskel.training.run import RunFolder
from maskel.training.scores import Scores
from maskel.transforms import view_frames

BODIES = 2
"""Bodies of a clip that are looked at."""
_CLIPS_AT_ONCE = 1024


def baseline(
    data: Path,
    benchmark: str = "xsub",
    frames: int = 32,
    align: bool = False,
    labels: float = 1.0,
    stratified: bool = True,
    label_list: Path | None = None,
    seed: int = 0,
    out: Path | None = None,
) -> RunFolder:
    """Classify raw joints by a support vector machine and by logistic regression: the yardstick for every encoder.

    Each clip is resampled to a number of frames and moved to the first body's trunk in its first frame; all coordinates
    are standardised. The classifier that gets more right on held-out training subjects gives the result; the test
    part has no say in this choice.

    Args:
        data: A prepared set.
        frames: Frames that each clip is resampled to, 1 or more.
        align: Turn each clip about the vertical axis so that the shoulders and hips of its first frame face the camera;
            3D only.
        seed: Seed of the draw of labels, and of held-out clips where subjects are not known.

    Returns:
        The run folder, with ``result.json``, ``predictions.csv`` and ``scores.npz``.

    Raises:
        InputError: If data and options do not fit each other.

    Examples:
        >>> result = baseline(Path("set"), out=Path("baseline")).result
        >>> result["classifier"] in ("svm", "logistic"), result["seen"]
        (True, 13)
    """
    if not 1 <= frames <= 10_000:
        raise InputError(f"frames: found {frames}, expected 1 to 10,000")
    experiment = Experiment(baseline, locals())
    dataset = experiment.dataset
    if align and dataset.coordinates != 3:
        raise InputError(f"align: {data} is in 2D; nothing can be turned about a vertical axis")
    labelled = experiment.choose_labelled()
    train_labels = dataset.labels[labelled.train]
    subjects = [dataset.clips[position].subject for position in labelled.train.tolist()]
    folds, chosen_on = divide(train_labels, subjects, seed)
    experiment.refuse_taken()
    experiment.start()
    train, test = (raw_features(dataset, positions, frames, align) for positions in (labelled.train, labelled.test))
    fitted: list[Fitted[Any]] = [fit_logistic(train, train_labels, folds)]
    if len(train_labels) <= MAX_SVM_CLIPS:
        fitted.append(fit_svm(train, train_labels, folds))
    else:
        distributed.notify(
            f"{len(train_labels):,} training clips are too many for a support vector machine; it is left out"
        )
    best = max(fitted, key=lambda fit: max(fit.right.values()))
    scores = {fit.name: _scores(fit, test, dataset, labelled.test) for fit in fitted}
    counts = {name: found.count(len(labelled.test)) for name, found in scores.items()}
    run = experiment.open_run()
    if experiment.is_main:
        labelled.write(run.path)
        scores[best.name].write(run)
    each = {
        fit.name: fit.describe() | {name: counts[fit.name][name] for name in ("correct", "seen", "accuracy")}
        for fit in fitted
    }
    experiment.about = {"classifier": best.name, "chosen_on": chosen_on, "classifiers": each}
    return experiment.finish(**labelled.describe(), seed=seed, **counts[best.name])


def raw_features(
    dataset: SkeletonSet, positions: Int64[np.ndarray, " n"], frames: int, align: bool = False
) -> Float64[np.ndarray, "n f"]:
    """Coordinates of whole clips, resampled and moved to the first body's trunk: (N, M·frames·V·D).

    Args:
        dataset: The set.
        positions: (N,) clips, by position.
        frames: Frames of each.
        align: Turn each about the vertical axis, see `baseline`.
    """
    bodies, rows = min(dataset.max_bodies, BODIES), []
    for start in range(0, len(positions), _CLIPS_AT_ONCE):
        chunk = positions[start : start + _CLIPS_AT_ONCE]
        lengths = torch.from_numpy(dataset.valid_frames[chunk])
        batch = dataset.gather(chunk, bodies, "zero", view_frames(torch.zeros_like(lengths), lengths, frames))
        joints = batch.joints[..., : dataset.coordinates].double().numpy()  # (B, M, T, V, D)
        exists = (joints != 0).any((3, 4), keepdims=True)
        middle = np.einsum("v,bvd->bd", trunk_middle(dataset.layout), joints[:, 0, 0])
        joints = np.where(exists, joints - middle[:, None, None, None], 0.0)
        if align:
            joints = np.einsum("bmtvd,bed->bmtve", joints, _turns(joints[:, 0, 0], dataset.layout))
        rows.append(joints.reshape(len(chunk), -1))
    return np.concatenate(rows)


def _turns(joints: Float64[np.ndarray, "b v 3"], layout: Layout) -> Float64[np.ndarray, "b 3 3"]:
    """Rotations about y that bring the line from the right to the left shoulder and hip of a body to x."""
    left, right = ([layout.index(f"{side}_{joint}") for joint in ("shoulder", "hip")] for side in ("left", "right"))
    across = (joints[:, left] - joints[:, right]).mean(1)
    angles = np.arctan2(across[:, 2], across[:, 0])
    cos, sin, zero, one = np.cos(angles), np.sin(angles), np.zeros_like(angles), np.ones_like(angles)
    return np.stack((cos, zero, sin, zero, one, zero, -sin, zero, cos), 1).reshape(-1, 3, 3)


def _scores(
    fitted: Fitted[Any], features: Float64[np.ndarray, "n f"], dataset: SkeletonSet, positions: Int64[np.ndarray, " n"]
) -> Scores:
    found = np.full((len(features), len(dataset.classes)), NO_SCORE)
    scores = fitted.scores(features)
    found[:, : scores.shape[1]] = scores
    return Scores.of(dataset, positions, torch.from_numpy(found))
