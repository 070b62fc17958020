"""Whole methods from checkpoints of the public MAMP and HA-CM code, decoder included, and the way back."""

import io
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskel.configuration import renamed
from maskel.errors import InputError
from maskel.files import write_atomically
from maskel.masking import MotionAwareMasking, RandomMasking
from maskel.methods import HACM, METHODS, MaskedAutoencoder, MaskedMethod, method_options
from maskel.methods.hacm_variant import HACMVariant
from maskel.models.encoder import Encoder, build_encoder
from maskel.models.released import (
    METHODS_BY_MODULE,
    PATCH_WEIGHT,
    STREAMS,
    Release,
    build_released,
    read_release,
    released_name,
    to_convolution,
)
from maskel.sequence import XYZ
from maskel.targets import JointTarget, MotionTarget

_DECODER_TIMES = "decoder.time_embed"


def load_release(path: Path | str, method: str | None = None, **options: Any) -> MaskedMethod:
    """Load a whole method from a pre-training checkpoint of MAMP's or HA-CM's public code, in eval mode.

    Sizes follow from the shapes of the weights; mask ratio, τ, stride, heads and stream from the arguments in the file,
    where it has them, else they are the published ones. HA-CM computes as its public code does (recipe
    ``hacm_released``); with ``token_order="natural"`` its decoder's times are put in order.

    Args:
        path: The ``.pth`` file.
        method: ``mamp`` or ``mae``, for a file without arguments: both have the same parameters.
        options: Options of the method that replace those of the file or of the release.

    Raises:
        InputError: If the file is none of these, holds no decoder, does not name its method and neither do you, or an
            option is unknown.

    Examples:
        >>> from maskel.layouts import NTU25
        >>> from maskel.models.encoder import EncoderConfig
        >>> encoder = Encoder(NTU25, EncoderConfig(window=8, dim=16, depth=1, num_heads=2))
        >>> save_release(METHODS["mamp"](encoder, decoder_dim=16), Path("checkpoint.pth"))
        >>> loaded = load_release("checkpoint.pth")
        >>> type(loaded).__name__, loaded.masking.tau
        ('MAMP', 0.8)
    """
    release = read_release(Path(path))
    name = method or release.method
    if name is None or name not in METHODS_BY_MODULE.values() or (name == "hacm") != release.is_hacm:
        raise InputError(
            f"{path}: found a checkpoint of {release.method or 'MAMP or MAE, it does not say which'}, and method "
            f"{method!r}; say method='mamp' or 'mae' for one that does not say it, else nothing"
        )
    if not release.has_decoder:
        raise InputError(f"{path}: found an encoder without a decoder; maskel.load_encoder reads it")
    about, encoder = release.encoder
    build_released(release.path, lambda: build_encoder(about), encoder)  # its sizes are right, so the decoder's follow
    options = renamed({name: options})[name]
    method_options(name, options)  # refuses an option that it does not have
    arguments = _given(release, name) | options
    weights = dict(release.parameters)
    if arguments.get("token_order") == "natural":
        halves = release.weight("decoder_temp_embed", 4)
        weights[_DECODER_TIMES] = halves[:, _halves(halves.shape[1]).argsort()]
    return build_released(release.path, lambda: METHODS[name](build_encoder(about), **arguments), weights)


def _given(release: Release, name: str) -> dict[str, Any]:
    """Return the options of the method that the checkpoint's weights and arguments tell."""
    given: dict[str, Any] = {
        "decoder_dim": release.weight("decoder_pred.weight", 2).shape[1],
        "decoder_depth": release.depth("decoder_blocks"),
    }
    if name == "hacm":  # its code ignores its arguments
        return given | vars(HACMVariant.released())
    given |= {
        "ratio": release.option("", "mask_ratio", 0.9),
        "normalize_target": release.option("model_args", "norm_skes_loss", True),
    }
    if name == "mamp":
        given["tau"] = release.option("", "motion_aware_tau", 0.8)
        given["motion_stride"] = release.option("", "motion_stride", 1)
    return given


def _halves(times: int) -> Tensor:
    """Return the order of times in HA-CM's public code, even ones first."""
    return torch.cat((torch.arange(0, times, 2), torch.arange(1, times, 2)))


