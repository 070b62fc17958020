"""Numbers of joints of tools and layouts, for messages."""

from maskel.layouts import LAYOUTS

OTHER_COUNTS = {
    21: "one hand's joints",
    68: "a face's joints",
    133: "COCO-WholeBody's joints, whose first 17 are layout coco17",
    45: "SMPL's joints with landmarks, whose first 24 are layout smpl24",
    73: "SMPL-H's joints with landmarks, whose first 52 are layout smplh52",
    127: "SMPL-X's joints with landmarks, whose first 55 are layout smplx55",
    144: "SMPL-X's joints with landmarks, whose first 55 are layout smplx55",
    136: "Halpe's whole body, whose first 26 are layout halpe26",
    137: "OpenPose's whole body",
    543: "MediaPipe Holistic's landmarks",
    478: "MediaPipe's face",
}
"""Numbers of joints that tools write, but that no layout has."""


def whose_joints(count: int) -> str:
    """Return the end of a sentence that names the tool or layout with this number of joints; empty if unknown."""
    layouts = " and ".join(name for name, layout in LAYOUTS.items() if len(layout) == count)
    whose = OTHER_COUNTS.get(count) or (layouts and f"layout {layouts}")
    return f"; {count} is the number of {whose}" if whose else ""
