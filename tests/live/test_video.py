"""Videos, pose estimators and growing files, with libraries of other people replaced by recorded answers."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

import own
import tiny
from long import long_one, train
from maskel import Stream
from maskel.commands.pose import pose
from maskel.commands.prepare import prepare
from maskel.commands.watch import watch
from maskel.datasets.base import RawFile
from maskel.datasets.folder import Folder
from maskel.errors import InputError
from maskel.live.estimator import open_estimator
from maskel.live.inputs import LONGEST, followed_lines
from maskel.live.video import Video
from maskel.training.run import RunFolder

Run = Callable[..., tuple[int, str]]

SIZE = (64, 48)  # width and height


class Capture:
    """What OpenCV reads of a video: every image is of one colour, its number."""

    decodable: ClassVar[int] = 100
    declared: ClassVar[int] = 100
    fps: ClassVar[float] = 30.0

    def __init__(self, source: int | str) -> None:
        self.source, self.number = source, 0

    def isOpened(self) -> bool:
        return self.source == 0 or "bad" not in str(self.source)

    def read(self) -> tuple[bool, np.ndarray | None]:
        if self.number >= self.decodable:
            return False, None
        self.number += 1
        image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        image[...] = (self.number - 1, 1, 2)  # blue, green, red
        return True, image

    def get(self, what: int) -> float:
        return {5: self.fps, 7: float(self.declared)}[what]

    def release(self) -> None:
        pass


@pytest.fixture
def opencv(monkeypatch: pytest.MonkeyPatch) -> type[Capture]:
    module = ModuleType("cv2")
    capture = type("Recorded", (Capture,), {})
    vars(module).update(VideoCapture=capture, CAP_PROP_FPS=5, CAP_PROP_FRAME_COUNT=7)
    monkeypatch.setitem(sys.modules, "cv2", module)
    return capture


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train(tmp_path_factory.mktemp("trained"), scale=0.001, fps=15.0, source_fps=30.0)


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A classifier of people in images of 640 x 480."""
    folder = tmp_path_factory.mktemp("flat")
    for number in range(4):
        body = own.motion(24 + number, coordinates=2, seed=number) * 400
        own.write_array(folder / "clips" / ("wave", "bow")[number % 2] / "ab"[number // 2] / f"{number}.npy", body)
    source = Folder("coco17", test_subjects=["b"], image_size=(640, 480), fps=30.0, source_fps=30.0)
    prepare(source, [folder / "clips"], folder / "set", workers=1)
    training = tiny.FINETUNE
    return tiny.tiny_finetune(folder / "set", folder / "run", training=training.__class__(epochs=1, batch_size=2))


class Recorded:
    """An estimator that knows the answers: for image number n the bodies (M, T, V, C) at frame n."""

    layout = "coco17"

    def __init__(self, bodies: np.ndarray) -> None:
        self.bodies, self.coordinates = bodies, bodies.shape[-1]

    def __call__(self, image: np.ndarray, time: float) -> np.ndarray:
        assert image.shape == (SIZE[1], SIZE[0], 3)
        assert image.dtype == np.uint8
        assert tuple(image[0, 0, :2]) == (2, 1)  # red first
        number = int(image[0, 0, 2])
        joints = self.bodies[:, number]
        return np.concatenate((joints, np.ones_like(joints[..., :1])), -1)


def test_images_come_once_each_in_red_green_blue(opencv: type[Capture], tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    video = Video(str(tmp_path / "a.mp4"))
    frames = list(video)
    assert (video.size, video.rate, len(frames)) == (SIZE, 30.0, 100)
    assert [int(frame.image[0, 0, 2]) for frame in frames] == list(range(100))
    assert [frame.time for frame in frames] == pytest.approx([number / 30 for number in range(100)])
    camera = Video("0")
    assert (camera.camera, camera.rate) == (True, None)
    times = [frame.time for frame in camera]
    assert times == sorted(times)


def test_what_cannot_be_decoded_is_one_sentence(
    opencv: type[Capture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(InputError, match="no such video; expected a file, or the number of a camera"):
        Video(str(tmp_path / "none.mp4"))
    (tmp_path / "bad.mp4").touch()
    with pytest.raises(InputError, match="this file cannot be decoded as a video"):
        Video(str(tmp_path / "bad.mp4"))
    (tmp_path / "a.mp4").touch()
    monkeypatch.setattr(opencv, "fps", 0.0)
    with pytest.raises(InputError, match="does not say its images a second; give maskel pose --source-fps"):
        Video(str(tmp_path / "a.mp4"))
    assert Video(str(tmp_path / "a.mp4"), fps=25.0).rate == 25.0
    monkeypatch.setattr(opencv, "fps", 30.0)
    monkeypatch.setattr(opencv, "declared", 200)
    assert len(list(Video(str(tmp_path / "a.mp4")))) == 100
    assert "100 of 200 images can be decoded; the rest is left out" in capsys.readouterr().err
    monkeypatch.setattr(opencv, "decodable", 0)
    with pytest.raises(InputError, match="this file cannot be decoded"):
        Video(str(tmp_path / "a.mp4"))
    with pytest.raises(InputError, match="0: this camera cannot be opened, or gives no image"):
        Video("0")


def test_without_opencv_one_sentence_says_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r"opencv is not installed, .* pip install 'maskel\[video\]'"):
        Video("0")


def test_a_real_file_is_decoded(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="reading a real video needs the extra video")
    file = tmp_path / "real.avi"
    out = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 25, SIZE)
    for number in range(5):
        out.write(np.full((SIZE[1], SIZE[0], 3), 40 * number, np.uint8))
    out.release()
    video = Video(str(file))
    means = [frame.image.mean() for frame in video]
    assert (video.rate, video.size) == (25.0, SIZE)
    assert means == pytest.approx([0, 40, 80, 120, 160], abs=3)
    own.write(tmp_path / "text.mp4", "no video at all")
    with pytest.raises(InputError, match="cannot be decoded as a video"):
        Video(str(tmp_path / "text.mp4"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return own.write(tmp_path / "a model.bin", b"weights")


def landmark(values: Any) -> SimpleNamespace:
    return SimpleNamespace(x=values[0], y=values[1], z=values[2], visibility=values[3])


def test_mediapipe_is_asked_for_people_at_times_that_grow(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []
    body = np.random.default_rng(0).random((33, 4))

    class Landmarker:
        @classmethod
        def create_from_options(cls, options: Any) -> "Landmarker":
            asked.append((options.base_options.model_asset_path, options.num_poses))
            return cls()

        def detect_for_video(self, image: Any, milliseconds: int) -> SimpleNamespace:
            asked.append((image.data.shape, milliseconds))
            people = [[landmark(row) for row in body]] * (len(asked) - 2)
            return SimpleNamespace(pose_landmarks=people, pose_world_landmarks=people)

    vision = SimpleNamespace(
        PoseLandmarkerOptions=SimpleNamespace, PoseLandmarker=Landmarker, RunningMode=SimpleNamespace(VIDEO="video")
    )
    whole, tasks, python = ModuleType("mediapipe"), ModuleType("mediapipe.tasks"), ModuleType("mediapipe.tasks.python")
    vars(whole).update(Image=SimpleNamespace, ImageFormat=SimpleNamespace(SRGB=1))
    vars(python).update(BaseOptions=SimpleNamespace, vision=vision)
    for module in (whole, tasks, python):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    made = open_estimator("mediapipe", [model])
    image = np.zeros((48, 64, 3), np.uint8)
    assert (made.layout, made.coordinates) == ("mediapipe33", 3)
    assert made(image, 0.0).shape == (0, 33, 4)
    np.testing.assert_array_equal(made(image, 0.0001), body[None])
    assert made(image, 1.0).shape == (2, 33, 4)
    assert asked == [(str(model), 4), ((48, 64, 3), 0), ((48, 64, 3), 1), ((48, 64, 3), 1000)]
    asked.clear()
    flat = open_estimator("mediapipe", [model], coordinates=2)
    assert flat(image, 0.0).shape == (0, 33, 3)
    np.testing.assert_allclose(flat(image, 0.1)[0], np.column_stack((body[:, 0] * 64, body[:, 1] * 48, body[:, 3])))


def test_rtmlib_is_asked_about_the_people_that_are_there(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    made: list[Any] = []

    class Tool:
        def __init__(self, file: str, model_input_size: tuple[int, int], backend: str, device: str) -> None:
            print("load", file)  # noqa: T201  # as it does
            self.model_input_size, self.shape = model_input_size, (17, 2)
            self.session = SimpleNamespace(get_inputs=lambda: [SimpleNamespace(shape=[1, 3, 384, 288])])
            self.boxes: list[list[int]] = []
            made.append(self)

        def __call__(self, image: np.ndarray, bboxes: Any = None) -> Any:
            assert tuple(image[0, 0]) == (2, 1, 0)  # blue first
            if bboxes is None:
                return self.boxes
            return np.ones((len(bboxes), *self.shape)), np.full((len(bboxes), self.shape[0]), 0.5)

    module = ModuleType("rtmlib")
    vars(module).update(YOLOX=Tool, RTMPose=Tool)
    monkeypatch.setitem(sys.modules, "rtmlib", module)
    estimator = open_estimator("rtmlib", [model, model], coordinates=2)
    assert capsys.readouterr().out == ""  # standard output is for answers
    assert [tool.model_input_size for tool in made] == [(288, 384)] * 2
    image = np.tile(np.array([0, 1, 2], np.uint8), (48, 64, 1))
    assert estimator(image, 0.0).shape == (0, 17, 3)
    made[0].boxes = [[0, 0, 9, 9], [9, 9, 20, 20]]
    found = estimator(image, 0.1)
    assert found.shape == (2, 17, 3)
    assert found[0, 0].tolist() == [1, 1, 0.5]
    made[1].shape = (133, 2)
    with pytest.raises(InputError, match=r"the model gives keypoints \(133, 2\), expected 17 of COCO"):
        estimator(image, 0.2)
    with pytest.raises(InputError, match="rtmlib gives keypoints of 2 coordinates, found 3 wanted"):
        open_estimator("rtmlib", [model, model], coordinates=3)


def test_ultralytics_fetches_nothing_and_gives_coco(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [None, np.ones((2, 17, 3)), np.ones((1, 21, 3))]

    class Keypoints:
        def __init__(self, values: np.ndarray) -> None:
            self.data = SimpleNamespace(cpu=lambda: SimpleNamespace(numpy=lambda: values))

    class Yolo:
        def __init__(self, file: str, task: str) -> None:
            import os

            assert (file, task, os.environ["YOLO_OFFLINE"]) == (str(model), "pose", "true")

        def __call__(self, image: np.ndarray, verbose: bool) -> list[SimpleNamespace]:
            values = answers.pop(0)
            boxes = [] if values is None else values
            return [SimpleNamespace(keypoints=None if values is None else Keypoints(values), boxes=boxes)]

    module = ModuleType("ultralytics")
    vars(module).update(YOLO=Yolo)
    monkeypatch.setitem(sys.modules, "ultralytics", module)
    monkeypatch.delenv("YOLO_OFFLINE", raising=False)
    estimator, image = open_estimator("ultralytics", [model]), np.zeros((48, 64, 3), np.uint8)
    assert estimator(image, 0.0).shape == (0, 17, 3)
    assert estimator(image, 0.1).shape == (2, 17, 3)
    with pytest.raises(InputError, match=r"the model gives keypoints \(21, 3\)"):
        estimator(image, 0.2)


def test_no_model_is_fetched_and_faults_are_one_sentence(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mediapipe", "rtmlib", "ultralytics"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(InputError, match=f"found 0 files, expected for {name} .*; none is fetched"):
            open_estimator(name, [])
        models = [tmp_path / "none"] * (2 if name == "rtmlib" else 1)
        with pytest.raises(InputError, match=f"none: no such file, expected for {name} .*; none is fetched"):
            open_estimator(name, models)
        with pytest.raises(
            InputError, match=f"is not installed, which the estimator {name} needs; .*pip install {name}"
        ):
            open_estimator(name, [model] * len(models))

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no\nmodel")

    module = ModuleType("ultralytics")
    vars(module).update(YOLO=broken)
    monkeypatch.setitem(sys.modules, "ultralytics", module)
    with pytest.raises(
        InputError, match=r"ultralytics cannot use it \(no model\); expected the weights of a YOLO pose"
    ):
        open_estimator("ultralytics", [model])


@pytest.fixture
def estimator(monkeypatch: pytest.MonkeyPatch) -> Callable[[np.ndarray], None]:
    """Makes bodies (M, T, V, C) what any estimator finds."""

    def put(bodies: np.ndarray) -> None:
        for module in ("watch", "pose"):
            monkeypatch.setattr(f"maskel.commands.{module}.open_estimator", lambda *_: Recorded(bodies))

    return put


def test_a_video_is_watched_as_its_keypoints_are(
    trained: RunFolder, opencv: type[Capture], estimator: Callable[[np.ndarray], None], tmp_path: Path, run: Run
) -> None:
    bodies = long_one(2)
    estimator(bodies)
    (tmp_path / "a.mp4").touch()
    options = ("--fps=30", "--window-length=24", "--step=8", "--device=cpu", "--estimator=rtmlib", "--model", "m")
    code, said = run("watch", "--classifier", trained.path, "--video", tmp_path / "a.mp4", *options)
    assert code == 0, said
    answers = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    stream = Stream(trained.path, 30.0, "24", "8")
    scored = np.concatenate((bodies, np.ones_like(bodies[..., :1])), -1)
    expected = [one for frame in range(100) for one in stream.push(scored[:, frame], frame / 30)]
    assert [(one["person"], one["probability"]) for one in answers] == [
        (one.person, round(one.probability, 6)) for one in expected
    ]
    assert len(answers) > 10
    assert "100 frames" in said


def test_pixels_are_those_of_the_video_not_of_the_training(
    flat: RunFolder, opencv: type[Capture], estimator: Callable[[np.ndarray], None], tmp_path: Path, run: Run
) -> None:
    """The same person in images half as large has the same classes."""
    body = own.motion(100, coordinates=2, seed=5)[None]
    (tmp_path / "a.mp4").touch()
    found = []
    for scale in (1.0, 0.1):
        estimator(body * 400 * scale)
        if scale == 0.1:
            code, said = run(
                "watch", "--classifier", flat.path, "--video", tmp_path / "a.mp4", "--estimator=rtmlib", "--model", "m",
                "--window-length=24", "--device=cpu",
            )  # fmt: skip
            assert code == 0, said
            found.append([json.loads(line)["probability"] for line in said.splitlines() if line.startswith("{")])
        else:
            stream = Stream(flat.path, 30.0, "24")
            scored = np.concatenate((body * 400, np.ones_like(body[..., :1])), -1)
            updates = [one for frame in range(100) for one in stream.push(scored[:, frame], frame / 30)]
            found.append([one.probability for one in updates])
    assert len(found[0]) > 5
    assert found[1] == pytest.approx(found[0], abs=1e-5)


def test_another_layout_or_dimension_is_refused(
    trained: RunFolder, opencv: type[Capture], estimator: Callable[[np.ndarray], None], tmp_path: Path, run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "a.mp4").touch()
    estimator(long_one())
    monkeypatch.setattr(Recorded, "layout", "mediapipe33")
    given = ("watch", "--classifier", trained.path, "--video", tmp_path / "a.mp4", "--estimator=rtmlib", "--model", "m")
    code, said = run(*given)
    assert (code, "the classifier reads coco17, rtmlib gives mediapipe33" in said) == (2, True)
    for options, message in (
        (("--video", "0"), "a --video needs an --estimator"),
        (("--follow", "f", "--video", "0"), "found --follow and --video, expected one input"),
        (("--estimator", "rtmlib"), "--estimator and --model are for a --video"),
        (("--patience", "3"), "expected seconds of 0 or more, and a file to --follow"),
        (("--follow", tmp_path / "none"), "no such file to follow"),
    ):
        code, said = run("watch", "--classifier", trained.path, *options)
        assert (code, message in said) == (2, True), said


def test_poses_of_a_video_are_read_by_prepare(
    opencv: type[Capture], estimator: Callable[[np.ndarray], None], tmp_path: Path, run: Run
) -> None:
    bodies = long_one(2)[:, :, :, :] / 1000
    estimator(bodies)
    (tmp_path / "a.mp4").touch()
    out = tmp_path / "poses" / "a.json"
    code, said = run("pose", tmp_path / "a.mp4", "--estimator=rtmlib", "--model", "m", "--out", out)
    assert code == 0, said
    assert "100 images, 0 of them without anybody, at most 2 people in one" in said
    assert "--layout coco17 --source-fps 30" in said
    (sequence,) = own.found(out, "coco17", centre=False).read(RawFile(out))
    assert sequence.joints.shape == (2, 100, 17, 3)
    np.testing.assert_allclose(sequence.joints, bodies, atol=1e-5)


def test_flat_poses_say_the_size_of_the_image_and_nobody_is_refused(
    opencv: type[Capture], estimator: Callable[[np.ndarray], None], tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").touch()
    estimator(own.motion(100, coordinates=2)[None] * 40)
    found = pose(str(tmp_path / "a.mp4"), tmp_path / "a.json", "rtmlib", [Path("m")])
    assert found.options == "--layout coco17 --image-size 64 48 --source-fps 30"
    estimator(np.zeros((0, 100, 17, 2)))
    with pytest.raises(InputError, match="rtmlib finds nobody in 100 images; nothing is written"):
        pose(str(tmp_path / "a.mp4"), tmp_path / "b.json", "rtmlib", [Path("m")])
    assert not (tmp_path / "b.json").exists()


def test_an_estimator_that_fails_is_one_sentence(
    trained: RunFolder, opencv: type[Capture], tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(image: np.ndarray, time: float) -> np.ndarray:
        raise RuntimeError("out of\nmemory")

    fails.layout, fails.coordinates = "coco17", 3  # type: ignore[attr-defined]
    (tmp_path / "a.mp4").touch()
    for module in ("watch", "pose"):
        monkeypatch.setattr(f"maskel.commands.{module}.open_estimator", lambda *_: fails)
    for command in (("watch", "--classifier", trained.path, "--video"), ("pose", "--out", tmp_path / "a.json")):
        code, said = run(*command, tmp_path / "a.mp4", "--estimator=rtmlib", "--model", "m")
        assert code == 2
        assert "a.mp4: the pose estimator fails (" in said
        assert said.count("\n") <= 2
    assert not (tmp_path / "a.json").exists()


def test_a_file_that_grows_is_followed(trained: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    joints = long_one()
    lines = [
        json.dumps({"time": frame / 30, "people": [{"id": 1, "joints": joints[0, frame].tolist()}]}).encode() + b"\n"
        for frame in range(100)
    ]
    file = tmp_path / "grows.jsonl"
    file.write_bytes(b"".join(lines[:40]) + lines[40][:50])

    def grow() -> None:
        for part in (lines[40][50:], *lines[41:99], lines[99].rstrip()):
            time.sleep(0.002)
            with file.open("ab") as opened:
                opened.write(part)

    writer = threading.Thread(target=grow)
    writer.start()
    watched = watch(trained.path, 30.0, "24", "8", follow=file, patience=1.0, device="cpu")
    writer.join()
    stream = Stream(trained.path, 30.0, "24", "8")
    expected = [one for frame in range(100) for one in stream.push(joints[:, frame], frame / 30, ids=["1"])]
    assert (watched.frames, watched.updates) == (100, len(expected))
    assert len(capsys.readouterr().out.splitlines()) == len(expected)


def test_a_followed_file_may_not_shrink_and_bad_lines_are_named(trained: RunFolder, tmp_path: Path) -> None:
    file = own.write(tmp_path / "f.jsonl", '{"time": 0, "people": []}\n' * 3)
    lines: Iterator[Any] = followed_lines(file, None)
    assert [next(lines).where for _ in range(3)] == [f"line {number} of {file}" for number in (1, 2, 3)]
    file.write_text("")
    with pytest.raises(InputError, match="was removed or shortened after line 3, expected it to grow"):
        next(lines)
    own.write(file, '{"time": 0, "people": []}\n{"time": 0, "people": []}\n')
    with pytest.raises(InputError, match=r"line 2 of .*f\.jsonl: found a frame at 0 s after one at 0 s"):
        watch(trained.path, 30.0, follow=file, patience=0.0, device="cpu")
    with file.open("wb") as opened:
        opened.write(b"x" * (LONGEST + 10))
    with pytest.raises(InputError, match=r"line 1 of .*: found more than"):
        watch(trained.path, 30.0, follow=file, patience=0.0, device="cpu")
