"""The exported model in a real browser: onnxruntime-web gives what onnxruntime gives.

It needs Chromium and, since it is no Python package, the unpacked npm package of onnxruntime-web:
``npm pack onnxruntime-web && tar xzf onnxruntime-web-*.tgz``, then ``ONNXRUNTIME_WEB=package/dist``.
"""

import functools
import json
import os
import queue
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import tiny
from maskel.commands.export_run import export_onnx
from maskel.datasets.store import SkeletonSet

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PACKAGE = Path(os.environ.get("ONNXRUNTIME_WEB", "no package"))
PAGE = """<!doctype html><script type="module">
import * as ort from "./ort.wasm.min.mjs";
try {
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create("model.onnx");
  const {shape, values} = await (await fetch("clips.json")).json();
  const joints = new ort.Tensor("float32", Float32Array.from(values), shape);
  const {probabilities} = await session.run({joints});
  await fetch("found", {method: "POST", body: JSON.stringify(Array.from(probabilities.data))});
} catch (fault) {
  await fetch("found", {method: "POST", body: JSON.stringify(String(fault))});
}
</script>"""


class Handler(SimpleHTTPRequestHandler):
    """Serves the folder, and keeps what the page found."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript", ".wasm": "application/wasm"}
    found: "queue.Queue[list[float] | str]" = queue.Queue()

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        self.found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.skipif(not (PACKAGE / "ort.wasm.min.mjs").is_file(), reason="needs ONNXRUNTIME_WEB, npm's package")
def test_a_page_gives_the_probabilities_of_python(tiny_set: SkeletonSet, prepared: Path, tmp_path: Path) -> None:
    run = tiny.tiny_finetune(prepared, tmp_path / "run")
    folder = tmp_path / "page"
    folder.mkdir()
    for file in PACKAGE.glob("ort*wasm*.*"):
        if file.suffix in (".mjs", ".wasm"):
            (folder / file.name).symlink_to(file.resolve())
    export_onnx(run.path, folder / "model.onnx")
    joints = tiny_set.gather(tiny_set.split("xsub", "test"), bodies=2).joints.numpy()
    (folder / "clips.json").write_text(json.dumps({"shape": joints.shape, "values": joints.flatten().tolist()}))
    (folder / "index.html").write_text(PAGE)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    _, expected = session.run(None, {"joints": joints})
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/index.html"
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        with subprocess.Popen(
            [str(CHROMIUM), *options, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as browser:
            try:
                found = Handler.found.get(timeout=120)
            finally:
                browser.terminate()
                server.shutdown()
    assert isinstance(found, list), found
    np.testing.assert_allclose(np.reshape(found, expected.shape), expected, atol=1e-5)
