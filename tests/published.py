"""Files of published data sets, generated: named and written as the authors' are."""

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

import own
from maskel.datasets.utd_mhad import ORDER
from maskel.layouts import KINECT20

UTD = "a3_s2_t1_skeleton.mat"


def utd_mhad(folder: Path, name: str = UTD, seed: int = 0, compressed: bool = True) -> np.ndarray:
    """A file of UTD-MHAD; returns its body (T, 20, 3) in the layout's order."""
    body = own.motion(8, 20, seed=seed)
    stored = body[:, [KINECT20.joints.index(joint) for joint in ORDER]].transpose(1, 2, 0)
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / name, {"d_skel": stored}, do_compression=compressed)
    return body


def florence(videos: dict[tuple[int, int, int], np.ndarray]) -> str:
    """The text of Florence's file: bodies (T, 15, 3) by video, actor, category."""
    return own.table(
        [[*facts, *joints.ravel().tolist()] for facts, body in videos.items() for joints in body], delimiter=" "
    )


def utkinect(folder: Path, body: np.ndarray, first: int = 252, step: int = 2) -> Path:
    """A recording of UTKinect with two actions, and the label file; returns the recording."""
    lines = [[first + step * n, *joints.ravel().tolist()] for n, joints in enumerate(body)]
    lines.insert(1, lines[0])  # a frame that stands twice
    labels = f"s01_e01\nwalk: {first} {first + 3 * step}\nsitDown: {first + 5 * step} 9999\ncarry: NaN NaN\n"
    own.write(folder / "actionLabel.txt", labels)
    return own.write(folder / "joints" / "joints_s01_e01.txt", own.table(lines, delimiter=" "))


def kinetics(body: np.ndarray, label: str = "jetskiing") -> dict[str, Any]:
    """ST-GCN's file of one clip: body (T, 18, 2) in fractions of the image; a first frame without people."""
    frames = [
        {"frame_index": number, "skeleton": [{"pose": joints.ravel().tolist(), "score": [0.9] * len(joints)}]}
        for number, joints in enumerate(body, start=2)
    ]
    return {"data": [{"frame_index": 1, "skeleton": []}, *frames], "label": label, "label_index": 1}


def kinetics_set(folder: Path, **bodies: np.ndarray) -> Path:
    """Kinetics-Skeleton with one clip in each part, called train or val; returns the training part's label file."""
    for part, body in bodies.items():
        own.write(folder / f"kinetics_{part}" / f"{part}0.json", kinetics(body))
        entry = {"has_skeleton": True, "label": "jetskiing", "label_index": 1}
        empty = {**entry, "has_skeleton": False}
        own.write(folder / f"kinetics_{part}_label.json", {f"{part}0": entry, f"{part}1": empty, f"{part}2": entry})
    return folder / "kinetics_train_label.json"


def etri(body: np.ndarray) -> str:
    """ETRI-Activity3D's csv of a body (T, 25, 3)."""
    each = "3dX 3dY 3dZ depthX depthY orientationX orientationY orientationZ orientationW trackingState".split()
    head = ["frameNum", "bodyindexID", "trackingID", *(f"joint{n}_{of}" for n in range(1, 26) for of in each)]
    rest = [101.5, 99.5, 0.1, 0.2, 0.3, 0.4, 2]
    lines = [
        [n, 0, 72057594037934772, *(value for joint in joints.tolist() for value in (*joint, *rest))]
        for n, joints in enumerate(body)
    ]
    return own.table([head, *lines])


def smarthome(body: np.ndarray, image: np.ndarray | None = None) -> dict[str, Any]:
    """LCR-Net's file of a body (T, 13, 3), and the same in pixels (T, 13, 2); a first frame without people."""
    image = body[..., :2] if image is None else image
    frames = [
        [{"pose2d": flat.T.ravel().tolist(), "pose3d": joints.T.ravel().tolist(), "cumscore": 9.1}]
        for joints, flat in zip(body, image, strict=True)
    ]
    return {"K": 1, "njts": 13, "frames": [[], *frames]}


def h36m(file: Path, takes: dict[str, dict[str, Any]], **metadata: Any) -> Path:
    """VideoPose3D's archive of these takes by subject and action: in 2D where a take is a list."""
    flat = any(isinstance(take, list) for actions in takes.values() for take in actions.values())
    arrays: dict[str, Any] = {"positions_2d" if flat else "positions_3d": takes}
    if metadata:
        arrays["metadata"] = metadata
    np.savez_compressed(file, **arrays)
    return file
