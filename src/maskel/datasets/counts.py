"""What a source drops, fills in or guesses, counted: for each clip, and for the set as a whole.

A count is a phrase and a number, as they are shown: ``missing joints: 12``. The phrases that several readers share
stand here; a reader may add its own, which names what it counts (``columns not read: timestamp``).
"""

from collections.abc import Mapping

Counts = Mapping[str, int]
"""Phrase -> number, above 0."""

MISSING_JOINTS = "missing joints"
"""Joints of bodies that exist which the recording lacks, counted by body and frame; filled in or zero."""
FILLED_FRAMES = "frames filled in"
"""Frames that were not recorded and lie on the line between those around them, counted by body."""
EMPTY_FRAMES = "frames without a body"
"""Frames that were dropped because nobody was seen in them."""
THINNED_FRAMES = "frames thinned out"
"""Frames that another frame rate leaves out."""
BODIES = "bodies left out"
"""People beyond the number of bodies that is kept."""
BODY_FRAMES = "frames of bodies left out"
"""Body-frames of those people."""
