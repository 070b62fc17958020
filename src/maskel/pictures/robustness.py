"""The page of ``maskel robustness``: accuracy over the strength of each disturbance."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from maskel.intervals import interval
from maskel.pictures.charts import Line, legend, line_chart
from maskel.pictures.markup import element, missing, page, paragraph, table

_NAMES = {
    "missing_joints": "joints missing",
    "dropped_frames": "frames dropped",
    "noise": "noise, of the body's size",
    "lower_frame_rate": "fewer frames per second",
}


class Step(NamedTuple):
    """Right answers at one strength: the strength, where 0 is undisturbed; right answers; clips."""

    strength: float
    correct: int
    seen: int


def robustness_page(steps: Mapping[str, Sequence[Step]], title: str) -> str:
    """Return the page.

    Args:
        steps: By disturbance, from strength 0 on.
        title: Names of classifier and set.
    """
    if not steps:
        return page("maskel robustness", element("h1", title), missing("No disturbance was chosen."))
    lines = [
        Line(_NAMES[name], [100 * step.strength for step in of], [100 * step.correct / step.seen for step in of])
        for name, of in steps.items()
    ]
    chart = line_chart("accuracy on the test part (%)", "strength (%)", lines)
    names = element("figcaption", legend([line.name for line in lines]))
    how = (
        "Test clips were made worse before the classifier saw them. Joints are missing throughout a clip and stand at "
        "their neighbour; frames are lost here and there and the others close up; noise is added to every coordinate, "
        "its standard deviation in percent of a body's size; a slower camera has fewer frames per second. Strength 0 "
        "is the undisturbed test part."
    )
    return page(
        f"maskel robustness: {title}",
        element("h1", f"Robustness: {title}"),
        paragraph(how, class_="note"),
        element("figure", element("div", chart, class_="charts"), names),
        table(
            ("disturbance", "strength", "right answers", "accuracy (%)", "95 % interval (%)", "change (points)"),
            [row for name, of in steps.items() for row in _rows(_NAMES[name], of)],
        ),
    )


def _rows(name: str, steps: Sequence[Step]) -> list[tuple[str, ...]]:
    """Return a row for each strength, with the difference from the undisturbed accuracy."""
    first = steps[0].correct / steps[0].seen
    return [
        (
            name,
            f"{100 * step.strength:g} %",
            f"{step.correct} of {step.seen}",
            f"{100 * step.correct / step.seen:.1f}",
            interval(step.correct, step.seen),
            f"{100 * (step.correct / step.seen - first):+.1f}",
        )
        for step in steps
    ]
