import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskel.commands.ensemble import ensemble
from maskel.datasets.store import names_hash
from maskel.errors import InputError
from maskel.training.run import RunFolder
from maskel.training.scores import Scores

CLASSES = ("wave", "clap", "kick")


def scored(
    folder: Path,
    scores: list[list[float]],
    labels: list[int],
    names: str = "abcdefgh",
    classes: tuple[str, ...] = CLASSES,
) -> Path:
    """A run folder with these scores."""
    run = RunFolder.create(folder, "finetune", {"seed": 0})
    count = len(scores)
    found = Scores(tuple(names[:count]), np.array(labels), classes, np.array(scores, dtype=np.float32))
    found.write(run)
    run.write_result({"kind": "finetune", "benchmark": "xsub", "split": {}, "data": {}})
    return folder


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), runs=st.integers(2, 4), kind=st.sampled_from(["logits", "softmax"]))
def test_the_sum_equals_loops(seed: int, runs: int, kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path_factory.mktemp("ensemble")
    draws = np.random.default_rng(seed)
    labels = draws.integers(0, 3, size=5).tolist()
    logits = draws.normal(size=(runs, 5, 3)).astype(np.float32)
    weights = draws.uniform(0.1, 2, size=runs).tolist()
    folders = [scored(out / str(number), rows.tolist(), labels) for number, rows in enumerate(logits)]
    run = ensemble(folders, weights=weights, scores=kind, out=out / "sum")
    right = 0
    for clip in range(5):
        total = [0.0] * 3
        for weight, rows in zip(weights, logits, strict=True):
            row = [float(value) for value in rows[clip]]
            powers = [2.718281828459045**value for value in row]
            for label in range(3):
                total[label] += weight * (powers[label] / sum(powers) if kind == "softmax" else row[label])
        right += max(range(3), key=total.__getitem__) == labels[clip]
        assert Scores.read(run.path).scores[clip].tolist() == pytest.approx(total, rel=1e-5, abs=1e-6)
    result = run.result
    assert (result["correct"], result["seen"]) == (right, 5)
    assert [entry["weight"] for entry in result["runs"]] == weights
    assert result["hash"] == names_hash("abcde")


def test_weights_decide_and_the_parts_are_reported(tmp_path: Path) -> None:
    one = scored(tmp_path / "one", [[3, 0, 0], [0, 3, 0]], [0, 1])
    other = scored(tmp_path / "other", [[0, 0, 4], [0, 0, 4]], [0, 1])
    results = [
        ensemble([one, other], weights=weights, out=tmp_path / str(number)).result
        for number, weights in enumerate((None, [2.0, 1.0]))
    ]
    assert [result["correct"] for result in results] == [0, 2]
    assert [(entry["correct"], entry["seen"]) for entry in results[0]["runs"]] == [(2, 2), (0, 2)]
    again = ensemble([tmp_path / "0", tmp_path / "1"], out=tmp_path / "again")  # an ensemble can be added up as well
    assert again.result["seen"] == 2


def test_runs_on_different_clips_are_refused(tmp_path: Path) -> None:
    one = scored(tmp_path / "one", [[1, 0, 0], [0, 1, 0]], [0, 1])
    for name, other in {
        "order": scored(tmp_path / "order", [[1, 0, 0], [0, 1, 0]], [1, 0], names="ba"),
        "fewer": scored(tmp_path / "fewer", [[1, 0, 0]], [0]),
        "classes": scored(tmp_path / "classes", [[1, 0, 0], [0, 1, 0]], [0, 1], classes=("a", "b", "c")),
    }.items():
        with pytest.raises(InputError, match="expected the same clips and classes"):
            ensemble([one, other], out=tmp_path / f"{name}-sum")
        assert not (tmp_path / f"{name}-sum").exists()
    with pytest.raises(InputError, match="disagree on the classes"):
        ensemble([one, scored(tmp_path / "labels", [[1, 0, 0], [0, 1, 0]], [0, 2])], out=tmp_path / "sum")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "found 1 for 2 runs"),
        ([1.0, -1.0], "expected 0 or more"),
        ([0.0, 0.0], "one of them above 0"),
        ([1.0, float("nan")], "expected 0 or more"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights: list[float], message: str, tmp_path: Path) -> None:
    runs = [scored(tmp_path / name, [[1, 0, 0]], [0]) for name in ("one", "other")]
    with pytest.raises(InputError, match=message):
        ensemble(runs, weights=weights, out=tmp_path / "sum")
    with pytest.raises(InputError, match="found 1 run, expected two or more"):
        ensemble(runs[:1], out=tmp_path / "sum")


def test_damaged_scores_are_refused(tmp_path: Path) -> None:
    folder = scored(tmp_path / "run", [[1, 0, 0], [0, 1, 0]], [0, 1])
    whole = (folder / "scores.npz").read_bytes()
    arrays = {
        "names": np.array(["a", "b"]),
        "labels": np.array([0, 1]),
        "classes": np.array(CLASSES),
        "scores": np.zeros((2, 3), np.float32),
    }
    damaged = [b"", whole[:50], whole[: len(whole) // 2], b"x" * 500]
    for changes in (
        {"names": np.array(["a", "b"], dtype=object)},
        {"labels": np.array([0, 3])},
        {"labels": np.array([0.0, 1.0])},
        {"scores": np.zeros((2, 2), np.float32)},
        {"scores": np.full((2, 3), np.nan, np.float32)},
        {"classes": np.array([1, 2, 3])},
    ):
        buffer = io.BytesIO()
        np.savez(buffer, **(arrays | changes))
        damaged.append(buffer.getvalue())
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    damaged.append(buffer.getvalue())
    with zipfile.ZipFile(lacking := io.BytesIO(), "w") as archive:
        archive.writestr("names.npy", b"")
    damaged.append(lacking.getvalue())
    for content in damaged:
        (folder / "scores.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"scores.npz: not the scores of a run"):
            Scores.read(folder)
    (folder / "scores.npz").unlink()
    with pytest.raises(InputError, match=r"no such scores; maskel linear, finetune, evaluate and ensemble leave them$"):
        Scores.read(folder)
    for seed in (2, 1):
        scored(folder / f"seed-{seed}", [[1.0, 0.0, 0.0]], [0])
    with pytest.raises(InputError, match=r"leave them; name one of its runs, like .*seed-1$"):
        Scores.read(folder)
