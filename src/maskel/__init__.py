"""maskel: masked skeletons. Self-supervised learning on human skeleton sequences."""

from maskel.datasets.store import SkeletonSet
from maskel.methods import AMR, HACM, MAE, MAMP
from maskel.methods.released import load_release
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.models.loading import load_encoder
from maskel.training.classifiers import load_classifier
from maskel.version import __version__

__all__ = [
    "AMR",
    "HACM",
    "MAE",
    "MAMP",
    "Encoder",
    "EncoderConfig",
    "SkeletonSet",
    "__version__",
    "load_classifier",
    "load_encoder",
    "load_release",
]
