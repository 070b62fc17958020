import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import maskel
import tiny
from maskel import cli
from maskel.configuration import read_recipe, shipped_recipes
from maskel.intervals import interval
from maskel.models.encoder import EncoderConfig
from maskel.protocols import PROTOCOLS
from maskel.training.loading import MicroBatches
from maskel.training.run import RunFolder

TINY = [
    *("--encoder.window=8", "--encoder.dim=16", "--encoder.depth=1", "--encoder.num_heads=2", "--device=cpu"),
    *("--mamp.decoder_dim=16", "--mamp.decoder_depth=1"),
    *("--training.epochs=2", "--training.batch_size=8"),
]
PROBE = ["--training.epochs=2", "--training.batch_size=8", "--device=cpu"]
RECIPES = sorted(shipped_recipes().values())
WITH_RECIPES = [name for name, protocol in PROTOCOLS.items() if protocol.recipes]

Run = Callable[..., tuple[int, str]]


def recipe(folder: Path, name: str, content: dict[str, Any] | str) -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return file


def test_a_run_from_the_command_line(run: Run, prepared: Path, tmp_path: Path) -> None:
    code, text = run("pretrain", "--data", prepared, "--out", tmp_path / "a", *TINY)
    assert code == 0
    assert text.splitlines()[-1] != ""
    assert str(tmp_path / "a") in text.splitlines()
    assert RunFolder(tmp_path / "a").read_config()["method"] == "mamp"
    code, text = run("linear", "--encoder", tmp_path / "a", "--data", prepared, "--out", tmp_path / "b", *PROBE)
    assert code == 0
    assert RunFolder(tmp_path / "b").result["seen"] == tiny.TEST
    code, text = run(
        "knn", "--encoder", tmp_path / "a", "--data", prepared, "--out", tmp_path / "c", "--k=3", "--device=cpu"
    )
    assert code == 0
    result = RunFolder(tmp_path / "c").result
    assert result["seen"] == tiny.TEST
    shown = [
        f"{counted['correct']} of {tiny.TEST} clips right {how}({counted['accuracy']:.1%}, "
        f"95 % interval {interval(counted['correct'], tiny.TEST)})"
        for how, counted in (("", result), ("by vote ", result["vote"]))
    ]
    assert text.splitlines()[-3:] == [*shown, str(tmp_path / "c")]


