"""Wrong input and impossible settings: refused in a sentence, with nothing half done."""

import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from maskel import cli
from maskel.commands.knn import vote
from maskel.datasets.base import Split
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.errors import InputError, TrainingError
from maskel.layouts import NTU25
from maskel.targets import MotionTarget
from maskel.training.engine import Session, fit
from maskel.training.loading import ClipBatches
from maskel.training.run import RunFolder, open_run
from maskel.transforms import TrainView

TINY = (
    "--encoder.window=8 --encoder.dim=16 --encoder.depth=1 --encoder.num_heads=2 --device=cpu "
    "--mamp.decoder_dim=16 --mamp.decoder_depth=1 --training.epochs=1 --training.batch_size=8"
).split()


@pytest.mark.parametrize("k", [20, 200])
def test_equal_votes_go_to_the_nearer_voters_however_close(k: int) -> None:
    cosines = torch.tensor([0.99] * (k // 2) + [0.99004] * (k // 2), dtype=torch.float64)
    known = torch.stack((cosines, (1 - cosines**2).sqrt()), 1).float()
    labels = torch.tensor([0] * (k // 2) + [1] * (k // 2))
    assert vote(known, labels, torch.tensor([[1.0, 0.0]]), 2, k)[1].tolist() == [1]


@pytest.mark.parametrize(
    ("name", "number", "expected"),
    [("epochs", 0, "1 or more"), ("save_steps", -1, "0 or more"), ("lr", -0.5, "0 or more"), ("lr", float("nan"), "0")],
)
def test_a_number_of_training_out_of_its_range_is_named(name: str, number: float, expected: str) -> None:
    with pytest.raises(InputError, match=f"training: found {name} {number}, expected {expected}"):
        replace(tiny.TRAINING, **{name: number})


def test_a_gradient_that_is_not_finite_never_reaches_the_weights(tiny_set: SkeletonSet, tmp_path: Path) -> None:
    method, calls = tiny.tiny_method("mamp"), []

    def hook(gradient: torch.Tensor) -> torch.Tensor:
        calls.append(0)
        return gradient * float("inf") if len(calls) == 2 else gradient

    method.encoder.patch_embed.weight.register_hook(hook)
    batches = ClipBatches(tiny_set, tiny_set.split("xsub", "train"), 5, 0, 8, TrainView(), "zero", tiny.ALONE.device)
    with pytest.raises(TrainingError, match="not finite at step 1"):
        fit(method, batches, Session(tiny.TRAINING, RunFolder(tmp_path), tiny.ALONE))
    assert all(weight.isfinite().all() for weight in RunFolder(tmp_path).load_state()["method"].values())


@pytest.mark.parametrize("content", [{}, {"method": {}}, {"method": 3, "optimizer": {}}])
def test_a_state_without_its_parts_is_refused(content: dict, prepared: Path, tmp_path: Path) -> None:
    run = tiny.tiny_pretrain(prepared, tmp_path / "run")
    run.save_state(content)
    with pytest.raises(InputError, match="start the run again"):
        tiny.tiny_pretrain(prepared, run.path, resume=True)


def test_another_data_set_cannot_resume(prepared: Path, tmp_path: Path) -> None:
    run = tiny.tiny_pretrain(prepared, tmp_path / "run")
    other = tiny.write_set(tmp_path / "other", train=20, test=4)
    with pytest.raises(InputError, match="other"):
        tiny.tiny_pretrain(other, run.path, resume=True)


def test_a_run_without_options_given_can_resume_from_the_command_line(prepared: Path, tmp_path: Path) -> None:
    run = tiny.tiny_pretrain(prepared, tmp_path / "run")
    assert cli.main(["pretrain", "--resume", str(run.path)]) == 0


@pytest.mark.parametrize("stride", [0, -1])
def test_an_impossible_stride_is_refused(stride: int) -> None:
    with pytest.raises(InputError, match="stride"):
        MotionTarget(stride)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seed=-1"],
        ["--seed=9223372036854775808"],
        ["--encoder.mlp_ratio=0"],
        ["--encoder.mlp_ratio=-1"],
        ["--mamp.decoder_dim=-16"],
        ["--mamp.decoder_dim=0"],
        ["--mamp.decoder_depth=-1"],
        ["--mamp.motion_stride=0"],
        ["--mamp.motion_stride=8"],  # as long as the window: every target would be 0
        ["--training.epoch=2"],  # abbreviated, silently taken for --training.epochs
        ["--bench=xsub"],
        ["--resum=elsewhere"],  # taken for --resume and dropped: a fresh run starts
        ["--device=meta"],
    ],
)
def test_wrong_options(arguments: list[str], prepared: Path, tmp_path: Path) -> None:
    assert cli.main(["pretrain", f"--data={prepared}", f"--out={tmp_path / 'run'}", *TINY, *arguments]) == 2
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["resume: elsewhere", "training: [1]", "training:", "mamp: [1]", "seed: 2024-01-01"])
def test_wrong_recipes(text: str, prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(text)
    given = [f"--data={prepared}", f"--out={tmp_path / 'run'}", *TINY, f"--config={tmp_path / 'r.yaml'}"]
    assert cli.main(["pretrain", *given]) == 2


def test_a_folder_that_cannot_be_made_is_refused(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["pretrain", f"--data={prepared}", f"--out={tmp_path / 'file' / 'run'}", *TINY]) == 2


def test_interrupted_outside_the_loop(
    monkeypatch: pytest.MonkeyPatch, prepared: Path, pretrained: Any, tmp_path: Path
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("maskel.training.experiment.extract", interrupt)
    assert (
        cli.main(["knn", f"--data={prepared}", f"--encoder={pretrained.path}", "--k=3", f"--out={tmp_path / 'r'}"])
        == 130
    )


@pytest.mark.parametrize("command", ["linear", "knn"])
@pytest.mark.parametrize("split", [Split(tuple(range(9)), ()), Split((), tuple(range(9)))], ids=["no test", "no train"])
def test_an_empty_part_is_named(command: str, split: Split, pretrained: Any, tmp_path: Path, capsys: Any) -> None:
    with SetWriter(tmp_path / "set", NTU25, tiny.CLASSES, "generated", {}) as writer:
        for number in range(9):
            writer.add(tiny.generated_clip(number, NTU25))
        writer.finish({"xsub": split})
    options = ["--k=3"] if command == "knn" else ["--training.epochs=1", "--training.batch_size=8"]
    given = [f"--data={tmp_path / 'set'}", f"--encoder={pretrained.path}", f"--out={tmp_path / 'r'}", "--device=cpu"]
    assert cli.main([command, *given, *options]) == 2
    assert "is empty" in capsys.readouterr().err


def test_a_taken_folder_is_refused_before_the_work(
    prepared: Path, pretrained: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("features were computed for a run that cannot be written")

    (tmp_path / "mine").write_text("")
    options = {"linear": {"training": tiny.PROBE}, "knn": {"k": 3}}
    for command in ("linear", "knn"):
        module = sys.modules[f"maskel.commands.{command}"]
        monkeypatch.setattr("maskel.training.experiment.extract", never)
        for out, complaint in ((tmp_path, "not empty"), (tmp_path / "mine" / "run", "cannot be written")):
            with pytest.raises(InputError, match=complaint):
                getattr(module, command)(pretrained.path, prepared, **options[command], out=out)


@pytest.mark.parametrize(
    "command",
    [
        "predict nowhere --classifier nowhere --out OUT.csv",
        "predict nowhere --classifier nowhere --out o.csv --segments OUT.csv",
        "predict nowhere --classifier nowhere --out o.csv --page OUT.html",
        "embed --encoder nowhere --data nowhere --out OUT.npz",
        "report nowhere --out OUT.html",
        "view masks nowhere --data nowhere --clip none --out OUT.html",
        "inspect nowhere --page OUT.html",
        "inspect nowhere --json OUT.json",
        "ensemble nowhere nowhere --out OUT.run",
    ],
)
def test_a_file_that_cannot_be_written_is_noticed_before_anything_is_read(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    assert cli.main(command.replace("OUT", "file/new").split()) == 2
    assert "cannot be written (Not a directory); choose another --" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    taken = Path(command.split()[-1].replace("OUT", "taken"))
    (taken / "something").mkdir(parents=True)
    assert cli.main(command.replace("OUT", "taken").split()) == 2
    assert re.search(r"cannot be written \(Is a directory\)|exists and is not empty", capsys.readouterr().err)
    shutil.rmtree(taken)
    assert cli.main(command.replace("OUT", "new/folder/file").split()) == 2
    assert "nowhere" in capsys.readouterr().err  # the file could be written; nothing was made for it yet
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_no_process_makes_the_folder_before_all_have_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, there = tmp_path / "run", []
    monkeypatch.setattr("maskel.training.run.barrier", lambda: there.append(out.exists()))
    open_run(out, "finetune", {}, False, tiny.ALONE)
    assert there == [False]


def test_linear_refuses_batches_of_one(prepared: Path, pretrained: Any, tmp_path: Path) -> None:
    given = [f"--data={prepared}", f"--encoder={pretrained.path}", f"--out={tmp_path / 'r'}", "--device=cpu"]
    assert cli.main(["linear", *given, "--training.epochs=1", "--training.batch_size=1"]) == 2


def test_padding_is_not_a_body() -> None:
    encoder = tiny.tiny_method("mae").encoder.eval()
    joints = torch.randn(1, 2, 20, 25, 3)
    joints[:, 1] = 0
    padded = torch.cat((joints, torch.ones(1, 2, 5, 25, 3)), 2)
    assert torch.equal(encoder.encode(padded, torch.tensor([20])), encoder.encode(joints))


def test_equal_encoders_are_equal_files(tmp_path: Path) -> None:
    encoder = tiny.tiny_method("mae").encoder
    for name in range(8):
        encoder.save(tmp_path / str(name))
    assert len({(tmp_path / str(name)).read_bytes() for name in range(8)}) == 1
