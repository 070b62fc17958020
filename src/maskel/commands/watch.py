"""``maskel watch``: keypoints come in on standard input, frame by frame; classes of each person go out."""

import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskel import distributed
from maskel.console import notify
from maskel.errors import InputError
from maskel.files import json_line, json_text, one_line, parse_json
from maskel.live import Stream, Update
from maskel.live.estimator import EstimatorName, open_estimator
from maskel.live.inputs import LONGEST, Line, Seen, estimated, followed_lines, typed_lines
from maskel.live.local_page import LocalPage
from maskel.live.video import Video
from maskel.pictures.watching import Frames, watching_page
from maskel.signals import interrupted

_FORM = '{"time": 0.033, "people": [{"id": 1, "joints": [[x, y, z], …]}]}'


@dataclass
class Watched:
    """Counts of a stream.

    Args:
        frames: Frames that came in.
        updates: Lines that went out.
        left_out: People in a frame beyond those that are looked at.
    """

    frames: int = 0
    updates: int = 0
    left_out: int = 0


@dataclass(frozen=True)
class _Input:
    """The frames' origin: standard input, a file that grows, or a video.

    Raises:
        InputError: If there are two inputs, or one lacks what it needs.
    """

    follow: Path | None
    patience: float | None
    video: str | None
    estimator: EstimatorName | None
    model: Sequence[Path]

    def __post_init__(self) -> None:
        if self.follow is not None and self.video is not None:
            raise InputError("watch: found --follow and --video, expected one input")
        if self.patience is not None and (self.follow is None or not self.patience >= 0):
            raise InputError("patience: expected seconds of 0 or more, and a file to --follow")
        if self.video is None and (self.estimator or self.model):
            raise InputError("watch: --estimator and --model are for a --video; lines hold keypoints already")
        if self.video is not None and self.estimator is None:
            raise InputError(
                "watch: a --video needs an --estimator (mediapipe, rtmlib, ultralytics) and its --model files"
            )

    def opened(self, stream: Stream) -> Iterable[Line | Seen]:
        """Return the frames as they come in.

        Raises:
            InputError: If the input cannot be opened, or the estimator's keypoints are not those of the classifier.
        """
        if self.follow is not None:
            return followed_lines(self.follow, self.patience)
        if self.video is None or self.estimator is None:
            return typed_lines()
        made = open_estimator(self.estimator, self.model, stream.coordinates)
        if made.layout != stream.layout.name:
            raise InputError(f"watch: the classifier reads {stream.layout.name}, {self.estimator} gives {made.layout}")
        opened = Video(self.video)
        stream.see_images(opened.size)
        return estimated(opened, self.video, made)


def watch(
    classifier: Path,
    fps: float | None = None,
    window_length: str | None = None,
    step: str | None = None,
    min_probability: float = 0.0,
    max_distance: float | None = None,
    follow: Path | None = None,
    patience: float | None = None,
    video: str | None = None,
    estimator: EstimatorName | None = None,
    model: Sequence[Path] = (),
    page: int | None = None,
    device: str = "auto",
) -> Watched:
    """Classify people live. Standard input has a line of JSON for each frame, standard output one for each answer.

    In place of standard input a file that grows can be followed, or a video or camera watched with a pose estimator.

    A frame is ``{"time": 0.033, "people": [{"id": 1, "joints": [[x, y, z], ...]}]}``: seconds, and the joints of each
    person in the layout, unit and order of the classifier's training recordings. A score may follow the coordinates;
    null stands for a missing joint. People without an id are followed by position. The command ends with its input,
    or by Ctrl-C.

    Args:
        classifier: A run folder of linear or finetune, or its file.
        fps: Frames a second to resample to; by default those of the training clips, where the classifier knows them.
        min_probability: An answer that is less probable has no class, in [0, 1].
        max_distance: An answer that is farther from the training clips has no class either; see ``maskel predict``.
        follow: A file of such lines to read, and to wait for more at its end.
        patience: Seconds without a new line after which the file is taken for finished; by default never.
        video: A video file, or the number of a camera, such as ``0``.
        estimator: Whose keypoints of the video: ``mediapipe``, ``rtmlib`` or ``ultralytics``.
        model: Its model files: none is fetched.
        page: Port of a page that shows people and answers as they come, for browsers of this machine alone
            (127.0.0.1); 0 takes one that is free. It ends with the command.

    Returns:
        Its counts.

    Raises:
        InputError: If a line is no frame; it names the line. What was answered before stays. Or if the port is taken.
    """
    given = _Input(follow, patience, video, estimator, model)
    stream = Stream(
        classifier, fps, window_length, step, min_probability, distributed.start(device).device, max_distance
    )
    if page is None:
        return _watch(stream, given, None)
    with LocalPage(watching_page(stream.layout, classifier.name), page) as local:
        notify(f"{local.address} shows people and answers, on this machine alone")
        return _watch(stream, given, Frames(stream.layout, stream.coordinates, local.send))


