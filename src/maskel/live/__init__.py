"""Live recognition: keypoints come frame by frame, and answers go out as soon as a window is full."""

from maskel.live.stream import Stream, Update

__all__ = ["Stream", "Update"]
