import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

import tiny
from maskel.commands.ensemble import ensemble
from maskel.commands.evaluate import evaluate
from maskel.commands.knn import knn
from maskel.commands.linear import linear
from maskel.commands.results import read_results, results, without_paths
from maskel.errors import InputError
from maskel.intervals import interval
from maskel.training.run import RunFolder

PRETRAINED = {"method": "mamp", "source": "nw_ucla", "config": {"encoder": {"dim": 8, "depth": 2, "window": 60}}}
PRETRAINED["config"] |= {"training": {"epochs": 100}, "method": "mamp"}  # type: ignore[index, operator]


def result(seed: int, correct: int, **changes: Any) -> dict[str, Any]:
    """What linear evaluation leaves."""
    split = {"train": {"size": 30, "hash": "aa"}, "test": {"size": 20, "hash": "bb"}}
    return {
        "kind": "linear",
        "encoder": f"/home/somebody/runs/mamp/seed-{seed}",
        "untrained": False,
        "data": {"path": "/home/somebody/set", "source": "nw_ucla", "options": {}},
        "benchmark": "xsub",
        "split": split,
        "seed": seed,
        "correct": correct,
        "seen": 20,
        "accuracy": correct / 20,
        "best_epoch": {"epoch": 3, "correct": correct + 1, "accuracy": (correct + 1) / 20},
        "minutes": 4.0,
        "pretraining": deepcopy(PRETRAINED),
        "config": {"seed": seed, "data": "/home/somebody/set", "augment": True, "labels": 1.0},
        "versions": {"maskel": "0.1.0", "torch": "2.6"},
        "hardware": {"device": "A/B processor", "threads": 1},
        "command": f"maskel linear --encoder /home/somebody/runs/mamp --data=/home/somebody/set --seed {seed}",
        "per_class": [{"class": "put on/off", "correct": 1, "seen": 2}],
    } | changes


def write(folder: Path, *found: dict[str, Any]) -> Path:
    for number, one in enumerate(found):
        (folder / str(number)).mkdir(parents=True)
        (folder / str(number) / "result.json").write_text(json.dumps(one))
    return folder


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]


def test_seeds_of_equal_runs_stand_in_one_line(tmp_path: Path) -> None:
    cached = {"seed": 0, "data": "x", "augment": False, "labels": 1.0}
    text = results([write(tmp_path / "a", result(1, 12), result(0, 10), result(0, 18, config=cached))])
    _, _, best, both = rows(text)
    assert best[:7] == ["linear", "mamp", "2 x 8, 60 frames, 100 epochs", "augment False", "0", "18 of 20", "**90.0**"]
    assert both[3:] == ["augment True", "0, 1", "10, 12 of 20", "**55.0 ± 7.1**", "60.0", "4", "–"]
    assert best[-1] == interval(18, 20)
    assert "**nw_ucla, xsub**: training clips 30 (aa), test clips 20 (bb)." in text
    assert "maskel linear --encoder /home/somebody/runs/mamp --data=/home/somebody/set --seed 0\n" in text


def test_options_that_are_left_out_while_off_tell_runs_apart_where_they_are_on(tmp_path: Path) -> None:
    plain = result(0, 10)["config"] | {"view": {"p_min": 0.5}}
    mirrored = plain | {"view": {"p_min": 0.5, "mirror": True}}
    changed = (plain, mirrored, plain | {"class_weights": "balanced"}, plain | {"prolonged": [[20, 40]]})
    found = [result(0, 10 + number, config=config) for number, config in enumerate(changed)]
    _, _, *table = rows(results([write(tmp_path / "a", *found)]))
    shown = {row[5]: row[3] for row in table}
    assert shown == {
        "10 of 20": "–",
        "11 of 20": "view.mirror True",
        "12 of 20": "class_weights balanced",
        "13 of 20": "prolonged [[20, 40]]",
    }


