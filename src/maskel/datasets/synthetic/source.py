"""Synthetic recordings as a source, read like NTU RGB+D."""

from collections.abc import Mapping
from typing import ClassVar

from maskel.datasets.ntu import NTU, TRAINING_CAMERAS, TRAINING_SETUPS
from maskel.datasets.synthetic.actions import CLASSES
from maskel.datasets.synthetic.generation import MOST

TRAINING_PERFORMERS = frozenset(range(1, MOST + 1, 2))


class Synthetic(NTU):
    """Raw files written by `maskel.datasets.synthetic.synthesize`.

    Benchmarks: ``xsub`` trains on odd performers; ``xview`` trains on cameras 2 and 3 and tests on the others; ``xset``
    trains on even setups. Accuracies mean nothing beyond that the pipeline learns.

    Examples:
        >>> from pathlib import Path
        >>> source = Synthetic()
        >>> len(source.find([Path("raw")])), source.classes[:2]
        (26, ('waving', 'drinking'))
    """

    name: ClassVar[str] = "synthetic"
    title: ClassVar[str] = "the synthetic recordings"
    classes: tuple[str, ...] = CLASSES
    rules: ClassVar[Mapping[str, frozenset[int]]] = {
        "xsub": TRAINING_PERFORMERS,
        "xview": TRAINING_CAMERAS,
        "xset": TRAINING_SETUPS,
    }

    def __init__(self) -> None:
        super().__init__()  # no recording is listed as missing
