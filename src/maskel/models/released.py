"""Checkpoints of the public MAMP and HA-CM code: their parameters' names there and here, and their arguments.

The decoder's and the masking's names are here too; `maskel.methods.released` makes whole methods of them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from torch import Tensor, nn

from maskel.errors import InputError
from maskel.files import damaged_as, one_line
from maskel.models.torch_file import TorchFile
from maskel.models.weights import TYPES, refuse_others

_Module = TypeVar("_Module", bound=nn.Module)

_NAMES = {
    "joints_embed.proj.": "encoder.patch_embed.",
    "temp_embed": "encoder.time_embed",
    "pos_embed": "encoder.joint_embed",
    "blocks.": "encoder.transformer.blocks.",
    "norm.": "encoder.transformer.norm.",
    "decoder_embed.": "decoder.embed.",
    "decoder_temp_embed": "decoder.time_embed",
    "decoder_pos_embed": "decoder.joint_embed",
    "decoder_blocks.": "decoder.transformer.blocks.",
    "decoder_norm.": "decoder.transformer.norm.",
    "decoder_pred.": "decoder.predict.",
    "head.fc.0.": "head.norm.",
    "head.fc.1.": "head.linear.",
    "head.fc1.": "head.fc1.",
    "head.bn.": "head.bn.",
    "head.fc2.": "head.fc2.",
}
"""Released name -> ours; those that end in a dot or underscore are beginnings of names. A classifier's head comes from
checkpoints of linear evaluation and of fine-tuning."""
_MASKED_NAMES = _NAMES | {"mask_token": "decoder.mask_token"}
_HACM_NAMES = _NAMES | {
    "mask_token_t": "decoder.mask_token",
    "l1.": "masking.even.query_",
    "l2.": "masking.even.key_",
}
_HACM_DEAD = re.compile(r"mask_token(_s)?|decoder_embed_[ts]\..*|decoder_fc(_[ts])?\..*")
"""Parameters of HA-CM's release that nothing reads: they never get a gradient."""
PATCH_WEIGHT = "encoder.patch_embed.weight"

METHODS_BY_MODULE = {"model_mamp": "mamp", "model_mae": "mae", "model_hacm": "hacm"}
"""First part of the released argument ``model`` -> our name of the method."""
STREAMS = {
    (False, False): "joint",
    (True, False): "bone",
    (False, True): "motion",
    (True, True): "bone_motion",
}
"""Released switches ``bone`` and ``vel`` of the feeder -> our name of the stream."""


def our_name(released: str, hacm: bool) -> str | None:
    """Return our name of a parameter, that in a method or a classifier; None if nothing reads it.

    Args:
        released: Name in the public code.
        hacm: True for a pre-training checkpoint of HA-CM.

    Raises:
        KeyError: If the public code has no such parameter.
    """
    if hacm and _HACM_DEAD.fullmatch(released):
        return None
    return _renamed(released, _HACM_NAMES if hacm else _MASKED_NAMES)


def released_name(ours: str, hacm: bool) -> str:
    """Return the public code's name of a parameter of a method; the inverse of `our_name`.

    Raises:
        KeyError: If there is none.
    """
    return _renamed(ours, {new: old for old, new in (_HACM_NAMES if hacm else _MASKED_NAMES).items()})


def _renamed(name: str, names: Mapping[str, str]) -> str:
    if name in names:
        return names[name]
    start = next((start for start in names if start[-1] in "._" and name.startswith(start)), None)
    if start is None:
        raise KeyError(name)
    return names[start] + name.removeprefix(start)


def to_linear(convolution: Tensor) -> Tensor:
    """Turn a patch embedding's convolution weight (D, C, u, p) into that of a linear map of the patch, (D, u·p·C)."""
    return convolution.permute(0, 2, 3, 1).flatten(1)


def to_convolution(linear: Tensor, patch_frames: int, patch_joints: int) -> Tensor:
    """Undo `to_linear`."""
    return linear.unflatten(1, (patch_frames, patch_joints, -1)).permute(0, 3, 1, 2).contiguous()


