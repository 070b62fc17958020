"""Adapter for the YOLO pose models of ultralytics."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8

from maskel.errors import InputError


class UltralyticsPose:
    """A YOLO pose model: 17 keypoints of COCO in pixels.

    Args:
        model: Its weights, a ``.pt`` or ``.onnx`` file. A ``.pt`` file is a pickle, which may run code.
        coordinates: 2.
    """

    layout = "coco17"
    coordinates = 2

    def __init__(self, model: Path, coordinates: int | None = None) -> None:
        os.environ.setdefault("YOLO_OFFLINE", "true")  # read at import: it would fetch files and report use
        os.environ.setdefault("YOLO_AUTOINSTALL", "false")
        from ultralytics import YOLO

        self._model = YOLO(str(model), task="pose")

    def __call__(self, image: UInt8[np.ndarray, "h w 3"], time: float) -> Float64[np.ndarray, "m v c"]:
        """Find the people; see `maskel.live.estimator.PoseEstimator`."""
        (found,) = self._model(np.ascontiguousarray(image[..., ::-1]), verbose=False)  # it wants blue, green, red
        if found.keypoints is None or not len(found.boxes):
            return np.zeros((0, 17, 3))
        people: np.ndarray = found.keypoints.data.cpu().numpy().astype(np.float64)
        if people.shape[1:] != (17, 3):
            raise InputError(f"the model gives keypoints {people.shape[1:]}, expected 17 of COCO with scores")
        return people
