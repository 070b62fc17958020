"""Encoders from their files: maskel's own, and those of the public releases."""

from pathlib import Path

import torch

from maskel.errors import InputError
from maskel.hub import ENCODER, fetched
from maskel.models.encoder import FORMAT, Encoder, build_encoder
from maskel.models.released import build_released, read_release
from maskel.models.torch_file import is_torch_file
from maskel.models.weights import load_weights
from maskel.shipped import SHIPPED


def load_encoder(path: Path | str, device: torch.device | str = "cpu") -> Encoder:
    """Load an encoder from a run folder, its file, the Hub, a released checkpoint or maskel itself, in eval mode.

    Args:
        path: A run folder of ``maskel pretrain``, or the ``encoder.safetensors`` in it; ``synthetic-small``, which
            comes with maskel; ``hf://user/name`` or ``hf://user/name@revision`` on the Hugging Face Hub; ``.pth`` files
            of MAMP's and HA-CM's public code are read as `maskel.models.released` describes.
        device: Where to put it.

    Raises:
        InputError: If there is no such file, or it is not a whole encoder.

    Examples:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from maskel import Encoder, EncoderConfig, load_encoder
        >>> from maskel.layouts import NTU25
        >>> with TemporaryDirectory() as folder:
        ...     Encoder(NTU25, EncoderConfig(dim=32, depth=1, num_heads=4)).save(Path(folder) / "encoder.safetensors")
        ...     load_encoder(folder).config.dim
        32
    """
    path = fetched(path, ENCODER)
    file = path / ENCODER if path.is_dir() else path
    if not file.is_file():
        below = sorted((*path.glob(f"*/{ENCODER}"), *path.glob(f"*/*/{ENCODER}")))
        one = "".join(
            f"; {path} holds several runs, of seeds or folds: ask for the same, or name one, {first.parent}"
            for first in below[:1]
        )
        raise InputError(
            f"{file}: no such encoder; expected a run folder, an encoder.safetensors, a .pth file or the name of one "
            f"that comes with maskel, {', '.join(SHIPPED)}{one}"
        )
    if is_torch_file(file):
        about, weights = read_release(file).encoder
        return build_released(file, lambda: build_encoder(about), weights).to(device)
    return load_weights(file, "encoder", FORMAT, build_encoder).to(device)
