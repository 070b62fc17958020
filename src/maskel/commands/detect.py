"""``maskel detect``: the actions in whole recordings, found by a trained classifier and compared with the labels."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64

from maskel import distributed
from maskel.commands.evaluate import start_classifier
from maskel.datasets.provenance import provenance_of
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.files import csv_text, scratch_folder, write_atomically
from maskel.text import listed
from maskel.training.classifiers import load_classifier
from maskel.training.detection import OVERLAPS, Detection, Interval, overlap
from maskel.training.experiment import Experiment
from maskel.training.loading import split_positions
from maskel.training.metrics import count
from maskel.training.precision import Precision
from maskel.training.pretrained import require_fit
from maskel.training.recordings import in_windows, read_extent, usual_windows
from maskel.training.run import RunFolder
from maskel.training.segments import actions_of, place_of, tracks_of
from maskel.training.supervised import score_clips

SEGMENTS = "segments.csv"
BACKGROUND = "background"
"""Name of frames without an action, where no class stands for them."""


def detect(
    classifier: Path,
    data: Path,
    benchmark: str = "xsub",
    part: Literal["test", "train"] = "test",
    window_length: str | None = None,
    step: str | None = None,
    min_probability: float = 0.0,
    background: str | None = None,
    precision: Precision = "fp32",
    device: str = "auto",
    out: Path | None = None,
) -> RunFolder:
    """Find the actions in whole recordings, and measure how they agree with the labelled ranges.

    Windows slide over each recording as in ``maskel predict``: those that lie over each other are averaged, and
    neighbouring frames with the same most probable class are one segment. Its score is its mean probability.

    Frames are counted right or wrong, those of no action too. Average precision and F1 compare segments at overlaps of
    0.1, 0.3, 0.5 and 0.7, as PKU-MMD's protocol does; the edit score compares their order.

    Args:
        classifier: A run folder of linear or finetune, or its file.
        data: A set of whole recordings (``maskel prepare --untrimmed``) of the classifier's layout and classes.
        benchmark: Of which benchmark.
        part: Which recordings: test or train.
        min_probability: Where the most probable class is less probable than this, in [0, 1], there is no action.
        background: The class of the classifier that stands for no action, if it has one.

    Returns:
        The run folder, with ``result.json`` and the segments in ``segments.csv``.

    Raises:
        InputError: If data and classifier do not fit each other.
    """
    if not 0 <= min_probability <= 1:
        raise InputError(f"min_probability: found {min_probability}, expected 0 to 1")
    length, pace = read_extent("window_length", window_length), read_extent("step", step)
    experiment = Experiment(detect, locals())
    dataset = experiment.dataset
    if not dataset.untrimmed:
        raise InputError(
            f"{dataset.path} holds clips, expected whole recordings with labelled ranges: prepare it with --untrimmed"
        )
    positions = split_positions(dataset, benchmark, part)
    experiment.refuse_taken()
    model = load_classifier(classifier)
    require_fit(classifier, model.encoder, dataset)
    actions = _actions(classifier, model.label_spec.real_classes, dataset, background)
    windows = usual_windows(model.label_spec, length, pace, False, dataset.options.get("fps"))
    start_classifier(experiment, model)
    with scratch_folder() as folder:
        seen = in_windows(dataset, windows, provenance_of(dataset), folder / "windows", positions.tolist())
        scores = score_clips(model, seen, np.arange(len(seen)), experiment.world, precision)
        tracks = tracks_of(seen.clips, scores.double().softmax(1).cpu().numpy(), {}, windows.rate)
        answered = len(seen)
    names = [dataset.clips[position].name for position in positions.tolist()]
    known = {name: label for label, name in enumerate(actions)}
    classes = model.label_spec.classes
    nothing = None if background is None else classes.index(background)
    found = [
        Interval(track.recording, known[classes[one.label]], one.start, one.end, one.probability)
        for track in tracks
        for one in actions_of(track, min_probability, nothing)
    ]
    truth = [
        Interval(name, known[dataset.classes[one.label]], one.first_frame, one.end_frame)
        for name, position in zip(names, positions.tolist(), strict=True)
        for one in dataset.ranges[position]
        if dataset.classes[one.label] != background
    ]
    if not truth:
        raise InputError(f"{dataset.path}: nothing but {background} is labelled in the {part} part of {benchmark}")
    lengths = [int(dataset.frames[position]) for position in positions.tolist()]
    right, answers = frames_of(found, truth, names, lengths, len(actions))
    counted = count(answers, right, [*actions, background or BACKGROUND], sum(lengths))
    empty = int((right == len(actions)).sum())
    if empty and background is None and not min_probability:
        distributed.notify(
            f"{empty / len(right):.0%} of the frames are of no action, and all of them count as wrong: give "
            "--min-probability, or --background with the class that stands for them"
        )
    run = experiment.open_run()
    if experiment.is_main:
        write_atomically(run.path / SEGMENTS, _table(found, truth, actions, windows.rate))
    return experiment.finish(
        part=part,
        precision=experiment.precision,
        **counted,
        frames_without_action=empty,
        windows=answered,
        detection={"overlaps": OVERLAPS, **asdict(Detection.of(found, truth, names))},
    )


def frames_of(
    found: Sequence[Interval], truth: Sequence[Interval], names: Sequence[str], lengths: Sequence[int], actions: int
) -> tuple[Int64[torch.Tensor, " n"], Int64[torch.Tensor, " n"]]:
    """Return the true and the found action of every frame of all recordings.

    Where true intervals lie over each other, each of their actions is right: the found one is taken for true if it is
    among them, else the first.

    Args:
        found: What was found; not over each other.
        truth: What is true.
        names: Names of the recordings.
        lengths: Their frames.
        actions: Number of actions; a frame of none gets this number.
    """
    starts = dict(zip(names, np.cumsum([0, *lengths[:-1]]).tolist(), strict=True))
    answers, right = (np.full(sum(lengths), actions) for _ in range(2))

    def of(one: Interval) -> slice:
        return slice(starts[one.recording] + one.start, starts[one.recording] + one.end)

    for one in found:
        answers[of(one)] = one.label
    for one in truth:
        here = right[of(one)]
        here[(here == actions) | (answers[of(one)] == one.label)] = one.label
    return torch.from_numpy(right), torch.from_numpy(answers)


def _actions(classifier: Path, classes: Sequence[str], dataset: SkeletonSet, background: str | None) -> tuple[str, ...]:
    """Return the actions in the set's order; refuse a classifier that has others."""
    if background is not None and background not in classes:
        raise InputError(f"background: {classifier} has no class {background!r}; it has: {listed(classes)}")
    own, others = set(classes) - {background}, set(dataset.classes) - {background}
    if own != others:
        extra = sorted(own - others) or sorted(others - own)
        which, lacks = (classifier, dataset.path) if own - others else (dataset.path, classifier)
        hint = ""
        if own - others and not others - own and len(extra) == 1:
            hint = f"; if it stands for no action, say --background {extra[0]!r}"
        raise InputError(
            f"{which} has a class {extra[0]!r}, {lacks} has not; expected the same actions in the classifier and the "
            f"set{hint}"
        )
    return tuple(name for name in dataset.classes if name != background)


def _table(found: Sequence[Interval], truth: Sequence[Interval], actions: Sequence[str], rate: float | None) -> str:
    """Return the segments as a table; ``overlap`` is the largest with a labelled range of the same action."""
    heading = ("recording", *place_of(0, 1, None), "class", "probability", "overlap")
    rows = []
    same = defaultdict(list)
    for other in truth:
        same[other.recording, other.label].append(other)
    for one in found:
        best = max((overlap(one, other) for other in same[one.recording, one.label]), default=0.0)
        place = ["" if value is None else value for value in place_of(one.start, one.end, rate).values()]
        rows.append((one.recording, *place, actions[one.label], one.score, best))
    return csv_text([heading, *rows])
