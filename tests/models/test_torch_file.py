import argparse
import os
import pickle
import struct
import warnings
import zipfile
from collections import Counter, OrderedDict
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny
from maskel.errors import InputError
from maskel.models.torch_file import TorchFile, is_torch_file

CONTENT = {
    "model": OrderedDict(weight=torch.arange(6.0).view(2, 3), half=torch.ones(3).half(), count=torch.tensor(7)),
    "args": argparse.Namespace(lr=1e-3, name="mamp", nested={"sizes": [1, -2, 2**40], "on": True, "off": None}, t=()),
    "epoch": 399,
    2: (1, 2.5),
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.save(CONTENT, tmp_path / "c.pth")
    return tmp_path / "c.pth"


def archive(path: Path, pickled: bytes, data: bytes = b"\0" * 16, **more: bytes) -> Path:
    """A file of torch.save with another pickle."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("c/data.pkl", pickled)
        file.writestr("c/data/0", data)
        for name, content in more.items():
            file.writestr(f"c/{name}", content)
    return path


def with_tensor(shape: str, stride: str, count: bytes = b"K\x04", offset: bytes = b"K\x00") -> bytes:
    """A pickle of {"model": tensor} with what it claims spelt out; the storage has four floats."""
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu" + count + b"tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + spelt(shape) + spelt(stride)
    return b"\x80\x02}X\x05\0\0\0model" + tensor + b"\x89ccollections\nOrderedDict\n)RtRs."


def spelt(numbers: str) -> bytes:
    """Numbers as a pickled tuple."""
    return b"(" + b"".join(pickle.dumps(int(number), 2)[2:-1] for number in numbers.split()) + b"t"


def test_a_checkpoint_is_read(saved: Path) -> None:
    file = TorchFile(saved)
    assert is_torch_file(saved)
    args = file.content["args"]
    assert isinstance(args, SimpleNamespace)
    assert vars(args) == vars(CONTENT["args"])
    assert (file.content["epoch"], file.content[2]) == (399, (1, 2.5))
    tiny.assert_identical(file.tensors(file.content["model"]), dict(CONTENT["model"]))
    assert (
        TorchFile(archive(saved, with_tensor("4", "1"))).tensors(TorchFile(saved).content)["model"].tolist() == [0] * 4
    )


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.called = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.called


MARKER = "marker-of-a-hostile-file"
HOSTILE = {
    "system": Calls(os.system, f"touch {MARKER}"),
    "eval": Calls(eval, f"open({MARKER!r}, 'w')"),
    "open": Calls(open, MARKER, "w"),
    "getattr": Calls(getattr, "text", "upper"),
    "numpy": np.float64(3),
    "a class": Path("x"),
    "a counter": Counter("ab"),
    "bytes": bytearray(3),
    "a set": {1, 2},
    "torch.load": Calls(torch.load, "x"),
    "a tensor of any size": Calls(torch.Tensor, 10**11),
    "a class itself": argparse.Namespace,
    "arguments of a namespace": Calls(argparse.Namespace, 1),
    "inside of arguments": argparse.Namespace(x=Calls(os.mkdir, MARKER)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_is_refused_and_does_not_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = archive(tmp_path / "c.pth", pickle.dumps({"model": HOSTILE[name]}, 2))
    with pytest.raises(InputError, match=r"c\.pth: not a whole file of torch\.save"):
        TorchFile(file).tensors(TorchFile(file).content)
    assert not Path(MARKER).exists()


@pytest.mark.parametrize("protocol", [0, 1, 3, 4, 5])
def test_other_protocols_are_refused(protocol: int, tmp_path: Path) -> None:
    for content in (b"bytes" * 100, HOSTILE["system"]):
        with pytest.raises(InputError, match="not a whole file"):
            TorchFile(archive(tmp_path / "c.pth", pickle.dumps({"a": content}, protocol)))


NESTED = b"\x80\x02)" + 40_000 * b"\x85"  # a tuple in a tuple in a tuple …
DOUBLED = b"\x80\x02)q\x00" + b"".join(b"h%ch%c\x86q%c" % (n, n, n + 1) for n in range(200))  # 2^200 leaves


@pytest.mark.parametrize(
    "pickled",
    [
        b"",
        b"\x80\x02.",
        b"\x80\x02N",
        b"\x80\x02NN.",
        b"\x80\x02\x96" + struct.pack("<Q", 2**40) + b".",  # BYTEARRAY8
        b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b"short.",
        b"\x80\x02Nr" + struct.pack("<I", 2**32 - 1) + b"\x87.",  # a memory of 2^32 entries
        b"\x80\x02h\x05.",
        b"\x80\x02\x87.",
        b"\x80\x02t.",
        b"\x80\x02Na.",
        b"\x80\x02}]Ns.",
        b"\x80\x02]K\x00K\x01s.",  # an item set in a list (CVE-2026-24747)
        b"\x80\x02](K\x00K\x01u.",
        b"\x80\x02NN\x85b.",
        b"\x80\x02}" + 100_000 * b"]0" + b".",
        b"\x80\x02" + 60_000 * b"N" + b"\x85.",
        NESTED + b"}" + NESTED[2:] + b"Ns\x86.",  # its hash would overflow the stack
        DOUBLED + b"}h\xc8Ns.",  # its hash would never end
        b"\x80\x02}X\x04\0\0\0args" + DOUBLED[2:] + b"s.",
        b"\x80\x02cargparse\nNamespace\n)\x81}X\x01\0\0\0aNs" + b"b}b.",
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        b"\x80\x02ctorch\nnn.Linear\n.",
    ],
)
def test_strange_pickles_end_quickly(pickled: bytes, tmp_path: Path) -> None:
    file = archive(tmp_path / "c.pth", pickled)
    with pytest.raises(InputError, match="not a whole file"):
        TorchFile(file).tensors({"model": TorchFile(file).content})


@pytest.mark.parametrize(
    ("shape", "stride", "more"),
    [
        ("1000000000000", "1", {}),
        ("1000000000000", "0", {}),
        ("1000000000000", "1", {"count": pickle.dumps(10**12, 2)[2:-1]}),
        ("5", "1", {"count": b"K\x05"}),
        ("2 2", "1 2", {}),
        ("4", "2", {}),
        ("3", "1", {}),
        ("3", "1", {"offset": b"K\x01"}),
        ("-4", "1", {}),
        ("-2 -2", "-2 1", {}),
        ("4 1", "1", {}),
        (" ".join(["4"] + ["1"] * 20_000), " ".join(["1"] * 20_001), {}),
        (" ".join([str(2**2000)] * 3000), " ".join(["1"] * 3000), {}),
    ],
)
def test_a_tensor_claims_no_more_than_the_file_holds(
    shape: str, stride: str, more: dict[str, bytes], tmp_path: Path
) -> None:
    def read(path: Path) -> object:
        file = TorchFile(path)
        return file.tensors(file.content)

    path = archive(tmp_path / "c.pth", with_tensor(shape, stride, **more))
    with pytest.raises(InputError, match="not a whole file"):
        read(path)


def test_bytes_serve_one_tensor_only(tmp_path: Path) -> None:
    one = torch.zeros(5)
    torch.save({"a": one, "b": one}, tmp_path / "c.pth")
    with pytest.raises(InputError, match="b has no bytes of its own"):
        TorchFile(tmp_path / "c.pth").tensors(TorchFile(tmp_path / "c.pth").content)


def test_bombs_and_doubled_entries_are_refused(saved: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("c/data.pkl", with_tensor("4", "1"))
        file.writestr("c/data/0", bytes(10**7))
    assert (tmp_path / "bomb.pth").stat().st_size < 20_000
    with pytest.raises(InputError, match="compressed"):
        TorchFile(tmp_path / "bomb.pth")
    claimed = (10**9).to_bytes(4, "little")
    whole = archive(tmp_path / "c.pth", with_tensor("4", "1")).read_bytes()
    lying = whole.replace((16).to_bytes(4, "little") * 2, claimed * 2)
    assert lying != whole
    (tmp_path / "lying.pth").write_bytes(lying)
    with pytest.raises(InputError, match="claim more bytes"):
        TorchFile(tmp_path / "lying.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(saved, "a") as file:
            file.writestr("c/data.pkl", b"\x80\x02N.")
    with pytest.raises(InputError, match="one name"):
        TorchFile(saved)
    with pytest.raises(InputError, match="longer than"):
        TorchFile(archive(tmp_path / "c.pth", b"\x80\x02X" + struct.pack("<I", 2**23) + bytes(2**23) + b"."))
    with pytest.raises(InputError, match="byte order"):
        TorchFile(archive(tmp_path / "c.pth", b"\x80\x02N.", byteorder=b"big"))


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.pth"
    torch.save(CONTENT, file, _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=r"before 1\.6 must be saved anew"):
        TorchFile(file)
    with zipfile.ZipFile(file, "w") as empty:
        empty.writestr("readme", "nothing")
    with pytest.raises(InputError, match="holds 0 pickles"):
        TorchFile(file)
    file.write_bytes(b"")
    with pytest.raises(InputError, match="no archive"):
        TorchFile(file)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read_right(data: st.DataObject, saved: Path, tmp_path: Path) -> None:
    whole = bytearray(saved.read_bytes())
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    for _ in range(data.draw(st.integers(1, 4))):
        if whole:
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(whole)
    try:
        file = TorchFile(damaged)
        found = file.tensors(file.content["model"])
    except InputError:
        return
    tiny.assert_identical(found, dict(CONTENT["model"]))
    assert file.content["epoch"] == 399


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mutated_pickle_is_refused_or_harmless(data: st.DataObject, tmp_path: Path) -> None:
    content = BytesIO()
    torch.save(CONTENT, content)
    with zipfile.ZipFile(content) as file:
        pickled = bytearray(file.read(next(name for name in file.namelist() if name.endswith("data.pkl"))))
    for _ in range(data.draw(st.integers(1, 6))):
        pickled[data.draw(st.integers(0, len(pickled) - 1))] = data.draw(st.integers(0, 255))
    path = archive(tmp_path / "c.pth", bytes(pickled), bytes(24))
    with suppress(InputError):
        content = TorchFile(path).content
        if isinstance(content, dict) and isinstance(content.get("model"), dict):
            tensors = TorchFile(path).tensors(content["model"])
            assert sum(weight.nbytes for weight in tensors.values()) <= path.stat().st_size
