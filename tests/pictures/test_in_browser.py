"""Pages as a person sees them, in headless Chromium; skipped where there is none."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import browser
import own
import tiny
from long import long_one, train
from maskel.commands.inspect import inspect
from maskel.commands.linear import linear
from maskel.commands.predict import predict
from maskel.commands.report import report
from maskel.commands.retrieval import PAGE, retrieval
from maskel.commands.view import clips, features, importance, masks
from maskel.datasets.base import Split
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.layouts import NTU25
from maskel.live import Stream
from maskel.live.local_page import LocalPage
from maskel.pictures.watching import Frames, watching_page
from maskel.training.run import RunFolder

CLASSES = ("<img src=x onerror=alert(1)>", 'wave & "clap"', "kick")
MOVING = "figure.moving"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    yield from browser.launched()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 clips of three classes and four people, one or two bodies, 5 to 60 frames; one without its head's joint."""
    path = tmp_path_factory.mktemp("seen") / "set"
    order = tuple(range(24))
    with SetWriter(path, NTU25, CLASSES, "generated", {"missing": "zero", "fps": 30.0}) as writer:
        for number in order:
            sequence = tiny.generated_clip(number, NTU25)
            if number == 0:
                sequence.joints[0, :, 3] = 0
            writer.add(sequence)
        writer.finish({"xsub": Split(order[:16], order[16:])})
    return path


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs")
    tiny.tiny_pretrain(data, path / "mamp", training=replace(tiny.TRAINING, epochs=1))
    tiny.tiny_pretrain(data, path / "mae", method="mae", training=replace(tiny.TRAINING, epochs=1))
    linear(path / "mamp", data=data, out=path / "linear", training=tiny.PROBE, device="cpu")
    return path


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train(tmp_path_factory.mktemp("live"), scale=0.001, fps=15.0, source_fps=30.0)


def drawn(page: Any, number: int = 0) -> str:
    return str(page.locator(f"{MOVING} .person-1 .bones").nth(number).get_attribute("d"))


def names(page: Any) -> list[str]:
    found = page.locator(MOVING).evaluate_all("all => all.filter(one => !one.hidden).map(one => one.dataset.name)")
    return [str(name) for name in found]


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_a_gallery_plays_pauses_scrubs_and_turns(
    chromium: Any, data: Path, tmp_path: Path, width: int, scheme: str
) -> None:
    path = clips(data, out=tmp_path / "clips.html")
    with browser.opened(chromium, path, width, color_scheme=scheme) as page:
        page.wait_for_selector(f"{MOVING} .controls")
        before = drawn(page)
        page.wait_for_function(
            f"() => document.querySelector('{MOVING} .person-1 .bones').getAttribute('d') !== {before!r}"
        )
        page.get_by_role("button", name="Pause all").click()
        assert page.get_by_role("button", name="Play all").is_visible()
        still = drawn(page)
        page.wait_for_timeout(150)
        assert drawn(page) == still
        slider = page.locator(f"{MOVING} input").first
        slider.focus()
        page.keyboard.press("Home")
        first, shown = drawn(page), page.locator(f"{MOVING} output").first.text_content()
        assert shown == "0.0 s"
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        assert slider.input_value() == "3"
        assert page.locator(f"{MOVING} output").first.text_content() == "0.1 s"
        page.get_by_label("View").select_option("side")
        assert drawn(page) != first
        page.get_by_label("View").select_option("front")
        page.keyboard.press("Tab")
        assert first != drawn(page)
        joints = page.locator(f"{MOVING} .person-1 .joints").first.get_attribute("d")
        assert joints.count("M") == 24  # the head is missing
        assert drawn(page).count("M") == 23
        play = page.locator(f"{MOVING} .play").first
        play.focus()
        page.keyboard.press("Space")
        page.wait_for_function(f"() => Number(document.querySelector('{MOVING} input').value) > 3")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (min(map(int, re.findall(r"\d+", background)[:3])) < 128) is (scheme == "dark")


def test_what_is_drawn_is_the_clip(chromium: Any, data: Path, tmp_path: Path) -> None:
    path = clips(data, names=["clip01"], out=tmp_path / "clips.html")
    joints = SkeletonSet.open(data).sequence(1).joints  # (M, T, V, C), y is up
    with browser.opened(chromium, path, reduced_motion="reduce") as page:
        page.wait_for_selector(f"{MOVING} .controls")
        slider = page.locator(f"{MOVING} input").first
        slider.fill("4")
        for body, name in enumerate(("person-1", "person-2")):
            d = page.locator(f"{MOVING} .{name} .joints").first.get_attribute("d")
            places = np.array([[float(value) for value in pair.split()] for pair in re.findall(r"M([-\d. ]+)h0", d)])
            truth = joints[body, 4, :, :2]
            scale = np.ptp(places[:, 0]) / np.ptp(truth[:, 0])
            expected = truth * scale * [1, -1]
            np.testing.assert_allclose(places - places[0], expected - expected[0], atol=0.2)


