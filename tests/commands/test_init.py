"""Pre-training that goes on from another encoder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tiny
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError, Stopped
from maskel.layouts import KINECT20
from maskel.models.adaptation import adapted
from maskel.models.loading import load_encoder
from maskel.training.finished import Run
from maskel.training.pretrained import names_of_pretraining
from maskel.training.run import RunFolder

NO_STEP = replace(tiny.TRAINING, epochs=1, lr=0.0, min_lr=0.0, weight_decay=0.0)
Told = pytest.CaptureFixture[str]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_encoder(path).state_dict()


def test_training_begins_with_the_weights_of_the_encoder(pretrained: RunFolder, prepared: Path, tmp_path: Path) -> None:
    run = tiny.tiny_pretrain(prepared, tmp_path / "run", init=pretrained.path, method="mae", training=NO_STEP)
    tiny.assert_identical(weights(run.path), weights(pretrained.path))
    result = run.result
    assert result["init"]["encoder"] == str(pretrained.path)
    assert (result["init"]["pretraining"]["method"], result["method"]) == ("mamp", "mae")
    assert run.read_config()["init"] == str(pretrained.path)
    learned = tiny.tiny_pretrain(prepared, tmp_path / "more", init=pretrained.path / "encoder.safetensors")
    assert any(not torch.equal(value, weights(pretrained.path)[name]) for name, value in weights(learned.path).items())
    assert Run.open(pretrained.path).options["init"] is None
    assert Run.open(run.path).options["init"] == str(pretrained.path)


def test_without_it_nothing_is_written_of_it(pretrained: RunFolder) -> None:
    assert "init" not in pretrained.read_config()
    assert "init" not in pretrained.result


def test_sizes_are_the_encoders_and_others_are_named(
    pretrained: RunFolder, prepared: Path, tmp_path: Path, capsys: Told
) -> None:
    other = replace(tiny.ENCODER, depth=1, window=12)
    run = tiny.tiny_pretrain(prepared, tmp_path / "run", init=pretrained.path, encoder=other, training=NO_STEP)
    told = f"the encoder has the sizes of {pretrained.path}: the options window 12, depth 1 have no effect"
    assert told in capsys.readouterr().err
    assert run.read_config()["encoder"] == load_encoder(pretrained.path).about()["config"]


def test_another_layout_is_mapped(pretrained: RunFolder, tmp_path: Path, capsys: Told) -> None:
    data = tiny.write_set(tmp_path / "set", KINECT20)
    run = tiny.tiny_pretrain(data, tmp_path / "run", init=pretrained.path, training=NO_STEP)
    tiny.assert_identical(weights(run.path), adapted(load_encoder(pretrained.path), KINECT20).state_dict())
    assert "joint embeddings mapped from ntu25 to kinect20" in capsys.readouterr().err


def test_it_resumes_exactly(
    pretrained: RunFolder, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tiny.tiny_pretrain(prepared, tmp_path / "whole", init=pretrained.path)
    with monkeypatch.context() as patched:
        tiny.as_steps_begin(patched, lambda step: tiny.ctrl_c_if(step == 5))
        with pytest.raises(Stopped):
            tiny.tiny_pretrain(prepared, tmp_path / "stopped", init=pretrained.path)
    again = tiny.tiny_pretrain(prepared, tmp_path / "stopped", init=pretrained.path, resume=True)
    tiny.assert_identical(tiny.state_of(again), tiny.state_of(whole))
    with pytest.raises(InputError, match="was started with init"):
        tiny.tiny_pretrain(prepared, tmp_path / "stopped", resume=True)


def test_clips_of_the_earlier_run_count_as_seen(
    pretrained: RunFolder, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path, capsys: Told
) -> None:
    everything = tiny.write_set(tmp_path / "all", train=24, test=0)
    earlier = tiny.tiny_pretrain(everything, tmp_path / "earlier", training=NO_STEP)
    capsys.readouterr()
    run = tiny.tiny_pretrain(prepared, tmp_path / "run", init=earlier.path, training=NO_STEP)
    told = f"{earlier.path} was pre-trained on 8 of the 8 test clips of {prepared}, without their labels"
    assert told in capsys.readouterr().err
    assert names_of_pretraining(run.path, tiny_set) == {clip.name for clip in tiny_set.clips}
    tiny.tiny_pretrain(prepared, tmp_path / "same", init=pretrained.path, training=NO_STEP)
    assert "test clips" not in capsys.readouterr().err
    assert len(names_of_pretraining(tmp_path / "same", tiny_set) or ()) == tiny.TRAIN


def test_each_seed_goes_on_from_its_own(run: Callable[..., tuple[int, str]], prepared: Path, tmp_path: Path) -> None:
    small = ["--encoder.window=8", "--encoder.dim=16", "--encoder.depth=1", "--encoder.num_heads=2"]
    small += ["--mamp.decoder_dim=16", "--mamp.decoder_depth=1", "--training.epochs=1", "--training.batch_size=8"]
    options = ["pretrain", "--data", prepared, "--seeds=2", "--device=cpu", *small]
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(*options, "--out", first)[0] == 0
    assert run(*options, "--init", first, "--out", second)[0] == 0
    for seed in (0, 1):
        assert RunFolder(second / f"seed-{seed}").read_config()["init"] == str(first / f"seed-{seed}")
    (row,) = [line for line in run("results", second)[1].splitlines() if line.startswith("| mamp |")]  # one recipe
    assert " ± " in row


@pytest.mark.parametrize("init", ["nothing", "set"])
def test_what_is_no_encoder_is_refused(init: str, prepared: Path, tmp_path: Path) -> None:
    path = prepared if init == "set" else tmp_path / "nothing"
    with pytest.raises(InputError, match="no such encoder"):
        tiny.tiny_pretrain(prepared, tmp_path / "run", init=path)
    assert not (tmp_path / "run").exists()
