"""``maskel inspect``: what is in a prepared set, and what is wrong with it."""

import itertools
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maskel.console import Report, print_table, reported, standard_output
from maskel.datasets.checks import CHECKS, FINDING_HEADING, Finding, Repeats, count_repeats, examine, summarise
from maskel.datasets.contents import BENCHMARK_HEADING, Contents, count_contents
from maskel.datasets.faults import Fault
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.files import json_text, refuse_unwritable, write_output
from maskel.pictures.faults import faults_page
from maskel.version import __version__

FORMAT = "maskel inspection"
VERSION = 2
_FAULTS_A_REPORT = 5000
STANDARD_OUTPUT = Path("-")
"""As a file's name: what is printed, and nothing else is."""


@dataclass(frozen=True)
class Inspection:
    """Result of `inspect`.

    Args:
        dataset: The set.
        contents: Summary of its content.
        findings: One for each check.
        repeats: For each benchmark the clips that it has twice.
        seconds: Time taken by the checks.
    """

    dataset: SkeletonSet
    contents: Contents
    findings: tuple[Finding, ...]
    repeats: dict[str, Repeats]
    seconds: float

    @property
    def clean(self) -> bool:
        """True if no check found a fault."""
        return not any(finding.faults for finding in self.findings)


def inspect(data: Path, json: Path | None = None, page: Path | None = None, clips: int = 3) -> Inspection:
    """Count what is in a prepared set and look for what is wrong with it; changes nothing.

    Args:
        data: The prepared set.
        json: A file for everything that was found; - prints it instead of the tables. An earlier file is replaced.
        page: A file for an HTML page with pictures of the worst clips. An earlier file is replaced.
        clips: Clips that the page shows for each check, 0 or more.

    Returns:
        What was found.

    Raises:
        InputError: If there is no such set, or a file cannot be written.

    Examples:
        >>> found = inspect(Path("set"))
        >>> found.clean, found.contents.clips
        (False, 26)
    """
    if clips < 0:
        raise InputError(f"clips: found {clips}, expected 0 or more")
    json = None if json == STANDARD_OUTPUT else json
    for file, option in ((json, "--json"), (page, "--page")):
        if file is not None:
            refuse_unwritable(file, option)
    prepared = SkeletonSet.open(data, untrimmed=True)
    contents = count_contents(prepared)
    with reported() as report:
        started = time.perf_counter()
        findings = examine(prepared, report)
        seconds = time.perf_counter() - started
        repeats = count_repeats(prepared, findings)
        inspection = Inspection(prepared, contents, findings, repeats, seconds)
        if json is not None:
            write_output(json, as_json(inspection, report), "--json")
    if page is not None:
        write_output(page, faults_page(prepared, contents, findings, repeats, clips), "--page")
    return inspection


def as_json(inspection: Inspection, report: Report = lambda what, done, total: None) -> str:
    """Everything that was found; docs/inspect.md describes it.

    Args:
        inspection: What was found.
        report: Takes word of the progress.
    """
    dataset, contents = inspection.dataset, inspection.contents
    shortest, median, longest = contents.lengths
    document = {
        "format": FORMAT,
        "version": VERSION,
        "maskel": __version__,
        "set": str(dataset.path),
        "source": dataset.source,
        "options": dataset.options,
        "layout": dataset.layout.name,
        "coordinates": dataset.coordinates,
        "contents": {
            "clips": contents.clips,
            "body_frames": contents.body_frames,
            "bytes": contents.size,
            "lengths": {"shortest": shortest, "median": median, "longest": longest},
            "bodies": contents.bodies,
            "classes": [{"name": name, "clips": count} for name, count in contents.classes],
            "unlabelled": contents.unlabelled,
            **contents.origins(),
            "counts": {what: {"number": number, "clips": clips} for what, (number, clips) in contents.counts.items()},
            "body_size": contents.usual_size,
            "up": {"axis": str(contents.up), "why": contents.up.why, "doubt": contents.up.doubt},
        },
        "benchmarks": [
            {
                "name": sizes.name,
                "train": sizes.found[0],
                "test": sizes.found[1],
                "published": list(sizes.published) if sizes.published else None,
                "duplicates": asdict(inspection.repeats[sizes.name]),
            }
            for sizes in contents.benchmarks
        ],
        "clean": inspection.clean,
        "checks": [
            {
                "name": finding.check,
                "title": CHECKS[finding.check].title,
                "threshold": finding.threshold,
                "unit": finding.unit,
                "note": finding.note,
                "clips": finding.clips,
                "faults": finding.faults,
            }
            for finding in inspection.findings
        ],
    }
    number = itertools.count(1)
    total = sum(len(finding.faults) for finding in inspection.findings)

    def plain(fault: Fault) -> dict[str, Any]:  # one at a time: a set may have millions
        if not (done := next(number)) % _FAULTS_A_REPORT:
            report("faults written", done, total)
        return _fault(fault, dataset)

    return json_text(document, indent=1, default=plain)


def _fault(fault: Fault, dataset: SkeletonSet) -> dict[str, Any]:
    return {
        "clip": None if fault.clip is None else dataset.clips[fault.clip].name,
        "body": fault.body,
        "frame": fault.frame,
        "frames": fault.frames,
        "value": fault.value if math.isfinite(fault.value) else None,
        "other": None if fault.other is None else dataset.clips[fault.other].name,
        "benchmark": fault.benchmark,
        "about": fault.about,
    }


def show(inspection: Inspection, options: Mapping[str, Any]) -> None:
    """Prints what is in the set, its benchmarks' sizes, and for each check how much was found and the worst."""
    if options["json"] == STANDARD_OUTPUT:
        sys.stdout.write(as_json(inspection))
        return
    console = standard_output()
    speed = inspection.contents.clips / max(inspection.seconds, 1e-9)
    about = [*inspection.contents.rows(), ("checked in", f"{inspection.seconds:,.1f} s, {speed:,.0f} clips/s")]
    print_table(console, ("", ""), about, f"prepared set {inspection.dataset.path}", fold=True)
    benchmarks = [(*sizes.row(), str(inspection.repeats[sizes.name])) for sizes in inspection.contents.benchmarks]
    if benchmarks:
        print_table(console, (*BENCHMARK_HEADING, "duplicates"), benchmarks, fold=True)
    reported = [finding for finding in inspection.findings if finding.faults or finding.note]
    if reported:
        print_table(
            console, FINDING_HEADING, [summarise(finding, inspection.dataset) for finding in reported], fold=True
        )
    quiet = [CHECKS[finding.check].title for finding in inspection.findings if finding not in reported]
    console.print("nothing found" if inspection.clean else f"nothing found of: {', '.join(quiet)}", soft_wrap=True)
