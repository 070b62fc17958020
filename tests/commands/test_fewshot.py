"""Few-shot episodes and the one-shot benchmark of NTU RGB+D 120."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from maskel.commands.fewshot import Episodes, fewshot, nearest_class
from maskel.commands.knn import knn
from maskel.commands.pretrain import pretrain
from maskel.datasets.base import Split
from maskel.datasets.ntu import ACTIONS, EXEMPLARS, NTU120
from maskel.datasets.set_checks import empty_parts
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.errors import InputError
from maskel.layouts import NTU25
from maskel.models.loading import load_encoder
from maskel.sequence import Clip
from maskel.training.features import extract
from maskel.training.labelled import choose_labelled
from maskel.training.loading import gallery_positions
from maskel.training.run import RunFolder

Run = Callable[..., tuple[int, str]]
Told = pytest.CaptureFixture[str]


def shots(encoder: Path, data: Path, out: Path, **changes: Any) -> RunFolder:
    return fewshot(encoder, data, out=out, device="cpu", **({"ways": 2, "episodes": 12} | changes))


def by_loops(features: torch.Tensor, labels: list[int], known: list[int], asked: list[int]) -> list[int]:
    """The class whose mean of normalised features is nearest, one clip after the other."""
    unit = [row / row.norm() for row in features.double()]
    classes = sorted({labels[clip] for clip in known})
    means = [sum(unit[clip] for clip in known if labels[clip] == label) for label in classes]
    cosines = [[float(unit[clip] @ one / one.norm()) for one in means] for clip in asked]
    return [classes[max(range(len(classes)), key=row.__getitem__)] for row in cosines]


def test_the_nearest_mean_equals_loops() -> None:
    draws = torch.Generator().manual_seed(1)
    features, labels = torch.randn(30, 5, generator=draws), torch.randint(4, (30,), generator=draws)
    known, asked = torch.arange(12), torch.arange(12, 30)
    unit = torch.nn.functional.normalize(features.double())
    expected = by_loops(features, labels.tolist(), known.tolist(), asked.tolist())
    assert nearest_class(unit, labels, known, asked).tolist() == expected
    assert len(set(expected)) > 1


def test_an_episode_is_a_function_of_seed_and_number(tiny_set: SkeletonSet) -> None:
    train, test = tiny_set.split("xsub", "train"), tiny_set.split("xsub", "test")

    def episode(seed: int, number: int) -> list[list[int]]:
        return [part.tolist() for part in Episodes.of(tiny_set, train, test, 2, 3, 1, 5, seed).draw(number)]

    drawn = [episode(0, number) for number in range(30)]
    assert drawn[7] == episode(0, 7)
    assert episode(1, 7) != drawn[7]
    pairs = set()
    for known, asked in drawn:
        assert set(known) <= set(train.tolist())
        assert set(asked) <= set(test.tolist())
        labels = [tiny_set.labels[known].tolist(), tiny_set.labels[asked].tolist()]
        chosen = set(labels[0])
        assert len(chosen) == 2
        assert [[part.count(label) for label in chosen] for part in labels] == [[3, 3], [1, 1]]
        assert (len(set(known)), len(set(asked))) == (6, 2)
        pairs.add(frozenset(chosen))
    assert len(pairs) == 3
    assert len({clip for known, _ in drawn for clip in known}) > 12  # of 16


def test_the_command_counts_every_query_of_every_episode(
    pretrained: RunFolder, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path
) -> None:
    run = shots(pretrained.path, prepared, tmp_path / "run", shots=2, pool="joints", seed=3)
    result = run.result
    train, test = tiny_set.split("xsub", "train"), tiny_set.split("xsub", "test")
    features = torch.zeros(len(tiny_set), 25 * 16)
    encoder = load_encoder(pretrained.path)
    for part in (train, test):
        features[part] = extract(encoder, tiny_set, part, tiny.ALONE, "zero", pool="joints")
    labels, accuracies = tiny_set.labels.tolist(), []
    fewest = min(np.bincount(tiny_set.labels[test]).tolist())
    for episode in range(12):
        known, asked = Episodes.of(tiny_set, train, test, 2, 2, None, 12, 3).draw(episode)
        answers = by_loops(features, labels, known.tolist(), asked.tolist())
        accuracies.append(mean(answer == labels[clip] for answer, clip in zip(answers, asked, strict=True)))
    assert (result["ways"], result["shots"], result["queries"], result["episodes"]) == (2, 2, fewest, 12)
    assert result["seen"] == 12 * 2 * fewest
    assert result["accuracy"] == pytest.approx(mean(accuracies))
    assert result["accuracy"] == result["correct"] / result["seen"]
    assert result["half_interval"] == pytest.approx(1.96 * stdev(accuracies) / 12**0.5, rel=1e-3)
    again = shots(pretrained.path, prepared, tmp_path / "again", shots=2, pool="joints", seed=3).result
    assert (again["correct"], again["per_class"]) == (result["correct"], result["per_class"])
    other = shots(pretrained.path, prepared, tmp_path / "other", shots=2, pool="joints", seed=4).result
    assert other["per_class"] != result["per_class"]


def test_every_class_is_told_from_one_shot_where_features_are_apart(prepared: Path, tmp_path: Path) -> None:
    """A set whose test clips equal its training clips: no query can miss its own shot's class for long."""
    with SetWriter(tmp_path / "set", NTU25, tiny.CLASSES, "generated", {}) as writer:
        for number in range(6):
            sequence = tiny.generated_clip(number % 3, NTU25)
            writer.add(replace(sequence, clip=Clip(f"clip{number}", number % 3)))
        writer.finish({"xsub": Split((0, 1, 2), (3, 4, 5))})
    encoder = tiny.tiny_pretrain(prepared, tmp_path / "pre", training=replace(tiny.TRAINING, epochs=1))
    result = shots(encoder.path, tmp_path / "set", tmp_path / "run", ways=3, queries=1).result
    assert (result["correct"], result["seen"]) == (36, 36)
    assert result["half_interval"] == 0


