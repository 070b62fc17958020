"""Masking strategies."""

from maskel.masking.base import Masking, TokenMask
from maskel.masking.hierarchy_aware import CrossMasking
from maskel.masking.motion_aware import MotionAwareMasking
from maskel.masking.random import RandomMasking

__all__ = ["CrossMasking", "Masking", "MotionAwareMasking", "RandomMasking", "TokenMask"]
