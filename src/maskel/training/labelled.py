"""Training clips of a classifier: all, or a share of the labels, without held-out subjects."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from maskel.datasets.store import SkeletonSet
from maskel.draws import Purpose, order_drawn
from maskel.errors import InputError
from maskel.files import csv_text, damaged_as, one_line, read_table, write_atomically
from maskel.training.loading import split_positions
from maskel.training.run import LABELS

Positions = Int64[np.ndarray, " _"]


@dataclass(frozen=True)
class Labelled:
    """The training clips whose labels are used, and the clips to count on.

    Args:
        dataset: The set.
        benchmark: Name of the benchmark whose training part they come from.
        labelled: Clips whose labels are used, in the part's order.
        train: Clips to train on.
        validation: Held-out clips: all clips of some subjects.
        test: The test part.
        subjects: Names of the held-out subjects.
        whole: Whether all labels of the training part are used.
    """

    dataset: SkeletonSet
    benchmark: str
    labelled: Positions
    train: Positions
    validation: Positions
    test: Positions
    subjects: tuple[str, ...]
    whole: bool

    @property
    def eval_positions(self) -> dict[str, Positions]:
        """The parts on which right answers are counted, by name: test, and validation where there is one."""
        return {"test": self.test} | ({"validation": self.validation} if len(self.validation) else {})

    def describe(self) -> dict[str, Any]:
        """Describe them for a result."""
        return {
            "labels": self._part(self.labelled),
            "validation": self._part(self.validation) | {"subjects": list(self.subjects)},
        }

    def _part(self, positions: Positions) -> dict[str, Any]:
        return {"size": len(positions), "hash": self.dataset.names_hash(positions)}

    def write(self, folder: Path) -> None:
        """Write ``labels.csv``, name and class of every clip whose label is used, unless it is the whole part."""
        if self.whole:
            return
        chosen = (self.dataset.clips[position] for position in self.labelled.tolist())
        rows = ((clip.name, self.dataset.classes[clip.label]) for clip in chosen)
        write_atomically(folder / LABELS, csv_text([("name", "class"), *rows]))


def choose_labelled(
    dataset: SkeletonSet,
    benchmark: str,
    labels: float = 1.0,
    stratified: bool = True,
    label_list: Path | None = None,
    validation: float = 0.0,
    seed: int = 0,
) -> Labelled:
    """The training clips whose labels a classifier may use.

    Held-out subjects come out of the labelled clips, so that no more labels are used than was said.

    Args:
        dataset: The set.
        benchmark: Name of the benchmark; its training part is chosen from.
        labels: Share of its labels to use, in (0, 1].
        stratified: Draw every class its share, and at least one clip.
        label_list: A ``labels.csv`` of an earlier run to use instead of a draw.
        validation: Share of its subjects to hold out, in [0, 1).
        seed: Seed of both draws.

    Raises:
        InputError: If a part is empty, a share out of range, the list does not fit, or no subject can be held out.
    """
    whole, test = split_positions(dataset, benchmark, "train"), split_positions(dataset, benchmark, "test")
    if not np.isin(dataset.labels[test], dataset.labels[whole]).any():
        raise InputError(
            f"benchmark {benchmark} of {dataset.path} tests classes without any training clip, which a classifier "
            "cannot learn; choose another benchmark, or count with maskel fewshot or knn where it has exemplars"
        )
    if not 0 < labels <= 1:
        raise InputError(f"labels: found {labels}, expected a share above 0, at most 1")
    if not 0 <= validation < 1:
        raise InputError(f"validation: found {validation}, expected a share of 0 or more, below 1")
    if label_list is not None:
        if labels != 1:
            raise InputError("label_list: the list says which labels are used; leave out --labels")
        chosen = read_label_list(label_list, dataset, whole)
    else:
        chosen = whole if labels == 1 else draw_labels(dataset, whole, labels, stratified, seed)
    train, held, subjects = _hold_out(dataset, chosen, validation, seed)
    return Labelled(dataset, benchmark, chosen, train, held, test, subjects, len(chosen) == len(whole))


def draw_labels(dataset: SkeletonSet, positions: Positions, share: float, stratified: bool, seed: int) -> Positions:
    """``int(share · N)`` of N clips, at least one, in the order of ``positions``.

    Args:
        dataset: The set.
        positions: (N,) clips to draw from.
        share: In (0, 1].
        stratified: Every class gets its share, rounded so that the sum is right, and at least one clip.
        seed: Each clip's draw is a function of this and the clip.
    """
    order = order_drawn(seed, 0, positions, Purpose.LABELS)
    total = max(int(share * len(positions)), 1)
    if not stratified:
        return np.asarray(positions[np.sort(order[:total])])
    labels = dataset.labels[positions]
    classes, sizes = np.unique(labels, return_counts=True)
    exact = share * sizes
    counts = np.maximum(exact.astype(np.int64), 1)
    missing = total - int(counts.sum())
    if missing > 0:  # to the classes that rounding down cost most
        counts[np.argsort(counts - exact, kind="stable")[:missing]] += 1
    chosen = [order[labels[order] == name][:count] for name, count in zip(classes, counts.tolist(), strict=True)]
    return np.asarray(positions[np.sort(np.concatenate(chosen))])


def read_label_list(file: Path, dataset: SkeletonSet, positions: Positions) -> Positions:
    """The clips that a ``labels.csv`` names, in the order of ``positions``.

    Raises:
        InputError: If it is no such table, or names a clip that is not among ``positions``.
    """
    what = f"{file}: expected a table of clips with a column name, as {LABELS} is"
    with damaged_as(lambda fault: InputError(f"{what} ({one_line(fault)})")):
        names = [(line, row["name"]) for line, row in enumerate(read_table(file), start=2)]
    names_in_part = {dataset.clips[position].name for position in positions.tolist()}
    for line, name in names:
        if name not in names_in_part:
            raise InputError(f"{file}, line {line}: found clip {name!r}, which is not in the training part")
    if not names:
        raise InputError(f"{file}: names no clip")
    wanted = {name for _, name in names}
    return positions[[dataset.clips[position].name in wanted for position in positions.tolist()]]


def _hold_out(
    dataset: SkeletonSet, positions: Positions, share: float, seed: int
) -> tuple[Positions, Positions, tuple[str, ...]]:
    """Clips to train on, clips held out, and whose these are: a share of the subjects, rounded, at least one."""
    if not share:
        return positions, positions[:0], ()
    owners = np.array([dataset.clips[position].subject for position in positions.tolist()])
    subjects = np.unique(owners)
    if "" in subjects or len(subjects) < 2:
        found = f"{len(subjects)} of them" if "" not in subjects else "clips without a subject"
        raise InputError(f"validation: needs training clips of two subjects or more; {dataset.path} has {found}")
    order = order_drawn(seed, 0, np.arange(len(subjects)), Purpose.VALIDATION)
    count = min(max(round(share * len(subjects)), 1), len(subjects) - 1)
    chosen = np.sort(subjects[order[:count]])
    held = np.isin(owners, chosen)
    return positions[~held], positions[held], tuple(chosen.tolist())
