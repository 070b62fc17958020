"""Images of a video file or a camera, by OpenCV."""

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from maskel.console import notify
from maskel.errors import InputError

_SHORT = 0.95
"""A file is cut off where fewer than this share of the images that it declares can be decoded."""


@dataclass(frozen=True)
class Frame:
    """An image.

    Args:
        time: Seconds since the first one.
        image: (H, W, 3) red, green, blue.
    """

    time: float
    image: UInt8[np.ndarray, "h w 3"]


class Video:
    """A video file, or a camera by its number.

    Args:
        source: The file, or a number such as ``0``.
        fps: Images a second of a file that does not say it.

    Attributes:
        rate: Images a second; None for a camera.
        size: Width and height.

    Raises:
        InputError: If OpenCV is not installed, there is no such file or camera, or nothing in it can be decoded.
    """

    def __init__(self, source: str, fps: float | None = None) -> None:
        cv2 = _imported()
        self.camera = source.isdecimal() and not Path(source).is_file()
        self._source = source
        if not self.camera and not Path(source).is_file():
            raise InputError(f"{source}: no such video; expected a file, or the number of a camera, such as 0")
        self._capture = cv2.VideoCapture(int(source) if self.camera else source)
        read, image = self._capture.read() if self._capture.isOpened() else (False, None)
        if not read or image is None:
            what = "camera cannot be opened, or gives no image" if self.camera else "file cannot be decoded as a video"
            self._capture.release()
            raise InputError(f"{source}: this {what}; expected one that OpenCV reads")
        self._first = image
        self.size = (int(image.shape[1]), int(image.shape[0]))
        declared = float(self._capture.get(cv2.CAP_PROP_FPS))
        known = fps or (declared if math.isfinite(declared) and 0 < declared < 10_000 else None)
        if known is None and not self.camera:
            raise InputError(f"{source} does not say its images a second; give maskel pose --source-fps")
        self.rate: float | None = None if self.camera else known
        self._declared = 0 if self.camera else int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))

    def __iter__(self) -> Iterator[Frame]:
        """Yield all images once; says so if the file ends before it should."""
        start, number, image = time.monotonic(), 0, self._first
        try:
            while image is not None:
                seconds = number / self.rate if self.rate else time.monotonic() - start
                yield Frame(seconds, np.ascontiguousarray(image[..., ::-1]))
                number += 1
                read, image = self._capture.read()
                image = image if read else None
        finally:
            self._capture.release()
        if number < _SHORT * self._declared:
            notify(f"{self._source}: {number:,} of {self._declared:,} images can be decoded; the rest is left out")


def _imported() -> Any:
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")  # read when it is imported
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError as fault:
        raise InputError(
            "opencv is not installed, which videos and cameras need; install it with: pip install 'maskel[video]'"
        ) from fault
    return cv2