def test_runs_of_other_clips_or_encoders_are_kept_apart(tmp_path: Path) -> None:
    longer = deepcopy(PRETRAINED)
    longer["config"]["training"]["epochs"] = 400  # type: ignore[index]
    other_clips = {"train": {"size": 30, "hash": "aa"}, "test": {"size": 21, "hash": "cc"}}
    scratch = result(0, 3, kind="finetune", from_scratch=True, pretraining=None)
    tenth = result(0, 5, kind="finetune", config={"labels": 0.1}, pretraining={**PRETRAINED, "source": "ntu60"})
    found = [result(0, 10), result(0, 11, pretraining=longer), result(0, 12, split=other_clips)]
    found += [result(0, 2, untrained=True), scratch, tenth]
    text = results([write(tmp_path / "a", *found)])
    assert text.count("**nw_ucla, xsub**") == 2
    names = {(row[0], row[1], row[3], row[5]) for row in rows(text)}
    assert names >= {
        ("linear", "mamp", "pretrain.training.epochs 100", "10 of 20"),
        ("linear", "mamp", "pretrain.training.epochs 400", "11 of 20"),
        ("linear", "mamp", "–", "12 of 20"),
        ("linear", "untrained (mamp)", "–", "2 of 20"),
        ("fine-tune", "from scratch", "–", "3 of 20"),
        ("fine-tune, 10 % of the labels, from ntu60", "mamp", "–", "5 of 20"),
    }


def test_only_what_most_runs_have_not_is_named(tmp_path: Path) -> None:
    def run(correct: int, **method: Any) -> dict[str, Any]:
        earlier = deepcopy(PRETRAINED)
        earlier["config"]["mamp"] = method  # type: ignore[index]
        return result(0, correct, pretraining=earlier)

    found = [run(9, tau=0.8, ratio=0.9), run(8, tau=0.8, ratio=0.5), run(7, tau=0.1, ratio=0.9)]
    found.append(run(6, tau=0.8, ratio=0.9, new=0.0))  # an option of a later version, or
    found.append(run(5, tau=0.8, ratio=0.9, decoder="cross"))  # an option that the runs above did not know yet
    named = [row[3] for row in rows(results([write(tmp_path / "a", *found)]))[2:]]
    assert named == ["–", "pretrain.mamp.ratio 0.5", "pretrain.mamp.tau 0.1", "–", "pretrain.mamp.decoder cross"]


def test_a_copy_without_paths_gives_the_same_tables(tmp_path: Path) -> None:
    runs = write(tmp_path / "a", result(0, 10), result(1, 12))
    text = results([runs], collect=tmp_path / "docs", out=tmp_path / "tables.md")
    assert (tmp_path / "tables.md").read_text() == text
    copies = list(read_results([tmp_path / "docs" / "a"]).values())
    assert "somebody" not in json.dumps(copies)
    assert "per_class" not in copies[0]
    assert copies[0]["hardware"]["device"] == "A/B processor"
    assert copies[0]["command"] == "maskel linear --encoder mamp --data=set --seed 0"
    again = results([tmp_path / "docs" / "a"])
    assert rows(again) == rows(text)


@pytest.mark.parametrize(
    ("path", "kept"),
    [("/a/b", "b"), ("a/b/", "b"), (r"C:\runs\b", "b"), ("b", "b"), ("", ""), ("--out=/a/b", "--out=b")],
)
def test_of_a_path_the_last_part_is_kept(path: str, kept: str) -> None:
    assert without_paths([path]) == [kept]
    assert without_paths({"command": f"maskel x '{path}'"}) == {"command": f"maskel x {kept or chr(39) * 2}"}


