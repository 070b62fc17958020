"""Pre-training methods; the command line knows those in `METHODS`."""

from maskel.methods.amr import AMR
from maskel.methods.base import Method
from maskel.methods.hacm import HACM
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
"""Name on the command line and in recipes -> class; its constructor's arguments are the options."""

__all__ = ["AMR", "HACM", "MAE", "MAMP", "METHODS", "Masked", "MaskedAutoencoder", "MaskedMethod", "Method"]
