"""Targets of masked modelling; the command line knows those in `TARGETS`."""

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
