"""Ranking clips by their likeness, beside a reference that walks through every ranking."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from elements import require_safe
from maskel.commands.knn import knn
from maskel.commands.retrieval import rank, retrieval
from maskel.datasets.base import Split
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.errors import InputError
from maskel.layouts import NTU25
from maskel.models.loading import load_encoder
from maskel.training.features import extract
from maskel.training.run import RunFolder

Run = Callable[..., tuple[int, str]]


def found(encoder: Path, data: Path, out: Path, **changes: Any) -> RunFolder:
    return retrieval(encoder, data, out=out, device="cpu", **({"k": 3, "clips": 2} | changes))


def rank_by_loops(
    known: torch.Tensor, labels: list[int], asked: torch.Tensor, right: list[int], leave_out: bool
) -> list[tuple[list[int], float]]:
    """The whole ranking of each query, and its average precision."""
    results = []
    for number, (query, label) in enumerate(zip(asked.double(), right, strict=True)):
        cosines = [float(query @ other / (query.norm() * other.norm())) for other in known.double()]
        places = [place for place in range(len(cosines)) if not (leave_out and place == number)]
        order = sorted(places, key=lambda place: -cosines[place])
        hits, precisions = 0, []
        for position, place in enumerate(order, 1):
            if labels[place] == label:
                hits += 1
                precisions.append(hits / position)
        results.append((order, sum(precisions) / len(precisions) if precisions else 0.0))
    return results


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(2, 20), classes=st.integers(1, 4), leave_out=st.booleans())
def test_rankings_equal_loops(seed: int, size: int, classes: int, leave_out: bool) -> None:
    draws = torch.Generator().manual_seed(seed)
    known, labels = torch.randn(size, 4, generator=draws), torch.randint(classes, (size,), generator=draws)
    asked, right = torch.randn(7, 4, generator=draws), torch.randint(classes + 1, (7,), generator=draws)
    if leave_out:
        asked, right = known, labels
    k = size - leave_out
    ranking = rank(known, labels, asked, right, k, leave_out)
    expected = rank_by_loops(known, labels.tolist(), asked, right.tolist(), leave_out)
    assert ranking.nearest.tolist() == [order for order, _ in expected]
    assert ranking.precision.tolist() == pytest.approx([precision for _, precision in expected])
    assert bool((ranking.cosines.diff(dim=1) <= 0).all())


def test_more_queries_than_one_table_holds() -> None:
    draws = torch.Generator().manual_seed(0)
    known = torch.randn(600, 4, generator=draws)
    labels = torch.arange(600) % 5
    whole = rank(known, labels, known, labels, 2, leave_out=True)
    expected = rank_by_loops(known, labels.tolist(), known[:300], labels.tolist()[:300], leave_out=True)
    assert whole.nearest[:300].tolist() == [order[:2] for order, _ in expected]
    assert whole.precision[:300].tolist() == pytest.approx([precision for _, precision in expected])


def test_average_precision_of_a_known_ranking() -> None:
    known = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.5, 0.5], [0.0, 1.0]])
    result = rank(known, torch.tensor([0, 1, 0, 1]), torch.tensor([[1.0, 0.0]]), torch.tensor([1]), 4)
    assert result.nearest.tolist() == [[0, 1, 2, 3]]
    assert result.precision.tolist() == [(1 / 2 + 2 / 4) / 2]


@pytest.mark.parametrize("gallery", ["train", "test"])
def test_the_command_counts_every_test_clip_once(
    gallery: str, pretrained: RunFolder, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path
) -> None:
    run = found(pretrained.path, prepared, tmp_path / "run", gallery=gallery)
    result = run.result
    test = tiny_set.split("xsub", "test")
    searched = tiny_set.split("xsub", gallery)
    known, asked = (extract(load_encoder(pretrained.path), tiny_set, part, tiny.ALONE, "zero")
                    for part in (searched, test))  # fmt: skip
    labels, right = tiny_set.labels[searched].tolist(), tiny_set.labels[test].tolist()
    expected = rank_by_loops(known, labels, asked, right, gallery == "test")
    hits = [[labels[place] == label for place in order] for (order, _), label in zip(expected, right, strict=True)]
    assert (result["correct"], result["seen"]) == (sum(row[0] for row in hits), len(test))
    assert (result["wider"]["correct"], result["wider"]["seen"]) == (sum(any(row[:3]) for row in hits), len(test))
    assert result["wider"]["k"] == 3
    assert "macro_f1" not in result["wider"]
    assert result["mean_average_precision"] == pytest.approx(sum(one for _, one in expected) / len(test))
    assert result["gallery"] == {"part": gallery, "size": len(hits[0]), "without_their_class": 0}
    for counts in (result, result["wider"]):
        assert sum(part["correct"] for part in counts["per_class"]) == counts["correct"]
    rows = tiny.predictions(run)
    assert [row["predicted"] == row["class"] for row in rows] == [row[0] for row in hits]
    if gallery == "train":
        near = knn(pretrained.path, prepared, k=3, device="cpu", out=tmp_path / "knn").result
        assert near["correct"] == result["correct"]


def test_the_page_shows_what_was_found(
    pretrained: RunFolder, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path
) -> None:
    run = found(pretrained.path, prepared, tmp_path / "run", clips=8)
    page = (run.path / "neighbours.html").read_text()
    test, train = tiny_set.split("xsub", "test"), tiny_set.split("xsub", "train")
    assert page.count('class="moving"') == 8 * (1 + 3)
    require_safe(page)
    encoder = load_encoder(pretrained.path)
    known, asked = (extract(encoder, tiny_set, part, tiny.ALONE, "zero") for part in (train, test))
    labels, right = (torch.tensor(tiny_set.labels[part]) for part in (train, test))
    ranking = rank(known, labels, asked, right, 3)
    wrong = 0
    for query, places in zip(test.tolist(), train[ranking.nearest.numpy()].tolist(), strict=True):
        section = page.split(f"test clip {tiny_set.clips[query].name}")[1].split("</section>")[0]
        for number, other in enumerate(places, 1):
            hit = tiny_set.labels[other] == tiny_set.labels[query]
            wrong += not hit
            told = f"{number}. {'right' if hit else 'WRONG'}: {tiny_set.class_name(other)}, cosine "
            assert told in section
            assert f"({tiny_set.clips[other].name})" in section
    assert page.count("WRONG") == wrong
    few = found(pretrained.path, prepared, tmp_path / "few", clips=2)
    again = found(pretrained.path, prepared, tmp_path / "again", clips=2)
    texts = [(run.path / "neighbours.html").read_text() for run in (few, again)]
    assert texts[0] == texts[1]
    assert texts[0].count('class="moving"') == 8
    none = found(pretrained.path, prepared, tmp_path / "none", clips=0)
    assert "No clips to draw" in (none.path / "neighbours.html").read_text()


def test_tables_folds_seeds_and_reports_know_it(run: Run, pretrained: RunFolder, tmp_path: Path) -> None:
    with SetWriter(tmp_path / "set", NTU25, tiny.CLASSES, "generated", {}) as writer:
        for number in range(24):
            writer.add(tiny.generated_clip(number, NTU25))
        half = [tuple(range(start, 24, 2)) for start in (0, 1)]
        writer.finish({"fold1": Split(*half), "fold2": Split(half[1], half[0][:6])})
    options = ["--data", tmp_path / "set", "--encoder", pretrained.path, "--k=3", "--clips=0", "--device=cpu"]
    out = tmp_path / "folds"
    code, text = run("retrieval", *options, "--benchmark", "folds", "--out", out)
    assert code == 0, text
    together, parts = RunFolder(out).result, [RunFolder(out / f"fold{n}").result for n in (1, 2)]
    assert (together["seen"], together["correct"]) == (18, sum(part["correct"] for part in parts))
    assert together["wider"]["k"] == 3
    assert together["wider"]["correct"] == sum(part["wider"]["correct"] for part in parts)
    assert "macro_f1" not in together["wider"]
    expected = sum(part["mean_average_precision"] * part["seen"] for part in parts) / 18
    assert together["mean_average_precision"] == pytest.approx(expected)
    assert f"mean average precision {expected:.1%}" in text
    assert f"{together['wider']['correct']} of 18 clips right by recall@3 (" in text
    code, text = run("results", out)
    assert "| recall@1 | mamp |" in text
    assert "| recall@3 | mamp |" in text
    assert "mAP (%)" in text
    assert f"| {100 * expected:.1f} |" in text
    seeds = tmp_path / "seeds"
    assert run("retrieval", *options, "--benchmark", "fold1", "--untrained", "--seeds=2", "--out", seeds)[0] == 0
    assert RunFolder(seeds).result["mean_average_precision"]["std"] > 0
    assert run("report", out, "--clips=0", "--out", tmp_path / "page.html")[0] == 0
    assert f"<td>{100 * expected:.1f} %</td>" in (tmp_path / "page.html").read_text()


def test_what_cannot_be_ranked_is_refused_or_said(
    pretrained: RunFolder, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="found k 0 and clips 2, expected k of 1 or more"):
        found(pretrained.path, prepared, tmp_path / "run", k=0)
    with pytest.raises(InputError, match="found k 3 and clips -1"):
        found(pretrained.path, prepared, tmp_path / "run", clips=-1)
    assert not (tmp_path / "run").exists()
    run = found(pretrained.path, prepared, tmp_path / "run", k=99)
    assert "k: 16 instead of 99, as there are no more clips" in capsys.readouterr().err
    assert run.read_config()["k"] == 16
    with SetWriter(tmp_path / "set", NTU25, tiny.CLASSES, "generated", {}) as writer:
        for number in range(6):
            writer.add(tiny.generated_clip(number, NTU25))
        writer.finish({"xsub": Split((0, 1, 3), (2, 4, 5)), "one": Split((0, 1), (2,))})
    result = found(pretrained.path, tmp_path / "set", tmp_path / "some").result
    assert "2 test clips have a class that no clip of the gallery has" in capsys.readouterr().err
    assert result["gallery"]["without_their_class"] == 2
    assert (result["wider"]["correct"], result["wider"]["seen"]) == (1, 3)
    with pytest.raises(InputError, match="the test part of one has one clip"):
        found(pretrained.path, tmp_path / "set", tmp_path / "lone", benchmark="one", gallery="test")
