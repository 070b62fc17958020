import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from maskel.commands.knn import knn, vote
from maskel.commands.retrieval import retrieval
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.models.loading import load_encoder
from maskel.training.features import extract, whiten
from maskel.training.run import RunFolder


def neighbours(encoder: Path, data: Path, out: Path, **changes: Any) -> RunFolder:
    return knn(encoder, data, out=out, device="cpu", **({"k": 3} | changes))


def on_circle(*degrees: float) -> torch.Tensor:
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack((angles.cos(), angles.sin()), 1).float()


def vote_by_loops(
    known: torch.Tensor, labels: torch.Tensor, asked: torch.Tensor, classes: int, k: int
) -> list[tuple[int, int]]:
    """Nearest and voted class of each asked feature; equal votes go to the larger sum of cosines."""
    answers = []
    for one in asked.double():
        cosines = [(one @ other / (one.norm() * other.norm())).item() for other in known.double()]
        nearest = sorted(range(len(cosines)), key=lambda place: -cosines[place])[:k]
        votes = [
            (
                sum(labels[place].item() == label for place in nearest),
                sum(cosines[place] for place in nearest if labels[place].item() == label),
            )
            for label in range(classes)
        ]
        answers.append((int(labels[nearest[0]]), max(range(classes), key=votes.__getitem__)))
    return answers


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), known=st.integers(2, 30), classes=st.integers(1, 4), data=st.data())
def test_the_vote_equals_loops(seed: int, known: int, classes: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, known))
    draws = torch.Generator().manual_seed(seed)
    features, asked = torch.randn(known, 6, generator=draws), torch.randn(5, 6, generator=draws)
    labels = torch.randint(classes, (known,), generator=draws)
    near, voted = vote(features, labels, asked, classes, k)
    expected = vote_by_loops(features, labels, asked, classes, k)
    assert near.tolist() == [pair[0] for pair in expected]
    assert voted.tolist() == [pair[1] for pair in expected]


def test_more_votes_beat_nearer_ones() -> None:
    near, voted = vote(on_circle(1, 60, 61), torch.tensor([0, 1, 1]), on_circle(0), 2, 3)
    assert (near.tolist(), voted.tolist()) == ([0], [1])
    near, voted = vote(on_circle(0, 178, 179), torch.tensor([0, 1, 1]), on_circle(0), 2, 3)
    assert (near.tolist(), voted.tolist()) == ([0], [1])  # a vote counts however far it is


def test_equal_votes_go_to_the_nearer_voters() -> None:
    labels = torch.tensor([1, 0, 0, 1])
    near, voted = vote(on_circle(5, 6, 30, 50), labels, on_circle(0), 2, 4)
    assert (near.tolist(), voted.tolist()) == ([1], [0])
    near, voted = vote(on_circle(5, 6, 50, 30), labels, on_circle(0), 2, 4)
    assert (near.tolist(), voted.tolist()) == ([1], [1])


def test_lengths_of_features_do_not_matter() -> None:
    scale = torch.tensor([[1.0], [100.0], [0.01]])
    near, _ = vote(on_circle(40, 80, 10) * scale, torch.tensor([0, 1, 2]), on_circle(0, 75) * 7, 3, 1)
    assert near.tolist() == [2, 1]


def test_more_questions_than_one_table_holds() -> None:
    draws = torch.Generator().manual_seed(0)
    known, asked = torch.randn(9, 4, generator=draws), torch.randn(1500, 4, generator=draws)
    labels = torch.arange(9) % 3
    whole = vote(known, labels, asked, 3, 4)
    for start in (0, 700, 1400):
        part = vote(known, labels, asked[start : start + 100], 3, 4)
        assert all(torch.equal(a[start : start + 100], b) for a, b in zip(whole, part, strict=True))