def test_a_gallery_filters_and_sorts(chromium: Any, data: Path, tmp_path: Path) -> None:
    path = clips(data, out=tmp_path / "clips.html")
    dataset = SkeletonSet.open(data)
    with browser.opened(chromium, path) as page:
        page.wait_for_selector(f"{MOVING} .controls")
        assert names(page) == [clip.name for clip in dataset.clips]
        kind, subject, order = (page.locator(".toolbar select").nth(place) for place in (2, 3, 4))
        kind.select_option(CLASSES[0])
        assert names(page) == [clip.name for clip in dataset.clips if clip.label == 0]
        subject.select_option("3")
        assert names(page) == [clip.name for clip in dataset.clips if (clip.label, clip.subject) == (0, "3")]
        assert page.locator(".found").text_content() == f"{len(names(page))} of 24 clips"
        kind.select_option("")
        subject.select_option("")
        page.get_by_label("name of a clip").fill("CLIP1")
        assert names(page) == [f"clip{number}" for number in range(10, 20)]
        page.get_by_label("name of a clip").fill("")
        order.select_option("-frames")
        frames = dict(zip((clip.name for clip in dataset.clips), dataset.frames.tolist(), strict=True))
        assert [frames[name] for name in names(page)] == sorted(frames.values(), reverse=True)
        order.select_option("")
        assert names(page) == [clip.name for clip in dataset.clips]
        page.get_by_label("name of a clip").fill("nothing")
        assert names(page) == []


def test_less_motion_is_respected(chromium: Any, data: Path, tmp_path: Path) -> None:
    path = clips(data, out=tmp_path / "clips.html")
    with browser.opened(chromium, path, reduced_motion="reduce") as page:
        page.wait_for_selector(f"{MOVING} .controls")
        before = drawn(page)
        page.wait_for_timeout(200)
        assert drawn(page) == before
        page.get_by_role("button", name="Play all").click()
        page.wait_for_function(f"() => Number(document.querySelector('{MOVING} input').value) > 1")


@pytest.mark.parametrize("width", [1200, 390])
def test_an_inspected_set_moves(chromium: Any, data: Path, tmp_path: Path, width: int) -> None:
    inspect(data, page=tmp_path / "found.html", clips=1)
    with browser.opened(chromium, tmp_path / "found.html", width) as page:
        page.get_by_text("Some clips", exact=True).scroll_into_view_if_needed()
        page.locator(f".stage:last-of-type {MOVING} .controls").first.wait_for()
        fault = page.locator(f"figure figure{MOVING[6:]}[data-start]").first
        fault.scroll_into_view_if_needed()
        fault.locator(".controls").wait_for()


def test_a_report_moves_and_its_tables_sort(chromium: Any, runs: Path, tmp_path: Path) -> None:
    report([runs / name for name in ("mamp", "mae", "linear")], tmp_path / "report.html", clips=1)
    for width in (1200, 390):
        with browser.opened(chromium, tmp_path / "report.html", width) as page:
            heading = page.get_by_role("button", name="class", exact=True).first
            table = heading.locator("xpath=ancestor::table")
            heading.click()
            first = table.locator("tbody tr").first.text_content()
            heading.click()
            assert table.locator("tbody tr").last.text_content() == first
            assert heading.locator("xpath=..").get_attribute("aria-sort") == "descending"
            for name, layers in (("mamp", ("true", "predicted")), ("mae", ("predicted",))):
                page.get_by_role("heading", name=f"{name} ({name})").first.scroll_into_view_if_needed()
                masked = page.locator(f'{MOVING}[data-layers="body {" ".join(layers)}"]').first
                masked.scroll_into_view_if_needed()
                masked.locator(".controls").wait_for()
                for layer in layers:
                    assert "M" in (masked.locator(f".{layer} .bones").get_attribute("d") or "")
                assert "M" in (masked.locator(".hollow").first.get_attribute("d") or "")
            row = page.locator(".clips.three").first
            row.scroll_into_view_if_needed()
            row.locator(".controls").nth(2).wait_for()
            assert "cosine" in str(row.text_content())


def test_one_moment_on_the_timeline(chromium: Any, live: RunFolder, tmp_path: Path) -> None:
    own.write_array(tmp_path / "long.npy", long_one(2))
    predict(
        live.path, tmp_path / "long.npy", tmp_path / "w.csv", page=tmp_path / "t.html", per_body=True, device="cpu",
        window_length="20", step="5", source_fps=30.0,
    )  # fmt: skip
    for width in (1200, 390):
        with browser.opened(chromium, tmp_path / "t.html", width) as page:
            page.wait_for_selector(f"{MOVING} .controls")
            lane = page.locator("svg.lane").first
            lane.scroll_into_view_if_needed()
            box = lane.bounding_box()
            page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 9)
            assert abs(int(page.locator(f"{MOVING} input").first.input_value()) - 50) <= 1
            said = page.locator(".now").first.text_content()
            assert re.fullmatch(r"1\.[67] s( · (wave|bow) \d+ %)+", said)
            at = float(page.locator("[data-plot] .cursor").first.get_attribute("x1"))
            assert 200 < at < 250  # of 52 to 390
            chart = page.locator("[data-plot] svg").first
            chart.scroll_into_view_if_needed()
            box = chart.bounding_box()
            page.mouse.click(box["x"] + box["width"] * 390 / 400, box["y"] + box["height"] / 2)
            assert int(page.locator(f"{MOVING} input").first.input_value()) > 90
            assert page.locator("svg.lane .cursor").first.get_attribute("x1") > "90"
            page.locator(MOVING).nth(1).scroll_into_view_if_needed()
            page.locator(f"{MOVING} .play").nth(1).click()
            before = drawn(page, 1)
            page.wait_for_function("() => Number(document.querySelectorAll('figure.moving input')[1].value) > 3")
            assert drawn(page, 1) != before


