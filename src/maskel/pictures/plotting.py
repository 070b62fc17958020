"""Figures for papers, with matplotlib: clips, masks, confusions and curves; and clips as GIF or MP4."""

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from maskel.datasets.bodies import upward
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.files import as_output, refuse_unwritable, replacing, require_suffix
from maskel.pictures.animation import Moving, of_clip
from maskel.pictures.gallery import position_named
from maskel.pictures.reconstructions import choose_clips, form_drawn, reconstruct_clip
from maskel.pictures.report import read_columns, read_confusion
from maskel.pictures.skeletons import shown_frames
from maskel.text import shown
from maskel.training.finished import open_pretrained, open_runs
from maskel.training.run import PREDICTIONS

FIGURES = (".pdf", ".png", ".svg")
MOVIES = (".gif", ".mp4")
_BODY, _GUESS, _QUIET = ("#1d5fa8", "#c8501a", "#2c8a5a", "#8a4fa3", "#8a6d00", "#4d4d4d"), "#c8501a", "#9a9a95"
Source = str | PathLike[str] | Sequence[str | PathLike[str]]


def plot(kind: str, source: Source, clip: str | None = None, out: str | PathLike[str] | None = None, panels: int = 6,
         view: str = "front") -> Any:  # fmt: skip
    """Draw a figure for a paper; needs the extra ``[plot]``.

    Args:
        kind: ``film``: moments of a clip of a prepared set, side by side. ``mask``: the same with the tokens that a
            pre-training run hides, as hollow joints, and true and predicted motion or positions. ``confusion``: the
            confusion matrix of a run. ``curve``: loss of pre-training, or test accuracy of classifiers, over the
            epochs of one run or several. ``movie``: a clip of a set as ``.gif``, or as ``.mp4`` where ffmpeg is
            installed.
        source: A prepared set for ``film`` and ``movie``, else a run folder, or a list of them for ``curve``.
        clip: Name of the clip for ``film``, ``mask`` and ``movie``; by default the first of the set, or the first that
            the report would draw.
        out: A ``.pdf``, ``.png`` or ``.svg`` file, for ``movie`` a ``.gif`` or ``.mp4``; an earlier one is replaced.
        panels: Moments of ``film`` and ``mask``, 1 or more.
        view: ``front``, or ``side`` for 3D clips.

    Returns:
        A ``matplotlib.figure.Figure``; for ``movie`` the file.

    Raises:
        InputError: If matplotlib is not installed, or there is no such kind, set, run or clip.

    Examples:
        >>> figure = plot("film", "set", panels=3, out="film.pdf")
        >>> [axes.get_title() for axes in figure.axes]
        ['frame 8', 'frame 24', 'frame 40']
    """
    if kind not in _KINDS:
        raise InputError(f"plot: no figure is called {kind!r}; known are {', '.join(_KINDS)}")
    if panels < 1:
        raise InputError(f"panels: found {panels}, expected 1 or more")
    if view not in ("front", "side"):
        raise InputError(f"view: found {view!r}, expected front or side")
    sources = [Path(source)] if isinstance(source, str | PathLike) else [Path(one) for one in source]
    if len(sources) != 1 and (kind != "curve" or not sources):
        raise InputError(f"plot: found {len(sources)} sources, expected {'1 or more' if kind == 'curve' else 'one'}")
    target = None if out is None else Path(out)
    if kind == "movie" and target is None:
        raise InputError("plot: a movie needs out, a .gif or .mp4 file")
    if target is not None:
        require_suffix(target, *(MOVIES if kind == "movie" else FIGURES))
        refuse_unwritable(target, "out")
    try:
        from matplotlib.figure import Figure
    except ImportError as fault:
        raise InputError('plot needs matplotlib; install it with pip install "maskel[plot]"') from fault
    if kind == "movie":
        assert target is not None
        return _movie(Figure(figsize=(4, 4), layout="constrained"), sources[0], clip, view, target)
    figure = _KINDS[kind](Figure, sources, clip, panels, view)
    if target is not None:
        with as_output(target, "out"), replacing(target) as temporary:
            stamp = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(target.suffix)
            figure.savefig(temporary, format=target.suffix[1:], dpi=200, metadata=stamp)
    return figure


