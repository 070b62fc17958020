"""Files of tools and data sets, in the very form that they have: the right joints, or a refusal that names the form."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import own
import published
from maskel.datasets.folder.translation import AZURE_NAMES, LABELS
from maskel.errors import BadFileError
from maskel.layouts import AZURE32, HALPE26, LAYOUTS


def azure(*bodies: np.ndarray) -> dict[str, Any]:
    """What Azure Kinect's ``offline_processor`` writes of bodies (T, 32, 3) in metres: millimetres."""
    frames = [
        {
            "bodies": [
                {
                    "body_id": who + 1,
                    "joint_orientations": [[1.0, 0.0, 0.0, 0.0]] * 32,
                    "joint_positions": (1000 * joints).round(1).tolist(),
                }
                for who, joints in enumerate(people)
            ],
            "frame_id": number,
            "num_bodies": len(people),
            "timestamp_usec": 33_333 * number,
        }
        for number, people in enumerate(zip(*bodies, strict=True))
    ]
    return {"bone_list": [["PELVIS", "SPINE_NAVEL"]], "frames": frames, "joint_names": list(AZURE_NAMES)}


def refused(path: Path, message: str, layout: str, **options: Any) -> None:
    with pytest.raises(BadFileError, match=message) as caught:
        own.raw(path, layout, **options)
    assert "\n" not in str(caught.value)


def test_kinetics_skeleton(tmp_path: Path) -> None:
    body = own.motion(6, 18, 2)
    file = own.write(tmp_path / "jetskiing" / "abc.json", published.kinetics(body))
    clip = own.read(file, "openpose18", image_size=(340, 256))
    assert np.allclose(clip.joints[0], (body * (340, 256) - (170, 128)) / 170, atol=1e-6)
    assert clip.counts["frames without a body"] == 1
    assert clip.counts[LABELS] == 1
    scored = own.raw(file, "openpose18", image_size=(340, 256), scores=True)
    assert np.allclose(scored[..., 2], 0.9)
    refused(file, "18 joints.*expected 17.*openpose18", "coco17")
    document = published.kinetics(body)
    document["data"][1]["skeleton"][0]["score"].pop()
    refused(own.write(file, document), "36 numbers in pose and 17 in score", "openpose18")
    document["data"][1] = {"frame_index": 2}
    refused(own.write(file, document), "frame 1 without a list of people", "openpose18")


def test_azure_kinect(tmp_path: Path) -> None:
    near, far = own.motion(6, 32), own.motion(6, 32, seed=1) + 2
    file = own.write(tmp_path / "a.json", azure(far, near))
    both = own.raw(file, "azure32", scale=0.001)
    assert np.allclose(both, np.stack((far, near)), atol=1e-4)
    assert np.allclose(own.raw(file, "azure32", scale=0.001, actor="2", bodies=1)[0], near, atol=1e-4)
    assert own.found(file, "azure32", scale=0.001).conventions(3)["up"] == "-y"
    refused(file, "--scale 0.001 for millimetres", "azure32")
    refused(file, "32 joints.*expected 25.*azure32", "ntu25")
    document = azure(near)
    document["joint_names"][18:20] = document["joint_names"][19:17:-1]
    refused(own.write(file, document), "the first other one KNEE_LEFT for HIP_LEFT", "azure32", scale=0.001)


def test_azure_kinects_joints_are_those_of_its_layout() -> None:
    spelled = {"collar": "clavicle", "hand_tip": "handtip"}
    for joint, name in zip(AZURE32.joints, AZURE_NAMES, strict=True):
        side = next((side for side in ("left", "right") if joint.startswith(f"{side}_")), "")
        rest = joint.removeprefix(f"{side}_")
        assert "_".join(filter(None, (spelled.get(rest, rest), side))).upper() == name


def test_lcr_net(tmp_path: Path) -> None:
    body, image = own.motion(6, 13), own.motion(6, 13, 2, seed=1) * 480
    file = own.write(tmp_path / "a.json", published.smarthome(body, image))
    assert own.holds(own.read(file, "lcrnet13", centre=False), body)
    flat = own.raw(file, "lcrnet13", image_size=(640, 480))
    assert np.allclose(flat[0], (image - (320, 240)) / 320, atol=1e-6)
    document = published.smarthome(body, image)
    document["njts"] = 17
    refused(own.write(file, document), "39 numbers in pose3d .frame 1., and njts 17", "lcrnet13")


ALPHA = [own.flat(joints) for joints in own.motion(6, 26, 2)]


def test_alphapose_with_halpes_joints(tmp_path: Path) -> None:
    people = [
        {"image_id": f"{n}.jpg", "category_id": 1, "keypoints": joints, "score": 2.9, "box": [0, 0, 9, 9], "idx": [1]}
        for n, joints in enumerate(ALPHA)
    ]
    file = own.write(tmp_path / "alphapose-results.json", people)
    clip = own.raw(file, "halpe26")
    assert np.allclose(clip[0], own.motion(6, 26, 2), atol=1e-6)
    refused(file, "26 is the number of layout halpe26", "coco17")
    whole = [{**person, "keypoints": [1.0, 2.0, 0.9] * 136} for person in people]
    refused(own.write(file, whole), "136 is the number of Halpe's whole body, whose first 26 are layout", "halpe26")