def test_people_are_watched_live(chromium: Any, live: RunFolder) -> None:
    stream = Stream(live.path, 30.0, "20", "5")
    joints = long_one(2)
    with (
        LocalPage(watching_page(stream.layout, "<b>run"), 0) as local,
        browser.opened(chromium, local.address) as page,
    ):
        page.get_by_text("Waiting for the first frame").wait_for()
        page.wait_for_timeout(100)  # until it reads the events
        frames = Frames(stream.layout, stream.coordinates, local.send, clock=iter(range(1000)).__next__)
        for number in range(40):
            for update in stream.push(joints[:, number], number / 30, ["<i>ann", None]):
                frames.answer(update, stream.classifier.label_spec.classes)
            frames.frame(number / 30, list(joints[:, number]), ["<i>ann", None])
            time.sleep(0.002)
        page.get_by_text("1.3 s, 2 people").wait_for()
        assert page.locator(".scene .person").count() == 2
        assert page.locator(".scene text").text_content() == "<i>ann"
        assert page.locator(".card").count() == 2
        assert re.search(r"person <i>ann, until 1\.\d s", str(page.locator(".card").first.text_content()))
        local.close()
        page.get_by_text("The stream has ended.").wait_for()


def test_neighbours_move(chromium: Any, runs: Path, data: Path, tmp_path: Path) -> None:
    run = retrieval(runs / "mamp", data, k=2, clips=2, device="cpu", out=tmp_path / "retrieval")
    with browser.opened(chromium, run.path / PAGE, 390) as page:
        page.locator(f"{MOVING} .controls").first.wait_for()
        assert page.locator(MOVING).count() == 6


def test_pages_without_motion_are_quiet_too(chromium: Any, runs: Path, data: Path, tmp_path: Path) -> None:
    masks([runs / "mamp"], data, "clip00", 10, out=tmp_path / "masks.html")
    with browser.opened(chromium, tmp_path / "masks.html", 390) as page:
        assert page.locator("svg").count() >= 1
        assert page.locator("script").count() == 0


def test_a_point_shows_its_clip(chromium: Any, runs: Path, data: Path, tmp_path: Path) -> None:
    path = features(data, runs / "mamp", out=tmp_path / "features.html", device="cpu")
    for width in (1200, 390):
        with browser.opened(chromium, path, width) as page:
            assert names(page) == []
            picture = page.locator("svg.scatter")
            picture.focus()
            page.keyboard.press("ArrowRight")
            (first,) = names(page)
            page.locator(f"{MOVING}:not([hidden]) .controls").wait_for()
            point = page.locator(".scatter circle").nth(int(first.removeprefix("clip")))
            lefts = page.locator(".scatter circle").evaluate_all(
                "all => all.map(one => Number(one.getAttribute('cx')))"
            )
            assert float(point.get_attribute("cx")) == min(lefts)
            last = page.locator(".scatter circle").nth(int(np.argmax(lefts)))
            last.hover(force=True)
            assert names(page) == [f"clip{int(np.argmax(lefts)):02d}"]
            page.get_by_role("button", name="kick").click()
            assert page.locator(".scatter circle.faint").count() == 16
            picture.focus()
            page.keyboard.press("ArrowLeft")
            assert page.locator(f"{MOVING}:not([hidden])").get_attribute("data-name") == names(page)[0]
            assert int(names(page)[0].removeprefix("clip")) % 3 == 2


def test_important_joints_grow_and_shrink(chromium: Any, runs: Path, data: Path, tmp_path: Path) -> None:
    path = importance(data, runs / "linear", most=2, out=tmp_path / "importance.html")
    with browser.opened(chromium, path, 390, reduced_motion="reduce") as page:
        page.wait_for_selector(f"{MOVING} .controls")
        radii = []
        for frame in range(8):
            page.locator(f"{MOVING} input").first.fill(str(frame))
            discs = page.locator(MOVING).first.locator(".weight")
            radii.append(discs.evaluate_all("all => all.map(one => Number(one.getAttribute('r')))"))
        assert np.shape(radii) == (8, 25)
        assert np.max(radii) == 9.0
        assert np.ptp(radii, axis=0).max() > 1
