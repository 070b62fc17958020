"""Encoders from their files: maskel's own, and those of the public releases."""

from pathlib import Path

import torch

from maskel.errors import InputError
from maskel.models.encoder import FORMAT, Encoder, build_encoder
from maskel.models.released import build_released, read_release
from maskel.models.torch_file import is_torch_file
from maskel.models.weights import load_weights


def load_encoder(path: Path | str, device: torch.device | str = "cpu") -> Encoder:
    """The encoder of a run folder, an ``encoder.safetensors`` file or a checkpoint of a public release, in eval mode.

    Args:
        path: A run folder of ``maskel pretrain``, or the file itself; ``.pth`` files of MAMP's and HA-CM's public code
            are read as `maskel.models.released` describes.
        device: Where to put it.

    Raises:
        InputError: If there is no such file, or it is not a whole encoder.
    """
    file = Path(path) / "encoder.safetensors" if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise InputError(f"{file}: no such encoder; expected a run folder, an encoder.safetensors or a .pth file")
    if is_torch_file(file):
        about, weights = read_release(file).encoder
        return build_released(file, lambda: build_encoder(about), weights).to(device)
    return load_weights(file, "encoder", FORMAT, build_encoder).to(device)
