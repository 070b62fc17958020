"""Benchmarks that lose a part, or test what they do not train: refused or said before a set is written."""

from pathlib import Path

import pytest

import own
from maskel.commands.prepare import prepare
from maskel.datasets.folder import Folder
from maskel.datasets.store import SkeletonSet
from maskel.datasets.synthetic import Synthetic, synthesize
from maskel.errors import InputError

TABLE = "file,label,subject\na,wave,ann\nb,bow,ann\nc,wave,bo\nd,bow,bo\ne,,cy\n"


def recordings(root: Path, bad: str = "", empty: str = "", table: str = TABLE) -> Path:
    for seed, name in enumerate("abcde"):
        own.write_array(root / f"{name}.npy", own.motion(12, seed=seed) * (0 if name in empty else 1))
        if name in bad:
            own.write(root / f"{name}.npy", b"cut off")
    own.write(root / "labels.csv", table)
    return root


@pytest.mark.parametrize(
    ("bad", "empty", "part", "why"),
    [
        ("cd", "", "none of its 2 test clips", "2 are bad, 0 left out; the first bad one: .*c.npy"),
        ("c", "d", "none of its 2 test clips", "1 are bad, 1 left out; the first bad one: .*c.npy"),
        ("", "ab", "none of its 2 train clips", "0 are bad, 2 left out"),
    ],
)
def test_a_benchmark_that_loses_a_part_is_refused_and_nothing_is_written(
    bad: str, empty: str, part: str, why: str, tmp_path: Path
) -> None:
    root = recordings(tmp_path / "own", bad, empty)
    with pytest.raises(InputError, match=rf"benchmark xsub: {part} can be used \({why}.*--benchmarks"):
        prepare(Folder("coco17", test_subjects=["bo"]), [root], tmp_path / "set", workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["own"]
    prepare(Folder("coco17", test_subjects=["bo"]), [root], tmp_path / "set", workers=1, benchmarks=["all"])
    assert len(SkeletonSet.open(tmp_path / "set")) == 3


def test_clips_without_a_label_are_enough_to_pretrain(tmp_path: Path) -> None:
    root = recordings(tmp_path / "own", "abcd")
    summary = prepare(Folder("coco17"), [root], tmp_path / "set", workers=1)
    assert (summary.benchmarks["all"].found, summary.benchmarks["all"].unlabelled) == ((0, 0), 1)


def test_a_benchmark_of_files_that_are_not_there_is_said(tmp_path: Path) -> None:
    synthesize(tmp_path / "raw", performers=2, cameras=1, replications=1, frames=(30, 31))
    for path in (tmp_path / "raw").glob("*P001*"):
        path.unlink()  # the performer who trains
    summary = prepare(Synthetic(), [tmp_path / "raw"], tmp_path / "set", workers=1)
    assert summary.benchmarks["xsub"].found[0] == 0
    assert "no clip trains, so that nothing can learn on it" in summary.benchmarks["xsub"].note
    assert "no clip trains" in summary.benchmarks["xview"].note


def test_classes_that_are_tested_alone_are_counted_under_their_own_names(tmp_path: Path) -> None:
    table = TABLE.replace("d,bow,bo", "d,kick,bo")
    root = recordings(tmp_path / "own", table=table)
    summary = prepare(
        Folder("coco17", test_subjects=["bo"]), [root], tmp_path / "set", workers=1, classes=["kick", "wave"]
    )
    assert SkeletonSet.open(tmp_path / "set").classes == ("kick", "wave")
    assert summary.benchmarks["xsub"].note == "tested, but without a training clip: kick (1 clips)"
