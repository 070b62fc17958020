"""Pre-training methods; the command line knows those in `METHODS`."""

from maskel.methods.base import Method
from maskel.methods.hacm import HACM
from maskel.methods.mae import MAE
from maskel.methods.mamp import MAMP
from maskel.methods.masked import MaskedMethod, MaskedModeling

METHODS: dict[str, type[MaskedMethod]] = {"hacm": HACM, "mae": MAE, "mamp": MAMP}
"""Name on the command line and in recipes -> class; its constructor's arguments are the options."""

__all__ = ["HACM", "MAE", "MAMP", "METHODS", "MaskedMethod", "MaskedModeling", "Method"]
