"""Pose estimators as maskel sees them: images in, keypoints of people out. The estimators themselves are others' work.

An adapter is one file beside this one and a row of `ESTIMATORS`. It imports its library when it is made, takes its
model from files that the user names, and never fetches any.
"""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, UInt8

from maskel.errors import InputError
from maskel.files import one_line

EstimatorName = Literal["mediapipe", "rtmlib", "ultralytics"]


@runtime_checkable
class PoseEstimator(Protocol):
    """A pose estimator.

    Attributes:
        layout: Name of the joint layout of its keypoints.
        coordinates: Coordinates of a keypoint: 2, in pixels of the image, or 3, in metres.
    """

    layout: str
    coordinates: int

    def __call__(self, image: UInt8[np.ndarray, "h w 3"], time: float) -> Float64[np.ndarray, "m v c"]:
        """Find the people in an image.

        Args:
            image: (H, W, 3) red, green, blue.
            time: Seconds since the first image; grows from call to call.

        Returns:
            (M, V, C) coordinates of each person's keypoints and, last, their scores; none or more people.
        """


_ADAPTERS = {
    "mediapipe": ("mediapipe_pose", "MediaPipePose", 1, "a pose_landmarker.task file"),
    "rtmlib": ("rtmlib_pose", "RtmlibPose", 2, "an ONNX file of a YOLOX detector, and one of an RTMPose"),
    "ultralytics": ("ultralytics_pose", "UltralyticsPose", 1, "the weights of a YOLO pose model, a .pt or .onnx file"),
}
"""Name -> module and class of the adapter, number of its model files, and what they are."""


def open_estimator(name: EstimatorName, models: Sequence[Path], coordinates: int | None = None) -> PoseEstimator:
    """Make a pose estimator of the user's model files.

    Args:
        name: Which adapter.
        models: Its model files, in order.
        coordinates: Coordinates of a keypoint, 2 or 3; by default 3 where the estimator gives them.

    Raises:
        InputError: If its library is not installed, a file is missing, or it does not give these coordinates.
    """
    module, kind, count, what = _ADAPTERS[name]
    if len(models) != count:
        raise InputError(f"model: found {len(models)} files, expected for {name} {what}; none is fetched")
    for file in models:
        if not file.is_file():
            raise InputError(f"{file}: no such file, expected for {name} {what}; none is fetched")
    try:
        with redirect_stdout(sys.stderr):  # what they print is no answer
            estimator: PoseEstimator = getattr(import_module(f"maskel.live.{module}"), kind)(*models, coordinates)
    except ImportError as fault:
        raise InputError(
            f"{fault.name or name} is not installed, which the estimator {name} needs; install it with: pip install "
            f"{name}"
        ) from fault
    except InputError:
        raise
    except Exception as fault:  # other people's code, on a file of the user's
        files = ", ".join(map(str, models))
        raise InputError(f"{files}: {name} cannot use it ({one_line(fault)}); expected {what}") from fault
    if coordinates not in (None, estimator.coordinates):
        raise InputError(
            f"estimator: {name} gives keypoints of {estimator.coordinates} coordinates, found {coordinates} wanted"
        )
    return estimator