def test_the_saved_config_is_a_config_that_saves_itself(run: Run, prepared: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    arguments = ["--data", prepared, "--mamp.tau=0.7", "--view.max_angle=0.1", "--training.min_lr=1e-05", "--seed=3"]
    assert run("pretrain", *arguments, "--out", first, *TINY)[0] == 0
    assert run("pretrain", "--config", first / "config.yaml", "--out", tmp_path / "second")[0] == 0
    assert (tmp_path / "second" / "config.yaml").read_bytes() == (first / "config.yaml").read_bytes()
    assert (tmp_path / "second" / "metrics.csv").read_bytes() == (first / "metrics.csv").read_bytes()
    probe = ["--encoder", first, "--data", prepared, "--augment=false", "--cache-features", *PROBE]
    assert run("linear", *probe, "--out", tmp_path / "third")[0] == 0
    assert run("linear", "--config", tmp_path / "third" / "config.yaml", "--out", tmp_path / "fourth")[0] == 0
    assert (tmp_path / "third" / "config.yaml").read_bytes() == (tmp_path / "fourth" / "config.yaml").read_bytes()
    assert run("knn", "--encoder", first, "--data", prepared, "--k=2", "--out", tmp_path / "fifth")[0] == 0
    assert run("knn", "--config", tmp_path / "fifth" / "config.yaml", "--out", tmp_path / "sixth")[0] == 0
    assert (tmp_path / "fifth" / "config.yaml").read_bytes() == (tmp_path / "sixth" / "config.yaml").read_bytes()


def test_resume_needs_the_run_only(run: Run, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take = MicroBatches.take

    def stop(self: MicroBatches) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return take(self)

    with monkeypatch.context() as patched:
        patched.setattr(MicroBatches, "take", stop)
        code, text = run("pretrain", "--data", prepared, "--out", tmp_path / "a", "--mamp.tau=0.6", *TINY)
    assert code == 130
    assert f"stopped after step 1; go on with --resume {tmp_path / 'a'}" in text
    assert run("pretrain", "--resume", tmp_path / "a")[0] == 0
    assert run("pretrain", "--data", prepared, "--out", tmp_path / "b", "--mamp.tau=0.6", *TINY)[0] == 0
    for name in ("config.yaml", "metrics.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    code, text = run("pretrain", f"--resume={tmp_path / 'a'}", "--mamp.tau=0.5")
    assert code == 2
    assert "was started with mamp.tau 0.6, found 0.5" in text
    code, text = run("pretrain", "--resume", tmp_path / "nowhere")
    assert code == 2
    assert "nowhere" in text


def test_recipes_merge_and_flags_come_last(run: Run, seen: dict[str, Any], tmp_path: Path) -> None:
    first = recipe(tmp_path, "first", {"method": "mae", "training": {"epochs": 7, "lr": 0.5}, "mae": {"ratio": 0.6}})
    second = recipe(tmp_path, "second", {"training": {"epochs": 9}, "seed": 4})
    assert run("pretrain", "--config", first, f"--config={second}", "--training.batch_size=3", "--data=x")[0] == 0
    training = seen["training"]
    assert (training.epochs, training.lr, training.batch_size, training.warmup_epochs) == (9, 0.5, 3, 20)
    assert (seen["method"], seen["seed"], seen["options"]["ratio"]) == ("mae", 4, 0.6)
    assert run("pretrain", "--config", second, "--config", first, "--data=x", "--seed=8")[0] == 0
    assert (seen["training"].epochs, seen["seed"]) == (7, 8)
    assert run("pretrain", "--seed=8", "--config", second, "--data=x")[0] == 0  # wherever the recipe stands
    assert seen["seed"] == 8


def test_a_section_named_after_a_command_is_read_by_that_command(
    run: Run, seen: dict[str, Any], tmp_path: Path
) -> None:
    file = recipe(
        tmp_path,
        "sections",
        {
            "benchmark": "xview",
            "seed": 1,
            "pretrain": {"seed": 2, "training": {"epochs": 5}},
            "linear": {"training": {"epochs": 6, "momentum": 0.5}},
            "knn": {"k": 7},
        },
    )
    assert run("pretrain", "--config", file, "--data=x")[0] == 0
    assert (seen["benchmark"], seen["seed"], seen["training"].epochs) == ("xview", 2, 5)
    assert run("linear", "--config", file, "--data=x", "--encoder=e")[0] == 0
    assert (seen["benchmark"], seen["seed"], seen["training"].epochs, seen["training"].momentum) == ("xview", 1, 6, 0.5)
    assert run("knn", "--config", file, "--data=x", "--encoder=e")[0] == 0
    assert (seen["benchmark"], seen["seed"], seen["k"]) == ("xview", 1, 7)


def commands_of(file: Path) -> list[str]:
    """The commands a shipped recipe is for."""
    if file.parent.name == "data":
        return WITH_RECIPES
    content = yaml.safe_load(file.read_text())
    return [command for command in WITH_RECIPES if command in content]


@pytest.mark.parametrize(
    ("file", "command"),
    [(file, command) for file in RECIPES for command in commands_of(file)],
    ids=lambda part: getattr(part, "stem", part),
)
def test_every_shipped_recipe_parses(file: Path, command: str, run: Run, seen: dict[str, Any]) -> None:
    needed = ["--data=x"] if command == "pretrain" else ["--data=x", "--encoder=e"]
    code, text = run(command, "--config", file.stem, *needed)
    assert code == 0, text
    for key, value in read_recipe(file.stem, command).items():
        if key in seen and not isinstance(value, dict):
            assert seen[key] == value
    assert seen["data"] == Path("x")


def test_shipped_recipes_have_names_of_their_own() -> None:
    names = [file.stem for file in RECIPES]
    assert len(set(names)) == len(names)
    assert all(commands_of(file) for file in RECIPES)


def test_the_ntu120_recipe_changes_what_the_paper_changes(run: Run, seen: dict[str, Any]) -> None:
    assert run("pretrain", "--config", "mamp", "--config", "ntu120_xset", "--data=x")[0] == 0
    assert (seen["benchmark"], seen["single_body"]) == ("xset", "copy")
    assert (seen["options"]["tau"], seen["options"]["decoder_depth"], seen["options"]["ratio"]) == (0.75, 5, 0.9)


def test_the_pku_recipes_change_what_the_paper_changes(run: Run, seen: dict[str, Any]) -> None:
    for name, batch_size, lr in (("pku1_xsub", 128, 0.1), ("pku1_xview", 128, 0.1), ("pku2_xsub", 32, 0.01)):
        assert run("pretrain", "--config", "mamp", "--config", name, "--data=x")[0] == 0
        assert (seen["benchmark"], seen["single_body"]) == (name.partition("_")[2], "zero")
        assert (seen["options"]["tau"], seen["options"]["decoder_depth"]) == (0.8, 5)
        assert run("linear", "--config", name, "--encoder=e", "--data=x")[0] == 0
        assert (seen["training"].batch_size, seen["training"].lr) == (batch_size, lr)


def test_recipes_may_write_numbers_as_people_do(run: Run, seen: dict[str, Any], tmp_path: Path) -> None:
    file = recipe(tmp_path, "r", "training: {lr: 1e-3, min_lr: 0, warmup_epochs: 2}")
    assert run("pretrain", "--config", file, "--data=x")[0] == 0
    training = seen["training"]
    assert (training.lr, training.min_lr, training.warmup_epochs) == (0.001, 0.0, 2.0)
    assert {type(value) for value in (training.lr, training.min_lr, training.warmup_epochs)} == {float}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("benchmrk: xsub", "benchmrk"),
        ("training: {epoch: 3}", "epoch"),
        ("mamp: {taw: 0.5}", "taw"),
        ("pretrain: {sead: 3}", "sead"),
        ("encoder: {width: 3}", "width"),
        ("training: {epochs: many}", "epochs"),
        ("training: {precision: fp16}", "precision"),
        ("view: {p_min: 0.9, p_max: 0.5}", "p_min 0.9"),
        ("training: {epochs: 0}", "epochs"),
        ("mamp: hello", "mamp"),
        ("pretrain: hello", "'pretrain'"),
        ("[1, 2]", "expected a mapping"),
        ("just words", "expected a mapping"),
        ("3: 4", "expected a mapping"),
        ("a: [", "not a YAML file"),
        ("\x00\x01", "not a YAML file"),
    ],
)
def test_a_wrong_recipe_is_named_in_one_line(
    content: str, named: str, run: Run, seen: dict[str, Any], tmp_path: Path
) -> None:
    code, text = run("pretrain", "--config", recipe(tmp_path, "wrong", content), "--data=x")
    assert code == 2
    assert named in text
    assert text.startswith("maskel pretrain: ")
    assert text.count("\n") == 1
    assert not seen


def test_a_recipe_cannot_run_code(run: Run, seen: dict[str, Any], tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for tag in (f"!!python/object/apply:os.system ['touch {mark}']", f"!!python/object/new:os.system ['touch {mark}']"):
        code, text = run("pretrain", "--config", recipe(tmp_path, "hostile", f"seed: {tag}"), "--data=x")
        assert code == 2
        assert "not a YAML file" in text
    assert not mark.exists()
    assert not seen


def test_an_unknown_recipe_is_refused_with_what_there_is(run: Run) -> None:
    code, text = run("pretrain", "--config", "mump", "--data=x")
    assert code == 2
    assert "no file and no recipe is called 'mump'; recipes are " in text
    assert all(file.stem in text for file in RECIPES)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--data=x", "--nonsense=3"], "--nonsense"),
        (["--data=x", "stray"], "stray"),
        (["--data=x", "--seed=one"], "seed"),
        (["--data=x", "--config"], "--config: expected a value"),
        (["--data=x", "--resume"], "--resume: expected a value"),
        ([], "data"),
        (["--data=x", "--encoder.dim=10"], "num_heads 8 does not divide dim 10"),
        (["--data=nowhere"], "nowhere does not exist; write one with `maskel prepare`"),
    ],
)
def test_a_wrong_option_is_named_in_one_line(arguments: list[str], named: str, run: Run) -> None:
    code, text = run("pretrain", *arguments)
    assert code == 2
    assert named in text
    assert text.count("\n") == 1


