"""The page of ``maskel inspect``: contents of a set, its faults, and drawings of the worst clips."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from maskel.datasets.bodies import body_extents, body_sizes, columns_of, upward, without_missing
from maskel.datasets.checks import CHECKS, FINDING_HEADING, Finding, Repeats, summarise
from maskel.datasets.clip_checks import JUMP_METRES, JUMP_SIZES, Bearings
from maskel.datasets.contents import BENCHMARK_HEADING, Contents
from maskel.datasets.faults import Fault
from maskel.datasets.store import SkeletonSet
from maskel.pictures.animation import SCRIPT, how_seen, moving, of_clip, stage, unmoved
from maskel.pictures.gallery import clips_stage, thin_out
from maskel.pictures.markup import Markup, element, join, missing, page, paragraph, table
from maskel.pictures.skeletons import FrontView, arrows, bones, shown_frames, skeleton

_AROUND = 3  # frames drawn before a fault, and as many after it
_FAULT_BYTES, _SOME_BYTES = 20_000, 600_000  # characters of a clip with a fault, and of all clips that are just shown


def faults_page(
    dataset: SkeletonSet, contents: Contents, findings: Sequence[Finding], repeats: dict[str, Repeats], num_clips: int
) -> str:
    """Render the page.

    Args:
        dataset: The set.
        contents: Its counts.
        findings: Results of the checks.
        repeats: Counts of repeated clips in each benchmark.
        num_clips: Number of clips to draw for each check, 0 or more.
    """
    title = f"maskel inspect: {dataset.path.name}"
    sections = (
        ("What is in it", _contents(dataset, contents, repeats)),
        ("What was found", _findings(dataset, findings)),
        ("The worst clips", _pictures(dataset, findings, num_clips)),
        ("Some clips", _some(dataset, findings, num_clips)),
    )
    contents_of_page = (join((element("h2", name), content)) for name, content in sections)
    return page(title, element("h1", title), *contents_of_page, scripts=(SCRIPT, "tables.js"))


def _some(dataset: SkeletonSet, findings: Sequence[Finding], count: int) -> Markup:
    """Show a few clips of different classes, whatever was found."""
    if not count:
        return missing("No clips were requested.")
    whole = np.setdiff1d(np.arange(len(dataset)), sorted(_damaged(findings)))
    if not len(whole):
        return missing("No clip is finite.")
    about = f"Drawn of different classes, whatever was found. {how_seen(upward(dataset), dataset.coordinates)}"
    return join(
        (paragraph(about, class_="note"), clips_stage(dataset, thin_out(dataset, whole, 4 * count), _SOME_BYTES))
    )


def _damaged(findings: Sequence[Finding]) -> set[int]:
    """Return the clips that are not finite."""
    faults = [fault for finding in findings if finding.check == "not_finite" for fault in finding.faults]
    return {fault.clip for fault in faults if fault.clip is not None}


def _contents(dataset: SkeletonSet, contents: Contents, repeats: dict[str, Repeats]) -> Markup:
    about = [
        ("source", dataset.source),
        ("joint layout", f"{dataset.layout.name}, {dataset.coordinates} coordinates"),
        *contents.rows(),
    ]
    benchmarks = [(*sizes.row(), repeats[sizes.name]) for sizes in contents.benchmarks]
    counts = [("classes", dict(contents.classes)), *contents.origins().items()]
    return join(
        (
            table(("", ""), about),
            table((*BENCHMARK_HEADING, "duplicates"), benchmarks) if benchmarks else Markup(),
            *(
                element(
                    "details",
                    element("summary", f"{name}: clips of each of the {len(counted):,}"),
                    table(("name", "clips"), [(one, f"{count:,}") for one, count in counted.items()]),
                )
                for name, counted in counts
                if counted
            ),
        )
    )


def _findings(dataset: SkeletonSet, findings: Sequence[Finding]) -> Markup:
    nothing = [] if any(finding.faults for finding in findings) else [paragraph("Nothing found.")]
    found = table(FINDING_HEADING, [summarise(finding, dataset) for finding in findings])
    return join((*nothing, found, paragraph("Frames and bodies are counted from 0.", class_="note")))


def _pictures(dataset: SkeletonSet, findings: Sequence[Finding], count: int) -> Markup:
    parts: list[Markup] = []
    bearings = Bearings.of(dataset)
    damaged = _damaged(findings)
    for finding in findings:
        shown = [fault for fault in finding.faults if fault.clip is not None][:count]
        if not shown:
            continue
        parts.append(element("h3", CHECKS[finding.check].title))
        parts += [_figure(dataset, fault, {fault.clip, fault.other} & damaged != set(), bearings) for fault in shown]
    if not parts:
        return missing("No clip to show." if count else "No clips were requested.")
    up = bearings.up
    far = f"{JUMP_METRES:g} m" if bearings.metric else f"{JUMP_SIZES:g} of the body's size"
    depth = ", depth dropped" if dataset.coordinates == 3 else ""
    how = (
        f"Seen from the front, {up.across} to the right and {up} up ({up.why}){depth}; all panels of a row "
        "share one place and scale. With joints: the body with the fault; bones only: the other bodies. Arrows: "
        f"joints that moved more than {far} since the frame before."
    )
    return join((paragraph(how, class_="note"), unmoved(), stage(dataset.layout, *parts, class_="figures")))


def _figure(dataset: SkeletonSet, fault: Fault, damaged: bool, bearings: Bearings) -> Markup:
    assert fault.clip is not None
    clip = dataset.clips[fault.clip]
    rows = "" if fault.other is None else f" Above: {clip.name}; below: {dataset.clips[fault.other].name}."
    caption = element("figcaption", f"{clip.name} ({dataset.class_name(fault.clip)}): {fault.about}.{rows}")
    if damaged:
        return element("figure", missing("Not drawn: coordinates that are not finite."), caption)
    shown = [fault.clip] if fault.other is None else [fault.clip, fault.other]
    rows_drawn = (_row(dataset, position, fault, bearings) for position in shown)
    moves = []
    for position in shown:
        name = dataset.clips[position].name
        moves.append(moving(of_clip(dataset, position, bearings.up), name, _FAULT_BYTES, name=name, start=fault.frame))
    return element("figure", *rows_drawn, element("div", *moves, class_="clips"), caption)


def _row(dataset: SkeletonSet, position: int, fault: Fault, bearings: Bearings) -> Markup:
    """Draw a few frames of a clip: around the fault, or from the whole clip."""
    joints = without_missing(dataset.sequence(position).joints[..., : dataset.coordinates], dataset)
    joints = bearings.up.turn(joints)  # (M, T, V, C)
    frames = shown_frames(joints.shape[1]).tolist()
    if fault.frame is not None:
        frames = list(range(max(0, fault.frame - _AROUND), min(joints.shape[1], fault.frame + _AROUND)))
    view = _view(joints[:, frames])
    panels = [_panel(dataset, joints, frame, fault.body or 0, view, bearings.metric) for frame in frames]
    return element("div", *panels, class_="panels")


def _view(joints: Float32[np.ndarray, "m f v c"]) -> FrontView:
    """Return one position and scale for all bodies and frames."""
    points = joints[joints.any(axis=(2, 3))].reshape(1, -1, joints.shape[3])
    if not points.size:
        points = np.zeros((1, 1, joints.shape[3]), dtype=np.float32)
    x = points[..., 0]
    return replace(FrontView.of(points), middle=float(np.nanmin(x) + np.nanmax(x)) / 2)


def _panel(
    dataset: SkeletonSet,
    joints: Float32[np.ndarray, "m t v c"],
    frame: int,
    body: int,
    view: FrontView,
    metric: bool,
) -> Markup:
    now, before = joints[:, frame], joints[:, max(frame - 1, 0)]
    marks = []
    for other in range(len(joints)):
        if not now[other].any():
            continue
        if other != body:
            marks.append(bones(view.place(now[other], now[other]), dataset.layout))
        two = columns_of(np.stack((now[other], before[other])))
        sizes = body_sizes(body_extents(two, np.isnan(two).any(axis=0)))
        far = JUMP_METRES if metric else JUMP_SIZES * float(sizes.max())
        moved = np.linalg.norm(now[other] - before[other], axis=1) > far
        if moved.any() and before[other].any():
            start, end = (view.place(points[other][moved], points[other]) for points in (before, now))
            marks.append(arrows(start, end, "predicted"))
    every = range(len(dataset.layout))
    hidden = np.zeros(len(dataset.layout), dtype=bool)
    return skeleton(f"frame {frame}", now[body], every, hidden, dataset.layout, view, marks)
