"""The page of ``maskel predict``: what each person of each recording does over time, and how probable it is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate, groupby

import numpy as np

from maskel.files import json_text
from maskel.pictures.animation import PAGE_BYTES, SCRIPT, Moving, moving, share_out, stage, unmoved
from maskel.pictures.charts import MOST_LINES, PLOT, Line, legend, line_chart, scale
from maskel.pictures.markup import Markup, element, page, paragraph, table
from maskel.pictures.recordings import Key
from maskel.text import shown as text_of
from maskel.training.segments import Segment, Track

_MOST_TRACKS, _MOST_SEGMENTS = 100, 10_000  # drawn on a page
_LISTED = 200  # segments of a table
_POINTS = 300  # of a curve

Found = Sequence[tuple[Track, Sequence[Segment]]]
"""Tracks, those of a recording one after another, with their segments."""


def timeline_page(found: Found, classes: Sequence[str], joints: Mapping[Key, Moving] | None = None) -> str:
    """Draw the page.

    Args:
        found: Tracks of the recordings, with their segments.
        classes: Class names.
        joints: Skeletons by recording and person, as far as they are shown; by default none.
    """
    unsure = any(not segment.sure for _, segments in found for segment in segments)
    parts = [
        element("h1", "Timeline"),
        paragraph(
            "A row for each class, coloured where it is the most probable one"
            f"{', pale where it is less probable than was wanted' if unsure else ''}. Below, the mean probability of "
            "the windows that lie over each moment.",
            class_="note",
        ),
    ]
    joints = joints or {}
    parts += [unmoved()] if joints else []
    drawn = accumulate(len(segments) for _, segments in found[:_MOST_TRACKS])
    shown = found[: max(1, sum(total <= _MOST_SEGMENTS for total in drawn))]
    keys = [key for track, _ in shown if (key := (track.recording, track.person)) in joints]
    rooms = dict(zip(keys, share_out([joints[key] for key in keys], PAGE_BYTES // 2), strict=True))
    for recording, tracks in groupby(shown, key=lambda pair: pair[0].recording):
        parts.append(element("h2", recording))
        people = list(tracks)
        low = min(int(track.edges[0]) for track, _ in people)
        high = max(int(track.edges[-1]) for track, _ in people)
        order = list(_totals([segment for _, segments in people for segment in segments]))
        for track, segments in people:
            key = (track.recording, track.person)
            parts += [element("h3", f"Person {track.person}")] if track.person else []
            person = _person(track, segments, classes, order, (low, high))
            parts += [_beside(person, key, joints[key], rooms[key], (low, high))] if key in rooms else person
    if keys and len(keys) < len(shown):
        parts.append(paragraph(f"Skeletons of {len(shown) - len(keys):,} are left out to keep the page small."))
    if len(shown) < len(found):
        parts.append(paragraph(f"{len(found) - len(shown):,} more are not drawn: the page would be too long."))
    return page("Timeline", *parts, scripts=(SCRIPT, "timeline.js", "tables.js") if keys else ("tables.js",))


def _beside(parts: Sequence[Markup], key: Key, clip: Moving, room: int, span: tuple[int, int]) -> Markup:
    """Put a skeleton beside the bars and curves of its person; the script gives them one cursor."""
    name = f"{key[0]}, person {key[1]}" if key[1] else key[0]
    figure = moving(clip, element("span", class_="now"), room, name=name)
    about = {"paused": "", "span": f"{span[0]} {span[1]}"}
    return stage(clip.layout, figure, element("div", *parts), class_="clips beside", **about)


def _totals(segments: Sequence[Segment]) -> dict[int, int]:
    """Count the frames of each class that occurs, most first."""
    total: Counter[int] = Counter()
    for segment in segments:
        total[segment.label] += segment.end - segment.start
    return dict(total.most_common())


def _person(
    track: Track, segments: Sequence[Segment], classes: Sequence[str], order: Sequence[int], span: tuple[int, int]
) -> list[Markup]:
    """Draw one person, or all of a recording together; its classes have the page's colours in their ``order``.

    The recording's ``span`` is its first frame, and the one after its last.
    """
    low, high = span
    length = max(high - low, 1)
    lanes = []
    for label, total in _totals(segments).items():
        number = order.index(label) + 1
        style = f"dot-{number}" if number <= MOST_LINES else "rest"
        bars = []
        for segment in segments:
            if segment.label == label:
                said = f"{classes[label]}, {_moments(segment, track.rate)}, {segment.probability:.0%}"
                bars.append(
                    element(
                        "rect",
                        element("title", said if segment.sure else f"unsure: {said}"),
                        x=f"{100 * (segment.start - low) / length:.3f}%",
                        width=f"{100 * (segment.end - segment.start) / length:.3f}%",
                        y=2,
                        height=14,
                        class_=style if segment.sure else f"{style} unsure",
                    )
                )
        duration = f"{total:,} frames" if track.rate is None else _time(float(total), track.rate)
        share = f"{duration}, {total / length:.0%}"
        track_of_all = element("rect", width="100%", height=18, class_="track")
        label_text = f"{classes[label]}: {share}"
        lanes += [
            element("span", classes[label]),
            element("span", share, class_="share"),
            element("svg", track_of_all, *bars, role="img", aria_label=label_text, class_="lane"),
        ]
    bars_drawn = element(
        "div", *lanes, scale(lambda at: _time(low + (high - low) * at / 100, track.rate)), class_="bars"
    )
    return [bars_drawn, *_probabilities(track, classes, order[:MOST_LINES]), _list(track, segments, classes)]


def _probabilities(track: Track, classes: Sequence[str], drawn: Sequence[int]) -> list[Markup]:
    """Draw a curve for each class; the script reads the values at the moment that the skeleton shows."""
    times, curves = _curves(track, drawn)
    lines = [Line(classes[label], times, curve) for label, curve in zip(drawn, curves, strict=True)]
    unit = "seconds" if track.rate else "frames"
    rate = track.rate or 1.0
    chart = element(
        "div",
        line_chart("probability", unit, lines),
        class_="charts",
        data_plot=" ".join(f"{value:g}" for value in PLOT),
        data_range=f"{times[0] * rate:.3f} {max(times[-1], times[0] + 1) * rate:.3f}",
        data_times=json_text([round(time * rate, 1) for time in times]).strip(),
        data_values=json_text([[round(100 * y) if y == y else None for y in curve] for curve in curves]).strip(),
        data_names=json_text([text_of(classes[label]) for label in drawn]).strip(),
    )
    return [chart, paragraph(legend([classes[label] for label in drawn]), class_="note")]


def _list(track: Track, segments: Sequence[Segment], classes: Sequence[str]) -> Markup:
    """Return the segments as a table that opens."""
    rows = [
        (
            _moments(segment, track.rate),
            classes[segment.label],
            f"{segment.probability:.0%}",
            "" if segment.sure else "unsure",
        )
        for segment in segments[:_LISTED]
    ]
    heading = ("from, to", "class", "probability", "")
    more = [paragraph(f"{len(segments) - _LISTED:,} more are not listed.")] if len(segments) > _LISTED else []
    summary = element("summary", f"{len(segments):,} segment{'' if len(segments) == 1 else 's'}")
    return element("details", summary, table(heading, rows), *more)


def _curves(track: Track, labels: Sequence[int]) -> tuple[list[float], list[list[float]]]:
    """Return moments, and the probability of each class at them; long recordings are averaged over equal stretches."""
    middles = (track.edges[:-1] + track.edges[1:]) / 2 / (track.rate or 1)
    parts = np.array_split(np.arange(len(middles)), min(_POINTS, len(middles)))
    times = [float(middles[part].mean()) for part in parts]
    return times, [[float(track.probabilities[part, label].mean()) for part in parts] for label in labels]


def _moments(segment: Segment, rate: float | None) -> str:
    return f"{_time(float(segment.start), rate)} to {_time(float(segment.end), rate)}"


def _time(frames: float, rate: float | None) -> str:
    """Write a moment in seconds, in minutes from the first minute on; in frames where the rate is not known."""
    if rate is None:
        return f"{frames:.0f}"
    seconds = round(frames / rate, 1)
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)}:{seconds % 60:04.1f}"
