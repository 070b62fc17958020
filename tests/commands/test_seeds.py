import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import torch

from maskel.commands.seeds import summary
from maskel.distributed import World
from maskel.training.loading import ClipBatches
from maskel.training.run import RunFolder
from maskel.training.seeds import seed_folders

SMALL = [
    *("--encoder.window=8", "--encoder.dim=16", "--encoder.depth=1", "--encoder.num_heads=2", "--device=cpu"),
    *("--mamp.decoder_dim=16", "--mamp.decoder_depth=1", "--training.epochs=2", "--training.batch_size=8"),
]
PROBE = ["--training.epochs=2", "--training.batch_size=8", "--device=cpu"]

Run = Callable[..., tuple[int, str]]


def shown(run: Run, *arguments: object, code: int = 0) -> str:
    found, text = run(*arguments)
    assert found == code, text
    return text


def written(folder: Path) -> dict[str, float]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_several_seeds_of_the_whole_path(run: Run, prepared: Path, tmp_path: Path) -> None:
    pretrained, probed, near = (tmp_path / name for name in ("pretrain", "linear", "knn"))
    text = shown(run, "pretrain", "--data", prepared, "--seeds=2", "--out", pretrained, *SMALL)
    assert str(pretrained) in text.splitlines()
    text = shown(run, "linear", "--encoder", pretrained, "--data", prepared, "--seeds=2", "--out", probed, *PROBE)
    assert f"mean over 2 seeds: {RunFolder(probed).result['accuracy']['mean']:.1%} ± " in text
    shown(
        run, "knn", "--encoder", pretrained, "--data", prepared, "--seeds=[1]", "--k=3", "--out", near, "--device=cpu"
    )
    assert list(seed_folders(probed)) == [0, 1]
    alone = tmp_path / "alone"
    shown(run, "linear", "--encoder", pretrained / "seed-1", "--data", prepared, "--seed=1", "--out", alone, *PROBE)
    assert (alone / "metrics.csv").read_bytes() == (probed / "seed-1" / "metrics.csv").read_bytes()
    result = RunFolder(probed).result
    own = [RunFolder(path).result for path in seed_folders(probed).values()]
    assert [(row["seed"], row["correct"], row["seen"]) for row in result["seeds"]] == [
        (one["seed"], one["correct"], one["seen"]) for one in own
    ]
    accuracies = [one["accuracy"] for one in own]
    assert result["accuracy"] == {"mean": mean(accuracies), "std": stdev(accuracies)}
    assert result["command"].startswith("maskel linear ")
    assert set(RunFolder(near).result) >= {"accuracy", "vote accuracy"}
    assert RunFolder(near).result["accuracy"]["std"] is None
    assert RunFolder(pretrained).result["loss"]["std"] > 0
    assert "none of seed 2" in shown(
        run,
        "linear",
        "--encoder",
        pretrained,
        "--data",
        prepared,
        "--seeds=[2]",
        "--out",
        tmp_path / "x",
        *PROBE,
        code=2,
    )


def test_one_encoder_is_evaluated_by_every_seed(
    run: Run, pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    shown(
        run,
        "linear",
        "--encoder",
        pretrained.path,
        "--data",
        prepared,
        "--seeds=[0,3]",
        "--out",
        tmp_path / "a",
        *PROBE,
    )
    own = [RunFolder(path) for path in seed_folders(tmp_path / "a").values()]
    assert {folder.read_config()["encoder"] for folder in own} == {str(pretrained.path)}
    assert len({folder.metrics[-1]["loss"] for folder in own}) == 2


def test_what_is_finished_is_not_done_again(
    run: Run, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "runs"
    arguments = ["pretrain", "--data", prepared, "--out", out, *SMALL]
    load, calls = ClipBatches.load, []

    def stop_in_the_second_seed(self: ClipBatches, epoch: int, clips: Any) -> Any:
        calls.append(self.seed)
        if calls.count(1) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return load(self, epoch, clips)

    with monkeypatch.context() as patched:
        patched.setattr(ClipBatches, "load", stop_in_the_second_seed)
        text = shown(run, *arguments, "--seeds=2", code=130)
        assert "stopped after step" in text
        assert "or repeat the whole command: it runs only what is left" in text
    first = written(out / "seed-0")
    assert not (out / "result.json").exists()
    assert RunFolder(out / "seed-1").has_state
    shown(run, *arguments, "--seeds=2")
    assert written(out / "seed-0") == first
    shown(run, "pretrain", "--config", out / "config.yaml", "--out", tmp_path / "again")  # holds its seeds
    for seed in (0, 1):
        name = f"seed-{seed}/metrics.csv"
        assert (out / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    (out / "seed-2").mkdir()
    (out / "seed-2" / "config.yaml").write_text("stopped before anything was saved")
    shown(run, *arguments, "--seeds=3")
    assert written(out / "seed-0") == first
    assert [row["seed"] for row in RunFolder(out).result["seeds"]] == [0, 1, 2]
    text = shown(run, *arguments, "--seeds=3", "--mamp.tau=0.5", code=2)
    assert "was started with mamp.tau 0.8, found 0.5" in text


def test_several_processes_must_be_told_the_folder(
    run: Run, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("maskel.distributed.start", lambda device: World(0, 2, torch.device("cpu")))
    assert "give --out" in shown(run, "pretrain", "--data", prepared, "--seeds=2", *SMALL, code=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("seeds", "named"), [("0", "found 0"), ("[1,1]", "each once"), ("[]", "each once"), ("[-1]", "each once")]
)
def test_seeds_that_make_no_sense_are_refused(seeds: str, named: str, run: Run, prepared: Path, tmp_path: Path) -> None:
    text = shown(run, "pretrain", "--data", prepared, f"--seeds={seeds}", "--out", tmp_path / "a", *SMALL, code=2)
    assert named in text
    assert not (tmp_path / "a").exists()


def test_a_folder_of_one_run_is_left_alone(run: Run, pretrained: RunFolder, prepared: Path) -> None:
    before = written(pretrained.path)
    text = shown(run, "pretrain", "--data", prepared, "--seeds=2", "--out", pretrained.path, *SMALL, code=2)
    assert "is a run of one seed" in text
    assert "without --resume" in shown(run, "pretrain", "--resume", pretrained.path, "--seeds=2", code=2)
    assert written(pretrained.path) == before


def test_mean_and_standard_deviation() -> None:
    results = [
        {"kind": "linear", "seed": seed, "correct": correct, "seen": 10, "accuracy": correct / 10, "best_epoch": best}
        for seed, correct, best in ((0, 5, {"accuracy": 0.6}), (1, 7, {"accuracy": 0.8}))
    ]
    found = json.loads(json.dumps(summary(results)))
    assert found["accuracy"] == {"mean": pytest.approx(0.6), "std": pytest.approx(0.2 / 2**0.5)}
    assert found["best_epoch accuracy"]["mean"] == pytest.approx(0.7)
    assert "loss" not in found
