import json
from pathlib import Path

import pytest
import torch

import tiny
from maskel.cli import main
from maskel.commands.convert import convert
from maskel.commands.linear import linear
from maskel.errors import InputError
from maskel.layouts import KINECT20
from maskel.methods import MAMP
from maskel.methods.released import load_release
from maskel.models.encoder import Encoder
from maskel.models.loading import load_encoder
from maskel.training.run import RunFolder
from released import write_checkpoint


def test_a_checkpoint_becomes_an_encoder_that_gives_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write_checkpoint(tmp_path / "c.pth", "mamp", "model_mamp"), tmp_path / "e.safetensors"
    assert main(["convert", str(source), "--out", str(out)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "method: MAMP, by its argument model=model_mamp.transformer.Transformer"
    assert shown[1:3] == [
        "trained: to epoch 399, counted from 0",
        "decoder: 32 wide, 2 blocks; not part of an encoder, maskel.load_release reads it",
    ]
    assert shown[3].startswith("encoder: 2 blocks, 32 wide, 4 heads, ")
    assert shown[4:] == [
        "reads: 25 joints of ntu25, joint stream, 16 frames in patches of 4; tokens are euclidean",
        str(out),
    ]
    tiny.assert_identical(load_encoder(out).state_dict(), load_encoder(source).state_dict())
    assert load_encoder(out).config == load_encoder(source).config


def test_what_is_dead_or_left_out_or_unknown_is_said(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "c.pth", "hacm_released", "model_hacm")
    shown = convert(source, tmp_path / "e.safetensors")
    assert shown[0] == "method: HA-CM, by its parameters"
    (dead,) = (line for line in shown if line.startswith("dead: 12 parameters"))
    assert "decoder_fc_s.bias" in dead
    assert "l1.weight" not in dead
    assert "reads: 18 joints of ntu25, joint stream, 72 frames in patches of 3; tokens are poincare" in shown
    shown = convert(write_checkpoint(source, "classifier_linprobe", "model"), tmp_path / "e.safetensors")
    assert shown[0] == "method: unknown; an encoder of a downstream model, without a decoder"
    (head,) = (line for line in shown if line.startswith("classifier: not part of an encoder"))
    assert "head.fc.1.weight, head.fc.1.bias" in head
    torch.save(torch.load(source, weights_only=False)["model"], source)
    shown = convert(source, tmp_path / "e.safetensors")
    assert any("8 heads (assumed: the file does not say)" in line for line in shown)
    content = torch.load(write_checkpoint(source, "mae", "model_mae"), weights_only=False)
    torch.save(content["model"], source)
    assert convert(source, tmp_path / "e.safetensors")[0].startswith(
        "method: MAMP or MAE; both have the same parameters"
    )


def test_a_run_becomes_a_checkpoint_with_its_decoder(pretrained: RunFolder, tmp_path: Path) -> None:
    shown = convert(pretrained.path, tmp_path / "run.pth")
    assert shown[0] == "method: MAMP, with its decoder"
    method = load_release(tmp_path / "run.pth")
    assert type(method) is MAMP
    tiny.assert_identical(method.encoder.state_dict(), load_encoder(pretrained.path).state_dict())
    shown = convert(pretrained.path / "encoder.safetensors", tmp_path / "encoder.pth")
    assert shown[0] == "an encoder without a decoder"
    tiny.assert_identical(load_encoder(tmp_path / "encoder.pth").state_dict(), method.encoder.state_dict())


def test_what_cannot_be_converted_is_refused(pretrained: RunFolder, tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "c.pth", "mae", "model_mae")
    for given, out, message in (
        (source, tmp_path / "e.pth", r"e\.pth: expected a file \.safetensors"),
        (pretrained.path, tmp_path / "e.safetensors", r"expected a file \.pth"),
        (pretrained.path, tmp_path / "nowhere" / "e.pth", "a folder that exists"),
        (tmp_path / "nowhere.pth", tmp_path / "e.pth", "does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            convert(given, out)
    assert list(tmp_path.iterdir()) == [source]


def test_a_window_needs_an_encoder_to_resize(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["finetune", f"--data={prepared}", "--window=8"]) == 2
    assert "use --encoder.window instead" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["linear", "knn"])
def test_a_checkpoint_and_another_window_work_where_an_encoder_does(
    command: str, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_checkpoint(tmp_path / "c.pth", "mamp", "model_mamp")
    own = ["--k=3"] if command == "knn" else ["--training.epochs=1", "--training.batch_size=8"]
    given = [f"--encoder={source}", f"--data={prepared}", "--window=8", "--device=cpu", f"--out={tmp_path / 'run'}"]
    assert main([command, *given, *own]) == 0
    said = "time embedding resized from 4 to 2 patches"
    assert f"maskel: {said}" in capsys.readouterr().err.splitlines()
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["adapted"], result["seen"]) == (said, tiny.TEST)
    assert RunFolder(tmp_path / "run").read_config()["window"] == 8


def test_an_encoder_of_one_layout_is_evaluated_on_another(
    pretrained: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tiny.write_set(tmp_path / "set", KINECT20)
    run = linear(pretrained.path, data, training=tiny.PROBE, device="cpu", out=tmp_path / "run")
    said = "joint embeddings mapped from ntu25 to kinect20: 20 of 20 copied"
    assert run.result["adapted"] == said
    assert capsys.readouterr().err.splitlines().count(f"maskel: {said}") == 1
    untrained = linear(pretrained.path, data, untrained=True, training=tiny.PROBE, device="cpu", out=tmp_path / "other")
    assert untrained.result["adapted"] == ""
    assert said not in capsys.readouterr().err
    assert isinstance(load_encoder(pretrained.path), Encoder)
