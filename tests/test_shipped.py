"""The encoder that comes with maskel, by its name in place of a path."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import maskel
import tiny
from maskel import shipped
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.layouts import COCO17, KINECT20, NTU25, Layout
from maskel.models.adaptation import adapted
from maskel.models.loading import load_encoder
from maskel.training.pretrained import names_of_pretraining
from maskel.training.run import RunFolder

NAME = "synthetic-small"
TRAINING = replace(tiny.TRAINING, epochs=1, lr=0.0, min_lr=0.0, weight_decay=0.0)


def test_every_name_has_a_run_whose_weights_are_small_finite_and_of_its_sizes() -> None:
    assert {folder.name for folder in shipped.ENCODERS.iterdir()} == set(shipped.SHIPPED)
    for name in shipped.SHIPPED:
        folder = shipped.ENCODERS / name
        assert {file.name for file in folder.iterdir()} == {"encoder.safetensors", "config.yaml", "result.json"}
        assert sum(file.stat().st_size for file in folder.iterdir()) < 5e6
        encoder = maskel.load_encoder(name)
        tiny.assert_identical(encoder.state_dict(), load_encoder(folder).state_dict())
        assert all(tensor.isfinite().all() for tensor in encoder.state_dict().values())
        assert encoder.layout is NTU25
        run = RunFolder(folder)
        assert run.read_config()["encoder"] == encoder.about()["config"]
        assert run.result["data"]["source"] == "synthetic"
        assert "/" not in run.result["data"]["path"]


@pytest.mark.parametrize("layout", [NTU25, KINECT20, COCO17])
def test_features_differ_from_clip_to_clip_in_every_layout(layout: Layout, tmp_path: Path) -> None:
    dataset = SkeletonSet.open(tiny.write_set(tmp_path / "set", layout, train=3, test=1))
    encoder = adapted(maskel.load_encoder(NAME), layout)
    clips = dataset.gather(dataset.split("xsub", "train"), 2)
    features = encoder.encode(clips.joints, clips.lengths, pool="joints")
    assert features.isfinite().all()
    assert torch.pdist(features).min() > 0.1


def test_it_is_evaluated_and_trained_on(prepared: Path, run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    probe = ("--pool", "joints", "--probe", "regularised", "--device", "cpu")
    code, shown = run("linear", "--encoder", NAME, "--data", prepared, *probe, "--out", tmp_path / "linear")
    assert code == 0, shown
    result = RunFolder(tmp_path / "linear").result
    assert (result["encoder"], result["seen"]) == (NAME, tiny.TEST)
    assert result["pretraining"]["source"] == "synthetic"
    assert "| linear, regularised, from " in maskel.results([tmp_path / "linear"])
    code, shown = run("finetune", "--encoder", NAME, "--data", prepared, "--check", "--device", "cpu")
    assert code == 0, shown
    begun = tiny.tiny_pretrain(prepared, tmp_path / "run", init=Path(NAME), method="amr", training=TRAINING)
    tiny.assert_identical(begun.encoder.state_dict(), maskel.load_encoder(NAME).state_dict())
    assert begun.read_config()["init"] == NAME


def test_it_has_seen_no_clip_but_generated_ones(tiny_set: SkeletonSet, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names_of_pretraining(Path(NAME), tiny_set) == set()
    monkeypatch.setattr(tiny_set, "source", "synthetic")
    assert names_of_pretraining(Path(NAME), tiny_set) is None


def test_a_path_of_the_same_name_is_not_guessed_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shipped.ENCODERS / NAME, NAME)
    with pytest.raises(InputError, match=f"comes with maskel, and also .*{NAME}; rename that, or give its whole path"):
        maskel.load_encoder(NAME)
    assert maskel.load_encoder(tmp_path / NAME).config == load_encoder(shipped.ENCODERS / NAME).config


@pytest.mark.parametrize("fault", ["changed", "missing"])
def test_other_weights_are_refused(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(shipped.ENCODERS, tmp_path / "encoders")
    file = tmp_path / "encoders" / NAME / "encoder.safetensors"
    if fault == "missing":
        file.unlink()
    else:
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    monkeypatch.setattr(shipped, "ENCODERS", tmp_path / "encoders")
    with pytest.raises(InputError, match=f"{NAME}: .*not the one that maskel comes with; install maskel again"):
        maskel.load_encoder(NAME)
