"""Data sets: the sources that `maskel prepare` knows, and the prepared sets it writes."""

from maskel.datasets.base import Source
from maskel.datasets.etri import Etri
from maskel.datasets.florence import Florence
from maskel.datasets.folder import Folder
from maskel.datasets.h36m import H36M
from maskel.datasets.kinetics import KineticsSkeleton
from maskel.datasets.npz import Npz
from maskel.datasets.ntu import NTU60, NTU120
from maskel.datasets.nw_ucla import NwUcla
from maskel.datasets.pku_mmd import PKU1, PKU2
from maskel.datasets.pyskl import Pyskl
from maskel.datasets.stgcn import StGcn
from maskel.datasets.synthetic import Synthetic
from maskel.datasets.toyota import Toyota
from maskel.datasets.utd_mhad import UtdMhad
from maskel.datasets.utkinect import UtKinect

SOURCES: dict[str, type[Source]] = {
    source.name: source
    for source in (
        *(NTU60, NTU120, PKU1, PKU2, NwUcla, UtdMhad, UtKinect, Florence, Etri, Toyota, KineticsSkeleton, H36M),
        *(Folder, Npz, Pyskl, StGcn, Synthetic),
    )
}
"""Every source by its name on the command line."""


def exemplar_names(source: str, benchmark: str) -> frozenset[str]:
    """Names of the clips that stand for the classes of a one-shot benchmark; none for every other benchmark."""
    return SOURCES[source].exemplars.get(benchmark, frozenset()) if source in SOURCES else frozenset()
