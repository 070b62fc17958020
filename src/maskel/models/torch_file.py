"""Reader of files written by ``torch.save``: runs nothing that stands in them, in bounded memory.

`torch.load` with ``weights_only=True`` is meant to run no foreign code either, but before PyTorch 2.10 a crafted file
can corrupt memory (CVE-2026-24747); it makes tensors as large as the file claims and does not notice damaged weights.
Here the pickle is interpreted, not unpickled: it may hold plain values, ordered dictionaries, argument namespaces and
tensors, in at most 4 MiB and 50,000 values. Every entry of the archive must be stored as it is, and each tensor must
fill one, so that tensors never take more memory than the file has bytes; the archive's checksums are checked.
"""

import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from maskel.errors import InputError
from maskel.files import damaged_as, one_line, open_archive, open_regular
from maskel.pickles import Allowed, Function, interpret

_MAX_PICKLE = 4 * 2**20
_PROTOCOL = b"\x80\x02"  # the one that torch.save writes, as a pickle begins with it

_DTYPES = {
    f"{name}Storage": dtype
    for name, dtype in {
        "Float": torch.float32,
        "Double": torch.float64,
        "Half": torch.float16,
        "BFloat16": torch.bfloat16,
        "Long": torch.int64,
        "Int": torch.int32,
        "Short": torch.int16,
        "Char": torch.int8,
        "Byte": torch.uint8,
        "Bool": torch.bool,
    }.items()
}


class _Storage(NamedTuple):
    """Bytes of a tensor as the pickle names them."""

    kind: Any
    dtype: Any
    key: Any
    device: Any
    count: Any


class _Claim(NamedTuple):
    """Tensor as the pickle describes it; nothing of it is checked or read yet."""

    storage: Any
    offset: Any
    shape: Any
    stride: Any


_ALLOWED = Allowed(
    names={
        **{f"torch {name}": dtype for name, dtype in _DTYPES.items()},
        "argparse Namespace": Function(lambda: SimpleNamespace()),
        "collections OrderedDict": Function(lambda: {}),
        # further arguments say nothing about the weights
        "torch._utils _rebuild_tensor_v2": Function(lambda *arguments: _Claim(*arguments[:4])),
    },
    states={
        SimpleNamespace: lambda space, state: vars(space).update({str(key): value for key, value in state.items()}),
        dict: lambda dictionary, state: None,  # an ordered dictionary's attributes say nothing about the weights
    },
    identity=lambda storage: _Storage(*storage),
)


class TorchFile:
    """File of ``torch.save``: plain values are read at once, tensors on request.

    Args:
        path: The file.

    Attributes:
        content: Saved object. Tensors are stand-ins for `tensors`; an ``argparse.Namespace`` is a
            ``types.SimpleNamespace``.

    Raises:
        InputError: If it is not a whole file of ``torch.save``, or holds anything but tensors and plain values.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with damaged_as(self._refusal):
            with open_regular(path):
                pass
            if not zipfile.is_zipfile(path):
                raise ValueError("it is no archive; a file from PyTorch before 1.6 must be saved anew by a later one")
            with open_archive(path) as archive:
                self._entries = {entry.filename: entry for entry in archive.infolist()}
                self._require_plain(archive)
                pickles = [name for name in self._entries if name.endswith("/data.pkl")]
                if len(pickles) != 1:
                    raise ValueError(f"it holds {len(pickles)} pickles, expected one")
                (pickled,) = pickles
                self._folder = pickled.removesuffix("data.pkl")
                if self._entries[pickled].file_size > _MAX_PICKLE:
                    raise ValueError(f"its pickle is longer than {_MAX_PICKLE} bytes")
                order = f"{self._folder}byteorder"
                if order in self._entries and archive.read(order) != b"little":
                    raise ValueError("it was written on a machine of another byte order")
                text = archive.read(pickled)
            if not text.startswith(_PROTOCOL):
                raise ValueError("its pickle is not of protocol 2, which torch.save writes")
            self.content = interpret(BytesIO(text), len(text), _ALLOWED)

    def tensors(self, claims: Mapping[Any, Any]) -> dict[str, Tensor]:
        """Read the tensors that the dictionary ``claims`` of the content stands for.

        Raises:
            InputError: If it holds anything else, a tensor does not fill its part of the file, or the file is damaged.
        """
        with damaged_as(self._refusal), open_archive(self.path) as archive:
            read: set[str] = set()
            return {name: self._tensor(archive, name, claim, read) for name, claim in claims.items()}

    def _require_plain(self, archive: zipfile.ZipFile) -> None:
        if len(self._entries) != len(archive.infolist()):
            raise ValueError("two entries have one name")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in self._entries.values()):
            raise ValueError("an entry is compressed, which torch.save never does")
        if sum(entry.file_size for entry in self._entries.values()) > self.path.stat().st_size:
            raise ValueError("its entries claim more bytes than the file has")

    def _tensor(self, archive: zipfile.ZipFile, name: object, claim: object, read: set[str]) -> Tensor:
        if not isinstance(name, str) or not isinstance(claim, _Claim):
            raise ValueError(f"expected tensors by name, found {type(claim).__name__} under {name!r:.80}")
        storage = claim.storage
        if not isinstance(storage, _Storage) or storage.kind != "storage" or not isinstance(storage.dtype, torch.dtype):
            raise ValueError(f"{name} has no bytes")
        _, dtype, key, _, count = storage
        if not isinstance(key, str) or key in read:
            raise ValueError(f"{name} has no bytes of its own")
        read.add(key)
        if len(claim.shape) > 8 or not all(type(length) is int and length >= 0 for length in claim.shape):
            raise ValueError(f"{name} has an impossible shape")
        strides: list[int] = []
        numbers = 1
        for length in reversed(claim.shape):
            strides.insert(0, numbers)
            numbers *= length
        plain = all(
            length <= 1 or stride == whole
            for length, stride, whole in zip(claim.shape, claim.stride, strides, strict=True)
        )
        entry = self._entries[f"{self._folder}data/{key}"]
        if not plain or claim.offset != 0 or not numbers == count == entry.file_size / dtype.itemsize:
            raise ValueError(
                f"{name} claims {numbers} numbers of shape {claim.shape!r:.80}, which the file does not hold"
            )
        if not numbers:
            return torch.empty(claim.shape, dtype=dtype)
        return torch.frombuffer(bytearray(archive.read(entry)), dtype=dtype).view(claim.shape)

    def _refusal(self, fault: Exception) -> InputError:
        what = "not a whole file of torch.save with tensors and plain values only"
        return InputError(f"{self.path}: {what} ({one_line(fault)})")


def is_torch_file(path: Path) -> bool:
    """Return True if a file's ending or first bytes are those of ``torch.save``."""
    if not path.is_file():  # a pipe would have to be waited for
        return path.suffix in (".pth", ".pt")
    with path.open("rb") as file:
        return path.suffix in (".pth", ".pt") or file.read(4) == b"PK\x03\x04"
