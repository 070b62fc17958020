"""The page of this machine alone: one address, one page, its events, and a clean end."""

import http.client
import json
import socket
import sys
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
import pytest

from elements import Elements
from long import train
from maskel.datasets.bodies import upward_of
from maskel.errors import InputError
from maskel.layouts import COCO17, NTU25
from maskel.live.local_page import HOST, LocalPage
from maskel.pictures.watching import Frames, watching_page
from maskel.training.run import RunFolder

Run = Callable[..., tuple[int, str]]


def asked(port: int, path: str = "/", host: str = "") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    connection.request("GET", path, headers={"Host": host or f"{HOST}:{port}"})
    return connection.getresponse()


def port_of(page: LocalPage) -> int:
    return int(page.address.rstrip("/").rpartition(":")[2])


def test_one_page_and_its_events_are_given_out_and_nothing_else() -> None:
    with LocalPage("<p>äöü</p>", 0) as page:
        port = port_of(page)
        answer = asked(port)
        assert (answer.status, answer.read().decode()) == (200, "<p>äöü</p>")
        assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
        assert answer.headers["Server"] == "maskel"
        assert asked(port, host=f"localhost:{port}").status == 200
        assert {asked(port, path).status for path in ("/x", "/../etc/passwd", "/events/1", "/?a")} == {404}
        assert {asked(port, host=host).status for host in ("evil.example", f"evil.example:{port}", HOST)} == {403}
        events = asked(port, "/events")
        page.send({"a": "ü\n\u2028"})
        assert events.readline().startswith(b"data: ")
    rest = events.read().decode()
    assert rest.endswith("event: end\ndata: {}\n\n")
    with pytest.raises(OSError, match="refused"):
        asked(port)
    with LocalPage("again", port):  # the port is free
        assert asked(port).read() == b"again"


def test_readers_are_bounded() -> None:
    with LocalPage("x", 0) as page:
        readers = [asked(port_of(page), "/events") for _ in range(9)]
        assert [reader.status for reader in readers] == [200] * 8 + [503]
        for number in range(1000):
            page.send({"number": number})
        assert all(reader.qsize() <= 64 for reader in page._readers)
        assert b"data: " in readers[0].readline()


def test_a_reader_that_empties_its_queue_just_now_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalPage("x", 0) as page:
        reader = asked(port_of(page), "/events")
        with monkeypatch.context() as patched:
            patched.setattr(Queue, "full", lambda self: True)  # it was, a moment ago
            page.send({"number": 1})
        assert reader.readline() == b'data: {"number": 1}\n'


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(InputError, match=f"page: found port {port}, expected 0 to 65535"):
        LocalPage("x", port)


def test_frames_are_thinned_and_answers_are_not() -> None:
    sent: list[Any] = []
    times = iter([0.0, 0.01, 0.06, 0.07, 1.0])
    frames = Frames(NTU25, 3, sent.append, clock=times.__next__)
    body = np.arange(75.0).reshape(25, 3)
    body[4] = np.nan
    for number in range(5):
        frames.frame(number / 30, [body] * 8, [1, None, *"abcdef"])
    assert [event["time"] for event in sent] == [0.0, 0.067, 0.133]
    assert [person["id"] for person in sent[0]["people"]] == ["1", None, "a", "b", "c", "d"]
    assert sent[0]["more"] == 2
    assert sent[0]["people"][0]["joints"][4] is None
    up = upward_of(body[None].astype(np.float32), NTU25)
    assert sent[0]["people"][0]["joints"][5] == up.turn(body[5:6])[0, :2].tolist()


def test_the_page_allows_calls_to_itself_alone() -> None:
    page = watching_page(COCO17, "<b>run")
    assert "connect-src 'self'" in page
    assert "&lt;b&gt;run" in page
    assert Elements(page).tags["script"] == 2


def test_watch_shows_its_page_and_frees_the_port(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = train(tmp_path / "trained", scale=0.001, fps=15.0, source_fps=30.0)
    assert isinstance(trained, RunFolder)
    frame = json.dumps({"time": 0, "people": [{"joints": [[1, 2, 3]] * 17}]}).encode()
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(frame + b"\n{")))
    given = ("watch", "--classifier", trained.path, "--device=cpu")
    code, text = run(*given, "--page=0")
    assert code == 2  # of the second line; the page is closed all the same
    *_, first, fault = text.splitlines()
    assert first.startswith(f"maskel: http://{HOST}:")
    assert "line 2 of standard input" in fault
    port = int(first.split(":")[3].split("/")[0])
    with socket.create_server((HOST, port)):
        code, text = run(*given, f"--page={port}")
        assert (code, text.count("\n")) == (2, 1)
        assert f"page: port {port} of {HOST} is in use; choose another, or 0 for one that is free" in text
