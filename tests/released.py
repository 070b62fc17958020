"""The formulas that fill the published models' parameters in the golden files, and checkpoints made of them."""

import json
import zlib
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskel.models.encoder import EncoderConfig
from maskel.models.released import Release, our_name

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> tuple[dict[str, np.ndarray], dict]:
    """Arrays and configuration of one golden file."""
    with np.load(GOLDEN / f"{name}.npz") as stored:
        arrays = {key: stored[key] for key in stored.files}
    config = json.loads(str(arrays["config"])) if "config" in arrays else {}
    return arrays, config


def encoder_config(config: dict, **more: Any) -> EncoderConfig:
    """The sizes of a golden file's model."""
    return EncoderConfig(
        window=config["num_frames"],
        patch_frames=config["t_patch_size"],
        dim=config["dim_feat"],
        depth=config["depth"],
        num_heads=config["num_heads"],
        mlp_ratio=float(config["mlp_ratio"]),
        **more,
    )


def released_weight(name: str, shape: list[int], phase: float) -> Tensor:
    index = np.arange(int(np.prod(shape)), dtype=np.float64)
    values = 0.05 * np.sin(0.37 * index + 0.01 * (zlib.crc32(name.encode()) % 1000) + phase)
    if name.endswith(("norm.weight", "norm1.weight", "norm2.weight", "bn.weight")):
        values += 1
    return torch.from_numpy(values.reshape(shape).astype(np.float32))


def weights(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """The golden weights by released name."""
    shapes, phase = json.loads(str(arrays["shapes"])), float(arrays["phase"])
    return {name: released_weight(name, shape, phase) for name, shape in shapes.items()}


def fill(module: nn.Module, arrays: dict[str, np.ndarray], more: dict[str, Tensor] | None = None) -> dict[str, str]:
    """Give ``module`` the golden weights and ``more``; returns released name -> our name of every parameter used."""
    known = module.state_dict()
    state = {name: weight for name, weight in weights(arrays).items() if "head" not in name or name in known}
    release = Release(Path("golden"), {}, None, state)
    module.load_state_dict(release.parameters | (more or {}), strict=True)
    names = {name: our_name(name, release.is_hacm) for name in release.weights}
    return {name: own for name, own in names.items() if own is not None}


def write_checkpoint(path: Path, name: str, model: str, data_path: object = None) -> Path:
    """A golden file's model as the public code would have saved it, optimiser and all.

    Args:
        path: The file.
        name: Of the golden file.
        model: First part of the argument ``model``.
        data_path: What the feeder was told; nothing by default.
    """
    arrays, config = golden(name)
    state = weights(arrays)
    if "head.fc.weight" in state:  # linear evaluation puts a BatchNorm before it; these statistics make it do nothing
        state = {key.replace("head.fc.", "head.fc.1."): weight for key, weight in state.items()}
        width = config["dim_feat"]
        state |= _statistics("head.fc.0", torch.full((width,), 1 - 1e-6))
    if "head.fc1.weight" in state:
        state |= _statistics("head.bn", torch.ones(state["head.bn.weight"].shape))
    told = {key: config[key] for key in ("mask_ratio", "motion_stride", "motion_aware_tau") if key in config}
    arguments = Namespace(model=f"{model}.transformer.Transformer", model_args=config, lr=1e-3, resume="", **told)
    if data_path is not None:
        arguments.train_feeder_args = {"data_path": data_path, "split": "train"}
    moments = {number: {"step": 7, "exp_avg": torch.zeros(3)} for number in range(2)}
    optimizer = {"state": moments, "param_groups": [{"betas": (0.9, 0.95), "params": [0, 1]}]}
    content = {"model": OrderedDict(state), "optimizer": optimizer, "epoch": 399, "scaler": {}, "args": arguments}
    torch.save(content, path)
    return path


def write_classifier(
    path: Path, outputs: int, data_path: object = None, highest: int = 0, name: str = "classifier_linprobe"
) -> Path:
    """A golden classifier with so many outputs, of which one is highest whatever the clip."""
    content = torch.load(write_checkpoint(path, name, "model", data_path), weights_only=False)
    last = "head.fc2" if name.endswith("finetune") else "head.fc.1"
    width = content["model"][f"{last}.weight"].shape[1]
    bias = torch.zeros(outputs)
    bias[highest] = 1.0
    content["model"] |= {f"{last}.weight": torch.zeros(outputs, width), f"{last}.bias": bias}
    torch.save(content, path)
    return path


def _statistics(norm: str, variance: Tensor) -> dict[str, Tensor]:
    mean, batches = torch.zeros_like(variance), torch.tensor(5)
    return {f"{norm}.running_mean": mean, f"{norm}.running_var": variance, f"{norm}.num_batches_tracked": batches}


def bodies(arrays: dict[str, np.ndarray]) -> Tensor:
    """Golden input (N, C, T, V, M) as bodies (N, M, T, V, C)."""
    return torch.from_numpy(np.ascontiguousarray(arrays["x"].transpose(0, 4, 2, 3, 1)))
