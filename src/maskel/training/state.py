"""The file of a saved state: tensors as safetensors, everything else as JSON in its header, and a checksum of both.

Nothing in it can run code when it is read, sizes are checked against the file's own before anything is allocated, and a
file that was cut off or changed is noticed.
"""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from maskel.errors import InputError
from maskel.files import DAMAGE, damaged_as, json_text, open_tensors, write_atomically

_FORMAT = "maskel state 2"
_TENSOR = "tensor"  # {"tensor": name} stands for a tensor in the JSON


def write_state(path: Path, state: Mapping[str, Any], previous: Path) -> None:
    """Write a state whole; the one that stood there is kept as ``previous``.

    Args:
        path: The file.
        state: Tensors, numbers, text and None, in mappings and lists nested at will. Keys are read back as text, tuples
            as lists.
        previous: Where the state before goes, if it is whole.
    """
    tensors: dict[str, Tensor] = {}

    def plain(value: Any, name: str) -> Any:
        if isinstance(value, Tensor):
            tensors[name] = value.detach().cpu().contiguous()
            return {_TENSOR: name}
        if isinstance(value, Mapping):
            return {str(key): plain(entry, f"{name}.{key}") for key, entry in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(entry, f"{name}.{place}") for place, entry in enumerate(value)]
        return value

    text = json_text(plain(state, "state")).rstrip("\n")
    about = {"format": _FORMAT, "state": text, "checksum": _checksum(text, tensors)}
    content = safetensors_bytes(tensors, {"maskel": json_text(about)})  # one entry: several come in any order
    write_atomically(path, content, previous if _is_complete(path) else None)


def read_state(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """A state as `write_state` was given it.

    Args:
        path: The file.
        device: Where its tensors go.

    Raises:
        InputError: If there is none, or it is not whole or of another version.
    """
    what = f"{path}: not a whole saved state"
    with (
        damaged_as(lambda fault: InputError(f"{what} ({type(fault).__name__})")),
        open_tensors(path) as (stored, about),
    ):
        if about.get("format") != _FORMAT:
            raise InputError(f"{path}: not a saved state of this version ({_FORMAT})")
        text = about["state"]
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (no iterator)
        if about["checksum"] != _checksum(text, tensors):
            raise InputError(f"{what} (its checksum is wrong)")

        def whole(value: dict[str, Any]) -> Any:
            # copied: what was read is the file's own pages
            return tensors[value[_TENSOR]].to(device, copy=True) if value.keys() == {_TENSOR} else value

        state = json.loads(text, object_hook=whole)
    if not isinstance(state, dict):
        raise InputError(f"{path}: not a whole saved state")
    return state


def _checksum(text: str, tensors: Mapping[str, Tensor]) -> int:
    checksum = zlib.crc32(text.encode())
    for name in sorted(tensors):
        checksum = zlib.crc32(tensors[name].flatten().view(torch.uint8).numpy().data, checksum)
    return checksum


def _is_complete(path: Path) -> bool:
    """Return whether a state has all its parts; values are not checked."""
    try:
        with open_tensors(path):
            return True
    except DAMAGE:
        return False
