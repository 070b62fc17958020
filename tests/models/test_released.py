from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import maskel
import tiny
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.layouts import KINECT20, NTU25
from maskel.losses import masked_mean_squared_error
from maskel.methods import HACM, MAE, MAMP
from maskel.methods.base import build_seeded
from maskel.methods.released import load_release, save_release
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.models.loading import load_encoder
from maskel.models.released import our_name, read_release, released_name
from maskel.models.torch_file import TorchFile
from maskel.sequence import SkeletonBatch
from released import bodies, golden, weights, write_checkpoint

CHECKPOINTS = {
    "mamp": "model_mamp",
    "mamp_stride2_uniform": "model_mamp",
    "mae": "model_mae",
    "hacm_released": "model_hacm",
}


@pytest.mark.parametrize("name", ["mamp", "mamp_stride2_uniform", "mae"])
def test_a_checkpoint_of_mamp_or_mae_gives_the_published_loss(name: str, tmp_path: Path) -> None:
    method = load_release(write_checkpoint(tmp_path / "c.pth", name, CHECKPOINTS[name]))
    arrays, _ = golden(name)
    assert type(method) is (MAE if name == "mae" else MAMP)
    assert not method.training
    result = method.reconstruct(bodies(arrays).flatten(0, 1), torch.from_numpy(arrays["uniform"]))
    assert torch.equal(result.mask.hidden, torch.from_numpy(arrays["mask"]).bool())
    loss = masked_mean_squared_error(result.predicted, result.target).detach()
    torch.testing.assert_close(loss, torch.tensor(arrays["loss"]), rtol=1e-5, atol=0)


def test_a_checkpoint_of_hacm_gives_the_published_loss(tmp_path: Path) -> None:
    method = load_release(write_checkpoint(tmp_path / "c.pth", "hacm_released", "model_hacm"))
    arrays, _ = golden("hacm_released")
    assert isinstance(method, HACM)
    draws = torch.cat([torch.from_numpy(arrays[f"uniform_{half}"]) for half in ("temporal", "spatial")], 1)
    with torch.no_grad():
        result = method.reconstruct(bodies(arrays).flatten(0, 1), draws)
        contrast = method.contrast(result.visible, torch.arange(4))
        loss = masked_mean_squared_error(result.predicted, result.target) + contrast
    torch.testing.assert_close(loss, torch.tensor(arrays["loss"]), rtol=1e-5, atol=0)


DOWNSTREAM = [f"{prefix}classifier_{stage}" for prefix in ("", "hacm_") for stage in ("linprobe", "finetune")]


@pytest.mark.parametrize("name", DOWNSTREAM)
def test_a_downstream_checkpoint_gives_the_published_logits(name: str, tiny_set: SkeletonSet, tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "c.pth", name, "model")
    classifier = maskel.load_classifier(source, trained_on="data", dataset=tiny_set)
    assert classifier.kind == ("linear" if name.endswith("linprobe") else "finetune")
    assert classifier.label_spec.classes == (*tiny.CLASSES, *(f"no class (output {number})" for number in range(4, 8)))
    arrays, _ = golden(name)
    joints = bodies(arrays)
    clips = torch.arange(3)
    batch = SkeletonBatch(joints, torch.full((3,), joints.shape[2]), joints.flatten(2).any(2), clips, clips)
    with torch.no_grad():
        logits = classifier.logits(batch)
    torch.testing.assert_close(logits, torch.from_numpy(arrays["logits"]), rtol=1e-5, atol=1e-5)
    source = source.rename(tmp_path / "checkpoint")  # known by its first bytes
    tiny.assert_identical(load_encoder(source).state_dict(), classifier.encoder.state_dict())
    assert len(read_release(source).head) == (5 if name.endswith("linprobe") else 9)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_there_and_back_is_equal_bit_for_bit(name: str, tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "c.pth", name, CHECKPOINTS[name])
    release, state = read_release(source), weights(golden(name)[0])
    save_release(load_release(source), tmp_path / "again.pth")
    again = torch.load(tmp_path / "again.pth", weights_only=False)
    assert set(again["model"]) == set(state) - set(release.dead)
    for key, weight in again["model"].items():
        assert torch.equal(weight, state[key]), key
    for key in ("mask_ratio", "motion_aware_tau", "motion_stride"):
        if key in release.arguments:
            assert getattr(again["args"], key) == release.arguments[key]
    assert again["args"].model == release.arguments["model"]
    told = {key: value for key, value in again["args"].model_args.items() if key in release.arguments["model_args"]}
    assert told.items() <= release.arguments["model_args"].items()
    one, other = load_release(source), load_release(tmp_path / "again.pth")
    assert one.encoder.config == other.encoder.config
    tiny.assert_identical(one.state_dict(), other.state_dict())
    load_encoder(source).save(tmp_path / "encoder.safetensors")
    save_release(load_encoder(tmp_path / "encoder.safetensors"), tmp_path / "encoder.pth")
    only = read_release(tmp_path / "encoder.pth")
    assert set(only.weights) == {key for key in state if our_name(key, release.is_hacm) and "decoder" not in key} - {
        "mask_token", "mask_token_t", "l1.weight", "l1.bias", "l2.weight", "l2.bias"
    }  # fmt: skip
    for key, weight in only.weights.items():
        assert torch.equal(weight, state[key]), key


