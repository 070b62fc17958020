"""Own recordings: a folder of clips, as arrays, tables, or output of pose detectors."""

from maskel.datasets.folder.source import Folder

__all__ = ["Folder"]