def test_the_command_counts_every_test_clip_once(
    pretrained: RunFolder, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path
) -> None:
    run = neighbours(pretrained.path, prepared, tmp_path / "run")
    result = run.result
    train, test = tiny_set.split("xsub", "train"), tiny_set.split("xsub", "test")
    encoder = load_encoder(pretrained.path)
    features = [extract(encoder, tiny_set, part, tiny.ALONE, "zero") for part in (train, test)]
    labels = torch.tensor(tiny_set.labels)
    expected = vote_by_loops(features[0], labels[train], features[1], len(tiny.CLASSES), 3)
    right = labels[test].tolist()
    assert result["correct"] == sum(near == label for (near, _), label in zip(expected, right, strict=True))
    assert result["vote"]["correct"] == sum(voted == label for (_, voted), label in zip(expected, right, strict=True))
    assert result["vote"]["k"] == 3
    for counts in (result, result["vote"]):
        assert counts["seen"] == tiny.TEST
        assert sum(part["seen"] for part in counts["per_class"]) == tiny.TEST
        assert sum(part["correct"] for part in counts["per_class"]) == counts["correct"]
    with (run.path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [tiny_set.clips[position].name for position in test]
    assert [row["predicted"] for row in rows] == [tiny.CLASSES[near] for near, _ in expected]


def test_the_training_clips_themselves_are_found(tiny_set: SkeletonSet, pretrained: RunFolder) -> None:
    positions = tiny_set.split("xsub", "train")
    features = extract(load_encoder(pretrained.path), tiny_set, positions, tiny.ALONE, "zero")
    labels = torch.tensor(tiny_set.labels[positions])
    assert torch.equal(vote(features, labels, features, 3, 1)[0], labels)


def test_an_untrained_encoder_gives_other_features(pretrained: RunFolder, prepared: Path, tmp_path: Path) -> None:
    runs = [
        neighbours(pretrained.path, prepared, tmp_path / str(number), untrained=True, seed=seed)
        for number, seed in enumerate((0, 0))
    ]
    texts = [(run.path / "predictions.csv").read_bytes() for run in runs]
    assert texts[0] == texts[1]
    assert runs[0].result["untrained"] is True


@pytest.mark.parametrize(("known", "values"), [(12, 5), (6, 9)])
@pytest.mark.parametrize("power", [0.5, 1.0])
def test_whitened_features_spread_by_the_power_left(known: int, values: int, power: float) -> None:
    """With more clips than values and with fewer; queries move as the gallery does."""
    draws = torch.Generator().manual_seed(0)
    spreads = torch.logspace(0, 2, values)
    gallery = torch.randn(known, values, generator=draws) * spreads + 5
    found, queries = whiten(gallery, gallery[:3], power)
    centred = gallery.double() - gallery.double().mean(0)
    sizes = torch.linalg.svdvals(centred) / known**0.5
    sizes = sizes[sizes > 1e-4]
    assert found.shape == (known, len(sizes)) == (known, min(values, known - 1))
    table = found.T @ found / known
    torch.testing.assert_close(table, torch.diag(sizes.flip(0) ** (2 - 2 * power)), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(queries, found[:3])


def test_without_a_power_features_stay_as_they_are() -> None:
    gallery, queries = torch.randn(4, 3), torch.randn(2, 3)
    assert all(one is other for one, other in zip(whiten(gallery, queries, 0.0), (gallery, queries), strict=True))
    with pytest.raises(InputError, match="whiten: all clips to compare with have the same features"):
        whiten(torch.full((7, 3), 0.1), queries, 0.5)


@pytest.mark.parametrize("command", [knn, retrieval])
def test_commands_compare_whitened_features(
    command: Callable[..., RunFolder], pretrained: RunFolder, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path
) -> None:
    run = command(pretrained.path, prepared, whiten=0.5, device="cpu", out=tmp_path / "run")
    train, test = tiny_set.split("xsub", "train"), tiny_set.split("xsub", "test")
    encoder, labels = load_encoder(pretrained.path), torch.tensor(tiny_set.labels)
    known, asked = (extract(encoder, tiny_set, part, tiny.ALONE, "zero").double() for part in (train, test))
    values, vectors = torch.linalg.eigh(torch.cov(known.T, correction=0))
    axes = vectors[:, values > 1e-9 * values[-1]] / values[values > 1e-9 * values[-1]] ** 0.25
    known, asked = ((features - known.mean(0)) @ axes for features in (known, asked))
    cosines = torch.nn.functional.normalize(asked) @ torch.nn.functional.normalize(known).T
    assert run.result["correct"] == int((labels[train][cosines.argmax(1)] == labels[test]).sum())
    assert run.read_config()["whiten"] == 0.5
    with pytest.raises(InputError, match=r"whiten: found 1.5, expected 0 \(off\) to 1"):
        command(pretrained.path, prepared, whiten=1.5, device="cpu", out=tmp_path / "none")


@pytest.mark.parametrize("k", [0, -1])
def test_an_impossible_k_is_refused(k: int, pretrained: RunFolder, prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"k: found {k}, expected 1 to 16"):
        neighbours(pretrained.path, prepared, tmp_path / "run", k=k)
    assert not (tmp_path / "run").exists()


def test_no_more_neighbours_vote_than_there_are(
    pretrained: RunFolder, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    all_of_them, more = (neighbours(pretrained.path, prepared, tmp_path / str(k), k=k) for k in (16, 20))
    assert capsys.readouterr().err == "maskel: k: all 16 training clips vote, instead of 20\n"
    assert all_of_them.result["vote"] == more.result["vote"]
    assert more.read_config()["k"] == 16


def test_a_taken_folder_is_refused(pretrained: RunFolder, prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="exists and is not empty"):
        neighbours(pretrained.path, prepared, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
