import inspect
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny
from maskel.errors import InputError
from maskel.layouts import KINECT20, NTU25
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.models.loading import load_encoder
from maskel.sequence import XYZ
from maskel.training.run import RunFolder


def rewrite(run: RunFolder, out: Path, about: dict[str, Any] | None = None, **weights: torch.Tensor) -> Path:
    """The encoder of ``run`` with other metadata (None drops an entry) or weights."""
    source = run.path / "encoder.safetensors"
    known = {
        "format": "maskel encoder 1",
        "layout": "ntu25",
        "channels": ["x", "y", "z"],
        "config": asdict(tiny.ENCODER),
    }
    known |= about or {}
    file = out / "encoder.safetensors"
    about = {key: value for key, value in known.items() if value is not None}
    save_file(load_file(source) | weights, file, {"maskel": json.dumps(about)})
    return file


def test_an_encoder_is_read_back(pretrained: RunFolder, tmp_path: Path) -> None:
    encoder = load_encoder(pretrained.path)
    assert (encoder.layout, encoder.config, encoder.channels) == (NTU25, tiny.ENCODER, XYZ)
    assert not encoder.training
    assert load_encoder(rewrite(pretrained, tmp_path)).config == tiny.ENCODER
    encoder.save(tmp_path / "again.safetensors")
    again = load_encoder(tmp_path / "again.safetensors")
    tiny.assert_identical(again.state_dict(), encoder.state_dict())
    assert not list(tmp_path.glob("*.partial"))
    assert (tmp_path / "again.safetensors").read_bytes() == (pretrained.path / "encoder.safetensors").read_bytes()
    joints = torch.randn(2, 2, 30, 25, 3)
    assert torch.equal(again.encode(joints), encoder.encode(joints))


@pytest.mark.parametrize(
    ("shape", "lengths", "message"),
    [
        ((2, 30, 25, 3), None, r"shape \(2, 30, 25, 3\), expected \(B, M, T, 25, 3\) of layout ntu25 \(x, y, z\)"),
        ((2, 1, 30, 17, 3), None, "expected .* of layout ntu25"),
        ((2, 1, 30, 25, 2), None, "expected .* of layout ntu25"),
        ((0, 1, 30, 25, 3), None, "expected .* of layout ntu25"),
        ((2, 1, 30, 25, 3), [30, 31], r"found lengths \[30, 31\], expected 2 of 1 to 30 frames"),
        ((2, 1, 30, 25, 3), [0, 30], "expected 2 of 1 to 30 frames"),
        ((2, 1, 30, 25, 3), [30], "expected 2 of 1 to 30 frames"),
        ((2, 1, 30, 25, 3), "nan", "a coordinate that is not finite"),
    ],
)
def test_clips_that_cannot_be_encoded_are_named(shape: tuple[int, ...], lengths: Any, message: str) -> None:
    encoder = Encoder(NTU25, EncoderConfig(window=6, patch_frames=3, dim=8, depth=1, num_heads=4))
    joints = np.full(shape, np.nan if lengths == "nan" else 1.0, np.float32)
    given = None if lengths in (None, "nan") else torch.tensor(lengths)
    encode = inspect.unwrap(Encoder.encode)  # shapes are checked by the encoder itself, not by the tests' type checker
    with pytest.raises(InputError, match=message):
        encode(encoder, joints, given)


def test_encoders_of_before_channels_had_names_read_x_y_z(pretrained: RunFolder, tmp_path: Path) -> None:
    assert load_encoder(rewrite(pretrained, tmp_path, {"channels": None, "coordinates": 3})).channels == XYZ


def test_other_sizes_layouts_and_channels_are_read_back(tmp_path: Path) -> None:
    config = EncoderConfig(window=6, stream="bone", patch_frames=3, patch_joints=4, dim=8, depth=1, num_heads=4)
    Encoder(KINECT20, config, ("x", "y", "score")).save(tmp_path / "e.safetensors")
    encoder = load_encoder(tmp_path / "e.safetensors")
    assert (encoder.layout, encoder.config, encoder.channels) == (KINECT20, config, ("x", "y", "score"))
    assert encoder.coordinates == 2


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.99])
def test_a_truncated_encoder_is_refused(share: float, pretrained: RunFolder, tmp_path: Path) -> None:
    whole = (pretrained.path / "encoder.safetensors").read_bytes()
    file = tmp_path / "encoder.safetensors"
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"encoder.safetensors: not a whole maskel encoder"):
        load_encoder(tmp_path)


def test_random_bytes_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "encoder.safetensors"
    file.write_bytes(np.random.default_rng(0).bytes(4000))
    with pytest.raises(InputError, match=r"encoder.safetensors: not a whole maskel encoder"):
        load_encoder(file)


