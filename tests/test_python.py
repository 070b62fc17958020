"""The commands as functions: plain values in, a run with what it left out; wrong values get one sentence."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import maskel
import tiny
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.training.dry_run import Check
from maskel.training.optim import AdamWConfig
from maskel.training.run import RunFolder

SMALL = {"window": 8, "dim": 16, "depth": 2, "num_heads": 2, "mlp_ratio": 2.0}
FEW = {"epochs": 1, "batch_size": 8}


def test_plain_values_give_the_run_that_the_command_line_gives(
    prepared: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    called = maskel.pretrain(
        str(prepared),
        recipes=["own", "mae"],
        encoder=SMALL,
        options={"decoder_dim": 16, "ratio": 0.8},
        training={"epochs": 2, "batch_size": 8},
        seed=np.int64(3),
        device="cpu",
        out="called",
    )
    sizes = [f"--encoder.{name}={value}" for name, value in SMALL.items()]
    words = ["--mae.decoder-dim=16", "--mae.ratio=0.8", "--training.epochs=2", "--training.batch-size=8", "--seed=3"]
    given = ["--data", prepared, "--config=own", "--config=mae", *sizes, *words, "--device=cpu", "--out", "typed"]
    assert run("pretrain", *given)[0] == 0
    typed = RunFolder(Path("typed"))
    assert (called.path / "config.yaml").read_bytes() == (typed.path / "config.yaml").read_bytes()
    assert (called.path / "encoder.safetensors").read_bytes() == (typed.path / "encoder.safetensors").read_bytes()
    assert called.metrics == typed.metrics
    assert len(called.metrics) == 2
    assert called.result["loss"] == called.metrics[-1]["loss"]
    assert called.result["command"].startswith(f"maskel.pretrain(data={str(prepared)!r}, recipes=['own', 'mae'], ")
    assert "seed=3, device='cpu', out='called')" in called.result["command"]
    assert typed.result["command"].startswith("maskel pretrain --data ")


def test_a_dataclass_stands_for_a_whole_recipe(prepared: Path, tmp_path: Path) -> None:
    training = AdamWConfig(epochs=1, batch_size=8, warmup_epochs=0.5)
    run = maskel.pretrain(
        prepared, recipes="own", encoder=tiny.ENCODER, options=tiny.OPTIONS, training=training, out=tmp_path / "run"
    )
    assert run.result["config"]["training"]["lr"] == AdamWConfig.lr
    assert run.encoder.config == tiny.ENCODER


def test_runs_go_in_where_paths_do(
    pretrained: RunFolder, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path
) -> None:
    linear = maskel.linear(pretrained, prepared, training=FEW, device="cpu", out=tmp_path / "linear")
    assert linear.result["encoder"] == str(pretrained.path)
    assert [row["name"] for row in linear.predictions] == [clip.name for clip in clips_of(tiny_set, "test")]
    right = sum(row["class"] == row["predicted"] for row in linear.predictions)
    assert right == linear.result["correct"]
    assert linear.classifier.label_spec.classes == tiny.CLASSES
    counted = maskel.evaluate(linear, prepared, device="cpu", out=tmp_path / "evaluate").result
    assert counted["correct"] == right
    with pytest.raises(InputError, match="no such encoder"):
        _ = linear.encoder
    with pytest.raises(InputError, match=r"metrics\.csv"):
        _ = maskel.knn(pretrained, prepared, k=3, device="cpu", out=tmp_path / "knn").metrics
    assert maskel.results([linear]).count("| linear | mamp |") == 1
    assert maskel.report(linear, out=tmp_path / "report.html", clips=0).is_file()


def test_several_seeds_a_check_and_a_resumed_run(pretrained: RunFolder, prepared: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"encoder": pretrained, "data": prepared, "training": FEW, "device": "cpu"}
    assert isinstance(maskel.linear(**given, check=True), Check)
    several = maskel.linear(**given, seeds=[1, 2], out=tmp_path / "several")
    assert [one["seed"] for one in several.result["seeds"]] == [1, 2]
    first = maskel.linear(**given, out=tmp_path / "run")
    longer = maskel.linear(**given | {"training": FEW | {"epochs": 2}}, resume=first)
    assert longer.path == first.path
    assert [row["epoch"] for row in longer.metrics] == [1, 2]
    again = maskel.linear(**given | {"training": {"epochs": 2}}, out=first.path, resume=True)
    assert again.metrics == longer.metrics


def test_features_in_memory_are_those_of_the_file(
    pretrained: RunFolder, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path
) -> None:
    found = maskel.features(pretrained, prepared, device="cpu")
    with np.load(maskel.embed(pretrained, prepared, tmp_path / "f.npz", device="cpu")) as file:
        for name in file.files:
            np.testing.assert_array_equal(getattr(found, name), file[name])
    test = maskel.features(str(pretrained.path), str(prepared), "xsub", "test", device="cpu")
    assert test.names.tolist() == [clip.name for clip in clips_of(tiny_set, "test")]
    np.testing.assert_array_equal(test.labels, tiny_set.labels[tiny_set.split("xsub", "test")])
    assert test.features.shape == (tiny.TEST, tiny.ENCODER.dim)


def test_a_source_is_named_or_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for subject in "abc":
        for label in ("sit", "wave"):
            (folder := Path("raw", label, subject)).mkdir(parents=True)
            np.save(folder / "take.npy", np.random.default_rng(ord(subject)).normal(size=(9, 17, 3)))
    maskel.prepare("folder", "raw", "set", layout="coco17", test_subjects="c", workers=1)
    source = maskel.datasets.SOURCES["folder"]("coco17", test_subjects=["c"])
    maskel.prepare(source, [Path("raw")], out="built", workers=1)
    one, other = maskel.SkeletonSet.open("set"), maskel.SkeletonSet.open("built")
    assert len(one.split("xsub", "test")) == 2
    assert one.split_hash("xsub", "test") == other.split_hash("xsub", "test")


@pytest.mark.parametrize(
    ("command", "given", "named", "sentence"),
    [
        ("pretrain", [], {}, r"maskel\.pretrain: the following arguments are required: data$"),
        ("pretrain", [3], {}, r'maskel\.pretrain: Parser key "data".*Not of type Path.*int$'),
        (
            "pretrain",
            ["set"],
            {"epochs": 3},
            r"has no argument 'epochs'; did you mean training=\{'epochs': \.\.\.\}\?$",
        ),
        ("pretrain", ["set"], {"training": 3}, "expected a mapping of options under 'training', found 3$"),
        ("pretrain", ["set"], {"training": {"epoch": 3}}, "'training' does not accept option 'epoch'$"),
        ("pretrain", ["set"], {"training": {"epochs": "three"}}, r"training\.epochs.*int.*three$"),
        ("pretrain", ["set"], {"training": {"epochs": 0}}, "found epochs 0, expected 1 or more$"),
        ("pretrain", ["set"], {"options": {"tauu": 1}}, "'mamp' does not accept option 'tauu'$"),
        ("pretrain", ["set"], {"seed": None}, "seed: found no value"),
        ("pretrain", ["set"], {"data": "set"}, "data is given twice, by place and by name$"),
        ("pretrain", ["set"], {"recipes": 3}, "found recipes 3, expected names of recipes, or YAML files$"),
        ("pretrain", ["set"], {"recipes": ["nope"]}, "no recipe is called 'nope'"),
        ("pretrain", ["set"], {"resume": True}, "found resume=True, expected the run folder to go on with$"),
        ("pretrain", range(20), {}, "takes 18 arguments, found 20$"),
        ("linear", ["run", "set"], {"training": AdamWConfig()}, "'training' does not accept option 'beta1'$"),
        ("finetune", ["set", {"width": 3}], {}, "Parser key \"encoder\": Option 'width' is not accepted$"),
        ("finetune", ["set", 3], {}, r'Parser key "encoder": Not of type Path: .* not int$'),
        ("prepare", ["folderr", "raw", "set"], {}, r"no source is called 'folderr'; did you mean folder\? known are"),
        ("prepare", ["folder", "raw", "set"], {"layouts": 1}, r"has no argument 'layouts'; did you mean layout\?$"),
        ("report", [3], {}, r'maskel\.report: Parser key "runs": Not of type Path'),
        ("features", ["run", "set"], {"part": "test"}, "benchmark and part go together"),
    ],
)
def test_wrong_values_get_one_sentence(
    command: str, given: list, named: dict, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=sentence) as fault:
        getattr(maskel, command)(*given, **named)
    assert "\n" not in str(fault.value)
    assert list(tmp_path.iterdir()) == []


def test_help_names_what_python_adds() -> None:
    assert {"recipes", "seeds", "options", "resume"} <= inspect.signature(maskel.pretrain).parameters.keys()
    assert "    recipes: " in (maskel.pretrain.__doc__ or "")
    assert "recipes" not in inspect.signature(maskel.features).parameters


def clips_of(data: SkeletonSet, part: str) -> list[Any]:
    return [data.clips[position] for position in data.split("xsub", part).tolist()]
