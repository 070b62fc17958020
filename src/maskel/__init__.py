"""maskel: masked skeletons. Self-supervised learning on human skeleton sequences."""

__version__ = "0.1.0"

from maskel.datasets.store import SkeletonSet
from maskel.methods import AMR, HACM, MAE, MAMP, Masked
from maskel.methods.classifier import load_classifier
from maskel.methods.released import load_release
from maskel.models.encoder import Encoder, EncoderConfig, load_encoder

__all__ = [
    "AMR",
    "HACM",
    "MAE",
    "MAMP",
    "Encoder",
    "EncoderConfig",
    "Masked",
    "SkeletonSet",
    "load_classifier",
    "load_encoder",
    "load_release",
]
