"""What a masked method predicts; the command line knows the targets in `TARGETS`."""

from maskel.targets.base import Drawn, Target, moments, standardised
from maskel.targets.joints import JointTarget
from maskel.targets.motion import HyperbolicMotionTarget, MotionTarget

TARGETS: dict[str, type[Target]] = {
    "joints": JointTarget,
    "motion": MotionTarget,
    "hyperbolic_motion": HyperbolicMotionTarget,
}
"""Name on the command line and in recipes -> class."""

__all__ = [
    "TARGETS",
    "Drawn",
    "HyperbolicMotionTarget",
    "JointTarget",
    "MotionTarget",
    "Target",
    "moments",
    "standardised",
]