def test_halpes_first_joints_are_cocos() -> None:
    assert HALPE26.joints[:17] == LAYOUTS["coco17"].joints
    assert [HALPE26.joints[i] for i in (17, 18, 19, 20, 25)] == [
        "head",
        "neck",
        "mid_hip",
        "left_big_toe",
        "right_heel",
    ]


def test_openpose_before_1_2(tmp_path: Path) -> None:
    body = own.motion(4, 18, 2)
    for number, joints in enumerate(body):
        person = {"pose_keypoints": own.flat(joints), "face_keypoints": [], "hand_left_keypoints": []}
        own.write(tmp_path / "take" / f"take_{number:012}_keypoints.json", {"version": 0.2, "people": [person]})
    assert np.allclose(own.raw(tmp_path / "take", "openpose18")[0], body, atol=1e-6)
    refused(tmp_path / "take", "54 numbers in pose_keypoints.*18 joints.*openpose18", "openpose25")


def test_arrays_of_smpls_joints_with_fingers(tmp_path: Path) -> None:
    refused(own.write_array(tmp_path / "a.npy", own.motion(8, 127)), "127 is the number of SMPL-X's", "smplx55")
    for layout, count in (("smplh52", 52), ("smplx55", 55)):
        body = own.motion(8, count)
        file = own.write_array(tmp_path / layout / "a.npy", body)
        assert own.holds(own.read(file, layout, centre=False), body)


PARTS = LAYOUTS["coco17"].joints


def deeplabcut(people: dict[str, np.ndarray], individuals: bool) -> str:
    """DeepLabCut's csv of bodies (T, 17, 2): scorer, maybe individuals, bodyparts, coords, and frames from 0."""
    columns = [(who, part, coord) for who in people for part in PARTS for coord in ("x", "y", "likelihood")]
    network = "DLC_resnet50_walksJun1shuffle1_100000"
    heads = [["scorer", *[network] * len(columns)]]
    heads += [["individuals", *(who for who, _, _ in columns)]] if individuals else []
    heads += [["bodyparts", *(part for _, part, _ in columns)], ["coords", *(coord for _, _, coord in columns)]]
    frames = zip(*people.values(), strict=True)
    lines = [[n, *(value for joints in all_of for value in own.flat(joints))] for n, all_of in enumerate(frames)]
    return own.table([*heads, *lines])


def test_deeplabcut(tmp_path: Path) -> None:
    near, far = own.motion(6, coordinates=2), own.motion(6, coordinates=2, seed=1) + 2
    one = own.write(tmp_path / "walk_DLC.csv", deeplabcut({"": near}, individuals=False))
    assert own.holds(own.read(one), near)
    two = own.write(tmp_path / "walk_DLC.csv", deeplabcut({"ann": near, "bo": far}, individuals=True))
    assert own.holds(own.read(two), near, far)
    assert own.holds(own.read(two, actor="bo", bodies=1), far)
    refused(two, "no column for x of joint head of ann", "halpe26")
    tail = deeplabcut({"": near}, individuals=False).replace("right_ankle", "tail")
    refused(own.write(two, tail), "tail_x.*layout coco17 lacks", "coco17")


def test_sleaps_analysis_csv(tmp_path: Path) -> None:
    near, far = own.motion(6, coordinates=2), own.motion(6, coordinates=2, seed=1) + 2
    head = ["track", "frame_idx", "instance.score", *(f"{part}.{of}" for part in PARTS for of in ("x", "y", "score"))]
    rows = [
        [name, 10 + n, 0.98 - n / 100, *own.flat(joints)]
        for name, body in (("track_0", near), ("track_1", far))
        for n, joints in enumerate(body)
    ]
    file = own.write(tmp_path / "a.analysis.csv", own.table([head, *rows]))
    clip = own.read(file)
    assert own.holds(clip, near, far)
    assert any("instance.score" in count for count in clip.counts)
    assert own.holds(own.read(file, actor="track_1", bodies=1), far)


def test_kinects_tables_of_etri(tmp_path: Path) -> None:
    body = own.motion(6, 25)
    clip = own.read(own.write(tmp_path / "a.csv", published.etri(body)), "ntu25", centre=False)
    assert own.holds(clip, body)
    assert clip.counts["columns not read: Kinect's positions in the images, orientations and states"] == 25 * 7
    lost = published.etri(body).replace("joint25_3dZ", "joint25_z3d")
    refused(own.write(tmp_path / "a.csv", lost), "no column for z of joint right_thumb", "ntu25")
    refused(
        own.write(tmp_path / "a.csv", published.etri(body)),
        "joint21_3dX.*which look like joints that layout",
        "kinect20",
    )