def test_a_missing_option_points_to_the_help_that_lists_it(run: Run) -> None:
    for kind in (["prepare", "folder"], ["export", "npz"], ["view", "masks"]):
        code, text = run(*kind)
        assert code == 2
        assert f"maskel {' '.join(kind)} --help lists the options" in text


def test_what_draws_nothing_has_no_seeds(run: Run) -> None:
    code, text = run("evaluate", "--classifier=x", "--data=y", "--seeds=2")
    assert code == 2
    assert "--seeds" in text
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--method=mump"], "no method is called 'mump'; known are amr, hacm, mae, mamp"),
        (["--benchmark=xsup"], "no benchmark called 'xsup'; it has: xsub"),
        (["--device=tpu"], "device 'tpu' is unknown"),
        (["--mamp.ratio=1.5"], "ratio 1.5"),
        (["--mamp.ratio=0.999"], "keeps 0 of 50 tokens"),
    ],
)
def test_what_does_not_fit_the_data_is_named(
    arguments: list[str], named: str, run: Run, prepared: Path, tmp_path: Path
) -> None:
    code, text = run("pretrain", "--data", prepared, "--out", tmp_path / "run", *TINY, *arguments)
    assert code == 2
    assert named in text
    assert text.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--cache-features", "--augment=false"], (True, False)),
        (["--cache_features", "--augment", "false"], (True, False)),
        (["--cache-features=true", "--augment", "False"], (True, False)),
        (["--cache-features", "false"], (False, True)),
        (["--augment", "--cache-features", "no"], (False, True)),
        ([], (False, True)),
    ],
)
def test_switches(arguments: list[str], expected: tuple[bool, bool], run: Run, seen: dict[str, Any]) -> None:
    assert run("linear", "--encoder=e", "--data=x", *arguments)[0] == 0
    assert (seen["cache_features"], seen["augment"]) == expected


