"""Every command in the table of forms in docs/data.md runs on a file of that form, and gives joints of its layout."""

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

import own
import published
import tracked
from captured import bvh, c3d
from maskel import cli
from maskel.datasets.florence import FILE
from maskel.datasets.folder.bvh import MOTIONBUILDER
from maskel.datasets.folder.translation import AZURE_NAMES
from maskel.datasets.store import SkeletonSet
from maskel.layouts import COCO17

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


def rows() -> dict[str, tuple[str, str]]:
    """Command and layout of each form in the table."""
    text = PAGE.read_text().partition("## Files of tools and other data sets")[2].partition("\n## ")[0]
    table = text.partition("| form | where from | command | layout |")[2].partition("\n\n")[0]
    lines = [re.split(r"\s*\|\s*", line.strip().strip("|").strip()) for line in table.strip().splitlines()[1:]]
    return {form: (command.strip("`"), layout.strip("`")) for form, _, command, layout in lines}


def pixels(joints: int, frames: int = 6) -> np.ndarray:
    return (500 + 800 * own.motion(frames, joints, 2)).round(2)


def openpose(joints: int, key: str) -> None:
    for frame, body in enumerate(pixels(joints)):
        content = {"version": 1.3, "people": [{key: own.flat(body)}]}
        own.write(Path("recordings/wave/take") / f"take_{frame:012}_keypoints.json", content)


def one(name: str, content: Any) -> Callable[[], object]:
    return lambda: own.write(Path("recordings/wave") / name, content)


def saved(body: np.ndarray) -> None:
    own.write_array(Path("recordings/wave/a.npy"), body)


def matlab() -> None:
    Path("recordings/wave").mkdir(parents=True)
    scipy.io.savemat("recordings/wave/a.mat", {"joints": own.motion(30, 20)})


def pickles() -> None:
    for number, part in enumerate(("train", "val")):
        about = {"frame_dir": part, "label": 0, "img_shape": (1080, 1920), "total_frames": 6}
        content = {**about, "keypoint": pixels(17)[None] + number, "keypoint_score": np.ones((1, 6, 17))}
        own.write(Path(part) / f"{part}.pkl", pickle.dumps(content))


def columns(*channels: str) -> list[str]:
    return [f"{joint}{channel}" for joint in COCO17.joints for channel in channels]


def deeplabcut() -> str:
    parts, coords = [joint for joint in COCO17.joints for _ in range(3)], ["x", "y", "likelihood"] * 17
    heads = [["scorer", *["net"] * 51], ["bodyparts", *parts], ["coords", *coords]]
    return own.table([*heads, *([frame, *own.flat(body)] for frame, body in enumerate(pixels(17)))])


def sleap() -> str:
    lines = [["track_0", frame, 0.9, *own.flat(body)] for frame, body in enumerate(pixels(17))]
    return own.table([["track", "frame_idx", "instance.score", *columns(".x", ".y", ".score")], *lines])


def millimetres(frames: np.ndarray) -> dict[str, Any]:
    bodies = [[{"body_id": 1, "joint_positions": (1000 * body).tolist()}] for body in frames]
    listed = [{"frame_id": frame, "num_bodies": 1, "bodies": body} for frame, body in enumerate(bodies)]
    return {"frames": listed, "joint_names": AZURE_NAMES}


def ultralytics() -> list[str]:
    return [
        json.dumps([{"name": "person", "keypoints": {"x": x, "y": y, "visible": [0.9] * 17}}])
        for x, y in pixels(17).swapaxes(1, 2).tolist()
    ]


def labels() -> None:
    for frame, body in enumerate(own.motion(6, 17, 2), 1):
        joints = np.column_stack((body, np.full(17, 0.9))).ravel()
        text = " ".join(f"{number:g}" for number in (0, 0.5, 0.5, 0.2, 0.6, *joints, 1))
        own.write(Path("recordings/wave") / f"a_{frame}.txt", text)


def mmpose() -> dict[str, Any]:
    people = [{"keypoints": body, "keypoint_scores": [0.9] * 17} for body in pixels(17).tolist()]
    return {"meta_info": {}, "instance_info": [{"frame_id": n, "instances": [who]} for n, who in enumerate(people)]}


def alphapose(joints: int) -> list[dict[str, Any]]:
    return [
        {"image_id": f"{n}.jpg", "category_id": 1, "keypoints": own.flat(body), "score": 2.9, "idx": 1}
        for n, body in enumerate(pixels(joints))
    ]


def archive(name: str, **takes: Any) -> Callable[[], object]:
    return lambda: published.h36m(Path(name), {"S1": takes, "S9": takes})


