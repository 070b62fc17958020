from collections.abc import Callable
from inspect import signature
from pathlib import Path

import pytest

import tiny
from maskel.commands.evaluate import evaluate
from maskel.commands.finetune import finetune
from maskel.commands.knn import knn
from maskel.commands.linear import linear
from maskel.commands.pretrain import pretrain
from maskel.training.options import NOT_KEPT, options_of
from maskel.training.run import RunFolder

FINETUNE = """\
data: {data}
encoder:
  window: 8
  stream: joint
  patch_frames: 4
  patch_joints: 1
  dim: 16
  depth: 2
  num_heads: 2
  mlp_ratio: 2.0
  joints: all
  geometry: euclidean
benchmark: xsub
window: null
labels: 1.0
stratified: true
label_list: null
validation: 0.0
bodies: all
head_dim: 12
drop_path: 0.3
dropout: 0.3
label_smoothing: 0.1
view:
  p_min: 0.5
  p_max: 1.0
  min_frames: 64
  max_angle: 0.3
single_body: zero
training:
  epochs: 3
  batch_size: 5
  lr: 0.0003
  min_lr: 1.0e-05
  warmup_epochs: 1.0
  weight_decay: 0.05
  accumulate: 1
  clip_grad: 0.0
  precision: fp32
  compile: false
  save_epochs: 1
  save_steps: 0
  deterministic: false
  beta1: 0.9
  beta2: 0.999
  layer_decay: 1.0
seed: 0
device: cpu
resident: false
"""
"""What ``tiny_finetune`` has always written."""


def test_options_are_written_as_they_always_were(prepared: Path, tmp_path: Path) -> None:
    """Else runs of an earlier version could not be resumed; here one that stopped before its first save."""
    before = FINETUNE.format(data=prepared)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.yaml").write_text(before)
    assert tiny.tiny_finetune(prepared, tmp_path / "old", resume=True).finished
    assert (tmp_path / "old" / "config.yaml").read_text() == before
    new = tiny.tiny_finetune(prepared, tmp_path / "new").path / "config.yaml"
    assert new.read_text() == "command: finetune\n" + before


@pytest.mark.parametrize("command", [linear, finetune, knn, evaluate, pretrain])
def test_no_option_of_a_command_is_forgotten(command: Callable[..., object]) -> None:
    names = list(signature(command).parameters)
    given = {name: Path(name) for name in names} | {"something_else": 1}
    assert options_of(command, given) == {name: name for name in names if name not in NOT_KEPT}


def test_a_run_keeps_all_of_its_options(pretrained: RunFolder, prepared: Path, tmp_path: Path) -> None:
    """A method's own stand under its name."""
    kept = {"method" if name == "options" else name for name in signature(pretrain).parameters}
    assert set(pretrained.read_config()) == (kept | {"mamp"}) - {*NOT_KEPT, "init", "to_layout", "shares"}
    run = knn(pretrained.path, prepared, k=3, device="cpu", out=tmp_path / "knn")
    assert run.read_config()["encoder"] == str(pretrained.path)
    every = options_of(knn, dict.fromkeys(signature(knn).parameters))
    assert list(run.read_config()) == [name for name in every if name not in {"pool", "whiten"}]  # younger, and off