def test_real_runs(pretrained: RunFolder, prepared: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        options = {"training": tiny.PROBE, "seed": seed, "device": "cpu"}
        linear(pretrained.path, prepared, out=tmp_path / "runs" / f"linear-{seed}", **options)
    knn(pretrained.path, prepared, k=3, out=tmp_path / "runs" / "knn", device="cpu")
    text = results([tmp_path / "runs", pretrained.path])
    protocols = [(row[0], row[1], row[2]) for row in rows(text)]
    size = "2 x 16, 8 frames, 3 epochs"
    assert protocols == [
        ("protocol", "encoder", "blocks x width"),
        ("---", "---", "---"),
        ("1-NN", "mamp", size),
        ("3-NN vote", "mamp", size),
        ("linear", "mamp", size),
        ("pre-training", "blocks x width", "options"),
        ("---", "---", "---"),
        ("mamp", size, "–"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no result\.json in it or below it"),
        ("{", "expected the result of a finished run"),
        ("[]", "expected the result of a finished run"),
        ('{"kind": "linear"}', "with its kind and data"),
        ('{"kind": "linear", "data": {}, "correct": null}', "has no counts"),
        ('{"kind": "linear", "data": {}, "correct": 1, "seen": 0}', "has no counts"),
        ('{"kind": "pretrain", "data": 3}', "has no counts"),
    ],
)
def test_what_is_no_result_is_refused(content: str | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    with pytest.raises(InputError, match=message):
        results([tmp_path])


@pytest.mark.parametrize("value", [[1], "x"])
def test_a_damaged_result_is_shown_or_refused_by_name(value: Any, tmp_path: Path) -> None:
    def changed(content: Any) -> Iterator[Any]:
        """The result with the value in each place of it, one after the other."""
        yield value
        places = (
            content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
        )
        for key, part in places:
            for other in changed(part):
                copy = deepcopy(content)
                copy[key] = other
                yield copy

    member = {"run": "a", "weight": 1.0, "correct": 1, "seen": 2, "trained": result(0, 1)}
    whole = result(0, 10, vote={"k": 3, "correct": 4, "seen": 20}, runs=[member], trained=result(0, 3))
    whole["pretraining"]["config"]["mamp"] = {"tau": 0.5}
    shown, refused = 0, []
    for damaged in changed(whole):
        (tmp_path / "result.json").write_text(json.dumps(damaged))
        try:
            shown += "| linear" in results([tmp_path])
        except InputError as fault:
            refused.append(str(fault))
    assert shown > 100
    assert len(refused) > 20
    assert all(tmp_path.name in sentence for sentence in refused)


def test_from_the_command_line(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    runs = write(tmp_path / "a", result(0, 10))
    code, text = run("results", runs, "--collect", tmp_path / "docs")
    assert (code, "**50.0**" in text) == (0, True)
    assert (tmp_path / "docs" / "a" / "0" / "result.json").is_file()


def test_an_unwritable_place_is_noticed_first(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be written .*choose another --out"):
        results([tmp_path / "no run"], out=tmp_path)


def test_two_runs_of_one_name_are_refused(tmp_path: Path) -> None:
    one, other = (write(tmp_path / name / "runs", result(0, 1)) for name in "ab")
    with pytest.raises(InputError, match="another run is called"):
        results([one, other])


def test_evaluations_and_ensembles_say_what_was_trained(pretrained: RunFolder, prepared: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for seed in range(2):
        options = {"augment": False, "cache_features": True, "training": tiny.PROBE, "seed": seed, "labels": 0.5}
        probe = linear(pretrained.path, prepared, out=runs / f"linear-{seed}", device="cpu", **options).path
        evaluate(probe / "classifier.safetensors", prepared, out=runs / f"evaluated-{seed}", device="cpu")
        evaluate(probe, prepared, part="train", out=runs / f"train-{seed}", device="cpu")
        ensemble([probe, runs / f"evaluated-{seed}"], out=runs / f"sum-{seed}")
    named = {row[0]: row[1:5] for row in rows(results([runs]))[2:]}
    linear_on_half = "linear, 50 % of the labels"
    encoder = named[linear_on_half][:2]
    assert encoder[0] == "mamp"
    assert set(named) == {
        linear_on_half,
        f"evaluate of {linear_on_half}",
        f"evaluate of {linear_on_half} on the train part",
        f"ensemble of {linear_on_half}",
    }
    assert named[f"evaluate of {linear_on_half}"] == named[linear_on_half] == [*encoder, "–", "0, 1"]
    assert named[f"ensemble of {linear_on_half}"] == ["mamp + mamp", encoder[1], "–", "0, 1"]


def test_a_list_of_labels_is_not_all_labels(tmp_path: Path) -> None:
    listed = result(0, 4, config={"seed": 0, "labels": 1.0, "label_list": "list.csv"}, labels={"size": 3})
    text = results([write(tmp_path / "a", result(0, 10), listed)])
    assert {row[0] for row in rows(text)[2:]} == {"linear", "linear, 10 % of the labels"}


def test_streams_are_named(tmp_path: Path) -> None:
    bone = deepcopy(PRETRAINED)
    bone["config"]["encoder"]["stream"] = "bone"  # type: ignore[index]
    text = results([write(tmp_path / "a", result(0, 10), result(0, 9, pretraining=bone))])
    assert [row[1] for row in rows(text)[2:]] == ["mamp", "mamp (bone)"]