def save_release(model: Encoder | MaskedMethod, path: Path) -> None:
    """Write an encoder, or a whole method, as a checkpoint of the public code, under its parameters' names.

    The arguments in the file hold the sizes, the stream and the method's options.

    Raises:
        InputError: If the public code has no such model.
    """
    encoder = model if isinstance(model, Encoder) else model.encoder
    config = encoder.config
    hacm = isinstance(model, HACM)
    arguments = _arguments(model, encoder)
    kinds = [(joints, geometry, "ntu25", XYZ) for joints, geometry in (("all", "euclidean"), ("kept", "poincare"))]
    if (config.joints, config.geometry, encoder.layout.name, encoder.channels) not in kinds:
        raise InputError(
            f"the public code has models of all joints of ntu25, or of those that HA-CM keeps, mapped into the ball; "
            f"found {config.joints} joints of {encoder.layout.name} ({', '.join(encoder.channels)}), {config.geometry}"
        )
    start = "encoder." if isinstance(model, Encoder) else ""
    weights = {start + name: weight.detach().cpu() for name, weight in model.state_dict().items()}
    weights[PATCH_WEIGHT] = to_convolution(weights[PATCH_WEIGHT], config.patch_frames, config.patch_joints)
    if isinstance(model, HACM) and not model.scrambled:
        times = weights[_DECODER_TIMES]
        weights[_DECODER_TIMES] = times[:, _halves(times.shape[1])]
    try:
        named = {released_name(name, hacm): weight.contiguous() for name, weight in weights.items()}
    except KeyError as fault:
        raise InputError(
            f"the public code has no parameter for {fault}; only its own masking can be written"
        ) from fault
    if hacm and "l1.weight" not in named:
        raise InputError("the public code masks by attention of frozen projections; this model has none")
    content = io.BytesIO()
    torch.save({"model": named, "args": Namespace(**arguments)}, content)
    write_atomically(path, content.getvalue())


def _arguments(model: Encoder | MaskedMethod, encoder: Encoder) -> dict[str, Any]:
    """Return the arguments with which the public code would train the model."""
    config = encoder.config
    bone, motion = next(switches for switches, stream in STREAMS.items() if stream == config.stream)
    sizes: dict[str, Any] = {
        "dim_in": len(encoder.channels),
        "dim_feat": config.dim,
        "depth": config.depth,
        "num_heads": config.num_heads,
        "mlp_ratio": config.mlp_ratio,
        "num_frames": config.window,
        "num_joints": len(encoder.joints),
        "patch_size": config.patch_joints,
        "t_patch_size": config.patch_frames,
    }
    arguments: dict[str, Any] = {
        "model_args": sizes,
        "train_feeder_args": {"window_size": config.window, "bone": bone, "vel": motion},
    }
    if isinstance(model, Encoder):
        return arguments
    name = _public_name(model)
    module = next(module for module, method in METHODS_BY_MODULE.items() if method == name)
    arguments["model"] = f"{module}.transformer.Transformer"
    sizes |= {
        "decoder_dim_feat": model.decoder.embed.out_features,
        "decoder_depth": len(model.decoder.transformer.blocks),
        "norm_skes_loss": model.target.normalize,
    }
    if isinstance(model, MaskedAutoencoder):
        arguments["mask_ratio"] = model.masking.ratio
        if isinstance(model.masking, MotionAwareMasking):
            arguments["motion_aware_tau"] = model.masking.tau
        if isinstance(model.target, MotionTarget):
            arguments["motion_stride"] = model.target.stride
    return arguments


def _public_name(model: MaskedMethod) -> str:
    """Return the name of the public code's method that masks and predicts as ``model`` does, or refuse it."""
    if isinstance(model, HACM):
        return "hacm"
    what = type(model).__name__
    if isinstance(model, MaskedAutoencoder):
        parts = (type(model.masking), type(model.target))
        if name := {(MotionAwareMasking, MotionTarget): "mamp", (RandomMasking, JointTarget): "mae"}.get(parts):
            return name
        what += f" with {parts[0].__name__} and {parts[1].__name__}"
    raise InputError(f"{what} has no public code whose checkpoints could be written; its encoder alone can be")
