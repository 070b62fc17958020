"""The published models' parameter names, and the formulas that fill them in the golden files."""

import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskel.models.encoder import EncoderConfig

GOLDEN = Path(__file__).parent / "golden"

HACM_NAMES = {
    "mask_token_t": "decoder.mask_token",
    "l1.weight": "masking.even.query_weight",
    "l1.bias": "masking.even.query_bias",
    "l2.weight": "masking.even.key_weight",
    "l2.bias": "masking.even.key_bias",
}
"""Names that only HA-CM's release has."""
HACM_DEAD = re.compile(r"mask_token(_s)?|decoder_embed_[ts]\..*|decoder_fc.*")
"""Parameters of HA-CM's release that nothing reads."""
HEAD = re.compile(r"head\..*")
"""The downstream models' classifier."""


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


def our_name(released: str) -> str:
    """Our name of a released parameter."""
    if released in HACM_NAMES:
        return HACM_NAMES[released]
    if HEAD.fullmatch(released):
        return released
    if released.startswith("decoder_"):
        rest = released.removeprefix("decoder_")
        top = {"embed": "embed", "pred": "predict"}
        for old, new in top.items():
            if rest.startswith(old + "."):
                return f"decoder.{new}.{rest.removeprefix(old + '.')}"
        return "decoder." + _stack_name(rest)
    if released == "mask_token":
        return "decoder.mask_token"
    return "encoder." + _stack_name(released.replace("joints_embed.proj", "patch_embed"))


def _stack_name(name: str) -> str:
    name = name.replace("temp_embed", "time_embed").replace("pos_embed", "joint_embed")
    return f"transformer.{name}" if name.startswith(("blocks.", "norm.")) else name


def fill(
    module: nn.Module,
    arrays: dict[str, np.ndarray],
    unused: re.Pattern[str] = HEAD,
    more: dict[str, Tensor] | None = None,
) -> dict[str, str]:
    """Give ``module`` the golden weights and ``more``; returns released name -> our name of every parameter used."""
    shapes = json.loads(str(arrays["shapes"]))
    names = {name: our_name(name) for name in shapes if not unused.fullmatch(name)}
    state = {}
    for released, ours in names.items():
        weight = released_weight(released, shapes[released], float(arrays["phase"]))
        if released == "joints_embed.proj.weight":  # (D, C, u, p) convolution -> linear over (u, p, C)
            weight = weight.permute(0, 2, 3, 1).flatten(1)
        state[ours] = weight
    module.load_state_dict(state | (more or {}), strict=True)
    return names


def bodies(arrays: dict[str, np.ndarray]) -> Tensor:
    """Golden input (N, C, T, V, M) as bodies (N, M, T, V, C)."""
    return torch.from_numpy(np.ascontiguousarray(arrays["x"].transpose(0, 4, 2, 3, 1)))
