from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import tiny
from maskel.commands.command import Command
from maskel.intervals import interval
from maskel.training.run import RunFolder

Run = Callable[..., tuple[int, str]]

ENCODER = ["--encoder.window=8", "--encoder.dim=8", "--encoder.depth=1", "--encoder.num_heads=2"]
SMALLER = {
    "pretrain": ["--training.epochs=1", "--mamp.decoder_depth=1", *ENCODER],
    "linear": ["--training.epochs=2", "--training.batch_size=8"],
    "finetune": ["--training.epochs=2", "--head_dim=4"],
    "knn": ["--k=2"],
    "baseline": ["--frames=4"],
    "report": ["--clips=0"],
}


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands of the stages that run, at a size for tests."""
    typed: list[str] = []
    real = Command.__call__

    def smaller(command: Command, name: str, words: Sequence[str]) -> object:
        if name not in SMALLER:
            return real(command, name, words)
        typed.append(" ".join([name, *words]))
        return real(command, name, [*words, *SMALLER[name]])

    monkeypatch.setattr(Command, "__call__", smaller)
    return typed


def stages(commands: Sequence[str]) -> list[str]:
    return [Path(command).name for command in commands]


def test_every_protocol_in_one_command_that_goes_on(
    run: Run, commands: list[str], prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    command = ["reproduce", "mamp", "ntu60_xsub", "--data", prepared, "--out", out, "--scale=small", "--device=cpu"]
    with monkeypatch.context() as patched:
        tiny.as_steps_begin(patched, lambda _: tiny.ctrl_c_if(stages(commands)[-1] == "finetune"))
        code, text = run(*command)
    assert (code, stages(commands)) == (130, ["pretrain", "linear", "finetune"])
    assert "or repeat maskel reproduce" in text
    first = (out / "pretrain" / "result.json").stat().st_mtime_ns
    (out / "knn").mkdir()
    (out / "knn" / "config.yaml").write_text("stopped before anything was saved")
    commands.clear()
    code, text = run(*command)
    assert code == 0, text
    assert stages(commands) == ["finetune", "semi_1", "semi_10", "knn", "baseline", "report.html"]
    assert (out / "pretrain" / "result.json").stat().st_mtime_ns == first
    assert RunFolder(out / "semi_10").read_config()["labels"] == 0.1
    assert RunFolder(out / "semi_10").result["command"].startswith("maskel finetune --config ntu60_xsub")
    table = (out / "results.md").read_text()
    assert table in text
    linear = RunFolder(out / "linear").result
    counted = f"| linear | {linear['correct']} / 8 | {100 * linear['accuracy']:.1f} | "
    assert counted in table
    assert "| 84.9 (MAMP paper) |" in table
    nearest = RunFolder(out / "knn").result
    for name, counted in (("1-NN", nearest), (f"{nearest['vote']['k']}-NN vote", nearest["vote"])):
        accuracy = f"{100 * counted['accuracy']:.1f} | {interval(counted['correct'], 8)}"
        assert f"| {name} | {counted['correct']} / 8 | {accuracy} | – | none published |" in table
    assert "| 66.0 (MAMP paper, five runs) |" in table
    assert "whether the number is the mean of the runs is not stated" in table
    assert "16 training and 8 test clips. The size is small: the numbers do not compare" in table
    assert (out / "report.html").is_file()
    commands.clear()
    assert run(*command)[0] == 0
    assert stages(commands) == ["report.html"]
    whole = (out / "knn" / "result.json").read_text()
    (out / "knn" / "result.json").write_text(whole.replace('"kind": "knn"', '"kind": "linear"'))
    code, text = run(*command)
    assert (code, "knn: its result.json is not what maskel knn writes" in text) == (2, True)
    code, text = run(*command, "--seed=1")
    assert (code, "was started with seed 0, found 1" in text) == (2, True)


def test_few_labels_are_run_five_times_as_published_and_batches_fit_the_clips(
    run: Run, commands: list[str], prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    command = ["reproduce", "mamp", "ntu60_xsub", "--data", prepared, "--out", out, "--seed=2", "--device=cpu"]
    first_run = out / "semi_1" / "seed-2" / "result.json"
    with monkeypatch.context() as patched:
        tiny.as_steps_begin(patched, lambda _: tiny.ctrl_c_if(first_run.exists()))
        assert run(*command)[0] == 130
    first = first_run.stat().st_mtime_ns
    typed = {Path(words).name: words for words in commands}
    assert "--seed 2 " in typed["finetune"]
    assert "--seeds [2,3,4,5,6] " in typed["semi_1"]
    assert not any("--training.batch_size" in words for words in typed.values())
    sizes = {"pretrain": 16, "linear": 8, "finetune": 16, "semi_1/seed-2": 3}  # a clip of each class
    configs = {name: RunFolder(out / name).read_config() for name in sizes}
    assert {name: config["training"]["batch_size"] for name, config in configs.items()} == sizes
    commands.clear()
    code, text = run(*command)
    assert code == 0, text
    assert stages(commands) == ["semi_1", "semi_10", "knn", "baseline", "report.html"]
    assert (out / "semi_1" / "seed-2" / "result.json").stat().st_mtime_ns == first
    several = RunFolder(out / "semi_1").result
    counts, accuracy = [run["correct"] for run in several["seeds"]], several["accuracy"]
    table = (out / "results.md").read_text()
    right = f"{', '.join(map(str, counts))} / 8"
    assert f"| {right} | {100 * accuracy['mean']:.1f} ± {100 * accuracy['std']:.1f} | " in table
    assert "pretrain: batches of 16, all clips, instead of 128." in table
    assert "fine-tune: batches of 16, all clips, instead of 48." in table
    assert "1 % of the labels: batches of 3, all clips, instead of 48." in table
    assert "Published numbers are of 40,091 and 16,487 clips and do not quite compare." in table
    assert "semi_1/seed-6" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (
            ["mump", "ntu60_xsub"],
            "found mump ntu60_xsub, expected a method and a benchmark; methods are amr, hacm, mae, mamp",
        ),
        (["mamp", "ntu61_xsub"], "benchmarks are "),
        (["mamp", "small"], "benchmarks are "),
        (["mamp", "ntu60_xview"], "no benchmark called 'xview'"),
    ],
)
def test_what_does_not_exist_is_refused(words: list[str], named: str, run: Run, prepared: Path, tmp_path: Path) -> None:
    code, text = run("reproduce", *words, "--data", prepared, "--out", tmp_path / "out")
    assert (code, named in text) == (2, True), text
    assert not (tmp_path / "out").exists()


def test_a_stage_that_another_process_runs_is_left_alone(run: Run, prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = {"method": "mamp", "benchmark": "ntu60_xsub", "data": str(prepared), "scale": "published", "seed": 0}
    RunFolder.create(out, "reproduce", config)
    with RunFolder.create(out / "pretrain", "pretrain", {}).in_use():
        code, text = run("reproduce", "mamp", "ntu60_xsub", "--data", prepared, "--out", out)
    assert (code, "is in use by another process" in text) == (2, True), text
    assert (out / "pretrain" / "config.yaml").exists()


def test_a_folder_of_something_else_is_left_alone(run: Run, pretrained: RunFolder, prepared: Path) -> None:
    code, text = run("reproduce", "mamp", "ntu60_xsub", "--data", prepared, "--out", pretrained.path)
    assert (code, "is the folder of another command" in text) == (2, True)