def test_dead_parameters_are_those_without_a_gradient(tmp_path: Path) -> None:
    release = read_release(write_checkpoint(tmp_path / "c.pth", "hacm_released", "model_hacm"))
    with_gradient = {
        key.removeprefix("grad_norm.") for key in golden("hacm_released")[0] if key.startswith("grad_norm.")
    }
    frozen = {"l1.weight", "l1.bias", "l2.weight", "l2.bias"}
    assert set(release.dead) == set(release.weights) - with_gradient - frozen
    assert sum(release.weights[name].numel() for name in {*release.dead, *frozen}) == 283_726
    assert not release.head
    assert not read_release(write_checkpoint(tmp_path / "c.pth", "mae", "model_mae")).dead


@pytest.mark.parametrize("name", ["mamp", "hacm_released"])
def test_names_map_both_ways(name: str) -> None:
    hacm = name == "hacm_released"
    for key in weights(golden(name)[0]):
        ours = our_name(key, hacm)
        assert ours is None or released_name(ours, hacm) == key
    for wrong in ("bert.weight", "normal", "block.0.norm1.weight", "l1.weight" if not hacm else "l3.weight"):
        with pytest.raises(KeyError):
            our_name(wrong, hacm)


def test_hacm_in_natural_order_has_its_decoder_times_in_order(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "c.pth", "hacm_released", "model_hacm")
    slots = weights(golden("hacm_released")[0])["decoder_temp_embed"]
    natural = load_release(source, token_order="natural")
    assert not natural.scrambled
    assert not load_release(source, layout="natural").scrambled  # the option's earlier name
    expected = slots[:, [slot for pair in zip(range(12), range(12, 24), strict=True) for slot in pair]]
    assert torch.equal(natural.decoder.time_embed, expected)
    assert torch.equal(load_release(source).decoder.time_embed, slots)
    save_release(natural, tmp_path / "again.pth")
    assert torch.equal(read_release(tmp_path / "again.pth").weights["decoder_temp_embed"], slots)


@pytest.mark.parametrize("name", ["mamp", "mae", "hacm"])
def test_a_run_of_ours_goes_there_and_back(name: str, tmp_path: Path) -> None:
    options = {} if name == "hacm" else {"normalize_target": False}
    method = tiny.tiny_method(name, **options)
    save_release(method, tmp_path / "c.pth")
    natural = {"token_order": "natural"} if name == "hacm" else {}
    again = load_release(tmp_path / "c.pth", **({"ratio": 0.8} if name == "hacm" else {}), **natural)
    assert again.encoder.config == method.encoder.config
    tiny.assert_identical(again.state_dict(), method.state_dict())
    draws = torch.rand(2, method.encoder.num_tokens)
    joints = torch.randn(2, 8, 25, 3)
    if name != "hacm":
        one, other = method.reconstruct(joints, draws), again.reconstruct(joints, draws)
        assert torch.equal(one.predicted, other.predicted)
        assert torch.equal(one.target, other.target)


@pytest.mark.parametrize("stream", ["joint", "bone", "motion", "bone_motion"])
def test_sizes_and_stream_are_found_again(stream: Any, tmp_path: Path) -> None:
    config = EncoderConfig(window=12, stream=stream, patch_frames=3, patch_joints=5, dim=24, depth=3, num_heads=3)
    encoder = build_seeded(lambda: Encoder(NTU25, config), 0)
    save_release(encoder, tmp_path / "c.pth")
    again = load_encoder(tmp_path / "c.pth")
    assert again.config == config
    tiny.assert_identical(again.state_dict(), encoder.state_dict())
    bare = torch.load(tmp_path / "c.pth", weights_only=False)["model"]
    torch.save(bare, tmp_path / "bare.pth")
    assert load_encoder(tmp_path / "bare.pth").config.num_heads == 8


def test_without_arguments_the_method_must_be_said(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "c.pth", "mae", "model_mae")
    torch.save({"model": TorchFile(source).tensors(TorchFile(source).content["model"])}, tmp_path / "bare.pth")
    assert read_release(tmp_path / "bare.pth").method is None
    with pytest.raises(InputError, match="say method='mamp' or 'mae'"):
        load_release(tmp_path / "bare.pth")
    assert type(load_release(tmp_path / "bare.pth", method="mae")) is MAE
    method = maskel.load_release(str(tmp_path / "bare.pth"), method="mamp", tau=0.6, ratio=0.5)
    assert isinstance(method, MAMP)
    assert (method.masking.tau, method.masking.ratio, method.encoder.config.num_heads) == (0.6, 0.5, 8)  # type: ignore[attr-defined]
    for wrong in ("hacm", "bert"):
        with pytest.raises(InputError, match=f"and method '{wrong}'"):
            load_release(source, method=wrong)
    with pytest.raises(InputError, match="mae has no option 'colour'; it has ratio, "):
        load_release(source, colour=3)