def _across(clip: Moving, view: str) -> int:
    """Return the axis that is drawn from left to right."""
    if view == "side" and clip.joints.shape[-1] < 3:
        raise InputError("view: a clip in 2D has no side; leave it at front")
    return 2 if view == "side" else 0


def _frame(axes: Any, clip: Moving, frame: int, across: int, hidden: np.ndarray | None = None) -> None:
    """Draw the bodies of one frame."""
    for number, body in enumerate(clip.joints[:, frame]):
        colour = _BODY[number % len(_BODY)]
        for edge in clip.layout.edges:
            ends = body[list(edge)]
            if np.isfinite(ends).all():
                axes.plot(ends[:, across], ends[:, 1], color=colour, linewidth=1.2, alpha=0.6, zorder=1)
        hollow = np.zeros(len(body), dtype=bool) if hidden is None or number else hidden
        axes.scatter(*body[~hollow][:, [across, 1]].T, s=6, color=colour, zorder=2)
        axes.scatter(*body[hollow][:, [across, 1]].T, s=7, facecolor="white", edgecolor=_QUIET, linewidth=0.7, zorder=2)


def _limits(axes: Any, clip: Moving, across: int, frames: Sequence[int]) -> None:
    """Give all panels one scale, without axes."""
    points = clip.joints[:, frames][np.isfinite(clip.joints[:, frames]).all(-1)]
    low, high = (points.min(0), points.max(0)) if len(points) else (np.zeros(3), np.ones(3))
    room = 0.08 * float((high - low).max() or 1.0)
    axes.set_xlim(low[across] - room, high[across] + room)
    axes.set_ylim(low[1] - room, high[1] + room)
    axes.set_aspect("equal")
    axes.set_axis_off()


def _strip(
    figure_of: Callable[..., Any], clip: Moving, panels: int, view: str, name: str
) -> tuple[Any, Any, list[int]]:
    across = _across(clip, view)
    frames = shown_frames(clip.joints.shape[1], panels).tolist()
    figure = figure_of(figsize=(1.2 * len(frames), 2.1), layout="constrained")
    row = figure.subplots(1, len(frames), squeeze=False)[0]
    for axes, frame in zip(row, frames, strict=True):
        _frame(axes, clip, frame, across, None if clip.hidden is None else clip.hidden[frame])
        _limits(axes, clip, across, frames)
        moment = f"{frame / clip.rate:.2f} s" if clip.seconds else f"frame {frame}"
        axes.set_title(moment, fontsize=8, color="#555555")
    figure.suptitle(shown(name), fontsize=9)
    return figure, row, frames


def _film(figure_of: Callable[..., Any], sources: Sequence[Path], name: str | None, panels: int, view: str) -> Any:
    dataset = SkeletonSet.open(sources[0])
    position = 0 if name is None else position_named(dataset, name)
    clip = of_clip(dataset, position, upward(dataset))
    title = f"{dataset.class_name(position)} ({dataset.clips[position].name})"
    return _strip(figure_of, clip, panels, view, title)[0]


def _mask(figure_of: Callable[..., Any], sources: Sequence[Path], name: str | None, panels: int, view: str) -> Any:
    (run,) = open_runs(sources)
    if not run.pretrains:
        raise InputError(f"{sources[0]}: expected a run of maskel pretrain, found one of maskel {run.kind}")
    method, dataset, seed = open_pretrained(run)
    position = (
        int(choose_clips(dataset, run.about("benchmark"), 1)[0]) if name is None else position_named(dataset, name)
    )
    found = reconstruct_clip(method, dataset, position, seed)
    read, hidden = list(found.read), found.hidden_joints
    clip = Moving(found.joints[None], method.encoder.layout, hidden=hidden)
    figure, row, frames = _strip(figure_of, clip, panels, view, f"{found.class_name} ({found.clip.name})")
    across, drawn = _across(clip, view), form_drawn(method)
    for axes, frame in zip(row, frames, strict=True):
        start = found.joints[frame, read]
        for values, colour in ((found.true[frame], "#1c1c1a"), (found.predicted[frame], _GUESS)):
            motion = values if drawn == "motion" else values - start
            masked = hidden[frame, read] & np.isfinite(motion).all(1)
            if drawn == "motion" or (drawn == "positions" and colour == _GUESS):
                scale = {"angles": "xy", "scale_units": "xy", "scale": 0.2 if drawn == "motion" else 1.0}
                axes.quiver(*start[masked][:, [across, 1]].T, *motion[masked][:, [across, 1]].T, color=colour,
                            width=0.012, **scale, zorder=3)  # fmt: skip
    return figure