def test_dashes_and_underscores_name_the_same_option(run: Run, seen: dict[str, Any]) -> None:
    dashes = ["--training.batch-size", "9", "--mamp.motion-stride=2", "--mamp.normalize-target", "false"]
    assert run("pretrain", "--data=a-b", "--single-body=copy", *dashes)[0] == 0
    assert (seen["training"].batch_size, seen["single_body"], seen["data"]) == (9, "copy", Path("a-b"))
    assert (seen["options"]["motion_stride"], seen["options"]["normalize_target"]) == (2, False)


ABLATIONS: dict[str, Any] = {
    "--hacm.masking=spatial": {"masking": "spatial"},
    "--hacm.masking=temporal": {"masking": "temporal"},
    "--hacm.masking=random": {"masking": "random"},
    "--hacm.distance=euclidean": {"distance": "euclidean"},
    "--hacm.cc-alpha=0": {"cc_alpha": 0.0},
    "--hacm.cc-alpha=null": {"cc_alpha": None},
    "--hacm.cc-reduction=row_sum": {"cc_reduction": "row_sum"},
    "--hacm.criterion-sign=keep_low": {"criterion_sign": "keep_low"},
    "--hacm.root-weight=1": {"root_weight": 1.0},
}


@pytest.mark.parametrize("flag", ABLATIONS)
def test_every_ablation_of_hacm_changes_one_option(flag: str, run: Run, seen: dict[str, Any]) -> None:
    recipes = ["--config=hacm", "--config=nw_ucla_xsub", "--config=small"]
    assert run("pretrain", *recipes, "--data=x")[0] == 0
    default = dict(seen["options"])
    assert (seen["encoder"].joints, seen["encoder"].geometry, seen["encoder"].patch_frames) == ("kept", "poincare", 3)
    assert run("pretrain", *recipes, "--data=x", flag)[0] == 0
    assert {name: value for name, value in seen["options"].items() if default[name] != value} == ABLATIONS[flag]


