"""Files of weights: safetensors, with everything needed to rebuild the module as JSON beside them.

Nothing in such a file runs. Names, shapes and types of all tensors are compared with what the description asks for
before any of it is allocated, so a file costs no more memory than its own size.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save as safetensors_bytes
from torch import nn

from maskel.errors import InputError
from maskel.files import damaged_as, json_text, one_line, open_tensors, write_atomically

_Module = TypeVar("_Module", bound=nn.Module)
TYPES = {torch.float32: "F32", torch.int64: "I64"}
"""Types of weights -> their names in safetensors."""


def save_weights(path: Path, module: nn.Module, about: Mapping[str, Any]) -> None:
    """Write a module's weights, and ``about``: its format and whatever rebuilds it."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    # One entry of metadata: several come in any order.
    write_atomically(path, safetensors_bytes(weights, {"maskel": json_text(about).strip()}))


def load_weights(file: Path, what: str, version: str, build: Callable[[Any], _Module]) -> _Module:
    """Load the module in a file of weights, in eval mode.

    Args:
        file: The file.
        what: Its content, for messages: ``encoder``.
        version: The format to expect.
        build: Makes the module from its description; may raise whatever wrong values bring about.

    Raises:
        InputError: If it is not a whole file of this format.
    """
    refusal = f"{file}: not a whole maskel {what}"
    with damaged_as(lambda fault: InputError(f"{refusal} ({one_line(fault)}); train or copy it again"), (InputError,)):
        with open_tensors(file) as (stored, about):
            if about.get("format") != version:
                raise ValueError(f"no {what} of this version, {version}; found {about.get('format')!r}")
            names = list(stored.keys())
            if about["config"]["depth"] > len(names):  # before that many blocks are made
                raise ValueError(f"{about['config']['depth']} blocks, but {len(names)} tensors")
            slices = {name: stored.get_slice(name) for name in names}
            found = {name: (part.get_dtype(), part.get_shape()) for name, part in slices.items()}
            refuse_others(lambda: build(about), found)
            module = build(about)
            module.load_state_dict({name: stored.get_tensor(name) for name in names})
        if not all(bool(weight.isfinite().all()) for weight in module.state_dict().values()):
            raise ValueError("a weight is not finite")
    return module.eval()


def refuse_others(build: Callable[[], nn.Module], found: Mapping[str, tuple[str, list[int]]]) -> None:
    """Make sure that stored tensors are those of a module, before any memory is taken for it.

    Args:
        build: Makes the module; called where tensors have a shape but no memory.
        found: Type (``F32``, ``I64``) and shape of each stored tensor.

    Raises:
        ValueError: If one is missing, not known, or of another type or shape.
    """
    with torch.device("meta"):
        expected = {name: (TYPES[weight.dtype], list(weight.shape)) for name, weight in build().state_dict().items()}
    if wrong := sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name)):
        raise ValueError(f"{wrong[0]}: found {found.get(wrong[0])}, expected {expected.get(wrong[0])}")
