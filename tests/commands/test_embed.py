from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from maskel.commands import embed as module
from maskel.commands.embed import embed
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.models.encoder import Encoder
from maskel.models.loading import load_encoder
from maskel.training.features import extract
from maskel.training.run import RunFolder


def load(file: Path) -> dict[str, Any]:
    with np.load(file, allow_pickle=False) as stored:
        return dict(stored)


def test_features_are_those_of_the_encoder_clip_by_clip(
    pretrained: RunFolder, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CLIPS_IN_MEMORY", 5)  # several pieces, the last one short
    found = load(embed(pretrained.path, prepared, tmp_path / "deep" / "all.npz", device="cpu"))
    everything = np.arange(len(tiny_set))
    expected = extract(load_encoder(pretrained.path), tiny_set, everything, tiny.ALONE, "zero")
    torch.testing.assert_close(torch.from_numpy(found["features"]), expected, rtol=1e-5, atol=1e-6)
    assert found["names"].tolist() == [clip.name for clip in tiny_set.clips]
    assert (found["labels"] == tiny_set.labels).all()
    assert tuple(found["classes"]) == tiny_set.classes
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["all.npz"]


def test_one_part_in_its_order(pretrained: RunFolder, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path) -> None:
    whole = load(embed(pretrained.path, prepared, tmp_path / "all.npz", device="cpu"))
    test = load(embed(pretrained.path, prepared, tmp_path / "test.npz", "xsub", "test", device="cpu"))
    positions = tiny_set.split("xsub", "test")
    assert test["names"].tolist() == whole["names"][positions].tolist()
    np.testing.assert_allclose(test["features"], whole["features"][positions], rtol=1e-5, atol=1e-6)


def test_from_the_command_line(
    run: Callable[..., tuple[int, str]], pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    file = tmp_path / "f.npz"
    words = ["--encoder", pretrained.path, "--data", prepared, "--benchmark=xsub", "--part=train", "--device=cpu"]
    code, text = run("embed", *words, "--out", file)
    assert (code, str(file) in text.splitlines()) == (0, True)
    assert load(file)["features"].shape == (tiny.TRAIN, tiny.ENCODER.dim)


@pytest.mark.parametrize("stream", ["bone", "motion", "bone_motion"])
def test_the_encoder_knows_its_stream(stream: Any, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path) -> None:
    encoder = Encoder(tiny_set.layout, replace(tiny.ENCODER, stream=stream))
    encoder.save(tmp_path / "encoder.safetensors")
    found = load(embed(tmp_path, prepared, tmp_path / "f.npz", device="cpu"))
    expected = extract(encoder, tiny_set, np.arange(len(tiny_set)), tiny.ALONE, "zero")
    torch.testing.assert_close(torch.from_numpy(found["features"]), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"benchmark": "xsub"}, "benchmark and part go together"),
        ({"part": "test"}, "benchmark and part go together"),
        ({"benchmark": "xview", "part": "test"}, "no benchmark called 'xview'"),
        ({"out": Path("features.npy")}, r"found features\.npy, expected a name that ends in \.npz"),
    ],
)
def test_what_does_not_fit_is_refused(
    changes: dict[str, Any], message: str, pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        embed(**({"encoder": pretrained.path, "data": prepared, "out": tmp_path / "f.npz", "device": "cpu"} | changes))
    assert not list(tmp_path.iterdir())