CMU = {f"{n}.jpg": {"version": "0.3", "bodies": [{"joints": own.flat(body)}]} for n, body in enumerate(pixels(18))}
WORLD = [{"pose_world_landmarks": own.landmarks(body)} for body in own.motion(6, 33)]
FILES: dict[str, Callable[[], object]] = {
    "OpenPose, a file a frame": lambda: openpose(25, "pose_keypoints_2d"),
    "OpenPose before 1.2 (`pose_keypoints`)": lambda: openpose(18, "pose_keypoints"),
    "MediaPipe Pose, landmarks in the world": one("a.json", WORLD),
    "MMPose, RTMPose": one("a.json", mmpose()),
    "Ultralytics": one("a.json", ultralytics()),
    "Ultralytics, `.txt`": labels,
    "AlphaPose, Halpe's 26 joints": one("alphapose-results.json", alphapose(26)),
    "AlphaPose, form `cmu`": one("alphapose-results.json", CMU),
    "Azure Kinect": one("a.json", millimetres(own.motion(6, 32))),
    "DeepLabCut, `.csv`": one("aDLC.csv", deeplabcut()),
    "DeepLabCut, `.h5`": lambda: tracked.deeplabcut(Path("recordings/wave/aDLC.h5"), {"": pixels(17)}),
    "SLEAP, `.csv`": one("a.analysis.csv", sleap()),
    "SLEAP, `.h5`": lambda: tracked.sleap(Path("recordings/wave/a.analysis.h5"), {"track_0": pixels(17)}),
    "BVH": one("a.bvh", bvh(MOTIONBUILDER, size=100)),
    "C3D": one("a.c3d", c3d(1000 * own.motion(6, 17), COCO17.joints)),
    "SMPL-H's joints": lambda: saved(own.motion(6, 52)),
    "MATLAB, `.mat`": matlab,
    "Kinetics-Skeleton": lambda: published.kinetics_set(
        Path("kinetics-skeleton"), train=own.motion(6, 18, 2), val=own.motion(6, 18, 2)
    ),
    "Kinetics-Skeleton's form, own videos": one("a.json", published.kinetics(own.motion(6, 18, 2))),
    "MMAction2, a pickle a clip": pickles,
    "VideoPose3D's Human3.6M": archive("data_3d_h36m.npz", Eating=own.motion(6, 32)),
    "VideoPose3D's key points": archive("data_2d_h36m_gt.npz", Eating=[pixels(17) / 2] * 4),
    "UTD-MHAD": lambda: [published.utd_mhad(Path("Skeleton"), f"a1_s{n}_t1_skeleton.mat") for n in (1, 2)],
    "UTKinect-Action3D": lambda: published.utkinect(Path("UTKinect"), own.motion(10, 20)),
    "Florence 3D Actions": lambda: own.write(Path(FILE), published.florence({(1, 1, 1): 1000 * own.motion(5, 15)})),
    "ETRI-Activity3D": lambda: [
        own.write(Path("P001-P010") / f"A001_P{n:03}_G001_C001.csv", published.etri(own.motion(6, 25))) for n in (1, 3)
    ],
    "Toyota Smarthome, trimmed": lambda: [
        own.write(Path("skeleton_v12") / f"Walk_p0{n}_r00_v02_c03_pose3d.json", published.smarthome(own.motion(6, 13)))
        for n in (2, 3)
    ],
}


def test_the_table_has_the_forms_that_are_tried() -> None:
    assert list(rows()) == list(FILES)


@pytest.mark.parametrize("form", FILES)
def test_the_command_of_the_table_reads_the_form(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "`.h5`" in form:
        pytest.importorskip("h5py", reason='needs h5py: pip install "maskel[h5]"')
    monkeypatch.chdir(tmp_path)
    FILES[form]()
    command, layout = rows()[form]
    program, *arguments = command.split()
    assert program == "maskel"
    assert cli.main([*arguments, "--strict", "--workers", "1", "--out", "set"]) == 0, capsys.readouterr().err
    found = SkeletonSet.open(tmp_path / "set")
    assert found.layout.name == layout
    assert all(np.isfinite(found.sequence(place).joints).all() for place in range(len(found)))
    largest = max(np.abs(found.sequence(place).joints).max() for place in range(len(found)))
    assert 0.1 < largest < 5  # metres, or halves of the image


def test_parameters_of_smpl_are_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recordings/walk").mkdir(parents=True)
    amass = {"poses": np.zeros((6, 156)), "trans": np.zeros((6, 3)), "betas": np.zeros(16)}
    np.savez("recordings/walk/a_poses.npz", **amass, gender="male", mocap_framerate=120.0)
    assert cli.main(["prepare", "folder", "recordings", "--layout", "smplh52", "--strict", "--out", "set"]) == 2
    said = capsys.readouterr().err
    assert "parameters of SMPL's body model, not positions" in said
    assert "(T, 52, 3) for smplh52" in said
