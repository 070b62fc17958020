"""Rebuild the generated tables of the documentation: `make results`.

A block starts with a line `<!-- generated: NAME -->` and ends with `<!-- end of generated -->`. NAME is `published`, or
a folder of docs/runs with the results that `maskel results RUN ... --collect docs/runs/NAME` copied there.
"""

import re
import sys
from pathlib import Path

from maskel.commands.results import markdown_table, results
from maskel.protocols import STAGES
from maskel.published import BENCHMARKS, PUBLISHED, published

BLOCK = re.compile(r"(<!-- generated: (?P<name>\S+) -->\n).*?(<!-- end of generated -->)", re.DOTALL)


def published_table() -> str:
    """Published accuracies of every method on every benchmark."""
    protocols = [name for name in STAGES if any(protocol == name for _, _, protocol in PUBLISHED)]
    heading = ("method, data", *(f"{STAGES[name].title}, %" for name in protocols))
    rows = [
        (f"`{method}`, `{benchmark}`", *(published(method, benchmark, protocol) for protocol in protocols))
        for method in ("mamp", "mae", "hacm")
        for benchmark in BENCHMARKS
    ]
    return "\n".join(markdown_table(heading, rows)) + "\n"


def rebuild(docs: Path) -> list[Path]:
    """Rewrite every block of the documents in a folder; returns the documents that changed."""
    changed = []
    for document in sorted(docs.rglob("*.md")):
        text = document.read_text()

        def fill(found: re.Match[str]) -> str:
            name = found["name"]
            content = published_table() if name == "published" else results([docs / "runs" / name])
            return f"{found[1]}\n{content}\n{found[3]}"

        new = BLOCK.sub(fill, text)
        if new != text:
            document.write_text(new)
            changed.append(document)
    return changed


if __name__ == "__main__":
    for document in rebuild(Path(__file__).parent):
        sys.stdout.write(f"rebuilt {document}\n")
