"""Put a run of `maskel pretrain` into the package, as an encoder that comes with maskel.

    python docs/ship_encoder.py RUN NAME

NAME must be one of `maskel.shipped.SHIPPED`; the hash to write there is printed. docs/synthetic.md has the commands
that made the run.
"""

import hashlib
import sys
from pathlib import Path

from maskel.commands.push import files_of
from maskel.hub import ENCODER
from maskel.shipped import ENCODERS
from maskel.training.finished import Run


def ship(run: Path, name: str) -> str:
    """Copy a finished run's weights, options and result into the package; returns the SHA-256 of the weights."""
    found = Run.open(run)
    found.require_finished()
    files = files_of(found, ENCODER)
    folder = ENCODERS / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (folder / file).write_bytes(content)
    return hashlib.sha256(files[ENCODER]).hexdigest()


if __name__ == "__main__":
    sys.stdout.write(f"{ship(Path(sys.argv[1]), sys.argv[2])}\n")
