"""Data sets: the sources that `maskel prepare` knows, and the prepared sets it writes."""

from maskel.datasets.base import Source
from maskel.datasets.nw_ucla import NwUcla

SOURCES: dict[str, type[Source]] = {source.name: source for source in (NwUcla,)}
"""Every source by its name on the command line."""
