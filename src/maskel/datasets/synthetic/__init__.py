"""A synthetic data set in NTU's raw format, to try the whole pipeline without any person's data."""

from maskel.datasets.synthetic.actions import CLASSES
from maskel.datasets.synthetic.generation import synthesize
from maskel.datasets.synthetic.source import Synthetic

__all__ = ["CLASSES", "Synthetic", "synthesize"]