def _confusion(figure_of: Callable[..., Any], sources: Sequence[Path], name: str | None, panels: int, view: str) -> Any:
    (run,) = open_runs(sources)
    if not run.protocol.scores:
        raise InputError(f"{sources[0]}: a run of maskel {run.kind} has no confusion matrix")
    run.require_finished()
    classes = run.answers[0].classes
    counts = read_confusion(run.folder.path / PREDICTIONS, classes)
    side = min(max(2.6, 0.3 * len(classes) + 1.4), 12)
    figure = figure_of(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(1), 1)[:, None]
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if few := len(classes) <= 30:
        names = [shown(one) for one in classes]
        axes.set_xticks(range(len(classes)), names, rotation=90, fontsize=7)
        axes.set_yticks(range(len(classes)), names, fontsize=7)
    for true, guess in np.argwhere(counts > 0).tolist() if few else []:
        colour = "white" if shares[true, guess] > 0.5 else "black"
        axes.text(guess, true, counts[true, guess], ha="center", va="center", fontsize=6, color=colour)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"{int(np.trace(counts))} of {int(counts.sum())} right", fontsize=9)
    figure.colorbar(image, ax=axes, shrink=0.7, label="share of the true class")
    return figure


def _curve(figure_of: Callable[..., Any], sources: Sequence[Path], name: str | None, panels: int, view: str) -> Any:
    runs = open_runs(list(sources))
    kinds = {run.pretrains for run in runs}
    if len(kinds) > 1:
        raise InputError("plot: found runs of pretrain and of classifiers; a curve shows the one or the other")
    figure = figure_of(figsize=(3.4, 2.4), layout="constrained")
    axes = figure.subplots()
    for number, run in enumerate(runs):
        if not run.protocol.trains:
            raise InputError(f"{run.name}: a run of maskel {run.kind} has no epochs")
        epochs, values = read_columns(run, "epoch", "loss" if run.pretrains else "accuracy")
        style = ("-", "--", ":", "-.")[number // len(_BODY) % 4]
        axes.plot(epochs, values, style, color=_BODY[number % len(_BODY)], label=shown(run.name), linewidth=1.3)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss" if kinds == {True} else "test accuracy (%)")
    axes.spines[["top", "right"]].set_visible(False)
    if len(runs) > 1:
        axes.legend(fontsize=7, frameon=False)
    return figure


def _movie(figure: Any, source: Path, name: str | None, view: str, out: Path) -> Path:
    from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter

    if out.suffix == ".mp4" and not FFMpegWriter.isAvailable():
        raise InputError("out: an .mp4 file needs ffmpeg, which is not installed; install it, or write a .gif")
    dataset = SkeletonSet.open(source)
    position = 0 if name is None else position_named(dataset, name)
    clip = of_clip(dataset, position, upward(dataset))
    across, frames = _across(clip, view), range(clip.joints.shape[1])
    axes = figure.subplots()

    def draw(frame: int) -> None:
        axes.clear()
        _frame(axes, clip, frame, across)
        _limits(axes, clip, across, frames)
        axes.set_title(shown(dataset.class_name(position)), fontsize=9)

    with as_output(out, "out"), replacing(out) as temporary:
        writer = (FFMpegWriter if out.suffix == ".mp4" else PillowWriter)(fps=round(clip.rate))
        ending = temporary.with_name(f"{temporary.name}{out.suffix}")  # the writer chooses the format by it
        FuncAnimation(figure, draw, frames=frames, init_func=lambda: None).save(ending, writer=writer, dpi=110)
        ending.replace(temporary)
    return out


_KINDS: dict[str, Callable[..., Any]] = {
    "confusion": _confusion,
    "curve": _curve,
    "film": _film,
    "mask": _mask,
    "movie": _movie,
}
