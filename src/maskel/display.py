"""HTML that notebooks show of clips, sets and runs."""

from importlib import import_module


class Displayed:
    """Base of what a notebook shows as HTML: a clip that moves, the content of a set, the numbers of a run."""

    def _repr_html_(self) -> str:
        # By name, as the table of commands does: clips and sets are far below the layer of pictures, and need nothing
        # of it but here.
        html: str = import_module("maskel.pictures.notebook").html_of(self)
        return html
