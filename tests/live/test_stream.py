import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import own
import tiny
from long import long_one, train
from maskel import Stream, load_classifier
from maskel.commands.predict import predict
from maskel.commands.prepare import prepare
from maskel.datasets.folder import Folder
from maskel.datasets.synthetic import Synthetic, synthesize
from maskel.errors import InputError
from maskel.live import Update
from maskel.training.run import RunFolder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train(tmp_path_factory.mktemp("trained"), scale=0.001, fps=15.0, source_fps=30.0)


def played(stream: Stream, joints: np.ndarray, fps: float = 30.0, ids: Any = None) -> list[Update]:
    """All answers for a recording (M, T, V, C), frame by frame; who is all NaN in a frame is not pushed."""
    names = list(ids or ["1", "2", "3", "4"][: len(joints)])
    found = []
    for frame in range(joints.shape[1]):
        seen = [body for body in range(len(joints)) if not np.isnan(joints[body, frame]).all()]
        found += stream.push(joints[seen, frame], time=100 + frame / fps, ids=[names[body] for body in seen])
    return found


def predicted(run: RunFolder, joints: np.ndarray, folder: Path, **options: Any) -> list[dict[str, Any]]:
    own.write_array(folder / "long.npy", joints)
    given = {"per_body": True, "device": "cpu", "source_fps": 30.0} | options
    return json.loads(predict(run.path, folder / "long.npy", folder / "w.json", **given).read_text())


def assert_same(updates: list[Update], windows: list[dict[str, Any]], rate: float = 30.0) -> None:
    """The answers for every full window, but for the last of a stretch, which `predict` ends where that ends."""
    found = {(update.person, round((update.start - 100) * rate)): update for update in updates}
    assert len(found) == len(updates) > 0
    for window in windows:
        update = found.pop((window["person"], window["start_frame"]), None)
        if update is None:
            continue
        assert round((update.end - 100) * rate) == window["end_frame"] - 1
        shares = {one["class"]: one["probability"] for one in window["classes"]}
        for name, share in zip(("bow", "wave"), update.window, strict=True):
            assert share == pytest.approx(shares[name], abs=1e-6)
    assert not found


@pytest.mark.parametrize("fps", [None, 30.0])
def test_regular_frames_are_answered_as_predict_answers_windows(
    fps: float | None, trained: RunFolder, tmp_path: Path
) -> None:
    joints = long_one(2)
    joints[1, :40] = np.nan  # comes later
    joints[0, 51:54] = np.nan  # a short absence
    joints[0, 80:] = np.nan  # leaves
    if fps:  # single joints are filled in before frames are left out, so only where no frame is left out by the stream
        joints[:, 60:64, 5] = np.nan
    step = "8" if fps else "4"
    stream = Stream(trained.path, fps, window_length="24" if fps else "12", step=step)
    assert stream.forgets_after == pytest.approx(11 / (fps or 15))
    windows = predicted(trained, joints, tmp_path, window_length="24", step="8")
    updates = played(stream, joints)
    assert {update.person for update in updates} == {"1", "2"}
    if not fps:  # 10 frames of the stream are 20 of the recording, and its last frame of two stands for both
        for update in updates:
            object.__setattr__(update, "end", update.end + 1 / 30)
    assert_same(updates, windows)
    assert len(updates) > 8


def test_answers_are_smoothed_over_the_windows_of_a_window(trained: RunFolder) -> None:
    updates = played(Stream(trained.path, 30.0, "24", "8"), long_one())
    for number, update in enumerate(updates):
        mean = np.mean([other.window for other in updates[max(0, number - 2) : number + 1]], axis=0)
        np.testing.assert_allclose(update.probabilities, mean)
        assert update.label == mean.argmax()
        assert update.name == ("bow", "wave")[update.label]
        assert update.probability == mean.max()
        assert update.sure
    unsure = played(Stream(trained.path, 30.0, "24", "8", min_probability=1.0), long_one())
    assert not any(update.sure for update in unsure)


