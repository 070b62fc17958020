"""Arrays whose axes stand in the orders of other toolboxes: read right, or refused with the orders named."""

from pathlib import Path

import numpy as np
import pytest

import own
from maskel.commands.prepare import prepare
from maskel.datasets.folder import Folder
from maskel.datasets.folder.axes import parse_axes, settle
from maskel.datasets.store import SkeletonSet
from maskel.errors import BadFileError, InputError

NTU = {"layout": "ntu25", "centre": False}


def people(bodies: int, frames: int = 30, joints: int = 25, coordinates: int = 3) -> np.ndarray:
    """Bodies side by side (M, T, V, C)."""
    return np.stack([own.motion(frames, joints, coordinates, seed=number) + number for number in range(bodies)])


@pytest.mark.parametrize(
    ("order", "bodies"),
    [
        *(("MTVC", 2), ("TMVC", 2), ("TMVC", 3), ("CTVM", 1), ("TVC", 1), ("CTV", 1), ("VTC", 1), ("TCV", 1)),
        *(("MCTV", 1), ("CVTM", 1), ("MVTC", 1)),
    ],
)
@pytest.mark.parametrize("form", ["npy", "npz", "json"])
def test_an_order_that_alone_fits_is_read(tmp_path: Path, order: str, bodies: int, form: str) -> None:
    expected = people(bodies)
    array = expected if "M" in order else expected[0]
    letters = "MTVC"[-len(order) :]
    array = array.transpose([letters.index(letter) for letter in order])
    path = tmp_path / f"a.{form}"
    if form == "npy":
        np.save(path, array)
    elif form == "npz":
        np.savez(path, joints=array)
    else:
        own.write(path, {"joints": array.tolist()})
    sequence = own.read(path, **NTU)
    np.testing.assert_array_equal(sequence.joints, expected[: len(sequence.joints)].astype(np.float32))
    found = {} if order in ("MTVC", "TVC") else {f"arrays read as ({', '.join(order)})": 1}
    assert {what: number for what, number in sequence.counts.items() if what.startswith("arrays")} == found


@pytest.mark.parametrize(
    ("shape", "orders"),
    [
        ((3, 60, 25, 2), ("MTVC", "CTVM")),  # three bodies in 2D, or ST-GCN's order
        ((2, 60, 25, 2), ("MTVC", "CTVM")),
        ((2, 2, 25, 3), ("MTVC", "TMVC")),
        ((25, 25, 3), ("TVC", "VTC")),
        ((2, 3, 60, 25), ("MCTV", "CMTV")),
    ],
)
def test_an_order_that_fits_twice_is_refused_with_both_named(
    tmp_path: Path, shape: tuple[int, ...], orders: tuple[str, str]
) -> None:
    path = own.write_array(tmp_path / "a.npy", np.random.default_rng(0).uniform(0.1, 1, shape))
    with pytest.raises(BadFileError, match=f"{orders[0]}: .*; or {orders[1]}: .*--axes {' or --axes '.join(orders)}"):
        own.read(path, **NTU)
    for order in orders:
        letters = order if len(order) == 4 else f"M{order}"
        expected = [dict(zip(letters, shape if len(order) == 4 else (1, *shape), strict=True))[axis] for axis in "MTVC"]
        assert list(own.read(path, axes=order, bodies=3, **NTU).joints.shape) == expected


@pytest.mark.parametrize(
    "shape", [(60, 13, 25, 3), (60, 70, 25, 3), (13, 60, 25, 3), (5, 6, 25, 1), (60, 24, 3), (25, 3)]
)
def test_crowds_and_other_shapes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = own.write_array(tmp_path / "a.npy", np.ones(shape))
    with pytest.raises(BadFileError, match=r"expected \(T, 25, C\) or \(M, T, 25, C\) for layout ntu25, C 2, 3 or 4"):
        own.read(path, **NTU)


def test_the_clips_of_a_set_decide_together(tmp_path: Path) -> None:
    """25 frames of 25 joints, and two people in 2D, fit two orders each; other clips of the folder fit one."""
    lengths = (25, 40)
    for number, frames in enumerate(lengths):
        own.write_array(tmp_path / "in" / "a" / f"{number}.npy", people(1, frames)[0].swapaxes(0, 1))  # (V, T, C)
        two = people(1 + number, 30, coordinates=2)
        own.write_array(tmp_path / "flat" / "a" / f"{number}.npy", two)
    prepare(Folder("ntu25"), [tmp_path / "in"], tmp_path / "set", workers=1, strict=True)
    clips = SkeletonSet.open(tmp_path / "set")
    assert clips.frames.tolist() == list(lengths)
    assert [clips.counts[position]["arrays read as (V, T, C)"] for position in (0, 1)] == [1, 1]
    prepare(Folder("ntu25"), [tmp_path / "flat"], tmp_path / "flat-set", workers=2, strict=True)
    assert SkeletonSet.open(tmp_path / "flat-set").bodies.tolist() == [1, 2]
    assert settle([(25, 25, 3), (60, 25, 3), (60, 24, 3)], 25, (3,)) == ["TVC"]
    assert settle([(25, 60, 3), (60, 25, 3)], 25, (3,)) == []


def test_flat_frames_are_read_where_their_order_is_said(tmp_path: Path) -> None:
    two = people(2)
    flat = own.write_array(tmp_path / "a" / "a.npy", two[0].reshape(30, 75))
    with pytest.raises(BadFileError, match=r"--axes TVC .*or --axes TCV"):
        own.read(flat, **NTU)
    np.testing.assert_array_equal(own.raw(flat, "ntu25", axes="TVC")[0], two[0].astype("f4"))
    by_axis = own.write_array(tmp_path / "b" / "b.npy", two[0].swapaxes(1, 2).reshape(30, 75))
    np.testing.assert_array_equal(own.raw(by_axis, "ntu25", axes="t, c, v")[0], two[0].astype("f4"))
    both = own.write_array(tmp_path / "c" / "c.npy", two.swapaxes(0, 1).reshape(30, 150))
    np.testing.assert_array_equal(own.raw(both, "ntu25", axes="TMVC", channels="xyz"), two.astype("f4"))
    with pytest.raises(BadFileError, match="as --axes says"):  # two in 3D, or three in 2D
        own.raw(both, "ntu25", axes="TMVC")


def test_an_order_with_bodies_is_right_for_clips_without(tmp_path: Path) -> None:
    two = people(2)
    path = own.write_array(tmp_path / "a.npy", two[0].transpose(2, 0, 1))
    own.write_array(tmp_path / "b.npy", two.transpose(3, 1, 2, 0))
    own.write_array(tmp_path / "c.npy", two[..., :2])
    source = own.found(path, "ntu25", axes="CTVM")
    shapes = [source.read(file)[0].joints.shape for file in source.find([tmp_path])[:2]]
    assert shapes == [(1, 30, 25, 3), (2, 30, 25, 3)]
    with pytest.raises(BadFileError, match=r"\(2, 30, 25, 2\), expected \(T, M, V, C\), with 25 joints V"):
        own.read(tmp_path / "c.npy", "ntu25", axes="TMVC")


@pytest.mark.parametrize("text", ["MTV", "TTVC", "XYZ", "MTVCN", "V"])
def test_letters_that_are_no_order_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="found '" + text):
        parse_axes(text)
