from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskel.datasets import duplicates
from maskel.datasets.checks import count_repeats, examine
from maskel.datasets.contents import count_contents
from maskel.datasets.counts import BODIES, BODY_FRAMES, EMPTY_FRAMES, FILLED_FRAMES, MISSING_JOINTS, THINNED_FRAMES
from maskel.datasets.duplicates import NEAR_METRES
from planted import CLASSES, FRAMES, Planted, found, moving, with_faults


@pytest.mark.parametrize(("frames", "clips"), [(5, 0), (4, 1)])
def test_a_clip_is_short_below_a_quarter_of_the_median(frames: int, clips: int, tmp_path: Path) -> None:
    planted = Planted()
    planted.joints = [moving(number, frames=20) for number in range(10)]
    planted.joints[0] = moving(0, frames=frames)
    assert found(planted.write(tmp_path / "set"))["short"].clips == clips


@pytest.mark.parametrize(("labels", "faults"), [([1] * 2 + [0] * 10, 0), ([1] + [0] * 6, 1)])
def test_classes_are_imbalanced_beyond_five_to_one(labels: list[int], faults: int, tmp_path: Path) -> None:
    planted = Planted()
    planted.joints = [moving(number) for number in range(len(labels))]
    planted.labels, planted.subjects = labels, ["1"] * len(labels)
    planted.train, planted.test = tuple(range(len(labels))), ()
    finding = found(planted.write(tmp_path / "set"))["imbalance"]
    assert [fault.about for fault in finding.faults] == ["clap has 1 clips, wave has 6"] * faults


def test_a_class_without_a_clip_is_named(tmp_path: Path) -> None:
    data = Planted().write(tmp_path / "set", classes=(*CLASSES, "kick"))
    (fault,) = found(data)["imbalance"].faults
    assert fault.about == "kick has 0 clips, wave has 5"


def test_subjects_on_both_sides_are_named(tmp_path: Path) -> None:
    planted = Planted()
    planted.subjects[7] = "1"
    planted.subjects[0], planted.subjects[8] = "", ""  # unknown ones tell nothing
    (fault,) = found(planted.write(tmp_path / "set"))["shared"].faults
    assert fault.about == "xsub: subject 1 has 2 training and 1 test clips"
    assert fault.benchmark == "xsub"


def test_subjects_may_stand_on_both_sides_of_other_benchmarks(tmp_path: Path) -> None:
    planted = Planted()
    planted.subjects[7] = "1"
    assert with_faults(planted.write(tmp_path / "set", benchmark="random")) == {}


def test_equal_clips_are_found_within_and_across_parts(tmp_path: Path) -> None:
    planted = Planted()
    for copy, original in ((3, 0), (9, 0), (8, 7)):
        planted.joints[copy] = planted.joints[original]
    planted.labels[3] = planted.labels[0]
    data = planted.write(tmp_path / "set")
    findings = with_faults(data)
    assert list(findings) == ["leaks", "duplicates"]
    assert {(fault.clip, fault.other) for fault in findings["duplicates"].faults} == {(3, 0), (9, 0), (8, 7)}
    assert [(fault.clip, fault.other) for fault in findings["leaks"].faults] == [(9, 0)]
    told = {fault.clip: fault.about for fault in findings["duplicates"].faults}
    assert told[3] == "equals clip0"
    assert told[9] == "equals clip0, but is of class clap, not wave"
    repeats = count_repeats(data, examine(data))["xsub"]
    assert (repeats.train, repeats.test, repeats.leaks, repeats.near_leaks) == (1, 1, 1, 0)


