"""Own recordings: a folder of clips, as arrays, tables, or what pose detectors write."""

from maskel.datasets.folder.source import Folder

__all__ = ["Folder"]
