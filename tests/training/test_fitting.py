"""Defaults that fit the set, and runs that are prolonged."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tiny
from maskel.commands.linear import linear
from maskel.errors import InputError, Stopped
from maskel.files import read_yaml, yaml_text
from maskel.models.loading import load_encoder
from maskel.training.fitting import fitted
from maskel.training.optim import AdamWConfig, FinetuneConfig, SGDConfig
from maskel.training.run import CONFIG, METRICS, RESULT, STATE, RunFolder

LONGER = replace(tiny.TRAINING, epochs=5)
SIZES = "--encoder.window=8 --encoder.dim=16 --encoder.depth=2 --encoder.num_heads=2 --encoder.mlp_ratio=2 --device=cpu"
METHOD = "--mamp.ratio=0.8 --mamp.decoder_dim=16 --mamp.decoder_depth=1"


def test_published_recipes_on_published_sets_are_as_they_were() -> None:
    for recipe, clips in ((AdamWConfig(), 37_646), (SGDConfig(), 37_646), (FinetuneConfig(), 376)):
        assert fitted(recipe, clips) == recipe


def test_batches_and_warm_up_shrink_and_rates_do_not() -> None:
    recipe = AdamWConfig(epochs=10)
    assert fitted(recipe, 100) == replace(recipe, batch_size=100, warmup_epochs=0.5)
    assert fitted(replace(recipe, epochs=21), 128) == replace(recipe, epochs=21)
    with pytest.raises(InputError, match="found 1 training clip, expected 2 or more"):
        fitted(recipe, 1, least=2)


def test_what_fits_stands_in_the_options_and_resumes(
    run: Any, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["pretrain", *SIZES.split(), *METHOD.split(), "--data", prepared, "--training.epochs=3"]
    with monkeypatch.context() as patched:
        tiny.as_steps_begin(patched, lambda number: tiny.ctrl_c_if(number == 2))
        code, text = run(*given, "--out", tmp_path / "run")
    assert code == 130
    assert "maskel: training: batches of 16, all training clips, instead of 128\n" in text
    assert "maskel: training: 0.15 epochs of warm-up instead of 20, as there are 3 epochs in all\n" in text
    training = RunFolder(tmp_path / "run").read_config()["training"]
    assert (training["batch_size"], training["warmup_epochs"], training["lr"]) == (16, 0.15, 1e-3)
    assert run(*given, "--resume", tmp_path / "run")[0] == 0  # the very same options, as a batch system repeats them
    code, text = run("pretrain", "--resume", tmp_path / "run")
    assert (code, "instead of" in text) == (0, False)
    assert run("pretrain", "--config", tmp_path / "run" / CONFIG, "--out", tmp_path / "whole")[0] == 0
    states = [tiny.state_of(RunFolder(tmp_path / name)) for name in ("run", "whole")]
    tiny.assert_identical(*states)


def test_a_run_that_an_earlier_version_began_with_a_longer_warm_up_goes_on(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endless = replace(tiny.TRAINING, warmup_epochs=20.0)
    run = tiny.tiny_pretrain(prepared, tmp_path / "run", training=endless)
    config = read_yaml(run.path / CONFIG)
    assert config["training"]["warmup_epochs"] == pytest.approx(0.15)
    config["training"]["warmup_epochs"] = 20.0
    (run.path / CONFIG).write_text(yaml_text(config))
    capsys.readouterr()
    assert tiny.tiny_pretrain(prepared, run.path, training=endless, resume=True).finished
    assert "3 epochs are no more than the 20 of the warm-up" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["linear", "finetune"])
def test_few_labels_make_small_batches(
    command: str, pretrained: RunFolder, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if command == "linear":
        options = {"labels": 0.3, "training": replace(tiny.PROBE, batch_size=64), "device": "cpu"}
        run = linear(pretrained.path, prepared, out=tmp_path / "run", **options)  # type: ignore[arg-type]
    else:
        run = tiny.tiny_finetune(prepared, tmp_path / "run", labels=0.3)
    size = run.result["labels"]["size"]
    assert run.read_config()["training"]["batch_size"] == size < 5
    assert f"batches of {size}, all training clips, instead of" in capsys.readouterr().err


def test_a_finished_run_is_prolonged_and_says_so(
    run: Any, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny.tiny_pretrain(prepared, tmp_path / "run")
    config, rows = read_yaml(folder.path / CONFIG), folder.metrics
    short = load_encoder(folder.path).state_dict()
    with monkeypatch.context() as patched:
        tiny.as_steps_begin(patched, lambda number: tiny.ctrl_c_if(number == 2))
        code, text = run("pretrain", "--resume", folder.path, "--training.epochs", 5)
    assert code == 130
    assert "is extended from 3 to 5 epochs" in text
    assert "so the result differs from a run begun at 5" in text
    assert not folder.finished
    assert not (folder.path / "encoder.safetensors").exists()  # it would pass for one of five epochs
    assert read_yaml(folder.path / CONFIG) == {
        **config,
        "training": {**config["training"], "epochs": 5},
        "prolonged": [[3, 5]],
    }
    before = RunFolder(folder.path / "epochs-3")
    assert read_yaml(before.path / CONFIG) == config
    assert before.result["epochs"] == 3
    assert before.metrics == rows
    tiny.assert_identical(dict(load_encoder(before.path).state_dict()), dict(short))
    code, text = run("pretrain", "--resume", folder.path)
    assert (code, "prolonged" in text) == (0, False)
    never_stopped = tiny.tiny_pretrain(prepared, tmp_path / "other")
    tiny.tiny_pretrain(prepared, never_stopped.path, training=LONGER, resume=True)
    tiny.assert_identical(tiny.state_of(folder), tiny.state_of(never_stopped))
    result = folder.result
    assert (result["epochs"], result["config"]["prolonged"]) == (5, [[3, 5]])
    assert folder.metrics[:3] == rows
    whole = tiny.tiny_pretrain(prepared, tmp_path / "whole", training=LONGER)
    rates = [[row["lr"] for row in one.metrics] for one in (folder, whole)]
    assert rates[0][3:] == rates[1][3:]  # the schedule of five epochs from there on
    assert rates[0][2] != rates[1][2]
    assert tiny.state_of(folder)["step"] == tiny.state_of(whole)["step"] == 15
    assert run("pretrain", "--resume", folder.path, "--training.epochs=6")[0] == 0
    assert read_yaml(folder.path / CONFIG)["prolonged"] == [[3, 5], [5, 6]]
    assert sorted(path.name for path in folder.path.iterdir() if path.is_dir()) == ["epochs-3", "epochs-5"]
    assert run("pretrain", "--config", folder.path / CONFIG, "--out", tmp_path / "new")[0] == 0
    assert "prolonged" not in read_yaml(tmp_path / "new" / CONFIG)


def test_a_stopped_run_is_prolonged_too(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        tiny.as_steps_begin(patched, lambda number: tiny.ctrl_c_if(number == 2))
        with pytest.raises(Stopped):
            tiny.tiny_pretrain(prepared, tmp_path / "run")
    run = tiny.tiny_pretrain(prepared, tmp_path / "run", training=LONGER, resume=True)
    assert run.result["config"]["prolonged"] == [[3, 5]]
    assert len(run.metrics) == 5
    assert not [path for path in run.path.iterdir() if path.is_dir()]


@pytest.mark.parametrize("command", ["linear", "finetune"])
def test_classifiers_are_prolonged(command: str, pretrained: RunFolder, prepared: Path, tmp_path: Path) -> None:
    def train(epochs: int, resume: bool) -> RunFolder:
        if command == "finetune":
            training = replace(tiny.FINETUNE, epochs=epochs)
            return tiny.tiny_finetune(prepared, tmp_path / "run", labels=0.8, training=training, resume=resume)
        probe = replace(tiny.PROBE, epochs=epochs)
        options: dict[str, Any] = {"labels": 0.8, "device": "cpu", "resume": resume}
        return linear(pretrained.path, prepared, training=probe, out=tmp_path / "run", **options)

    names = {path.name for path in train(3, False).path.iterdir()}
    run = train(4, True)
    assert {path.name for path in run.path.iterdir()} == names | {"epochs-3"}
    assert {path.name for path in (run.path / "epochs-3").iterdir()} == names - {STATE}
    assert (len(run.metrics), run.result["epochs"]) == (4, 4)
    assert json.loads((run.path / "epochs-3" / RESULT).read_text())["epochs"] == 3


@pytest.mark.parametrize(
    "options",
    [
        {"training": replace(tiny.TRAINING, epochs=2)},
        {"training": replace(LONGER, lr=1e-4)},
        {"training": LONGER, "seed": 1},
    ],
    ids=["fewer epochs", "another rate", "another seed"],
)
def test_every_other_change_is_refused_as_before(options: Any, pretrained: RunFolder, prepared: Path) -> None:
    before = {file.name: file.read_bytes() for file in pretrained.path.iterdir()}
    with pytest.raises(InputError, match=r"was started with .*resume with the same options"):
        tiny.tiny_pretrain(prepared, pretrained.path, resume=True, **options)
    assert {file.name: file.read_bytes() for file in pretrained.path.iterdir()} == before


def test_a_run_without_a_state_cannot_be_prolonged(prepared: Path, tmp_path: Path) -> None:
    run = tiny.tiny_pretrain(prepared, tmp_path / "run")
    (run.path / STATE).unlink()
    with pytest.raises(InputError, match=r"was started with training\.epochs 3, found 5"):
        tiny.tiny_pretrain(prepared, run.path, training=LONGER, resume=True)
    assert (run.path / METRICS).is_file()
