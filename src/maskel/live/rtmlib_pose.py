"""Adapter for rtmlib: a YOLOX detector and an RTMPose, both as ONNX files."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8

from maskel.errors import InputError

_DETECTOR_SIZE, _POSE_SIZE = (640, 640), (192, 256)
"""Width and height of images where a file leaves them open."""


class RtmlibPose:
    """RTMPose on the people that YOLOX finds, on the CPU: 17 keypoints of COCO in pixels.

    Args:
        detector: The ONNX file of a YOLOX.
        pose: The ONNX file of an RTMPose.
        coordinates: 2.
    """

    layout = "coco17"
    coordinates = 2

    def __init__(self, detector: Path, pose: Path, coordinates: int | None = None) -> None:
        from rtmlib import YOLOX, RTMPose

        options: dict[str, Any] = {"backend": "onnxruntime", "device": "cpu"}
        self._detect = YOLOX(str(detector), model_input_size=_DETECTOR_SIZE, **options)
        self._pose = RTMPose(str(pose), model_input_size=_POSE_SIZE, **options)
        for tool in (self._detect, self._pose):
            height, width = tool.session.get_inputs()[0].shape[2:]
            if isinstance(height, int) and isinstance(width, int):
                tool.model_input_size = (width, height)

    def __call__(self, image: UInt8[np.ndarray, "h w 3"], time: float) -> Float64[np.ndarray, "m v c"]:
        """Find the people; see `maskel.live.estimator.PoseEstimator`."""
        turned = np.ascontiguousarray(image[..., ::-1])  # it wants blue, green, red
        boxes = self._detect(turned)
        if not len(boxes):  # it would take the whole image for a person
            return np.zeros((0, 17, 3))
        keypoints, scores = self._pose(turned, bboxes=boxes)
        if keypoints.shape[1:] != (17, 2):
            raise InputError(
                f"the model gives keypoints {keypoints.shape[1:]}, expected 17 of COCO: a model for bodies"
            )
        return np.concatenate((keypoints, scores[..., None]), -1).astype(np.float64)
