"""Adapter for MediaPipe Tasks' pose landmarker."""

from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8

_MOST_PEOPLE = 4


class MediaPipePose:
    """MediaPipe's pose landmarker; in 3D its world landmarks, in 2D those in the image.

    Args:
        model: A ``pose_landmarker.task`` file.
        coordinates: 2 or 3; by default 3.
    """

    layout = "mediapipe33"

    def __init__(self, model: Path, coordinates: int | None = None) -> None:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision

        self.coordinates = coordinates or 3
        options = vision.PoseLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(model)),
            running_mode=vision.RunningMode.VIDEO,
            num_poses=_MOST_PEOPLE,
        )
        self._landmarker = vision.PoseLandmarker.create_from_options(options)
        self._image = partial(mediapipe.Image, image_format=mediapipe.ImageFormat.SRGB)
        self._last = -1

    def __call__(self, image: UInt8[np.ndarray, "h w 3"], time: float) -> Float64[np.ndarray, "m v c"]:
        """Find the people; see `maskel.live.estimator.PoseEstimator`."""
        self._last = max(self._last + 1, round(1000 * time))  # it takes whole milliseconds that grow
        found = self._landmarker.detect_for_video(self._image(data=np.ascontiguousarray(image)), self._last)
        if self.coordinates == 3:
            world = [[(one.x, one.y, one.z, one.visibility) for one in body] for body in found.pose_world_landmarks]
            return np.array(world, dtype=np.float64).reshape(-1, 33, 4)
        height, width = image.shape[:2]
        flat = [[(one.x * width, one.y * height, one.visibility) for one in body] for body in found.pose_landmarks]
        return np.array(flat, dtype=np.float64).reshape(-1, 33, 3)
