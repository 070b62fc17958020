"""Counts of dropped, filled-in and guessed items, for each clip and for the set as a whole.

A count is a phrase and a number, shown as ``missing joints: 12``. This module holds the phrases that several readers
share. A reader may add its own phrases, such as ``columns not read: timestamp``.
"""

from collections.abc import Mapping

Counts = Mapping[str, int]
"""Phrase -> number, above 0."""

MISSING_JOINTS = "missing joints"
"""Missing joints of existing bodies, counted by body and frame; they are filled in, or zero."""
FILLED_FRAMES = "frames filled in"
"""Interpolated frames, counted by body: they were not recorded and lie between recorded frames."""
EMPTY_FRAMES = "frames without a body"
"""Frames dropped because nobody is in them."""
THINNED_FRAMES = "frames thinned out"
"""Frames dropped to lower the frame rate."""
BODIES = "bodies left out"
"""People beyond the number of bodies to keep."""
BODY_FRAMES = "frames of bodies left out"
"""Body-frames of those people."""
