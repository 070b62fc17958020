"""Pre-training methods; the command line knows those in `METHODS`."""

from maskel.methods.base import Method
from maskel.methods.mae import MAE
from maskel.methods.mamp import MAMP
from maskel.methods.masked import MaskedModeling

METHODS: dict[str, type[MaskedModeling]] = {"mae": MAE, "mamp": MAMP}
"""Name on the command line and in recipes -> class; its constructor's arguments are the options."""

__all__ = ["MAE", "MAMP", "METHODS", "MaskedModeling", "Method"]