def _watch(stream: Stream, given: _Input, shown_on: Frames | None) -> Watched:
    """Read frames until they end, write the answers, and show both on a page."""
    watched = Watched()
    try:
        for item in given.opened(stream):
            try:
                if isinstance(item, Line):
                    frame = _read_frame(item.content)
                else:
                    frame = {"joints": item.joints, "time": item.time, "ids": None}
                updates = stream.push(frame["joints"], frame["time"], frame["ids"])
            except InputError as fault:
                raise InputError(f"{item.where}: {fault}") from fault
            watched.frames += 1
            watched.left_out = stream.left_out
            if shown_on:
                shown_on.frame(frame["time"], frame["joints"], frame["ids"] or [None] * len(frame["joints"]))
                for update in updates:
                    shown_on.answer(update, stream.classifier.label_spec.classes)
            for update in updates:
                sys.stdout.write(json_text(_row(update)))
                watched.updates += 1
            if updates:
                sys.stdout.flush()
    except KeyboardInterrupt:
        interrupted()  # the way to end it, so that nobody takes it for a fault later
    except BrokenPipeError:  # nobody reads any more; Python would complain once more when it closes the stream
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return watched


def show(watched: Watched, options: Mapping[str, Any]) -> None:
    """Print a summary on stderr."""
    left_out = f"; {watched.left_out:,} people in a frame beyond 32, not looked at" if watched.left_out else ""
    notify(f"{watched.frames:,} frames, {watched.updates:,} answers{left_out}")


def _read_frame(line: bytes) -> dict[str, Any]:
    """Read time, joints and ids of a frame, or refuse the line."""
    if len(line) == LONGEST and not line.endswith(b"\n"):
        raise InputError(f"found more than {LONGEST:,} bytes, expected {_FORM}")
    try:
        frame = parse_json(line)
    except ValueError as fault:
        raise InputError(f"found no JSON ({one_line(fault)}), expected {_FORM}") from fault
    if not (isinstance(frame, dict) and {"time", "people"} <= frame.keys() and isinstance(frame["people"], list)):
        raise InputError(f"found {_short(frame)}, expected {_FORM}")
    if type(frame["time"]) not in (int, float):
        raise InputError(f"found time {_short(frame['time'])}, expected seconds: {_FORM}")
    joints = []
    ids = []
    for person in frame["people"]:
        if not (isinstance(person, dict) and isinstance(person.get("joints"), list) and person["joints"]):
            raise InputError(f"found a person {_short(person)}, expected an object with joints in it: {_FORM}")
        joints.append(_joints(person["joints"]))
        ids.append(person.get("id"))
    if len({body.shape for body in joints}) > 1:
        shapes = " and ".join(map(str, sorted({body.shape for body in joints})[:2]))
        raise InputError(f"found people with joints {shapes} in one frame, expected the same number of each")
    try:
        time = float(frame["time"])
    except OverflowError as fault:
        raise InputError("found a time of hundreds of digits, expected seconds") from fault
    return {"time": time, "joints": joints, "ids": ids}


def _joints(rows: list[Any]) -> np.ndarray:
    """Read the joints of a person (V, C); NaN where null stands."""
    width = next((len(row) for row in rows if isinstance(row, list)), 0)
    if not width:
        raise InputError("found a person without any joint, expected a list of numbers for each; leave the person out")
    values = np.full((len(rows), width), np.nan)
    for place, row in enumerate(rows):
        if row is None:
            continue
        numbers = isinstance(row, list) and all(value is None or type(value) in (int, float) for value in row)
        if not numbers or len(row) != width:
            raise InputError(
                f"found joint {place}: {_short(row)}, expected {width} numbers, or null where it is missing"
            )
        try:
            values[place] = [np.nan if value is None else value for value in row]
        except OverflowError as fault:
            raise InputError(f"found joint {place}: a number of hundreds of digits, expected positions") from fault
    return values


def _row(update: Update) -> dict[str, Any]:
    """Write an answer in the words of the segments of predict."""
    return {
        "person": update.person,
        "start_seconds": round(update.start, 6),
        "end_seconds": round(update.end, 6),
        "class": update.name if update.sure else None,
        "probability": round(update.probability, 6),
        "most_probable": update.name,
        "distance": None if math.isnan(update.distance) else round(update.distance, 6),
    }


def _short(value: object) -> str:
    text = json_line(value)  # NaN as text
    return text if len(text) <= 60 else f"{text[:57]}..."
