"""``maskel synthesize``: writes synthetic recordings in NTU's raw format."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskel.console import say
from maskel.datasets.synthetic import synthesize as synthesize


def show(files: Sequence[Path], options: Mapping[str, Any]) -> None:
    """Print how many recordings were written, and where."""
    say(f"{len(files)} recordings in {files[0].parent}")
