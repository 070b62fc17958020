"""Features as points, and importance of joints, as pages."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tiny
from elements import Elements, require_safe
from maskel.commands.embed import features as compute
from maskel.commands.view import features, importance
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.pictures.scatter import project
from maskel.training.classifiers import load_classifier
from maskel.training.run import RunFolder

Run = Callable[..., tuple[int, str]]


def test_principal_components_are_those_of_the_covariance() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 6)) * [5, 3, 1, 1, 1, 1] + 7
    points, about = project(rows, "pca")
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    for place in (0, 1):
        axis = vectors[:, -1 - place]
        axis = axis * np.sign(axis[np.abs(axis).argmax()])
        np.testing.assert_allclose(points[:, place], (rows - rows.mean(0)) @ axis, atol=1e-9)
    shares = values[::-1] / values.sum()
    assert about == f"two principal components, {100 * shares[0]:.0f} % and {100 * shares[1]:.0f} % of the variance"
    np.testing.assert_array_equal(project(rows[:, :1], "pca")[0][:, 1], 0)
    assert np.isfinite(project(np.ones((3, 4)), "pca")[0]).all()
    with pytest.raises(InputError, match="found 1 clip, expected 2 or more"):
        project(rows[:1], "pca")


def test_each_point_is_its_clip(prepared: Path, pretrained: RunFolder, tmp_path: Path) -> None:
    page = features(prepared, pretrained.path, benchmark="xsub", part="test", out=tmp_path / "f.html").read_text()
    require_safe(page)
    data = SkeletonSet.open(prepared)
    test = data.split("xsub", "test")
    points, _ = project(compute(pretrained.path, prepared, "xsub", "test").features, "pca")
    names = re.findall(r'data-name="([^"]*)"', page)
    shown = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="4.5" fill="[^"]*" data-label="(\d)"', page)
    assert names == [data.clips[position].name for position in sorted(test.tolist())]
    order = np.argsort(test)
    found = np.array([[float(x), 600 - float(y)] for x, y, _ in shown])
    expected = points[order] - points.min(0)
    np.testing.assert_allclose(found, 14 + 572 * expected / expected.max(0), atol=0.06)
    assert [int(label) for *_, label in shown] == data.labels[test[order]].tolist()
    assert "Features of 8 clips on two principal components" in page


def test_umap_is_an_extra(
    prepared: Path, pretrained: RunFolder, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "f.html"
    given = ("view", "features", prepared, "--encoder", pretrained.path, "--projection=umap", "--out", out)
    monkeypatch.setitem(sys.modules, "umap", None)
    code, text = run(*given)
    assert (code, text.count("\n")) == (2, 1)
    assert 'pip install "maskel[umap]"' in text
    seen: dict[str, Any] = {}

    class Stand:
        def __init__(self, **options: Any) -> None:
            seen.update(options)

        def fit_transform(self, rows: np.ndarray) -> np.ndarray:
            return rows[:, :2].astype(np.float32)

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Stand))
    assert run(*given, "--seed=3")[0] == 0
    assert seen == {"n_neighbors": 15, "metric": "cosine", "random_state": 3, "n_jobs": 1}
    assert "UMAP, 15 neighbours by cosine, seed 3" in out.read_text()


def test_important_joints_are_drawn(prepared: Path, tmp_path: Path, run: Run) -> None:
    trained = tiny.tiny_finetune(prepared, tmp_path / "run")
    page = importance(prepared, trained.path, most=3, out=tmp_path / "i.html").read_text()
    require_safe(page)
    assert Elements(page).classes["moving"] == 3
    assert page.count("data-weights=") == 3
    shares = [float(share) for share in re.findall(r"<td>([\d.]+) %</td>", page)]
    assert len(shares) == 25
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=1.3)
    data, model = SkeletonSet.open(prepared), load_classifier(trained.path)
    for position, name in enumerate(clip.name for clip in data.clips):
        if f"<span>{name}</span>" in page:
            batch = data.gather(np.array([position]), model.label_spec.num_bodies, model.label_spec.single_body)
            share, label = (one.item() for one in model.classify(batch)[0].max(0))
            assert re.search(
                f"{model.label_spec.classes[label]}, {share:.0%}, (right|but it is)[^<]*<span>{name}", page
            )
    code, text = run("view", "importance", prepared, "--classifier", trained.path, "--names", "nobody")
    assert (code, "has no clip whose name contains nobody" in text) == (2, True)
    code, text = run("view", "importance", prepared, "--classifier", trained.path, "--most=0")
    assert (code, "most: found 0, expected 1 to 100" in text) == (2, True)
