"""Joints in 2D, with scores and without, go through the whole system with no option of their own."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from maskel.cli import main
from maskel.commands.knn import knn
from maskel.commands.linear import linear
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.layouts import COCO17
from maskel.masking import MotionAwareMasking
from maskel.methods import METHODS
from maskel.models.encoder import Encoder
from maskel.models.loading import load_encoder
from maskel.sequence import CHANNELS, Channels
from maskel.training.pretrained import load_method
from maskel.training.run import RunFolder
from maskel.transforms import Stream

FLAT: tuple[Channels, ...] = (("x", "y"), ("x", "y", "score"))


@pytest.fixture(scope="module", params=FLAT, ids=" ".join)
def flat(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_set(tmp_path_factory.mktemp("flat") / "set", COCO17, channels=request.param)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_pretraining_linear_evaluation_and_neighbours(flat: Path, tmp_path: Path, name: str) -> None:
    run = tiny.tiny_pretrain(flat, tmp_path / "pretrain", method=name)
    clips, encoder = SkeletonSet.open(flat), load_encoder(run.path)
    assert (encoder.channels, encoder.coordinates) == (clips.channels, 2)
    assert np.isfinite(run.result["loss"])
    values = 2 * 8 * 2 if name == "amr" else 4 * 2  # joints and motion of 8 frames, or a patch
    assert load_method(run).decoder.predict.out_features == values  # coordinates are predicted, scores are not
    probe = linear(run.path, flat, training=tiny.PROBE, device="cpu", out=tmp_path / "linear").result
    neighbours = knn(run.path, flat, k=3, device="cpu", out=tmp_path / "knn").result
    assert probe["seen"] == neighbours["seen"] == tiny.TEST
    features = encoder.encode(torch.from_numpy(clips.sequence(0).joints[None]))
    assert features.shape == (1, tiny.ENCODER.dim)


def test_the_report_draws_them(flat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = tiny.tiny_pretrain(flat, tmp_path / "run")
    assert main(["report", str(run.path), "--out=report.html"]) == 0
    assert "skeleton" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(("trained", "given"), list(itertools.permutations(CHANNELS, 2)))
def test_an_encoder_of_other_channels_is_refused(tmp_path: Path, trained: Channels, given: Channels) -> None:
    data = tiny.write_set(tmp_path / "set", COCO17, channels=given)
    Encoder(COCO17, tiny.ENCODER, trained).save(tmp_path / "encoder.safetensors")
    message = rf"reads layout coco17 \({', '.join(trained)}\), but .*set holds coco17 \({', '.join(given)}\)"
    with pytest.raises(InputError, match=message):
        knn(tmp_path, data, k=3, out=tmp_path / "run")


@pytest.mark.parametrize("stream", ["joint", "bone", "motion", "bone_motion"])
def test_scores_are_seen_by_the_encoder_and_by_neither_mask_nor_target(stream: Stream) -> None:
    method = METHODS["mamp"](Encoder(COCO17, replace(tiny.ENCODER, stream=stream), FLAT[1]), **tiny.OPTIONS).eval()
    assert isinstance(method.masking, MotionAwareMasking)
    joints = torch.randn(3, tiny.ENCODER.window, 17, 3)
    others = joints.clone()
    others[..., 2] = torch.rand(joints.shape[:3])
    draws = torch.rand(3, method.encoder.num_tokens)
    one, other = (method.reconstruct(method.encoder.stream(some), draws) for some in (joints, others))
    assert torch.equal(one.mask.keep, other.mask.keep)
    assert torch.equal(one.target, other.target)
    assert not torch.equal(one.visible, other.visible)


def test_a_run_on_scores_can_be_resumed(tmp_path: Path) -> None:
    data = tiny.write_set(tmp_path / "set", COCO17, channels=FLAT[1])
    run = tiny.tiny_pretrain(data, tmp_path / "run")
    assert isinstance(tiny.tiny_pretrain(data, run.path, resume=True), RunFolder)