@dataclass(frozen=True)
class Release:
    """Checkpoint of the public code.

    Args:
        path: The file.
        arguments: The run's arguments: the public code's options by name; empty if the file holds none.
        epoch: The last epoch trained, from 0; None if the file does not say.
        weights: Parameters by released name.
    """

    path: Path
    arguments: Mapping[str, Any]
    epoch: int | None
    weights: Mapping[str, Tensor]

    @cached_property
    def is_hacm(self) -> bool:
        """True for HA-CM's pre-training: only that has projections to query and key for its mask."""
        return "l1.weight" in self.weights

    @cached_property
    def method(self) -> str | None:
        """Name of the pre-training method; None if the file does not say: MAMP and MAE have the same parameters."""
        if self.is_hacm:
            return "hacm"
        return METHODS_BY_MODULE.get(self.option("", "model", "").partition(".")[0])

    @cached_property
    def dead(self) -> tuple[str, ...]:
        """Released names of the parameters that nothing reads, in the public code neither."""
        return tuple(name for name in self.weights if self.is_hacm and _HACM_DEAD.fullmatch(name))

    @cached_property
    def head(self) -> tuple[str, ...]:
        """Released names of the classifier's parameters, after linear evaluation or fine-tuning."""
        return tuple(name for name in self.weights if name.startswith("head."))

    @cached_property
    def parameters(self) -> dict[str, Tensor]:
        """Parameters by our names, the patch embedding as we have it."""
        named = {our_name(name, self.is_hacm): weight for name, weight in self.weights.items()}
        found = {name: weight for name, weight in named.items() if name is not None}
        found[PATCH_WEIGHT] = to_linear(found[PATCH_WEIGHT])
        return found

    @property
    def has_decoder(self) -> bool:
        """True if a whole pre-training method can be made of it."""
        return "decoder_pred.weight" in self.weights

    def depth(self, stack: str) -> int:
        """Count the transformer blocks of ``blocks`` or ``decoder_blocks``."""
        return len({name.split(".")[1] for name in self.weights if name.startswith(f"{stack}.")})

    def argument(self, group: str, name: str) -> Any:
        """Return the run's argument ``name``, from ``group`` or, if that is empty, from all arguments; or None."""
        group_arguments = self.arguments.get(group) if group else self.arguments
        return group_arguments.get(name) if isinstance(group_arguments, Mapping) else None

    def option(self, group: str, name: str, default: Any) -> Any:
        """Return the run's argument of the same type as ``default``, which stands in for a missing one.

        Args:
            group: As for `argument`: ``model_args``, ``train_feeder_args`` or empty.
            name: The public code's name of it.
            default: Of the type to expect; an integer will do for a float.

        Raises:
            InputError: If the argument is of another type.
        """
        found = self.argument(group, name)
        if found is None:
            return default
        if type(found) is not type(default) and (type(default), type(found)) != (float, int):
            raise InputError(
                f"{self.path}: found an argument {name} of type {type(found).__name__}, expected "
                f"{type(default).__name__}"
            )
        return type(default)(found)

    @cached_property
    def encoder(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Description of its encoder as in an encoder's file (layout, config), and the weights.

        The number of heads does not follow from weights; if the arguments do not give it, it is the published 8.

        Raises:
            InputError: If the sizes are not those of a model on NTU's 25 joints.
        """
        patch, times, places = (
            self.weight(name, 4) for name in ("joints_embed.proj.weight", "temp_embed", "pos_embed")
        )
        dim, coordinates, patch_frames, patch_joints = patch.shape
        joints = places.shape[2] * patch_joints
        if joints not in (18, 25):
            raise InputError(f"{self.path}: found a model of {joints} joints, expected 25, or the 18 that HA-CM keeps")
        bone, motion = (self.option("train_feeder_args", name, False) for name in ("bone", "vel"))
        config = {
            "window": times.shape[1] * patch_frames,
            "stream": STREAMS[bone, motion],
            "patch_frames": patch_frames,
            "patch_joints": patch_joints,
            "dim": dim,
            "depth": self.depth("blocks"),
            "num_heads": self.option("model_args", "num_heads", 8),
            "mlp_ratio": self.weight("blocks.0.mlp.fc1.weight", 2).shape[0] / dim,
            "joints": "all" if joints == 25 else "kept",
            "geometry": "euclidean" if joints == 25 else "poincare",
        }
        if coordinates != 3:
            raise InputError(f"{self.path}: found a model of {coordinates} coordinates, expected 3")
        start = "encoder."
        own = {name.removeprefix(start): weight for name, weight in self.parameters.items() if name.startswith(start)}
        return {"layout": "ntu25", "config": config}, own

    def weight(self, name: str, dimensions: int) -> Tensor:
        """Return a parameter that every model of its kind has.

        Raises:
            InputError: If it is missing or has another number of dimensions.
        """
        found = self.weights.get(name)
        if found is None or found.dim() != dimensions or 0 in found.shape:
            raise InputError(
                f"{self.path}: expected a checkpoint of MAMP's or HA-CM's public code; it has no {name} of "
                f"{dimensions} dimensions"
            )
        return found


def read_release(path: Path) -> Release:
    """Read a checkpoint of the public code without running anything in it; see `maskel.models.torch_file`.

    The optimiser's state is left in the file. A state dictionary alone will do, too.

    Raises:
        InputError: If the file cannot be read, holds something else, or has parameters that the public code has not.
    """
    file = TorchFile(path)
    content = file.content
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a checkpoint with a state dictionary, found {type(content).__name__}")
    arguments, epoch = content.get("args"), content.get("epoch")
    weights = content.get("model", content)
    if not isinstance(weights, dict):
        raise InputError(f"{path}: expected a state dictionary under 'model', found {type(weights).__name__}")
    arguments_read = vars(arguments) if isinstance(arguments, SimpleNamespace) else {}
    release = Release(path, arguments_read, epoch if type(epoch) is int else None, file.tensors(weights))
    for name in weights:
        try:
            our_name(name, release.is_hacm)
        except KeyError as fault:
            raise InputError(
                f"{path}: found a parameter {name!r:.80}, which neither MAMP's nor HA-CM's public code has"
            ) from fault
    return release


def build_released(path: Path, build: Callable[[], _Module], weights: Mapping[str, Tensor]) -> _Module:
    """Call ``build`` and load these weights, in eval mode; nothing is built before their shapes are known to fit.

    Raises:
        InputError: If sizes do not fit each other, or a weight is missing, not known, of another shape, or not finite.
    """
    what = f"{path}: not a whole checkpoint of a public release"
    with damaged_as(lambda fault: InputError(f"{what} ({one_line(fault)})"), (InputError,)):
        if wrong := sorted(name for name, weight in weights.items() if not weight.isfinite().all()):
            raise ValueError(f"{wrong[0]} is not finite")
        refuse_others(build, {name: (TYPES.get(w.dtype, "?"), list(w.shape)) for name, w in weights.items()})
    module = build()
    module.load_state_dict(weights)
    return module.eval()