def test_a_classifier_of_a_published_data_set_watches_too(tmp_path: Path) -> None:
    synthesize(tmp_path / "raw", performers=2, replications=1, cameras=1, frames=(30, 34))
    prepare(Synthetic(), [tmp_path / "raw"], tmp_path / "set", workers=1)
    run = tiny.tiny_finetune(tmp_path / "set", tmp_path / "run", training=tiny.FINETUNE)
    with pytest.raises(InputError, match="does not say the frame rate of its training clips; give it as fps"):
        Stream(run.path)
    file = sorted((tmp_path / "raw").rglob("*.skeleton"))[0]
    (sequence,) = Synthetic().read(Synthetic().find([file.parent])[0])
    given = {"window_length": "16", "step": "4", "per_body": True, "device": "cpu"}
    windows = json.loads(predict(run.path, file, tmp_path / "w.json", **given).read_text())
    model = load_classifier(run.path)
    updates = played(Stream(model, 30.0, "16", "4"), sequence.joints.astype(np.float64) + 2)  # anywhere
    assert len(updates) > 2
    for update, window in zip(updates, windows, strict=False):
        shares = {one["class"]: one["probability"] for one in window["classes"]}
        for name, share in zip(model.label_spec.classes, update.window, strict=True):
            assert share == pytest.approx(shares.get(name, share), abs=1e-5)


def test_times_that_jitter_are_made_regular(trained: RunFolder) -> None:
    """A straight motion is the same whenever it is looked at."""
    draws = np.random.default_rng(0)
    rest, way = own.motion(1)[0] * 1000 + 4000, draws.normal(size=(17, 3)) * 300

    def answers(times: np.ndarray) -> list[np.ndarray]:
        stream = Stream(trained.path, 30.0, "24", "8")
        return [update.window for time in times for update in stream.push((rest + time * way)[None], time, ids=["ann"])]

    regular = answers(np.arange(80) / 30)
    jittered = answers(np.concatenate(([0], np.arange(1, 90) / 30 + draws.uniform(-0.012, 0.012, 89))))
    slow = answers(np.arange(50) / 17)
    assert len(regular) >= 7
    for other in (jittered, slow):
        assert len(other) >= len(regular)
        for one, two in zip(regular, other, strict=False):
            np.testing.assert_allclose(one, two, atol=1e-5)


def test_people_without_ids_are_followed_by_position(trained: RunFolder) -> None:
    joints = np.stack([own.motion(60, seed=body) + 3 * body for body in range(2)]) * 1000
    stream, named = Stream(trained.path, 30.0, "24", "8"), Stream(trained.path, 30.0, "24", "8")
    found: dict[str, list[np.ndarray]] = {"#1": [], "#2": [], "1": [], "2": []}
    draws = np.random.default_rng(0)
    for frame in range(60):
        order = draws.permutation(2) if frame else np.arange(2)
        for update in stream.push(joints[order, frame], frame / 30):
            found[update.person].append(update.window)
        for update in named.push(joints[:, frame], frame / 30, ids=[1, 2]):
            found[update.person].append(update.window)
    assert len(found["#1"]) == len(found["#2"]) > 3
    for number in "12":
        np.testing.assert_allclose(found[f"#{number}"], found[number], atol=1e-6)


def test_who_is_gone_is_forgotten_and_a_pause_begins_anew(trained: RunFolder) -> None:
    joints = long_one()[0]
    stream = Stream(trained.path, 30.0, "24", "8")
    for frame in range(30):
        stream.push(joints[[frame]], frame / 30, ids=["ann"])
    assert stream.people == ("ann",)
    for frame in range(30, 40):
        assert stream.push(np.zeros((0, 17, 3)), frame / 30) == []
    assert stream.people == ("ann",)
    stream.push([], 40 / 30, ids=[])
    assert stream.people == ()
    for start in (1e6, 1e12):  # years later: no frame in between is made up
        updates = [
            update for frame in range(24) for update in stream.push(joints[[frame]], start + frame / 30, ids=["ann"])
        ]
        assert len(updates) == 1
        assert updates[0].start == pytest.approx(start, abs=0.1)
        np.testing.assert_array_equal(updates[0].window, updates[0].probabilities)


def test_memory_does_not_grow(trained: RunFolder) -> None:
    stream = Stream(trained.path, 30.0, "8", "8")
    body = own.motion(1) * 1000 + 4000
    sizes = []
    tracemalloc.start()
    try:
        for part in range(3):
            for frame in range(40):
                number = 40 * part + frame
                stream.push(body + number % 7, number / 30, ids=[f"new{number // 9}"])
                stream.push([], number / 30 + 0.01)
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert sizes[2] < sizes[0] + 20_000
    assert len(stream.people) < 5


def test_a_crowd_is_cut_and_counted(trained: RunFolder) -> None:
    stream = Stream(trained.path, 30.0, "8", "8")
    body = own.motion(1) * 1000 + 4000
    crowd = np.repeat(body, 10_000, 0)
    stream.push(body, 0.0, ids=[9_999])
    stream.push(crowd, 1 / 30, ids=range(10_000))
    assert stream.left_out == 10_000 - 32
    assert "9999" in stream.people
    assert len(stream.people) == 32
    stream.push(crowd, 2 / 30)
    assert stream.left_out > 2 * (10_000 - 33)