def test_tables_lines_folds_and_reports_know_it(
    run: Run, pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    options = ["--encoder", pretrained.path, "--ways=2", "--episodes=9", "--device=cpu"]
    out = tmp_path / "few"
    code, text = run("fewshot", "--data", prepared, *options, "--out", out)
    assert code == 0, text
    result = RunFolder(out).result
    assert f"{result['correct']} of {result['seen']} queries of 9 episodes right" in text
    half = 100 * result["half_interval"]
    ends = f"{max(0, 100 * result['accuracy'] - half):.1f} to {min(100, 100 * result['accuracy'] + half):.1f}"
    assert ends in text
    table = run("results", out)[1]
    assert "| 2-way 1-shot | mamp |" in table
    assert ends in table
    assert run("report", out, pretrained.path, "--clips=0", "--out", tmp_path / "page.html")[0] == 0
    page = (tmp_path / "page.html").read_text()
    assert "8 test clips, 2 classes at a time" in page
    assert "(one of 2 classes)" in page
    with SetWriter(tmp_path / "set", NTU25, tiny.CLASSES, "generated", {}) as writer:
        for number in range(24):
            writer.add(tiny.generated_clip(number, NTU25))
        half_of = [tuple(range(start, 24, 2)) for start in (0, 1)]
        writer.finish({"fold1": Split(*half_of), "fold2": Split(*half_of[::-1])})
    code, text = run("fewshot", "--data", tmp_path / "set", "--benchmark", "folds", *options, "--out", tmp_path / "f")
    assert code == 0, text
    together, parts = (
        RunFolder(tmp_path / "f").result,
        [RunFolder(tmp_path / "f" / fold).result for fold in ("fold1", "fold2")],
    )
    assert together["correct"] == sum(part["correct"] for part in parts)
    assert together["episodes"] == 18
    expected = sum((part["half_interval"] / 2) ** 2 for part in parts) ** 0.5
    assert together["half_interval"] == pytest.approx(expected)
    assert "queries of 18 episodes" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ways": 1}, "ways: found 1, expected 2 or more"),
        ({"shots": 0}, "shots: found 0, expected 1 or more"),
        ({"queries": 0}, "queries: found 0, expected 1 or more"),
        ({"episodes": 1}, "episodes: found 1, expected 2 or more"),
        ({"ways": 4}, "has 3 classes with 1 training clips and 1 test clips or more; ask for fewer"),
        ({"shots": 9}, "has 0 classes with 9 training clips"),
    ],
)
def test_impossible_episodes_are_refused(
    changes: dict[str, int], message: str, pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        shots(pretrained.path, prepared, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_classes_with_too_few_clips_are_named(tiny_set: SkeletonSet, capsys: Told) -> None:
    train = tiny_set.split("xsub", "train")
    test = tiny_set.split("xsub", "test")
    few = np.concatenate((train[tiny_set.labels[train] != 1], train[tiny_set.labels[train] == 1][:1]))
    assert Episodes.of(tiny_set, few, test, 2, 2, 1, 5, 0).classes.tolist() == [0, 2]
    assert "no episode has clap: too few clips for 2 shots and 1 queries" in capsys.readouterr().err


# NTU RGB+D 120's one-shot benchmark


@pytest.fixture(scope="module")
def ntu120(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 20 exemplars, two more clips of each novel action, and clips of four others."""
    names = sorted(EXEMPLARS)
    names += [name.replace("C003P008R001", copy) for name in names for copy in ("C001P001R001", "C002P042R002")]
    names += [f"S001C00{camera}P001R001A{action:03}" for action in (2, 3, 60, 120) for camera in (1, 2, 3)]
    out = tmp_path_factory.mktemp("ntu120") / "set"
    with SetWriter(out, NTU25, ACTIONS, "ntu120", {}) as writer:
        for number, name in enumerate(sorted(names)):
            sequence = tiny.generated_clip(number, NTU25)
            clip = Clip(name, int(name[-3:]) - 1, name[9:12], name[5:8], name[1:4], name[13:16])
            writer.add(replace(sequence, clip=clip))
        writer.finish(NTU120().all_benchmarks(writer.clips))
    return out


def test_the_official_classes_and_exemplars(ntu120: Path) -> None:
    assert len(EXEMPLARS) == 20
    assert {"S001C003P008R001A001", "S001C003P008R001A055", "S018C003P008R001A061", "S018C003P008R001A115"} < EXEMPLARS
    assert {int(name[-3:]) for name in EXEMPLARS} == set(range(1, 121, 6))
    clips = SkeletonSet.open(ntu120)
    train, test = ([clips.clips[at].name for at in clips.split("oneshot", part)] for part in ("train", "test"))
    assert (len(train), len(test)) == (12, 40)
    assert {name[-3:] for name in train} == {"002", "003", "060", "120"}
    assert {name[-3:] for name in test} == {name[-3:] for name in EXEMPLARS}
    assert not EXEMPLARS & {*train, *test}
    assert test == sorted(test)
    assert {clips.clips[at].name for at in gallery_positions(clips, "oneshot")} == EXEMPLARS
    assert gallery_positions(clips, "xsub").tolist() == clips.split("xsub", "train").tolist()
    assert not [fault for fault in empty_parts(clips) if fault.benchmark == "oneshot"]


def test_one_shot_counts_every_test_clip_once(ntu120: Path, tmp_path: Path, capsys: Told) -> None:
    small = replace(tiny.TRAINING, epochs=1)
    pre = pretrain(ntu120, "mamp", "oneshot", tiny.OPTIONS, tiny.ENCODER, training=small, device="cpu",
                   out=tmp_path / "pre")  # fmt: skip
    assert pre.result["clips"]["labelled"] == 12
    result = fewshot(pre.path, ntu120, "oneshot", device="cpu", out=tmp_path / "run").result
    assert (result["ways"], result["shots"], result["seen"]) == (20, 1, 40)
    assert "half_interval" not in result
    assert "episodes" not in result
    assert len(tiny.predictions(RunFolder(tmp_path / "run"))) == 40
    near = knn(pre.path, ntu120, "oneshot", device="cpu", out=tmp_path / "knn").result
    assert (near["correct"], near["seen"]) == (result["correct"], 40)
    with pytest.raises(InputError, match="benchmark oneshot has exemplars of its own and is one episode"):
        fewshot(pre.path, ntu120, "oneshot", shots=1, device="cpu", out=tmp_path / "no")
    with pytest.raises(InputError, match="tests classes without any training clip"):
        choose_labelled(SkeletonSet.open(ntu120), "oneshot")


def test_a_set_without_an_exemplar_is_refused(ntu120: Path, tmp_path: Path) -> None:
    whole = SkeletonSet.open(ntu120)
    with SetWriter(tmp_path / "set", NTU25, ACTIONS, "ntu120", {}) as writer:
        for position, clip in enumerate(whole.clips):
            if clip.name != "S001C003P008R001A007":
                writer.add(whole.sequence(position))
        writer.finish(NTU120().all_benchmarks(writer.clips))
    with pytest.raises(InputError, match="oneshot lacks the exemplars of throw; prepare all of the data set"):
        gallery_positions(SkeletonSet.open(tmp_path / "set"), "oneshot")