def test_an_encoder_is_a_path_or_its_sizes(run: Run, seen: dict[str, Any], tmp_path: Path) -> None:
    assert run("finetune", "--data=x")[0] == 0
    assert seen["encoder"] == EncoderConfig()
    assert run("finetune", "--config=hacm", "--config=small", "--data=x", "--encoder.depth=2")[0] == 0
    expected = {"window": 60, "patch_frames": 3, "dim": 128, "depth": 2, "num_heads": 4}
    assert seen["encoder"] == EncoderConfig(**expected, joints="kept", geometry="poincare")
    assert run("finetune", "--config=hacm", "--data=x", "--encoder", "some/run")[0] == 0
    assert seen["encoder"] == Path("some/run")
    file = recipe(tmp_path, "path", {"encoder": "some/run", "data": "x"})
    assert run("finetune", "--config", file)[0] == 0
    assert seen["encoder"] == Path("some/run")
    for wrong, named in {"dim=10": "num_heads 8 does not divide dim 10", "dimm=10": "'dimm'", "dim=x": "dim"}.items():
        code, text = run("finetune", "--data=x", f"--encoder.{wrong}")
        assert (code, text.count("\n")) == (2, 1)
        assert named in text


def test_protocols_merge_without_repetition(run: Run, seen: dict[str, Any]) -> None:
    found = {}
    for protocol in ("finetune", "semi_1", "semi_10", "transfer", "scratch"):
        assert run("finetune", "--config=ntu120_xset", f"--config={protocol}", "--data=x")[0] == 0
        assert (seen["benchmark"], seen["single_body"]) == ("xset", "copy")
        found[protocol] = (seen["labels"], seen["training"].layer_decay)
    assert found == {
        "finetune": (1.0, 0.8),
        "semi_1": (0.01, None),
        "semi_10": (0.1, None),
        "transfer": (1.0, 0.8),
        "scratch": (1.0, 1.0),
    }


def test_runs_are_added_up_and_clips_named_from_the_command_line(run: Run, prepared: Path, tmp_path: Path) -> None:
    runs = [tiny.tiny_finetune(prepared, tmp_path / str(seed), seed=seed).path for seed in (0, 1)]
    assert run("ensemble", *runs, "--weights", 2, 1, "--out", tmp_path / "sum")[0] == 0
    assert RunFolder(tmp_path / "sum").read_config()["weights"] == [2.0, 1.0]
    out = tmp_path / "p.csv"
    assert run("predict", prepared, "--classifier", runs[0], "--out", out, "--top-k=1", "--device=cpu")[0] == 0
    assert len(out.read_text().splitlines()) == 1 + tiny.TRAIN + tiny.TEST
    assert run("evaluate", "--classifier", runs[0], "--data", prepared, "--out", tmp_path / "e", "--device=cpu")[0] == 0
    config = tmp_path / "e" / "config.yaml"
    assert run("evaluate", "--config", config, "--out", tmp_path / "f")[0] == 0
    assert (tmp_path / "f" / "config.yaml").read_bytes() == config.read_bytes()
    config = runs[0] / "config.yaml"
    assert run("finetune", "--config", config, "--out", tmp_path / "again")[0] == 0
    assert (tmp_path / "again" / "config.yaml").read_bytes() == config.read_bytes()


