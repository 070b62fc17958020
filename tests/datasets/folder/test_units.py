"""Units that make no body are refused with the option that would help, and what is guessed is counted."""

from typing import Any

import numpy as np
import pytest

import own
from maskel.datasets.folder.units import AS_IT_STANDS, IN_A_CORNER, MAYBE_FRACTIONS, READ_AS_FRACTIONS
from maskel.errors import BadFileError

IMAGE = (1920, 1080)
PIXELS = (own.motion(coordinates=2) - 0.5) * 600 + [1500, 500]
METRES = own.motion() + np.array([0, 1, 2.5])
SCORES = np.random.default_rng(0).uniform(0.3, 1, (12, 17, 1))
LANDMARKS = own.motion(joints=33)
LANDMARKS[..., 2] -= LANDMARKS[:, 23:25, 2].mean(1, keepdims=True)  # as MediaPipe: z from the hips
WORLD = LANDMARKS - LANDMARKS[:, 23:25].mean(1, keepdims=True)

REFUSED: dict[str, tuple[np.ndarray, dict[str, Any], str]] = {
    "pixels": (PIXELS, {}, "a coordinate of .*--image-size"),
    "pixels of a small image": (PIXELS / 20, {}, "bodies of size .* from 0.01 to 10 .*--image-size"),
    "sides swapped": (PIXELS, {"image_size": IMAGE[::-1]}, r"x up to 1.* is it --image-size 1920 1080\?"),
    "another video's size": (
        PIXELS * 2,
        {"image_size": (640, 480)},
        "100% of the joints outside an image of 640 x 480",
    ),
    "from -1 to 1 already": (PIXELS / 960 - [1.6, 0.5], {"image_size": IMAGE}, "a quarter or more of them negative"),
    "millimetres": (METRES * 1000, {}, "a coordinate of .*--scale 0.001"),
    "centimetres": (own.motion() * 100, {}, "bodies of size .* 0.01 for centimetres"),
    "metres scaled": (METRES, {"scale": 0.001}, "bodies of size .* by --scale 0.001"),
    "kilometres": (METRES / 1000, {}, "bodies of size .*--scale 1 takes it as it stands"),
    "score as z, pixels": (
        np.concatenate((PIXELS, SCORES), -1),
        {"image_size": IMAGE},
        "0.302 to 0.998, expected --channels xys",
    ),
    "score as z, fractions": (np.concatenate((PIXELS / 1920, SCORES), -1), {}, "--channels xys .*--channels xyz"),
    "MediaPipe in the image": (LANDMARKS, {}, "fractions of an image, expected --image-size .* or --scale 1"),
    "MediaPipe's z beside pixels": (LANDMARKS * [1920, 1080, 1], {"image_size": IMAGE}, "but z seems to be in another"),
    "pixels as z beside fractions": (LANDMARKS * [1, 1, 1920], {"image_size": IMAGE}, "but x and y seems to be in"),
    "x in pixels, y a fraction": (LANDMARKS * [1920, 1, 1920], {"image_size": IMAGE}, "y over .* but y seems to be"),
    "2D, x in pixels, y a fraction": (PIXELS / [1, 1080], {"image_size": IMAGE}, "but y seems to be in another"),
    "nothing as z": (np.pad(PIXELS, ((0, 0), (0, 0), (0, 1))), {"image_size": IMAGE}, "without z the clip is in 2D"),
    "some frames in pixels": (
        np.concatenate((PIXELS[:9], PIXELS[9:] / IMAGE)),
        {"image_size": IMAGE},
        "fractions in 3 frames, the first of them 9, and pixels in others",
    ),
    "MediaPipe in the world": (WORLD, {"image_size": IMAGE}, "a quarter or more of them negative"),
}


def read(tmp_path: Any, joints: np.ndarray, **options: Any) -> Any:
    path = own.write_array(tmp_path / "a.npy", joints)
    return own.read(path, "mediapipe33" if joints.shape[1] == 33 else "coco17", centre=False, **options)


@pytest.mark.parametrize(("joints", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_unlikely_units_are_refused(joints: np.ndarray, options: dict, message: str, tmp_path: Any) -> None:
    with pytest.raises(BadFileError, match=f"wrong unit: found .*{message}"):
        read(tmp_path, joints, **options)


def test_what_is_said_is_believed(tmp_path: Any) -> None:
    scored = np.concatenate((PIXELS, SCORES), -1)
    flat = (PIXELS - [960, 540]) / 960
    assert np.allclose(read(tmp_path, scored, channels="xys", image_size=IMAGE).joints[0], flat, atol=1e-5)
    assert read(tmp_path, scored, channels="xyz", image_size=IMAGE).joints.shape == (1, 12, 17, 3)
    small = read(tmp_path, METRES / 1000, scale=1.0)
    assert np.allclose(small.joints[0], METRES / 1000)
    assert small.counts[AS_IT_STANDS] == 1
    assert np.allclose(read(tmp_path, METRES * 100, scale=0.01).joints[0], METRES, atol=1e-5)
    assert np.allclose(read(tmp_path, LANDMARKS, scale=1.0).joints[0], LANDMARKS, atol=1e-6)


@pytest.mark.parametrize("joints", [PIXELS, PIXELS / IMAGE], ids=["pixels", "fractions"])
def test_fractions_of_the_image_become_what_pixels_become(joints: np.ndarray, tmp_path: Any) -> None:
    sequence = read(tmp_path, joints, image_size=IMAGE)
    assert np.allclose(sequence.joints[0], (PIXELS - [960, 540]) / 960, atol=1e-5)
    assert sequence.counts.get(READ_AS_FRACTIONS, 0) == (joints.max() < 1)


def test_pixels_of_mediapipe_become_what_its_fractions_become(tmp_path: Any) -> None:
    fractions = read(tmp_path, LANDMARKS, image_size=IMAGE).joints
    assert np.allclose(read(tmp_path, LANDMARKS * [1920, 1080, 1920], image_size=IMAGE).joints, fractions, atol=1e-5)
    assert np.allclose(read(tmp_path, WORLD).joints[0], WORLD, atol=1e-6)


def test_what_keeps_to_a_corner_of_the_image_is_counted(tmp_path: Any) -> None:
    small = PIXELS / 3
    assert read(tmp_path, small, image_size=IMAGE).counts[IN_A_CORNER] == 1
    assert IN_A_CORNER not in read(tmp_path, small, image_size=(640, 360)).counts
    assert IN_A_CORNER not in read(tmp_path, PIXELS, image_size=IMAGE).counts


def test_a_table_that_names_z_is_believed_on_request(tmp_path: Any) -> None:
    values = LANDMARKS * [1920, 1080, 1]
    names = [f"{axis}{joint}" for joint in range(33) for axis in "xyz"]
    path = own.write(tmp_path / "a.csv", own.table([names, *values.reshape(len(values), -1).tolist()]))
    with pytest.raises(BadFileError, match="z seems to be in another"):
        own.read(path, "mediapipe33", image_size=IMAGE)
    assert own.read(path, "mediapipe33", image_size=IMAGE, channels="xyz").joints.shape == (1, 12, 33, 3)


def test_positions_from_0_to_1_without_an_image_are_counted(tmp_path: Any) -> None:
    assert read(tmp_path, PIXELS / IMAGE).counts[MAYBE_FRACTIONS] == 1
    assert MAYBE_FRACTIONS not in read(tmp_path, PIXELS / 960 - 1).counts
    assert MAYBE_FRACTIONS not in read(tmp_path, METRES).counts
