"""Joints that a set lacks are not drawn, and no bone leads to them."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tiny
from maskel.commands.inspect import inspect
from maskel.datasets.base import Split
from maskel.datasets.bodies import without_missing
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.layouts import NTU25
from maskel.pictures.figures import _panels
from maskel.pictures.reconstructions import reconstruct_clip

LOST = NTU25.index("left_elbow")
BONES = sum(LOST in edge for edge in NTU25.edges)


@pytest.fixture(scope="module", params=[{"missing": "zero"}, {}], ids=["missing", "at the origin"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SkeletonSet:
    """Two equal clips without an elbow, in a set with zeros for missing joints or not."""
    path = tmp_path_factory.mktemp("missing") / "set"
    with SetWriter(path, NTU25, ("a",), "generated", request.param) as writer:
        for name in "ab":
            clip = tiny.generated_clip(0, NTU25)
            joints = clip.joints.copy() + 3
            joints[:, :, LOST] = 0
            writer.add(replace(clip, clip=replace(clip.clip, name=name, label=0), joints=joints))
        writer.finish({"xsub": Split((0,), (1,))})
    return SkeletonSet.open(path)


def drawn(page: str) -> list[tuple[int, int, bool]]:
    """Of each skeleton how many joints and bones are drawn, and whether a place is no number."""
    found = []
    for part in page.split("<svg")[1:]:
        (bones,) = re.findall(r'<path[^>]*class="bone"[^>]*>', part) or [""]
        if bones:
            found.append((part.count("<circle"), bones.count("L"), "nan" in part.partition("</svg>")[0]))
    return found


def test_inspect_draws_what_was_seen(data: SkeletonSet, tmp_path: Path) -> None:
    inspect(data.path, page=tmp_path / "page.html")
    panels = drawn((tmp_path / "page.html").read_text())
    lost = data.options.get("missing") == "zero"
    assert panels
    assert set(panels) == {(len(NTU25) - lost, len(NTU25.edges) - BONES * lost, False)}


@pytest.mark.parametrize("name", ["mamp", "mae"])
def test_reconstructions_draw_what_was_seen(name: str, data: SkeletonSet) -> None:
    method = tiny.tiny_method(name).eval()
    shown = reconstruct_clip(method, data, 1, 0)
    lost = data.options.get("missing") == "zero"
    assert np.isnan(shown.joints[:, LOST]).all() == lost
    assert not np.isnan(np.delete(shown.joints, LOST, 1)).any()
    panels, _ = _panels(method, shown)
    assert set(drawn("".join(map(str, panels)))) == {(len(NTU25) - lost, len(NTU25.edges) - BONES * lost, False)}


def test_absent_bodies_stay_zero(data: SkeletonSet) -> None:
    joints = np.ones((2, 3, 25, 3), np.float32)
    joints[0, 1] = 0
    joints[1, 2, 3] = 0
    known = without_missing(joints, data)
    lost = [[1, 2, 3]] if data.options.get("missing") == "zero" else []
    assert np.argwhere(np.isnan(known).any(-1)).tolist() == lost
    assert not known[0, 1].any()
