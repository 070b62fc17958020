"""Figures by matplotlib; skipped without it but for what needs none."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import maskel
import tiny
from maskel.commands.linear import linear
from maskel.datasets.bodies import upward
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.pictures.report import read_confusion
from maskel.training.run import RunFolder

drawn = pytest.mark.skipif(
    find_spec("matplotlib") is None,
    reason="matplotlib, of the extra plot, is not installed",
)


@pytest.fixture(scope="module")
def probe(prepared: Path, pretrained: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    out = tmp_path_factory.mktemp("probe") / "run"
    run = linear(pretrained.path, data=prepared, out=out, training=tiny.PROBE, device="cpu")
    assert isinstance(run, RunFolder)
    return run


def test_without_matplotlib_a_sentence_says_so(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r'plot needs matplotlib; install it with pip install "maskel\[plot\]"'):
        maskel.plot("film", prepared)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "pie"}, "no figure is called 'pie'; known are confusion, curve, film, mask, movie"),
        ({"panels": 0}, "panels: found 0, expected 1 or more"),
        ({"view": "top"}, "view: found 'top', expected front or side"),
        ({"source": []}, "found 0 sources, expected one"),
        ({"source": ["a", "b"]}, "found 2 sources, expected one"),
        ({"out": "figure.jpeg"}, r"ends in \.pdf or \.png or \.svg"),
        ({"kind": "movie"}, r"a movie needs out, a \.gif or \.mp4 file"),
        ({"kind": "movie", "out": "a.pdf"}, r"\.gif or \.mp4"),
    ],
)
def test_what_cannot_be_drawn_is_refused(given: dict[str, Any], message: str, prepared: Path) -> None:
    with pytest.raises(InputError, match=message):
        maskel.plot(**({"kind": "film", "source": prepared} | given))


@drawn
def test_a_film_strip_shows_the_clip(prepared: Path, tmp_path: Path) -> None:
    for out in ("a.pdf", "b.pdf", "c.png"):
        figure = maskel.plot("film", prepared, clip="clip03", panels=4, out=tmp_path / out)
        assert (tmp_path / out).stat().st_size > 1000
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    data = SkeletonSet.open(prepared)
    frames = [int((panel + 0.5) * data.frames[3] / 4) for panel in range(4)]
    assert [axes.get_title() for axes in figure.axes] == [f"frame {frame}" for frame in frames]
    expected = upward(data).turn(data.sequence(3).joints)[0, frames[1]]
    np.testing.assert_allclose(figure.axes[1].collections[0].get_offsets(), expected[:, :2], atol=1e-5)
    side = maskel.plot("film", prepared, clip="clip03", panels=4, view="side")
    np.testing.assert_allclose(side.axes[1].collections[0].get_offsets(), expected[:, [2, 1]], atol=1e-5)
    with pytest.raises(InputError, match="has no clip called 'nobody'"):
        maskel.plot("film", prepared, clip="nobody")


@drawn
def test_a_mask_shows_hidden_joints_hollow(pretrained: RunFolder, probe: RunFolder, tmp_path: Path) -> None:
    figure = maskel.plot("mask", pretrained.path, panels=3, out=tmp_path / "mask.svg")
    full, hollow = (sum(len(axes.collections[place].get_offsets()) for axes in figure.axes) for place in (0, 1))
    assert full + hollow == 3 * 25
    assert hollow == pytest.approx(0.8 * 75, abs=15)
    with pytest.raises(InputError, match="expected a run of maskel pretrain"):
        maskel.plot("mask", probe.path)


@drawn
def test_confusions_and_curves_are_those_of_the_run(probe: RunFolder, pretrained: RunFolder, tmp_path: Path) -> None:
    figure = maskel.plot("confusion", str(probe.path), out=tmp_path / "c.pdf")
    counts = read_confusion(probe.path / "predictions.csv", tiny.CLASSES)
    assert sorted(int(text.get_text()) for text in figure.axes[0].texts) == sorted(counts[counts > 0].tolist())
    assert figure.axes[0].get_title() == f"{np.trace(counts)} of 8 right"
    line = maskel.plot("curve", probe.path).axes[0].lines[0]
    rows = probe.metrics
    assert line.get_xdata().tolist() == [row["epoch"] for row in rows]
    assert line.get_ydata().tolist() == pytest.approx([100 * row["accuracy"] for row in rows])
    assert maskel.plot("curve", [pretrained.path]).axes[0].get_ylabel() == "loss"
    with pytest.raises(InputError, match="found runs of pretrain and of classifiers"):
        maskel.plot("curve", [pretrained.path, probe.path])
    with pytest.raises(InputError, match="has no confusion matrix"):
        maskel.plot("confusion", pretrained.path)


@drawn
def test_a_movie_has_every_frame(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image  # comes with matplotlib

    data = SkeletonSet.open(prepared)
    name = data.clips[int(data.frames.argmin())].name
    out = maskel.plot("movie", prepared, clip=name, out=tmp_path / "clip.gif")
    with Image.open(out) as image:
        assert image.n_frames == data.frames.min()
        assert image.info["duration"] in (30, 33)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"an \.mp4 file needs ffmpeg, which is not installed"):
        maskel.plot("movie", prepared, clip=name, out=tmp_path / "clip.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.gif"]
