"""Masking strategies; the command line knows those in `MASKINGS`."""

from maskel.masking.base import Masking, TokenMask
from maskel.masking.hierarchy_aware import CrossMasking
from maskel.masking.motion_aware import MotionAwareMasking
from maskel.masking.random import RandomMasking

MASKINGS: dict[str, type[Masking]] = {"random": RandomMasking, "motion_aware": MotionAwareMasking}
"""Name on the command line and in recipes -> class. HA-CM's `CrossMasking` scores embedded tokens, not patches."""

__all__ = ["MASKINGS", "CrossMasking", "Masking", "MotionAwareMasking", "RandomMasking", "TokenMask"]
