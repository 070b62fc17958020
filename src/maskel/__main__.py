"""``python -m maskel``, which torchrun needs."""

import sys

from maskel.cli import main

sys.exit(main())
