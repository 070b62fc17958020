from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskel.datasets import checks
from maskel.datasets.checks import examine, summarise
from maskel.datasets.store import SkeletonSet
from maskel.layouts import NTU25
from planted import FRAMES, TWO_BODIES, Plant, Planted, found, moving, with_faults

HEAD = NTU25.index("head")


def jump(clips: Planted) -> None:
    clips.joints[3][0, 10:, :, 0] += 0.7


def jump_of_one_joint(clips: Planted) -> None:
    clips.joints[3][0, -1, HEAD, 0] += 0.9  # too short for the percentiles of its bone


def bone(clips: Planted) -> None:
    body = clips.joints[4][0]
    body[:, HEAD] = body[:, NTU25.parents[HEAD]] + np.float32([0.4, 0, 0][: clips.coordinates])
    body[12:, HEAD, 0] += 0.4 if clips.coordinates == 3 else 0.5
    body[12, HEAD, 0] += 0.01


def frozen(clips: Planted) -> None:
    clips.joints[5][0, 4:9] = clips.joints[5][0, 4]


def frozen_second_body(clips: Planted) -> None:
    clips.joints[TWO_BODIES][1, 4:12] = clips.joints[TWO_BODIES][1, 4]


def swapped(clips: Planted) -> None:
    joints = clips.joints[TWO_BODIES]
    joints[:, 13:] = joints[::-1, 13:].copy()


def absent(clips: Planted) -> None:
    clips.joints[2][:, 7:9] = 0


def absent_at_the_end(clips: Planted) -> None:
    clips.joints[2][:, -1:] = 0


