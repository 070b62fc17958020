"""Data set of a released classifier's training: its file says it, or the user does. Nothing is guessed.

The number of outputs does not tell: the public configurations give NTU RGB+D 60 as many as 120, and PKU-MMD 60.
"""

import re
from pathlib import PurePosixPath
from typing import Literal

from maskel.datasets.ntu import NTU60, NTU120
from maskel.datasets.pku_mmd import PKU1, PKU2
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.methods.classifier import LabelSpec
from maskel.models.released import Release

TrainedOn = Literal["ntu60", "ntu120", "pku1", "pku2", "data"]
"""A data set of the public code, or ``data``: the set that the clips come from."""


SETS = {
    NTU60.name: LabelSpec(NTU60.classes),
    NTU120.name: LabelSpec(NTU120.classes, single_body="copy"),
    PKU1.name: LabelSpec(PKU1.classes),
    PKU2.name: LabelSpec(PKU2.classes),
}
"""Classes and body slots of the public code's training, by data set."""
_NTU, _PKU = r"ntu[ _-]?(?:rgb[ _+-]?d[ _-]*)?", r"pku(?:[ _-]?mmd)?[ _-]?(?:v|part|phase)?[ _-]?"
_SPELLINGS = {
    NTU60.name: re.compile(rf"{_NTU}60(?!\d)", re.IGNORECASE),
    NTU120.name: re.compile(rf"{_NTU}120(?!\d)", re.IGNORECASE),
    PKU1.name: re.compile(rf"{_PKU}(?:1(?!\d)|i(?![a-z\d]))", re.IGNORECASE),
    PKU2.name: re.compile(rf"{_PKU}(?:2(?!\d)|ii(?![a-z\d]))", re.IGNORECASE),
}
"""Spellings of the sets in paths: NTU60_XSub.npz, NTU120_CSet.npz, PKUv1_XSub.npz, pku_part2, PKU-MMD II."""


def training_set(
    release: Release, outputs: int, trained_on: TrainedOn | None = None, dataset: SkeletonSet | None = None
) -> LabelSpec:
    """Find the classes and body slots that a released classifier was trained on.

    Args:
        release: Its checkpoint.
        outputs: Number of its outputs.
        trained_on: The set by name, for a file that does not say it.
        dataset: The clips that it shall read; where neither says a set, their source or class names do.

    Raises:
        InputError: If nobody says the set, two say different ones, or it has more classes than there are outputs.
    """
    stated, path = _stated_set(release)
    if stated and trained_on not in (None, stated):
        raise InputError(
            f"{release.path} was trained on {stated}, as its {path} says, but trained_on is {trained_on}; leave it out"
        )
    name = stated or trained_on or _source(dataset)
    if name == "data" and dataset is not None:
        chosen = LabelSpec(dataset.classes)
    elif name in SETS:
        chosen = SETS[name]
    else:
        found = f"its data_path is {path!r}" if path else "it has no data_path"
        raise InputError(
            f"{release.path} does not say which data set its {outputs} outputs stand for ({found}); say it with "
            f"--trained-on: {', '.join(SETS)}, or data for the classes of a prepared set given as --data"
        )
    if len(chosen.classes) > outputs:
        another = "" if stated else "; if it was trained on another set, say --trained-on"
        raise InputError(
            f"{release.path}: found {outputs} outputs, expected {len(chosen.classes)} or more for the classes of "
            f"{name}{another}"
        )
    return chosen


def _stated_set(release: Release) -> tuple[str, str]:
    """Find the set that the data paths in the file name, and the path; no set if they name none, or several."""
    found = [release.argument(f"{part}_feeder_args", "data_path") for part in ("train", "val")]
    paths = [path for path in found if isinstance(path, str) and path]
    for path in paths:
        whole = path.replace("\\", "/")
        for text in (PurePosixPath(whole).name, whole):  # the file's name says more than its folders
            named = [name for name, spelling in _SPELLINGS.items() if spelling.search(text)]
            if len(named) == 1:
                return named[0], path
            if named:
                break
    return "", paths[0] if paths else ""


def _source(dataset: SkeletonSet | None) -> str:
    """Find the public code's set that clips come from, by source or by all class names; empty if from none."""
    if dataset is None:
        return ""
    if dataset.source in SETS:
        return dataset.source
    return next((name for name, known in SETS.items() if known.classes == dataset.classes), "")
