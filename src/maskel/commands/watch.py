"""``maskel watch``: keypoints come in on standard input, frame by frame; classes of each person go out."""

import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskel import distributed
from maskel.console import notify
from maskel.errors import InputError
from maskel.files import json_text, one_line, parse_json
from maskel.live import Stream, Update
from maskel.live.local_page import LocalPage
from maskel.pictures.watching import Frames, watching_page

_LONGEST = 2**25  # bytes of a line: 10,000 people of 133 joints take fewer
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


def watch(
    classifier: Path,
    fps: float | None = None,
    window_length: str | None = None,
    step: str | None = None,
    min_probability: float = 0.0,
    page: int | None = None,
    device: str = "auto",
) -> Watched:
    """Classify people live. Standard input has a line of JSON for each frame, standard output one for each answer.

    A frame is ``{"time": 0.033, "people": [{"id": 1, "joints": [[x, y, z], ...]}]}``: seconds, and the joints of each
    person in the layout, the unit and the order of the recordings that the classifier learned from. A score may follow
    the coordinates; null stands for a joint that is missing. Without an id people are followed by position. It ends
    with its input, or by Ctrl-C.

    Args:
        classifier: A run folder of linear or finetune, or its file.
        fps: Frames a second to which the frames are brought; by default those of the training clips, where the
            classifier knows them.
        window_length: Length of a window, in frames (``64``) or seconds (``2.5s``); by default that of the median
            training clip.
        step: From the start of a window to that of the next, likewise; by default a quarter of the window.
        min_probability: An answer that is less probable has no class, in [0, 1].
        page: Port of a page that shows people and answers as they come, for browsers of this machine alone
            (127.0.0.1); 0 takes one that is free. It ends with the command.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Returns:
        Its counts.

    Raises:
        InputError: If a line is no frame; it names the line. What was answered before stays. Or if the port is taken.
    """
    stream = Stream(classifier, fps, window_length, step, min_probability, distributed.start(device).device)
    if page is None:
        return _watch(stream, None)
    with LocalPage(watching_page(stream.layout, classifier.name), page) as local:
        notify(f"{local.address} shows people and answers, on this machine alone")
        return _watch(stream, Frames(stream.layout, stream.coordinates, local.send))


def _watch(stream: Stream, shown_on: Frames | None) -> Watched:
    """Read frames until they end, write the answers, and show both on a page."""
    watched = Watched()
    try:
        for number, line in enumerate(_lines(), 1):
            try:
                frame = _read_frame(line)
                updates = stream.push(frame["joints"], frame["time"], frame["ids"])
            except InputError as fault:
                raise InputError(f"line {number} of standard input: {fault}") from fault
            watched.frames += 1
            watched.left_out = stream.left_out
            if shown_on:
                shown_on.frame(frame["time"], frame["joints"], frame["ids"])
                for update in updates:
                    shown_on.answer(update, stream.classifier.label_spec.classes)
            for update in updates:
                sys.stdout.write(json_text(_row(update)))
                watched.updates += 1
            if updates:
                sys.stdout.flush()
    except KeyboardInterrupt:
        pass  # the way to end it
    except BrokenPipeError:  # nobody reads any more; Python would complain once more when it closes the stream
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return watched


def show(watched: Watched, options: Mapping[str, Any]) -> None:
    """Print a summary on stderr."""
    left_out = f"; {watched.left_out:,} people in a frame beyond 32, not looked at" if watched.left_out else ""
    notify(f"{watched.frames:,} frames, {watched.updates:,} answers{left_out}")


def _lines() -> Iterable[bytes]:
    """Yield lines of standard input; one that is too long is given as far as it fits."""
    while line := sys.stdin.buffer.readline(_LONGEST):
        yield line


def _read_frame(line: bytes) -> dict[str, Any]:
    """Read time, joints and ids of a frame.

    Raises:
        InputError: If the line is none.
    """
    if len(line) == _LONGEST and not line.endswith(b"\n"):
        raise InputError(f"found more than {_LONGEST:,} bytes, expected {_FORM}")
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
    }


def _short(value: object) -> str:
    text = json_text(value).strip()
    return text if len(text) <= 60 else f"{text[:57]}..."
