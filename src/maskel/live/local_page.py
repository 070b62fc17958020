"""A page for this machine alone: one address of the loopback, and events for whoever has it open."""

import errno
import queue
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from maskel.errors import InputError
from maskel.files import json_text

HOST = "127.0.0.1"
_WAITING = 64  # events that a slow reader may miss none of
_READERS = 8
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class LocalPage:
    """Serves one page, and sends it events. Memory does not grow: a reader that is too slow misses the oldest events.

    Only 127.0.0.1 is listened on, and only requests that name this address are answered: a page from elsewhere cannot
    read what is shown, whatever name it gives itself.

    Args:
        page: The page; it reads ``/events``.
        port: The port, 0 for one that is free.

    Raises:
        InputError: If the port is no port, or taken.

    Attributes:
        address: Where the page is.
    """

    def __init__(self, page: str, port: int) -> None:
        if not 0 <= port <= 65535:
            raise InputError(f"page: found port {port}, expected 0 to 65535; 0 takes one that is free")
        self._content = page.encode(errors="backslashreplace")
        self._readers: list[queue.Queue[bytes]] = []
        self._lock = threading.Lock()
        self._ended = False
        try:
            self._server = _Server((HOST, port), _Handler)
        except OSError as fault:
            if fault.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            why = "is in use" if fault.errno == errno.EADDRINUSE else "is not yours to open"
            raise InputError(f"page: port {port} of {HOST} {why}; choose another, or 0 for one that is free") from fault
        self._server.local_page = self
        self.address = f"http://{HOST}:{self._server.server_port}/"
        self._hosts = {f"{name}:{self._server.server_port}" for name in (HOST, "localhost")}
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def __enter__(self) -> "LocalPage":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, event: Mapping[str, Any]) -> None:
        """Send an event to everybody who reads."""
        self._put(b"data: " + json_text(event).encode() + b"\n")

    def close(self) -> None:
        """Tell the readers that it is over, and free the port."""
        self._put(b"event: end\ndata: {}\n\n")
        with self._lock:
            self._ended = True
        self._server.shutdown()
        self._server.server_close()

    def _put(self, content: bytes) -> None:
        with self._lock:
            for reader in self._readers:
                if reader.full():
                    with suppress(queue.Empty):  # it may just have been read
                        reader.get_nowait()
                reader.put_nowait(content)

    def answer(self, request: "_Handler") -> None:
        """Answer a request."""
        if request.headers.get("Host") not in self._hosts:
            request.refuse(403)
        elif request.path == "/":
            length = str(len(self._content))
            request.begin(200, {"Content-Type": "text/html; charset=utf-8", "Content-Length": length})
            request.wfile.write(self._content)
        elif request.path == "/events":
            self._send_events(request)
        else:
            request.refuse(404)

    def _send_events(self, request: "_Handler") -> None:
        reader: queue.Queue[bytes] = queue.Queue(_WAITING)
        with self._lock:
            full = self._ended or len(self._readers) >= _READERS
            if not full:
                self._readers.append(reader)
        if full:
            request.refuse(503)
            return
        try:
            request.begin(200, {"Content-Type": "text/event-stream; charset=utf-8"})
            while True:
                try:
                    content = reader.get(timeout=1.0)
                except queue.Empty:
                    content = b": still here\n\n"  # notices a reader that has gone
                request.wfile.write(content)
                request.wfile.flush()
                if content.startswith(b"event: end"):
                    return
        finally:
            with self._lock:
                self._readers.remove(reader)


class _Server(ThreadingHTTPServer):
    local_page: LocalPage

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: a reader that goes away is no fault."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        """Answer the page or its events."""
        self.server.local_page.answer(self)

    def begin(self, code: int, headers: Mapping[str, str]) -> None:
        """Send the head of an answer."""
        self.send_response(code)
        for name, value in {**headers, **_HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()

    def refuse(self, code: int) -> None:
        """Send nothing but a code."""
        self.begin(code, {"Content-Length": "0"})

    def version_string(self) -> str:
        """Name no version."""
        return "maskel"

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log: stderr is for the user's sentences."""