@pytest.mark.parametrize(
    ("joints", "time", "ids", "message"),
    [
        (None, 0.5, None, "found a frame at 0.5 s after one at 1 s, expected a later one"),
        (None, 1.0, None, "found a frame at 1 s after one at 1 s"),
        (None, float("nan"), None, "found time nan, expected seconds"),
        (None, float("inf"), None, "found time inf"),
        (
            np.zeros((1, 16, 3)),
            2.0,
            None,
            r"found joints \(1, 16, 3\), expected joints \(P, 17, 3 or 4\) of layout coco17",
        ),
        (np.zeros((1, 17, 2)), 2.0, None, r"found joints \(1, 17, 2\)"),
        (np.zeros((17, 3)), 2.0, None, r"found joints \(17, 3\)"),
        (np.full((1, 17, 3), np.inf), 2.0, None, "found a joint at inf, expected positions"),
        ("waving", 2.0, None, "no array of numbers"),
        (np.zeros((1, 17, 4)), 2.0, None, "found joints with scores after frames without them"),
        (None, 2.0, ["a", "b"], "found 2 ids of 1 people"),
        (None, 2.0, [1.5], "found a person called '1.5'"),
        (np.ones((2, 17, 3)), 2.0, ["a", "a"], "found two people called 'a' in one frame"),
        (None, 2.0, ["#1"], "found a person called '#1', which already stands for somebody without a name"),
    ],
)
def test_a_frame_that_cannot_be_is_refused_and_the_next_may_follow(
    joints: Any, time: Any, ids: Any, message: str, trained: RunFolder
) -> None:
    body = own.motion(1) * 1000 + 4000
    stream = Stream(trained.path, 30.0)
    stream.push(body, 1.0)
    with pytest.raises(InputError, match=message):
        stream.push(body if joints is None else joints, time, ids)
    stream.push(body, 1 + 1 / 30)
    assert stream.people == ("#1",)


def test_nobody_and_missing_joints_are_no_people(trained: RunFolder) -> None:
    stream = Stream(trained.path, 30.0, "4", "4")
    for frame in range(9):
        assert stream.push(np.full((3, 17, 3), np.nan), frame / 30, ids=["a", "b", None]) == []
    assert stream.people == ()
    for frame in range(9, 20):
        assert stream.push(np.zeros((1, 17, 3)), frame / 30, ids=["a"]) == []  # all joints missing


def test_a_classifier_that_cannot_watch_is_refused(prepared: Path, tmp_path: Path, trained: RunFolder) -> None:
    run = tiny.tiny_finetune(prepared, tmp_path / "run")
    with pytest.raises(InputError, match="does not record how its training joints were made"):
        Stream(run.path)
    for options, message in (
        ({"fps": 0.0}, "fps: found 0.0"),
        ({"min_probability": 2.0}, "min_probability: found 2.0"),
        ({"window_length": "x"}, "window_length: found 'x'"),
        ({"window_length": "4", "step": "5"}, "step: found 5 frames, expected at most the 4"),
    ):
        with pytest.raises(InputError, match=message):
            Stream(trained.path, **options)


def test_scores_of_the_detector_are_used(tmp_path: Path) -> None:
    for number in range(6):
        body = np.concatenate((own.motion(24, seed=number), np.full((24, 17, 1), 0.9)), -1)
        own.write_array(tmp_path / "clips" / ("wave", "bow")[number % 2] / "abc"[number // 2] / f"{number}.npy", body)
    source = Folder("coco17", test_subjects=["c"], min_score=0.5, fps=30.0, source_fps=30.0)
    prepare(source, [tmp_path / "clips"], tmp_path / "set", workers=1)
    run = tiny.tiny_finetune(tmp_path / "set", tmp_path / "run")
    joints = np.concatenate((long_one()[..., :] / 1000, np.full((1, 100, 17, 1), 0.9)), -1)
    joints[0, 30:33, 4] = (9, 9, 9, 0.1)  # not sure enough
    windows = predicted(run, joints, tmp_path, window_length="24", step="8")
    assert_same(played(Stream(run.path, None, "24", "8"), joints), windows)
    with pytest.raises(InputError, match=r"expected joints \(P, 17, 4\) of layout coco17: x, y, z and score"):
        Stream(run.path).push(joints[:, 0, :, :3], 0.0)
