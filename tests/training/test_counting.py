from pathlib import Path

import numpy as np
import pytest
import torch

from maskel.commands.results import measured, tables
from maskel.training.metrics import count
from maskel.training.scores import Scores


def test_unequal_classes_count_equally_in_balanced_accuracy_and_macro_f1() -> None:
    labels, predicted = torch.tensor([0, 0, 0, 0, 1, 1]), torch.tensor([0, 0, 0, 1, 1, 2])
    counted = count(predicted, labels, ("a", "b", "c", "never"), 6)
    assert counted["accuracy"] == pytest.approx(4 / 6)
    assert counted["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2) / 2)  # c does not occur
    assert counted["macro_f1"] == pytest.approx((6 / 7 + 2 / 4 + 0) / 3)  # c is predicted, "never" neither


def scores(classes: int, ranks: list[int]) -> Scores:
    """One clip for each rank; its class, the last, has as many classes before it."""
    rows = np.zeros((len(ranks), classes), np.float32)
    for row, rank in zip(rows, ranks, strict=True):
        row[:rank] = 1
    labels = np.full(len(ranks), classes - 1)
    for row in rows:
        row[-1] = 0.5
    return Scores(tuple(map(str, range(len(ranks)))), labels, tuple(map(str, range(classes))), rows)


def test_top5_counts_clips_whose_class_is_among_the_five_highest() -> None:
    counted = scores(7, [0, 4, 5, 6]).count(4)
    assert (counted["correct"], counted["top5"]) == (1, 2)
    equal = Scores(("a", "b"), np.array([4, 5]), tuple("abcdef"), np.zeros((2, 6), np.float32))
    assert equal.count(2)["top5"] == 1  # of equal scores the first classes are named, as by argmax
    assert "top5" not in scores(5, [0]).count(1)


def row_of(**values: object) -> str:
    result = {"kind": "linear", "data": {"source": "set"}, "benchmark": "xsub", "correct": 6, "seen": 8, **values}
    return tables(measured(result, Path("run")))


def test_tables_show_what_unequal_classes_and_many_classes_need() -> None:
    old, equal = row_of(), row_of(balanced_accuracy=0.75, macro_f1=0.7)
    for word in ("balanced", "F1", "top-5"):
        assert word not in old
        assert word not in equal
    unequal = row_of(balanced_accuracy=0.6, macro_f1=0.55, top5=7)
    assert "| 95 % interval (%) | balanced accuracy (%) | macro-F1 (%) | top-5 (%) |" in unequal
    assert "| 40.9 to 92.9 | 60.0 | 55.0 | 87.5 |" in unequal


def test_seeds_have_a_standard_deviation_instead_of_an_interval() -> None:
    result = {"kind": "linear", "data": {"source": "set"}, "benchmark": "xsub", "correct": 6, "seen": 8}
    rows = [row for seed in range(2) for row in measured({**result, "seed": seed}, Path("run"))]
    assert "interval" not in tables(rows)
