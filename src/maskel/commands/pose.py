"""``maskel pose``: the people of a video as a file of keypoints, by a pose estimator of the user's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskel.console import notify, progress_bar, say
from maskel.errors import InputError
from maskel.files import json_text, refuse_unwritable, require_suffix, write_output
from maskel.live.estimator import EstimatorName, open_estimator
from maskel.live.inputs import estimated
from maskel.live.video import Video


@dataclass(frozen=True)
class Posed:
    """Counts of the people in a video.

    Args:
        out: The file.
        frames: Images.
        empty: Images without anybody.
        most: Most people in one image.
        options: Options of ``maskel prepare folder`` and ``maskel predict`` that fit the file.
    """

    out: Path
    frames: int
    empty: int
    most: int
    options: str


def pose(
    video: str,
    out: Path,
    estimator: EstimatorName,
    model: Sequence[Path],
    in_image: bool = False,
    source_fps: float | None = None,
) -> Posed:
    """Write the keypoints of everybody in a video, image by image.

    The file has OpenPose's form, a list of frames with people in each, and ``prepare folder`` and ``predict`` read it.
    Nobody is followed from image to image; they do that.

    Args:
        video: A video file, or the number of a camera, which is recorded until Ctrl-C.
        out: A ``.json`` file; an earlier one is replaced.
        estimator: Whose keypoints: ``mediapipe``, ``rtmlib`` or ``ultralytics``.
        model: Its model files: none is fetched.
        in_image: Of MediaPipe the landmarks in the image, in pixels, in place of those in the world, in metres.
        source_fps: Images a second of a file that does not say it.

    Returns:
        What was found.

    Raises:
        InputError: If the video cannot be decoded, the estimator is not installed or its model does not fit, or the
            file cannot be written.
    """
    require_suffix(out, ".json", option="out")
    refuse_unwritable(out, "--out")
    made = open_estimator(estimator, model, 2 if in_image else None)
    opened = Video(video, source_fps)
    key = f"pose_keypoints_{made.coordinates}d"
    frames: list[dict[str, Any]] = []
    with progress_bar("images") as progress:
        task = progress.add_task("pose", total=None)
        try:
            for seen in estimated(opened, video, made):
                people = [{key: np.asarray(body).round(6).ravel().tolist()} for body in seen.joints]
                frames.append({"people": people})
                progress.update(task, advance=1)
        except KeyboardInterrupt:
            if not opened.camera:
                raise
    sizes = [len(frame["people"]) for frame in frames]
    if not any(sizes):
        raise InputError(f"{video}: {estimator} finds nobody in {len(frames):,} images; nothing is written")
    write_output(out, json_text(frames))
    size = "--image-size {} {} ".format(*opened.size) if made.coordinates == 2 else ""
    rate = f"--source-fps {opened.rate:g}" if opened.rate else ""
    return Posed(out, len(frames), sizes.count(0), max(sizes), f"--layout {made.layout} {size}{rate}".strip())


def show(posed: Posed, options: Mapping[str, Any]) -> None:
    """Say what was found, and print the file."""
    notify(
        f"{posed.frames:,} images, {posed.empty:,} of them without anybody, at most {posed.most} people in one; the "
        f"options of maskel prepare folder that fit: {posed.options}"
    )
    say(posed.out)
