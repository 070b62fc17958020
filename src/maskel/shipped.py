"""Encoders that come with maskel: their names stand wherever the path of an encoder is taken."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from maskel.errors import InputError

SHIPPED: Mapping[str, str] = {
    "synthetic-small": "b1d95822c5ca950230cb49d9d341ba4048465fc53ca52cc9998b0349d8bbacef",
}
"""Name -> SHA-256 of the encoder's weights."""
ENCODERS = Path(__file__).parent / "encoders"
"""A folder for each, with the files that `maskel push` leaves of a run; docs/synthetic.md has the commands."""


def is_shipped(path: Path | str) -> bool:
    """Return True for the name of an encoder that comes with maskel, in place of a path.

    Examples:
        >>> is_shipped("synthetic-small"), is_shipped("runs/pretrain-001")
        (True, False)
    """
    return str(path) in SHIPPED


def shipped(name: Path | str, weights: str) -> Path:
    """Return the folder of an encoder that comes with maskel, once its weights are known to be whole.

    Args:
        name: One of `SHIPPED`.
        weights: Name of the file of weights in it.

    Raises:
        InputError: If a file or folder here has the same name, or the weights are not those of this version.
    """
    here = Path(name)
    if here.exists() or here.is_symlink():
        raise InputError(
            f"{name} is an encoder that comes with maskel, and also {here.absolute()}; rename that, or give its whole "
            "path"
        )
    folder = ENCODERS / str(name)
    file = folder / weights
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != SHIPPED[str(name)]:
        raise InputError(f"{name}: {file} is missing or not the one that maskel comes with; install maskel again")
    return folder
