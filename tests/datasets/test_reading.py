"""One bad file among many never ends `maskel prepare`, whatever is wrong with it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import own
from maskel.commands.prepare import prepare
from maskel.datasets.base import RawFile
from maskel.datasets.folder import Folder
from maskel.datasets.ntu import NTU60
from maskel.datasets.reading import OURS, read_all
from maskel.datasets.synthetic import synthesize
from maskel.errors import BadFileError, InputError
from maskel.sequence import SkeletonSequence

FAULTS = {
    "001": MemoryError(),
    "002": RecursionError("too deep"),
    "003": OverflowError("too large"),
    "004": KeyError("unforeseen"),
    "005": ZeroDivisionError("ours"),
    "006": OSError(5, "Input/output error"),
}


class Faulty(NTU60):
    """A source whose reader fails in ways that nobody foresaw, by the number of the action."""

    def read(self, file: RawFile) -> list[SkeletonSequence]:
        name = file.path.stem[-3:]
        if name in FAULTS:
            raise FAULTS[name]
        (found,) = super().read(file)
        joints = found.joints
        if name == "007":
            joints = np.zeros((1, 2**20 + 1, *joints.shape[2:]), dtype=np.float32)
        return [replace(found, joints=joints)]


@pytest.fixture
def raw(tmp_path: Path) -> Sequence[Path]:
    return synthesize(tmp_path / "raw", performers=2, replications=1, cameras=1)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fault_of_any_kind_costs_one_file(workers: int, raw: Sequence[Path], tmp_path: Path) -> None:
    found = prepare(Faulty(), [tmp_path / "raw"], tmp_path / "set", workers=workers)
    assert found.clips == len(raw) - 2 * 7
    kinds = {"wrong count": 6, OURS: 6, "unreadable": 2}
    assert found.faults == kinds
    ours = next(line for line in found.first_faults if OURS in line)
    assert "test_reading.py, line " in ours
    assert "OverflowError: too large" in ours
    assert "please report it with this file" in ours


def test_strictly_a_fault_of_ours_is_no_bad_file(raw: Sequence[Path], tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="more than the memory has room for"):
        prepare(Faulty(), [tmp_path / "raw"], tmp_path / "set", workers=1, strict=True)
    for file in raw:
        if file.stem[-3:] in ("001", "002"):
            file.unlink()
    with pytest.raises(RuntimeError, match="fault of maskel itself"):
        prepare(Faulty(), [tmp_path / "raw"], tmp_path / "set", workers=1, strict=True)


def test_wrong_options_are_no_fault_of_a_file(raw: Sequence[Path]) -> None:
    class Refusing:
        def read(self, file: RawFile) -> list[SkeletonSequence]:
            raise InputError("windows: found 0")

    with pytest.raises(InputError, match="windows: found 0"):
        list(read_all(Refusing(), [RawFile(raw[0])], 1))


def test_a_shape_that_numpy_cannot_hold_costs_one_file(tmp_path: Path) -> None:
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775807, 0, 3), }\n"
    magic = b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little")
    own.write_array(tmp_path / "rec" / "wave" / "b.npy", own.motion(frames=4))
    own.write(tmp_path / "rec" / "wave" / "a.npy", magic + header.encode())
    found = prepare(Folder("coco17"), [tmp_path / "rec"], tmp_path / "set", workers=1)
    assert (found.clips, sum(found.faults.values())) == (1, 1)
