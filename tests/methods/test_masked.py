"""Masked modelling by name: MAE and MAMP are presets of it, and an option that would do nothing is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from maskel.cli import main
from maskel.draws import clip_keys
from maskel.errors import InputError
from maskel.layouts import NTU25
from maskel.masking import MASKINGS, MotionAwareMasking, RandomMasking
from maskel.methods import MAE, MAMP, Masked, MaskedAutoencoder
from maskel.methods.base import build_seeded
from maskel.methods.released import load_release, save_release
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.targets import TARGETS, JointTarget, MotionTarget
from maskel.training.pretrained import load_method
from maskel.training.run import RunFolder

TINY = ["--encoder.window=8", "--encoder.dim=16", "--encoder.depth=1", "--encoder.num_heads=2", "--device=cpu"]
TINY += ["--training.epochs=2", "--training.batch_size=8", "--training.warmup_epochs=1"]
TINY += ["--masked.decoder_dim=16", "--masked.decoder_depth=1"]


def masked(**options: Any) -> Masked:
    return build_seeded(lambda: Masked(Encoder(NTU25, tiny.ENCODER), **(tiny.OPTIONS | options)), 0)


PRESETS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("mae", {}, {"masking": "random", "target": "joints"}),
    ("mae", {"normalize_target": False, "bodies": "present"}, {"masking": "random"}),
    ("mamp", {}, {"target": "motion"}),
    ("mamp", {"tau": 0.3, "motion_stride": 2, "decoder": "cross"}, {"masking": "motion_aware", "target": "motion"}),
]


@pytest.mark.parametrize(("name", "options", "parts"), PRESETS)
def test_a_preset_is_masked_with_its_parts(name: str, options: dict[str, Any], parts: dict[str, Any]) -> None:
    preset, ours = tiny.tiny_method(name, **options), masked(**options, **parts)
    composed = build_seeded(lambda: composed_by_hand(name, options), 0)
    assert isinstance(preset, Masked)
    batch = tiny.random_batch(NTU25)
    keys = clip_keys(3, 1, batch.clips)
    loss = preset(batch, keys)["loss"]
    for other in (ours, composed):
        assert all(torch.equal(one, two) for one, two in zip(preset.parameters(), other.parameters(), strict=True))
        assert torch.equal(loss, other(batch, keys)["loss"])


def composed_by_hand(name: str, options: dict[str, Any]) -> MaskedAutoencoder:
    """The method from its parts, as a reader of the paper would put it together."""
    ratio, normalize = tiny.OPTIONS["ratio"], options.get("normalize_target", True)
    masking = RandomMasking(ratio) if name == "mae" else MotionAwareMasking(ratio, options.get("tau", 0.8))
    motion = MotionTarget(options.get("motion_stride", 1), normalize)
    return MaskedAutoencoder(
        Encoder(NTU25, tiny.ENCODER),
        masking,
        JointTarget(normalize) if name == "mae" else motion,
        tiny.OPTIONS["decoder_dim"],
        tiny.OPTIONS["decoder_depth"],
        options.get("bodies", "all"),
        options.get("decoder", "full"),
    )


@pytest.mark.parametrize("masking", MASKINGS)
@pytest.mark.parametrize("target", TARGETS)
def test_every_masking_goes_with_every_target(masking: str, target: str) -> None:
    method = masked(masking=masking, target=target)
    assert (type(method.masking), type(method.target)) == (MASKINGS[masking], TARGETS[target])
    batch = tiny.random_batch(NTU25)
    assert method(batch, clip_keys(0, 0, batch.clips))["loss"].isfinite()


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"masking": "random", "tau": 0.8}, "tau: does nothing with masking random; .* masking motion_aware$"),
    ({"target": "joints", "motion_stride": 1}, "motion_stride: does nothing with target joints; .* motion or hyper"),
    ({"masking": "motion"}, "masking: found 'motion', expected one of random, motion_aware"),
    ({"target": "bones"}, "target: found 'bones', expected one of joints, motion, hyperbolic_motion"),
    ({"target": "motion", "motion_stride": 8}, "found a motion stride of 8, expected less than the window of 8"),
    ({"target": "motion", "motion_stride": 0}, "found a motion stride of 0 frames, expected 1 or more"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_does_nothing_or_does_not_exist_is_refused(
    options: dict[str, Any], message: str, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(InputError, match=message):
        masked(**options)
    given = [f"--masked.{name}={value}" for name, value in options.items()]
    assert main(["pretrain", "--config=masked", f"--data={prepared}", f"--out={tmp_path / 'run'}", *TINY, *given]) == 2
    assert message.split(";")[0].split(",")[0] in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_stride_is_refused_where_the_default_does_not_fit() -> None:
    encoder = Encoder(NTU25, EncoderConfig(window=1, patch_frames=1, dim=16, depth=1, num_heads=2))
    with pytest.raises(InputError, match="beyond it nothing moves"):
        Masked(encoder, target="motion", decoder_dim=16)


def test_the_two_flags_train_resume_and_come_back(prepared: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    flags = ["--masked.masking", "motion_aware", "--masked.target", "joints"]
    assert main(["pretrain", "--config=masked", f"--data={prepared}", f"--out={run}", *TINY, *flags]) == 0
    config = RunFolder(run).read_config()
    assert (config["method"], config["masked"]["masking"], config["masked"]["target"]) == (
        "masked",
        "motion_aware",
        "joints",
    )
    method = load_method(RunFolder(run))
    assert isinstance(method, Masked)
    assert (type(method.masking), type(method.target)) == (MotionAwareMasking, JointTarget)
    assert main(["pretrain", f"--resume={run}", "--masked.target=motion"]) == 2
    assert main(["pretrain", f"--resume={run}", "--training.epochs=3"]) == 0
    assert len(RunFolder(run).metrics) == 3


def test_help_lists_the_parts(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["pretrain", "--method", "masked", "--help"])
    shown = " ".join(capsys.readouterr().out.split()).partition("options:")[2]
    for option, names in (("masking", MASKINGS), ("target", TARGETS)):
        meaning = shown.partition(f"--masked.{option}")[2].partition("(type")[0]
        assert all(name in meaning for name in names), meaning


def test_only_parts_of_the_public_code_are_written_as_its_checkpoint(tmp_path: Path) -> None:
    for parts, kind in (({"masking": "random"}, MAE), ({"target": "motion", "tau": 0.6}, MAMP)):
        method = masked(**parts)
        save_release(method, tmp_path / "c.pth")
        back = load_release(tmp_path / "c.pth")
        assert type(back) is kind
        batch = tiny.random_batch(NTU25)
        keys = clip_keys(0, 0, batch.clips)
        assert torch.equal(back(batch, keys)["loss"], method(batch, keys)["loss"])
    with pytest.raises(InputError, match="Masked with MotionAwareMasking and JointTarget has no public code"):
        save_release(masked(), tmp_path / "other.pth")
    assert not (tmp_path / "other.pth").exists()
    with pytest.raises(InputError, match="say method='mamp' or 'mae'"):
        load_release(tmp_path / "c.pth", method="masked")
