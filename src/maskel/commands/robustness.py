"""``maskel robustness``: a trained classifier's accuracy on test clips that are made worse on purpose."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Int64
from torch import Tensor

from maskel import disturbances
from maskel.commands.evaluate import classifier_for, count_of
from maskel.datasets.bodies import Sample, usual_size
from maskel.datasets.store import SkeletonSet
from maskel.draws import clip_keys
from maskel.errors import InputError
from maskel.files import write_atomically
from maskel.pictures.robustness import Step, robustness_page
from maskel.sequence import SkeletonBatch
from maskel.training.experiment import Experiment
from maskel.training.loading import split_positions
from maskel.training.precision import Precision
from maskel.training.run import RunFolder
from maskel.training.scores import Scores
from maskel.training.supervised import score_clips
from maskel.training.trained_on import TrainedOn

PAGE = "robustness.html"
DEFAULTS: Mapping[str, tuple[float, ...]] = {
    "missing_joints": (0.1, 0.2, 0.3, 0.5),
    "dropped_frames": (0.25, 0.5, 0.75, 0.9),
    "noise": (0.01, 0.02, 0.05, 0.1),
    "lower_frame_rate": (0.5, 0.75, 0.9),
}
"""Strengths by default."""
Disturb = Callable[[SkeletonBatch, Int64[Tensor, " b"], float], SkeletonBatch]


def robustness(
    classifier: Path,
    data: Path,
    benchmark: str = "xsub",
    missing_joints: Sequence[float] | None = None,
    dropped_frames: Sequence[float] | None = None,
    noise: Sequence[float] | None = None,
    lower_frame_rate: Sequence[float] | None = None,
    trained_on: TrainedOn | None = None,
    precision: Precision = "fp32",
    seed: int = 0,
    device: str = "auto",
    out: Path | None = None,
) -> RunFolder:
    """Count a classifier's right answers on clips with missing joints, dropped frames, noise, or fewer frames.

    The clips are changed as they were recorded, before the view is taken. Undisturbed, the count is that of
    ``maskel evaluate``. Of an empty list, from Python or a recipe, nothing is measured.

    Args:
        data: A prepared set of the classifier's layout and classes.
        benchmark: Name of the benchmark; its test part is counted.
        missing_joints: Shares of the joints that a clip lacks throughout, each from 0 to below 1; they stand at their
            neighbour; by default 0.1, 0.2, 0.3, 0.5.
        dropped_frames: Shares of the frames that are lost here and there, each from 0 to below 1; the others close up;
            by default 0.25, 0.5, 0.75, 0.9.
        noise: Standard deviations of noise on every coordinate, as shares of a body's size (the median diagonal of the
            bodies' bounding boxes), each 0 or more; by default 0.01, 0.02, 0.05, 0.1.
        lower_frame_rate: Shares of the frames per second that a slower camera lacks, each from 0 to below 1, so that
            0.5 keeps every second frame; by default 0.5, 0.75, 0.9.
        seed: Seed of the joints, frames and noise; with the clip's position it settles them.

    Returns:
        The run folder, with ``result.json``, the undisturbed ``predictions.csv`` and ``scores.npz``, and
        ``robustness.html``.

    Raises:
        InputError: If data and classifier do not fit each other, or a strength is out of its range.

    Examples:
        >>> robustness(Path("classifier"), Path("set"), out=Path("disturbed")).result["noise"]["seen"]
        13
    """
    experiment = Experiment(robustness, locals())
    dataset = experiment.dataset
    test = split_positions(dataset, benchmark, "test")
    experiment.refuse_taken()
    given = (missing_joints, dropped_frames, noise, lower_frame_rate)
    strengths = {name: _in_range(name, values) for name, values in zip(DEFAULTS, given, strict=True)}
    experiment.settle(**strengths)
    model = classifier_for(experiment)
    size = usual_size(Sample.of(dataset))

    def scores(change: Callable[[SkeletonBatch], SkeletonBatch] | None = None) -> Scores:
        answers = score_clips(model, dataset, test, experiment.world, precision, change)
        return Scores.of(dataset, test, answers, model.label_spec.classes)

    def disturbed(disturb: Disturb, strength: float) -> dict[str, Any]:
        def change(batch: SkeletonBatch) -> SkeletonBatch:
            return disturb(batch, clip_keys(seed, 0, batch.clips), strength)

        return {"strength": strength, **count_of(scores(change), dataset)}

    plain = scores()
    steps = {
        name: [disturbed(disturb, strength) for strength in strengths[name]]
        for name, disturb in _disturbances(dataset, size).items()
        if strengths[name]
    }
    counted = count_of(plain, dataset)
    run = experiment.open_run()
    if experiment.is_main:
        plain.write(run)
        lines = {name: [_step(0.0, counted), *(_step(s["strength"], s) for s in of)] for name, of in steps.items()}
        write_atomically(run.path / PAGE, robustness_page(lines, f"{classifier.name} on {dataset.path.name}"))
    return experiment.finish(
        part="test",
        precision=experiment.precision,
        **counted,
        body_size=size,
        **{name: _strongest(of) for name, of in steps.items()},
    )


def _disturbances(dataset: SkeletonSet, size: float) -> dict[str, Disturb]:
    """Return the disturbances by the option that names their strengths."""
    return {
        "missing_joints": lambda batch, keys, share: disturbances.missing_joints(batch, keys, share, dataset.layout),
        "dropped_frames": disturbances.dropped_frames,
        "noise": lambda batch, keys, share: disturbances.noise(batch, keys, share * size),
        "lower_frame_rate": lambda batch, _, share: disturbances.lower_frame_rate(batch, share),
    }


def _in_range(name: str, strengths: Sequence[float] | None) -> list[float]:
    """Return the strengths, or those by default, each once, the weakest first; refuse one out of the range."""
    strengths = DEFAULTS[name] if strengths is None else strengths
    below = math.inf if name == "noise" else 1
    if bad := [strength for strength in strengths if not 0 <= strength < below]:
        raise InputError(f"{name}: found {bad[0]:g}, expected 0 or more" + (" and below 1" if below == 1 else ""))
    return sorted(set(strengths))


def _strongest(steps: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the counts at the greatest strength, and the accuracy at each."""
    short = [{name: step[name] for name in ("strength", "correct", "seen", "accuracy")} for step in steps]
    return {"amount": f"{100 * steps[-1]['strength']:g} %", **steps[-1], "steps": short}


def _step(strength: float, counted: dict[str, Any]) -> Step:
    return Step(strength, counted["correct"], counted["seen"])
