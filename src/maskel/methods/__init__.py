"""Pre-training methods; the command line knows those in `METHODS`."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from maskel.errors import InputError
from maskel.methods.amr import AMR
from maskel.methods.base import Method
from maskel.methods.hacm import HACM
from maskel.methods.hacm_variant import HACMVariant
from maskel.methods.mae import MAE
from maskel.methods.mamp import MAMP
from maskel.methods.masked import Masked, MaskedAutoencoder, MaskedMethod

METHODS: dict[str, type[MaskedMethod]] = {
    "amr": AMR,
    "hacm": HACM,
    "mae": MAE,
    "mamp": MAMP,
    "masked": Masked,
}
"""Name on the command line and in recipes -> class; `default_options` lists its options."""


def default_options(method: str) -> dict[str, Any]:
    """Return a method's options with their defaults: the arguments of its constructor, and its switches."""
    kind = METHODS[method]
    arguments = {name: entry.default for name, entry in signature(kind).parameters.items() if name != "encoder"}
    if kind.switches is not None:
        del arguments["switches"]
        arguments |= vars(kind.switches())
    return arguments


def method_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a method's options, those not given by default.

    Raises:
        InputError: If there is no such method or option.
    """
    if name not in METHODS:
        raise InputError(f"no method is called {name!r}; known are {', '.join(sorted(METHODS))}")
    known = default_options(name)
    if unknown := set(given) - set(known):
        raise InputError(f"{name} has no option {min(unknown)!r}; it has {', '.join(known)}")
    return known | dict(given)


__all__ = [
    "AMR",
    "HACM",
    "MAE",
    "MAMP",
    "METHODS",
    "HACMVariant",
    "Masked",
    "MaskedAutoencoder",
    "MaskedMethod",
    "Method",
    "default_options",
    "method_options",
]
