"""A stand-in for the Hugging Face Hub on the loopback: what maskel and huggingface_hub ask of it, and no more."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_standin"


@dataclass
class Model:
    """A model of one commit: what it says of its files, and what it gives."""

    files: dict[str, bytes] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)  # name -> entries of a listing that are not true
    private: bool = False
    gated: bool = False

    @property
    def commit(self) -> str:
        return hashlib.sha1(repr(sorted(self.files.items())).encode()).hexdigest()

    def listing(self) -> list[dict[str, Any]]:
        return [self._entry(name, content) | self.said.get(name, {}) for name, content in self.files.items()]

    def _entry(self, name: str, content: bytes) -> dict[str, Any]:
        entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": git_hash(content)}
        if is_large(name):
            entry["lfs"] = {"size": len(content), "sha256": sha256(content), "pointerSize": 100}
        return entry


@dataclass
class Hub:
    """The models by name, and the requests so far."""

    models: dict[str, Model] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)
    url: str = ""

    def downloads(self) -> list[str]:
        return [line.rpartition("/")[2] for line in self.requests if line.startswith("GET") and "/resolve/" in line]


@contextmanager
def serving() -> Iterator[Hub]:
    """A Hub without models that answers at its ``url``."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def is_large(name: str) -> bool:
    return name.endswith(".safetensors")


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self._begin()
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            if model := self._model(found[1], found[2]):
                about = {"id": found[1], "sha": model.commit, "private": model.private, "siblings": model.listing()}
                self._answer(about)
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            if model := self._model(found[1], found[2]):
                self._give(model, found[3])
        else:
            self._refuse(404, "")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        path, content = self._begin(), self._content()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, "")
        elif path == "/api/repos/create":
            wanted = json.loads(content)
            repo = f"{wanted['organization']}/{wanted['name']}" if wanted.get("organization") else wanted["name"]
            if repo in self.hub.models:
                self._answer({"url": f"{self.hub.url}/{repo}"}, 409)
            else:
                visible = wanted.get("private") is not True and wanted.get("visibility") != "private"
                self.hub.models[repo] = Model(private=not visible)
                self._answer({"url": f"{self.hub.url}/{repo}"})
        elif path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path):
            names = [file["path"] for file in json.loads(content)["files"]]
            modes = [("lfs" if is_large(name) else "regular") for name in names]
            files = zip(names, modes, strict=True)
            self._answer({"files": [{"path": name, "uploadMode": mode, "shouldIgnore": False} for name, mode in files]})
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._answer(
                {
                    "transfer": "basic",
                    "objects": [
                        {**each, "actions": {"upload": {"href": f"{self.hub.url}/put/{each['oid']}"}}}
                        for each in json.loads(content)["objects"]
                    ],
                }
            )
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            model = self.hub.models[found[1]]
            for line in map(json.loads, content.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    model.files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    model.files[value["path"]] = self.hub.uploads[value["oid"]]
            url = f"{self.hub.url}/{found[1]}/commit/{model.commit}"
            self._answer({"success": True, "commitUrl": url, "commitOid": model.commit})
        else:
            self._refuse(404, "")

    def do_PUT(self) -> None:
        name, content = self._begin().rpartition("/")[2], self._content()
        self.hub.uploads[name] = content
        self._answer({})

    def log_message(self, format: str, *given: object) -> None:
        """Say nothing."""

    def _begin(self) -> str:
        path = self.path.partition("?")[0].replace("%2F", "/")
        self.hub.requests.append(f"{self.command} {path}")
        return path

    def _content(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _model(self, repo: str, revision: str | None) -> Model | None:
        model = self.hub.models.get(repo)
        if model is None:
            self._refuse(404, "RepoNotFound")
        elif model.gated:
            self._refuse(403, "GatedRepo")
        elif revision not in (None, "main", "v1", model.commit):
            self._refuse(404, "RevisionNotFound")
        else:
            return model
        return None

    def _give(self, model: Model, name: str) -> None:
        content = model.files[name]
        tag = sha256(content) if is_large(name) else git_hash(content)
        tag = model.said.get(name, {}).get("etag", tag)
        self._send(200, content, {"ETag": f'"{tag}"', "X-Repo-Commit": model.commit})

    def _answer(self, content: Mapping[str, Any], status: int = 200) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code} if code else {})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