def test_masks_are_viewed_from_the_command_line(run: Run, prepared: Path, tmp_path: Path) -> None:
    assert run("pretrain", "--data", prepared, "--out", tmp_path / "a", *TINY)[0] == 0
    page = tmp_path / "masks.html"
    code, text = run("view", "masks", tmp_path / "a", "--data", prepared, "--clip=clip03", "--draws=20", "--out", page)
    assert (code, page.is_file()) == (0, True), text
    assert "usage: maskel view PICTURE DATA | RUN ... [OPTIONS]" in run("view")[1]
    code, text = run("view", "portraits")
    assert (code, text.strip()) == (
        2,
        "maskel view: no picture is called 'portraits'; known are clips, features, importance, masks",
    )


def test_only_the_options_of_the_chosen_method_count(run: Run, seen: dict[str, Any]) -> None:
    code, text = run("pretrain", "--data=x", "--method=mae", "--mae.ratio=0.5", "--mamp.ratio=0.7")
    assert code == 0
    assert "--mamp.ratio: without effect, since the method is mae" in text
    assert seen["options"]["ratio"] == 0.5
    assert "tau" not in seen["options"]


def test_help_is_short_and_names_the_options_of_the_chosen_method_alone(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    own = recipe(tmp_path, "own", {"pretrain": {"method": "mae"}})
    for command in cli.COMMANDS:
        assert len(run(command, "--help")[1].splitlines()) <= 130, command
    for words, shown, hidden in (
        ([], "--mamp.tau", "--mae."),
        (["--method", "mae"], "--mae.ratio", "--mamp."),
        (["--config", own], "--mae.ratio", "--mamp."),
        (["--config=hacm"], "--hacm.distance", "--mamp."),
    ):
        text = run("pretrain", *words, "--help")[1]
        assert len(text.splitlines()) <= 130, words
        assert shown in text
        assert hidden not in text
        assert "_" not in "".join(re.findall(r"--[\w.-]+", text))  # one spelling
        assert not re.search(r"Literal|<class|Union|null", text)  # no types of the program


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["pretrian"], []])
def test_what_needs_no_model_does_not_wait_for_pytorch(arguments: list[str]) -> None:
    code = "import sys; from maskel.__main__ import main; main(); print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell: str, run: Run) -> None:
    code, script = run("completion", shell)
    assert code == 0
    for word in ("pretrain", "finetune", "folder", "--training.batch-size", "--mamp.tau", "--test-subjects"):
        assert word.lstrip("-") in script
    assert "--training.batch_size" not in script


@pytest.mark.parametrize("command", cli.COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_explains_itself(command: str, flag: str, run: Run) -> None:
    code, text = run(command, flag)
    assert code == 0
    assert f"maskel {command}" in text


def test_help_names_every_option_with_its_meaning(run: Run) -> None:
    text = " ".join(run("pretrain", "--help")[1].split())
    for option, meaning in {
        "--mamp.tau": "Temperature of motion-aware masking",
        "--training.accumulate": "saves memory",
        "--encoder.patch-frames": "must divide",
        "--view.p-min": "Smallest share",
        "--config": "repeat to merge",
        "--resume": "run folder to continue",
    }.items():
        assert option in text
        assert meaning in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "usage: maskel COMMAND"),
        (["--help"], 0, "usage: maskel COMMAND"),
        (["--version"], 0, maskel.__version__),
        (["pretrian"], 2, "no command is called 'pretrian'; did you mean pretrain?"),
        (["xyzzy"], 2, f"no command is called 'xyzzy'; expected one of {', '.join(cli.COMMANDS)}"),
        (["prepare", "nonsense"], 2, "no source is called 'nonsense'; known are"),
    ],
)
def test_the_first_word(arguments: list[str], code: int, said: str, run: Run) -> None:
    found, text = run(*arguments)
    assert found == code
    assert said in text


def test_the_module_runs() -> None:
    found = subprocess.run([sys.executable, "-m", "maskel", "--version"], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == maskel.__version__