def test_an_encoder_alone_is_no_method(tmp_path: Path) -> None:
    save_release(tiny.tiny_method("mae").encoder, tmp_path / "c.pth")
    with pytest.raises(InputError, match="an encoder without a decoder"):
        load_release(tmp_path / "c.pth", method="mae")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temp_embed": None}, "has no temp_embed of 4 dimensions"),
        ({"blocks.0.mlp.fc1.weight": None}, r"has no blocks\.0\.mlp\.fc1\.weight"),
        ({"blocks.1.norm1.bias": None}, r"norm1\.bias: found None"),
        ({"blocks.5.norm1.bias": torch.zeros(32)}, r"not a whole checkpoint.*found None"),
        ({"norm.bias": torch.zeros(31)}, r"norm\.bias: found \('F32', \[31\]\), expected \('F32', \[32\]\)"),
        ({"joints_embed.proj.weight": torch.zeros(10**6, 3, 1, 1)}, "not a whole checkpoint"),
        ({"joints_embed.proj.weight": torch.zeros(32, 2, 4, 1)}, "2 coordinates"),
        ({"pos_embed": torch.zeros(1, 1, 20, 32)}, "20 joints, expected 25"),
        ({"pos_embed": torch.zeros(1, 1, 0, 32)}, "has no pos_embed"),
        ({"bert.weight": torch.zeros(3)}, r"bert\.weight"),
        ({"decoder_pred.weight": torch.zeros(12)}, "has no decoder_pred.weight of 2"),
        ({"decoder_embed.weight": torch.zeros(64, 32)}, r"embed\.weight: found \('F32', \[64, 32\]\)"),
        ({"norm.bias": torch.full((32,), torch.nan)}, r"norm\.bias is not finite"),
        ({"norm.bias": 3}, "expected tensors by name"),
        ({7: torch.zeros(1)}, "expected tensors by name"),
        ("a list", "found list"),
        ("no dictionary", "found str"),
    ],
)
def test_other_checkpoints_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    state: Any = dict(weights(golden("mamp")[0]))
    if isinstance(change, dict):
        state = {key: weight for key, weight in (state | change).items() if weight is not None}
    content: Any = {"model": "text" if change == "no dictionary" else state, "args": Namespace(model="model_mamp.x")}
    torch.save([1] if change == "a list" else content, tmp_path / "c.pth")
    with pytest.raises(InputError, match=rf"c\.pth: .*{message}" if message[0].isalnum() else message):
        load_release(tmp_path / "c.pth")


@pytest.mark.parametrize(
    "arguments",
    [
        {"model": 3},
        {"mask_ratio": "0.9"},
        {"mask_ratio": 2},
        {"model_args": {"num_heads": 2.0}},
        {"model_args": {"num_heads": 5}},
        {"model_args": {"num_heads": -(2**70)}},
        {"train_feeder_args": {"vel": 1}},
    ],
)
def test_strange_arguments_are_refused(arguments: dict[str, Any], tmp_path: Path) -> None:
    told = {"model": "model_mamp.transformer.Transformer"} | arguments
    torch.save({"model": weights(golden("mamp")[0]), "args": Namespace(**told)}, tmp_path / "c.pth")
    with pytest.raises(InputError):
        load_release(tmp_path / "c.pth")


def test_what_the_public_code_does_not_have_is_not_written(tmp_path: Path) -> None:
    for method in (
        tiny.tiny_method("mae", KINECT20),
        tiny.tiny_method("hacm", masking="temporal"),
        tiny.tiny_method("hacm", attn_proj="none"),
        Encoder(NTU25, EncoderConfig(window=8, dim=16, depth=1, joints="kept")),
    ):
        with pytest.raises(InputError, match="the public code"):
            save_release(method, tmp_path / "c.pth")
    assert not list(tmp_path.iterdir())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_checkpoint_with_other_values_is_refused_or_loads(data: st.DataObject, tmp_path: Path) -> None:
    state: dict[Any, Any] = dict(weights(golden("mae")[0]))
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(state)))
        shape = data.draw(st.lists(st.integers(0, 40), max_size=4))
        state[name] = data.draw(st.sampled_from([torch.zeros(shape), torch.zeros(shape, dtype=torch.int64), None, 1.5]))
    torch.save(
        {"model": state, "args": Namespace(model="model_mae.x", model_args={"num_heads": 4})}, tmp_path / "c.pth"
    )
    with suppress(InputError):
        assert isinstance(load_release(tmp_path / "c.pth"), MAE)