@pytest.mark.parametrize(("millimetres", "clips"), [(0.9, 1), (1.1, 0)])
def test_a_near_duplicate_is_found_wherever_it_stands(millimetres: float, clips: int, tmp_path: Path) -> None:
    planted = Planted()
    twin = planted.joints[0].astype(np.float64)
    noise = np.random.default_rng(1).normal(size=twin.shape)
    noise -= noise.mean(axis=(0, 1, 2))
    noise *= millimetres / 1000 / np.linalg.norm(noise, axis=-1).mean()
    planted.joints[9] = (twin + noise + [0.5, -0.25, 1.0]).astype(np.float32)
    data = planted.write(tmp_path / "set")
    findings = found(data)
    assert [(fault.clip, fault.other) for fault in findings["near_duplicates"].faults] == [(9, 0)] * clips
    assert [fault.clip for fault in findings["leaks"].faults] == [9] * clips
    assert not findings["duplicates"].faults
    if clips:
        assert findings["near_duplicates"].faults[0].value == pytest.approx(millimetres / 1000, rel=1e-3)
        assert count_repeats(data, examine(data))["xsub"].near_leaks == 1


def test_a_copy_of_a_near_duplicate_leaks_too(tmp_path: Path) -> None:
    planted = Planted()
    planted.joints[6] = planted.joints[0] + np.float32(0.0001) * np.arange(3, dtype=np.float32)
    planted.joints[6][:, :, :5] += np.float32(0.001)
    planted.joints[9] = planted.joints[6]
    leaks = found(planted.write(tmp_path / "set"))["leaks"].faults
    assert {(fault.clip, fault.other) for fault in leaks} == {(6, 0), (9, 0)}


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_no_near_duplicate_is_missed(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    draws = np.random.default_rng(seed)
    originals = [moving(int(number), frames=6 + number % 2) for number in draws.integers(0, 99, 4)]
    planted = Planted()
    planted.joints = []
    for _ in range(24):
        joints = originals[draws.integers(4)]
        noise = draws.normal(size=joints.shape) * draws.choice([0.0002, 0.0004, 0.0006])
        noise += draws.normal(size=(1, 1, *joints.shape[2:])) * draws.choice([0.0, 0.0003])
        planted.joints.append((joints + noise + draws.normal(size=3)).astype(np.float32))
    planted.labels, planted.subjects = [0, 1] * 12, ["1"] * 24
    planted.train, planted.test = tuple(range(24)), ()
    data = planted.write(tmp_path_factory.mktemp("near") / "set")
    expected = set()
    for one in range(24):
        for other in range(one + 1, 24):
            a, b = (planted.joints[clip].astype(np.float64) for clip in (one, other))
            if a.shape == b.shape:
                apart = (a - a.mean(axis=(0, 1, 2))) - (b - b.mean(axis=(0, 1, 2)))
                if np.linalg.norm(apart, axis=-1).mean() < NEAR_METRES:
                    expected.add((other, one))
    assert {(fault.clip, fault.other) for fault in found(data)["near_duplicates"].faults} == expected


def test_too_many_near_duplicates_are_said_to_be_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MOST_PAIRS", 5)
    planted = Planted()
    planted.joints = [planted.joints[0] * np.float32(1 + number * 1e-5) for number in range(10)]
    finding = found(planted.write(tmp_path / "set"))["near_duplicates"]
    assert len(finding.faults) == 5
    assert finding.note == "not complete: there are too many to compare all"


def test_clips_are_told_apart_by_more_than_their_coordinates(tmp_path: Path) -> None:
    planted = Planted()
    planted.joints[0] = moving(0, frames=20)
    planted.joints[1] = np.concatenate((moving(0, frames=20), np.zeros((1, 1, 25, 3), np.float32)), axis=1)
    planted.joints[2] = np.concatenate((np.zeros((1, 1, 25, 3), np.float32), moving(0, frames=20)), axis=1)
    planted.joints[3] = np.concatenate((moving(0, frames=20), np.zeros((1, 20, 25, 3), np.float32)))
    findings = found(planted.write(tmp_path / "set"))
    assert not findings["duplicates"].faults
    (near,) = findings["near_duplicates"].faults  # a body that is absent throughout changes no coordinate
    assert (near.clip, near.other, near.value) == (3, 0, 0.0)


def test_near_duplicates_in_2d_are_near_by_the_size_of_bodies(tmp_path: Path) -> None:
    for number, (share, clips) in enumerate(((0.0004, 1), (0.0006, 0))):
        planted = Planted(coordinates=2)
        planted.joints = [joints * np.float32(0.1) for joints in planted.joints]
        data = planted.write(tmp_path / f"one{number}")
        size = count_contents(data).usual_size
        noise = np.random.default_rng(1).normal(size=planted.joints[0].shape)
        noise -= noise.mean(axis=(0, 1, 2))
        noise *= share * size / np.linalg.norm(noise, axis=-1).mean()
        planted.joints[9] = (planted.joints[0] + noise).astype(np.float32)
        findings = found(planted.write(tmp_path / f"two{number}"))
        assert findings["near_duplicates"].clips == clips
        assert findings["leaks"].clips == clips
        if clips:
            assert findings["leaks"].faults[0].about.startswith("xsub: 0.040 % of the body's size from clip0")


def test_empty_parts_and_classes_without_training_clips_are_found(tmp_path: Path) -> None:
    planted = Planted(test=())
    (fault,) = found(planted.write(tmp_path / "one"))["empty"].faults
    assert (fault.about, fault.benchmark) == ("xsub: the test part has no clip", "xsub")
    assert not found(planted.write(tmp_path / "all", benchmark="all"))["empty"].faults  # tests none on purpose
    data = planted.write(tmp_path / "pretrain", benchmark="all")
    data.benchmarks = {"all": SimpleNamespace(train=(), test=(), unlabelled=(0, 1))}
    assert not found(data)["empty"].faults
    planted.train, planted.test = (), tuple(range(4))
    (fault,) = found(planted.write(tmp_path / "two", benchmark="all"))["empty"].faults
    assert fault.about == "all: the train part has no clip"
    planted.train, planted.test = (0, 2, 4), (1, 6, 7)
    (fault,) = found(planted.write(tmp_path / "three"))["empty"].faults
    assert fault.about == "xsub: clap has 2 test clips and no training clip"


def test_what_was_made_up_missing_or_left_out_is_found_from_a_fifth_on(tmp_path: Path) -> None:
    frames = [FRAMES + number % 3 for number in range(10)]
    planted = Planted()
    planted.counts = {
        0: {FILLED_FRAMES: 5, MISSING_JOINTS: 101},
        2: {FILLED_FRAMES: 8, THINNED_FRAMES: 22},  # of twice as many frames
        3: {FILLED_FRAMES: 4, MISSING_JOINTS: 100},  # a fifth is none
        4: {EMPTY_FRAMES: 2 + frames[4] // 4},
        5: {BODIES: 1, BODY_FRAMES: 6},
        7: {EMPTY_FRAMES: 2, BODY_FRAMES: 3, BODIES: 3},
        8: {"columns not read: time": 1000},
    }
    findings = with_faults(planted.write(tmp_path / "set"))
    assert {name: [fault.clip for fault in finding.faults] for name, finding in findings.items()} == {
        "filled": [0],
        "missing": [0],
        "left_out": [4, 5],
    }
    assert findings["filled"].faults[0].about == "5 of 20 body-frames are filled in"
    assert findings["missing"].faults[0].about == "101 joints are missing, 20% of all"
    assert findings["left_out"].faults[0].about == "frames without a body: 7; 21 frames are kept"
    assert (
        findings["left_out"].faults[1].about == "bodies left out: 1, frames of bodies left out: 6; 22 frames are kept"
    )


def test_clips_without_a_label_are_of_no_class(tmp_path: Path) -> None:
    data = Planted().write(tmp_path / "set")
    data.labels = np.array([-1, -1, -1, 1, 0, 1, 0, 1, 0, 1])
    assert all(finding.faults == () for finding in examine(data))
    contents = count_contents(data)
    assert (contents.classes, contents.unlabelled) == ((("wave", 3), ("clap", 4)), 3)
    assert ("without a label", "3 clips") in contents.rows()