def short(clips: Planted) -> None:
    clips.joints[1] = moving(1, frames=FRAMES // 4, coordinates=clips.coordinates)


def single_frame(clips: Planted) -> None:
    clips.joints = [moving(n, frames=2, coordinates=clips.coordinates) for n in range(10)]
    clips.joints[1] = moving(1, frames=1, coordinates=clips.coordinates)


PLANTED: list[tuple[Plant, str, str, int | None, int | None]] = [
    (jump, "jumps", "clip3", 0, 10),
    (jump_of_one_joint, "jumps", "clip3", 0, FRAMES - 1),
    (bone, "bones", "clip4", 0, 12),
    (frozen, "frozen", "clip5", 0, 4),
    (frozen_second_body, "frozen", "clip6", 1, 4),
    (swapped, "swaps", "clip6", 0, 13),
    (absent, "absent", "clip2", None, 7),
    (absent_at_the_end, "absent", "clip2", None, FRAMES + 1),
    (short, "short", "clip1", None, None),
    (single_frame, "short", "clip1", None, None),
]


def test_nothing_is_found_in_a_clean_set(tmp_path: Path) -> None:
    assert with_faults(Planted().write(tmp_path / "set")) == {}


@pytest.mark.parametrize(
    ("plant", "check", "clip", "body", "frame"), PLANTED, ids=[case[0].__name__ for case in PLANTED]
)
def test_a_planted_fault_is_found_where_it_is_and_nothing_else(
    plant: Plant, check: str, clip: str, body: int | None, frame: int | None, tmp_path: Path
) -> None:
    clips = Planted()
    plant(clips)
    data = clips.write(tmp_path / "set")
    findings = with_faults(data)
    assert list(findings) == [check]
    (fault,) = findings[check].faults
    assert fault.clip is not None
    assert (data.clips[fault.clip].name, fault.body) == (clip, body)
    assert fault.frame == frame
    assert clip in summarise(findings[check], data)[3]


def test_a_coordinate_that_is_not_finite_is_found(tmp_path: Path) -> None:
    data = Planted().write(tmp_path / "set")
    row = int(data.bodies[:4] @ data.frames[:4]) + 6
    stored = np.lib.format.open_memmap(tmp_path / "set" / "joints.npy", mode="r+")
    stored[row, 3, 1], stored[row, 4, 0] = np.nan, np.inf
    stored.flush()
    findings = with_faults(SkeletonSet.open(tmp_path / "set"))
    assert list(findings) == ["not_finite"]
    (fault,) = findings["not_finite"].faults
    assert (fault.clip, fault.frame, fault.value, fault.frames) == (4, 6, 2.0, 1)


def still(frames: int = 24) -> np.ndarray:
    """A body at whole and half coordinates, exact in float32, that moves a little each frame."""
    body = np.random.default_rng(0).integers(1, 9, size=(len(NTU25), 3)) / 2
    walk = np.arange(frames)[:, None, None] / 64
    return (body + walk).astype(np.float32)[None]


def only(joints: np.ndarray, check: str, tmp_path: Path, coordinates: int = 3) -> int:
    clips = Planted(coordinates)
    clips.joints[0] = joints
    data = clips.write(tmp_path / "set")
    return found(data)[check].clips


@pytest.mark.parametrize(("metres", "clips"), [(0.5, 0), (0.515625, 1)])
def test_a_jump_is_more_than_half_a_metre(metres: float, clips: int, tmp_path: Path) -> None:
    joints = still()
    joints[0, 10:] = joints[0, 9] + np.float32([metres, 0, 0])
    assert only(joints[:, :14], "jumps", tmp_path) == clips


@pytest.mark.parametrize(("frames", "clips"), [(4, 0), (5, 1)])
def test_a_body_is_frozen_from_five_equal_frames_on(frames: int, clips: int, tmp_path: Path) -> None:
    joints = still()
    joints[0, 3 : 3 + frames] = joints[0, 3]
    assert only(joints, "frozen", tmp_path) == clips


@pytest.mark.parametrize(
    ("usual", "change", "clips"), [(0.5, 0.25, 0), (0.5, 0.28125, 1), (2.0, 1.0, 0), (2.0, 1.25, 1)]
)
def test_a_bone_changes_by_more_than_half_and_a_quarter_of_a_metre(
    usual: float, change: float, clips: int, tmp_path: Path
) -> None:
    joints = still(40)
    parent = NTU25.parents[HEAD]
    joints[0, :, HEAD] = joints[0, :, parent] + np.float32([usual, 0, 0])
    joints[0, 30:, HEAD, 0] += np.float32(change)
    assert only(joints, "bones", tmp_path) == clips


@pytest.mark.parametrize("scale", [0.2, 1.0])
@pytest.mark.parametrize(
    ("plant", "check", "clip", "body", "frame"), PLANTED, ids=[case[0].__name__ for case in PLANTED]
)
def test_a_planted_fault_is_found_in_2d_at_any_scale(
    plant: Plant, check: str, clip: str, body: int | None, frame: int | None, scale: float, tmp_path: Path
) -> None:
    clips = Planted(coordinates=2)
    plant(clips)
    clips.joints = [joints * np.float32(scale) for joints in clips.joints]
    findings = with_faults(clips.write(tmp_path / "set"))
    assert list(findings) == [check]
    (fault,) = findings[check].faults
    assert (f"clip{fault.clip}", fault.body, fault.frame) == (clip, body, frame)
    if check in ("jumps", "bones", "swaps"):
        assert findings[check].unit == "body sizes"
        assert "of the body's size" in findings[check].threshold or "of their size" in findings[check].threshold
        assert "body sizes" in fault.about


def square(frames: int = 24) -> np.ndarray:
    """A body in 2D whose joints are corners of a 3 by 4 rectangle, so that its size is 5, or lie inside it."""
    body = np.random.default_rng(0).integers(2, 9, size=(len(NTU25), 2)).astype(np.float32) / 4
    body[0], body[1] = (0.25, 0.25), (3.25, 4.25)
    body[list(NTU25.head), 1], body[list(NTU25.feet), 1] = 0.5, 4.0
    return np.repeat(body[None, None], frames, axis=1) + np.arange(frames, dtype=np.float32)[:, None, None] / 1024


@pytest.mark.parametrize(("step", "clips"), [(1.4, 0), (1.6, 1)])
def test_a_jump_in_2d_is_more_than_three_tenths_of_the_body(step: float, clips: int, tmp_path: Path) -> None:
    joints = square()
    joints[0, 10:] += np.float32([step, 0])
    assert only(joints, "jumps", tmp_path, coordinates=2) == clips


@pytest.mark.parametrize(("change", "clips"), [(0.9, 0), (1.1, 1)])
def test_a_bone_in_2d_changes_by_more_than_a_fifth_of_the_body(change: float, clips: int, tmp_path: Path) -> None:
    joints = square(40)
    joints[0, :, HEAD] = joints[0, :, NTU25.parents[HEAD]] + np.float32([0.5, 0])
    joints[0, 30:, HEAD, 0] += np.float32(change)
    assert only(joints, "bones", tmp_path, coordinates=2) == clips


def test_who_comes_nearer_to_a_camera_neither_jumps_nor_grows(tmp_path: Path) -> None:
    planted = Planted(coordinates=2)
    planted.joints[3] = (
        planted.joints[3] * np.linspace(0.5, 2, planted.joints[3].shape[1], dtype=np.float32)[:, None, None]
    )
    assert with_faults(planted.write(tmp_path / "set")) == {}


@pytest.mark.parametrize("coordinates", [2, 3])
def test_missing_joints_are_no_jump_and_no_bone(coordinates: int, tmp_path: Path) -> None:
    planted = Planted(coordinates, options={"missing": "zero"})
    joints = planted.joints[TWO_BODIES] + np.float32(1)
    joints[:, 5:12, [HEAD, 9]] = 0
    joints[0, 15, np.arange(len(NTU25)) != 7] = 0  # one joint is known
    joints[:, :, 21] = 0
    planted.joints[TWO_BODIES] = joints
    assert with_faults(planted.write(tmp_path / "set")) == {}


@pytest.mark.parametrize("coordinates", [2, 3])
def test_a_clip_in_another_unit_is_found(coordinates: int, tmp_path: Path) -> None:
    planted = Planted(coordinates)
    planted.joints[2], planted.joints[7] = planted.joints[2] * np.float32(1000), planted.joints[7] / np.float32(1000)
    findings = with_faults(planted.write(tmp_path / "set"))
    assert {fault.clip for fault in findings["units"].faults} == {2, 7}
    assert all("not 0." in fault.about and fault.value > 10 for fault in findings["units"].faults)
    assert findings["units"].metric == (coordinates == 3)


def test_a_set_in_millimetres_is_said_to_be_so_and_measured_by_its_bodies(tmp_path: Path) -> None:
    planted = Planted()
    planted.joints = [joints * np.float32(1000) for joints in planted.joints]
    findings = with_faults(planted.write(tmp_path / "clean"))
    assert list(findings) == ["units"]
    assert findings["units"].clips == 10
    planted.joints[3][0, 10:, :, 0] += 900
    findings = with_faults(planted.write(tmp_path / "jump"))
    assert list(findings) == ["units", "jumps"]
    assert not findings["jumps"].metric


def test_bodies_without_depth_are_found(tmp_path: Path) -> None:
    planted = Planted()
    planted.joints[4][..., 2] = 0
    planted.joints[5][0, :5, :, 2] = 1  # a few frames are no fault
    (fault,) = with_faults(planted.write(tmp_path / "set"))["flat"].faults
    assert (fault.clip, fault.about[:14]) == (4, "z spans 0 over")


@pytest.mark.parametrize("coordinates", [2, 3])
def test_clips_on_their_head_are_found(coordinates: int, tmp_path: Path) -> None:
    planted = Planted(coordinates)
    planted.joints[4] = planted.joints[4] * np.float32([1, -1, 1][:coordinates])
    findings = with_faults(planted.write(tmp_path / "set"))
    assert list(findings) == ["upside_down"]
    (fault,) = findings["upside_down"].faults
    assert (fault.clip, fault.body) == (4, 0)


def test_a_set_on_its_head_is_one_fault(tmp_path: Path) -> None:
    planted = Planted()
    planted.joints = [joints * np.float32([1, -1, 1]) for joints in planted.joints]
    findings = with_faults(planted.write(tmp_path / "set"))
    assert list(findings) == ["upside_down"]
    (fault,) = findings["upside_down"].faults
    assert fault.clip is None
    assert fault.about.startswith("100% of heads point along -y, but expected y (as in ntu25)")


def test_the_size_of_the_chunks_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = Planted()
    for plant in (jump, bone, frozen, swapped, absent):
        plant(planted)
    planted.joints[9] = planted.joints[0]
    data = planted.write(tmp_path / "set")
    whole = examine(data)
    monkeypatch.setattr(checks, "CHUNK_ROWS", 1)
    assert list(checks.chunks(data)) == [(clip, clip + 1) for clip in range(10)]
    done: list[tuple[str, int, int]] = []
    assert examine(data, lambda *word: done.append(word)) == whole
    assert done[:10] == [("clips", clip, 10) for clip in range(1, 11)]
    assert {what for what, *_ in done[10:]} == {"search for near clips"}


def test_the_worst_of_a_clip_is_told_and_all_its_frames_are_counted(tmp_path: Path) -> None:
    planted = Planted()
    for clip, metres in ((3, 0.7), (4, 0.9)):
        planted.joints[clip][0, 5:, :, 0] += np.float32(0.6)
        planted.joints[clip][0, 10:, :, 0] += np.float32(metres)
    first, second = with_faults(planted.write(tmp_path / "set"))["jumps"].faults
    assert (first.clip, first.frame, first.frames) == (4, 10, 2)
    assert (second.clip, second.frame, second.frames) == (3, 10, 2)


def test_coordinates_beyond_all_measure_stop_nothing(tmp_path: Path) -> None:
    planted = Planted()
    planted.joints[3][0, 5, 2] = np.float32(3e38)
    planted.joints[4] = np.full_like(planted.joints[4], -3e38)
    findings: dict[str, Any] = with_faults(planted.write(tmp_path / "set"))
    assert findings["jumps"].clips == 1
    assert findings["frozen"].clips == 1