def test_a_missing_encoder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "nowhere.safetensors"):
        with pytest.raises(InputError, match="no such encoder; expected a run folder, an"):
            load_encoder(path)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"format": None}, "no encoder of this version, .*found None"),
        ({"format": "maskel encoder 99"}, "no encoder of this version, .*99"),
        ({"layout": None}, "not a whole maskel encoder .*layout"),
        ({"layout": "openpose"}, "'openpose'"),
        ({"channels": "depth"}, "not a whole maskel encoder"),
        ({"channels": ["x", "y"]}, "not a whole maskel encoder"),
        ({"config": None}, "not a whole maskel encoder"),
        ({"config": "{"}, "not a whole maskel encoder"),
        ({"config": 3}, "not a whole maskel encoder"),
        ({"config": asdict(tiny.ENCODER) | {"colour": 3}}, "not a whole maskel encoder"),
        ({"config": asdict(tiny.ENCODER) | {"depth": 3}}, "not a whole maskel encoder"),
        ({"config": asdict(tiny.ENCODER) | {"dim": 32}}, "not a whole maskel encoder"),
        ({"config": asdict(tiny.ENCODER) | {"window": 9}}, "does not divide"),
    ],
)
def test_an_encoder_of_another_kind_is_refused(
    about: dict[str, Any], message: str, pretrained: RunFolder, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        load_encoder(rewrite(pretrained, tmp_path, about))


def test_foreign_weights_are_refused(pretrained: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a whole maskel encoder"):
        load_encoder(rewrite(pretrained, tmp_path, joint_embed=torch.zeros(1, 1, 24, 16)))
    with pytest.raises(InputError, match="not a whole maskel encoder"):
        load_encoder(rewrite(pretrained, tmp_path, surprise=torch.zeros(3)))
    file = tmp_path / "bert.safetensors"
    save_file({"bert.weight": torch.zeros(3)}, file)
    with pytest.raises(InputError, match="no encoder of this version"):
        load_encoder(file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": 0}, "expected 1 to"),
        ({"dim": -16}, "expected 1 to"),
        ({"depth": 0}, "expected 1 to"),
        ({"window": 10}, "patch_frames 4 does not divide the window of 10"),
        ({"num_heads": 3}, "num_heads 3 does not divide dim 16"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(tiny.ENCODER, **changes)


def test_patches_that_do_not_fit_the_joints_are_refused() -> None:
    with pytest.raises(InputError, match="patch_joints 2 does not divide the 25 joints of ntu25"):
        Encoder(NTU25, replace(tiny.ENCODER, patch_joints=2))


@pytest.mark.parametrize("shape", [(2, 9, 25, 3), (2, 8, 20, 3), (2, 8, 25, 2)])
def test_joints_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    encoder = Encoder(NTU25, tiny.ENCODER)
    with pytest.raises(InputError, match=r"reads \(frames, joints, channels\) \(8, 25, 3\) of layout ntu25; found"):
        encoder(torch.zeros(*shape))


def test_visible_tokens_alone_give_what_the_whole_gives_at_no_depth_of_attention() -> None:
    encoder = Encoder(NTU25, tiny.ENCODER)
    joints = torch.randn(2, 8, 25, 3)
    keep = torch.stack([torch.randperm(50)[:7], torch.randperm(50)[:7]])
    patches = encoder.patches(joints)
    expected = encoder.embed(patches).gather(1, keep[:, :, None].expand(-1, -1, 16))
    torch.testing.assert_close(encoder.embed(patches, keep), expected)


def test_the_order_of_visible_tokens_does_not_matter() -> None:
    encoder = Encoder(NTU25, tiny.ENCODER)
    joints, keep = torch.randn(1, 8, 25, 3), torch.randperm(50)[None, :9]
    torch.testing.assert_close(encoder(joints, keep.flip(1)).flip(1), encoder(joints, keep))


def test_gradients_do_not_depend_on_the_order_of_threads() -> None:
    encoder = Encoder(NTU25, EncoderConfig(window=48, dim=96, depth=1, num_heads=2))
    joints = torch.randn(64, 48, 25, 3, generator=torch.Generator().manual_seed(0))
    keep = torch.stack([torch.randperm(300)[:30] for _ in range(64)])
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = []
        for _ in range(12):
            encoder.zero_grad()
            encoder.embed(encoder.patches(joints), keep).square().sum().backward()
            found.append((encoder.time_embed.grad.clone(), encoder.joint_embed.grad.clone()))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for pair in found[1:] for one, other in zip(pair, found[0], strict=True))
