"""The local page of ``maskel watch``: people as they move, with their classes."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from maskel.datasets.bodies import Up, upward_of
from maskel.layouts import Layout
from maskel.live import Update
from maskel.pictures.animation import MOST_BODIES, SCRIPT
from maskel.pictures.markup import element, page, paragraph
from maskel.text import shown

_EVERY = 1 / 20  # seconds between two frames that are sent
_LISTED = 3  # most probable classes of a person


def watching_page(layout: Layout, name: str) -> str:
    """Return the page; it draws what `Frames` makes of a stream.

    Args:
        layout: Joints of the stream.
        name: What the classifier is called.
    """
    bones = " ".join(f"{parent}-{joint}" for parent, joint in layout.edges)
    return page(
        f"maskel watch: {name}",
        element("h1", "Live"),
        paragraph(f"Classifier {name}. Nothing leaves this machine.", class_="note"),
        paragraph("Waiting for the first frame.", class_="state"),
        element("div", element("div", class_="scene"), element("div", class_="people"), class_="live", data_live=bones),
        scripts=(SCRIPT, "watching.js"),
        connects=True,
    )


class Frames:
    """Events of a stream for the page: frames, not more often than they can be seen, and every answer.

    Args:
        layout: Joints of the stream.
        coordinates: Coordinates of a joint, 2 or 3.
        send: Sends an event.
        clock: Seconds; for tests.
    """

    def __init__(
        self,
        layout: Layout,
        coordinates: int,
        send: Callable[[Mapping[str, Any]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._layout, self._coordinates, self._send, self._clock = layout, coordinates, send, clock
        self._up: Up | None = None
        self._sent = -np.inf

    def frame(self, seconds: float, people: Sequence[Float[np.ndarray, "v c"]], ids: Sequence[object]) -> None:
        """Send a frame, unless one was sent just before.

        Args:
            seconds: Its time.
            people: Joints of everybody, NaN where one is missing.
            ids: Their names; None where unknown.
        """
        now = self._clock()
        if now - self._sent < _EVERY:
            return
        self._sent = now
        bodies = [np.asarray(body[:, : self._coordinates], dtype=np.float32) for body in people[:MOST_BODIES]]
        if self._up is None and bodies:
            self._up = upward_of(np.stack(bodies), self._layout)
        drawn = []
        for body, name in zip(bodies, ids, strict=False):
            points = self._up.turn(body) if self._up else body
            joints = [
                [round(float(value), 4) for value in point[:2]] if np.isfinite(point).all() else None
                for point in points
            ]
            drawn.append({"id": None if name is None else shown(name), "joints": joints})
        self._send({"time": round(seconds, 3), "people": drawn, "more": max(0, len(people) - len(drawn))})

    def answer(self, update: Update, classes: Sequence[str]) -> None:
        """Send an answer for one person.

        Args:
            update: The answer.
            classes: Class names.
        """
        order = np.argsort(-update.probabilities, kind="stable")[:_LISTED].tolist()
        best = [[shown(classes[label]), round(float(update.probabilities[label]), 3)] for label in order]
        self._send(
            {"person": shown(update.person), "sure": bool(update.sure), "end": round(update.end, 3), "best": best}
        )
