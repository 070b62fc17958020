"""Reads files written by ``torch.save`` without running anything that stands in them, in bounded memory.

`torch.load` with ``weights_only=True`` runs no foreign code either, but it makes tensors as large as the file claims
and does not notice damaged weights. Here the pickle is interpreted, not unpickled: it may hold plain values, ordered
dictionaries, argument namespaces and tensors, in at most 4 MiB and 50,000 operations. Every entry of the archive must
be stored as it is, and each tensor must fill one, so that tensors never take more memory than the file has bytes; the
archive's checksums are checked.
"""

import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from maskel.errors import InputError

_MAX_PICKLE = 4 * 2**20
_MAX_OPERATIONS = 50_000

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

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_NUMBERS_AND_TEXT = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE")
_NAMESPACE, _DICTIONARY, _TENSOR = (
    "argparse Namespace",
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
)

_DAMAGE = (
    zipfile.BadZipFile,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What Python raises on bytes that are no whole archive or no whole pickle."""


class _Claim(NamedTuple):
    """A tensor as the pickle describes it; nothing of it is checked or read yet."""

    storage: Any
    offset: Any
    shape: Any
    stride: Any


class TorchFile:
    """A file of ``torch.save``: its plain values at once, its tensors when asked for.

    Args:
        path: The file.

    Attributes:
        content: What was saved. Tensors are stand-ins for `tensors`; an ``argparse.Namespace`` is a
            ``types.SimpleNamespace``.

    Raises:
        InputError: If it is not a whole file of ``torch.save``, or holds anything but tensors and plain values.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if not zipfile.is_zipfile(path):
                raise ValueError("it is no archive; a file from PyTorch before 1.6 must be saved anew by a later one")
            with zipfile.ZipFile(path) as archive:
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
            self.content = _interpret(text)
        except _DAMAGE as fault:
            raise self._refusal(fault) from fault

    def tensors(self, claims: Mapping[Any, Any]) -> dict[str, Tensor]:
        """The tensors that the dictionary ``claims`` of the content stands for.

        Raises:
            InputError: If it holds anything else, a tensor does not fill its part of the file, or the file is damaged.
        """
        try:
            with zipfile.ZipFile(self.path) as archive:
                read: set[str] = set()
                return {name: self._tensor(archive, name, claim, read) for name, claim in claims.items()}
        except _DAMAGE as fault:
            raise self._refusal(fault) from fault

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
        kind, dtype, key, _, count = claim.storage
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(key, str) or key in read:
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
        reason = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
        return InputError(f"{self.path}: not a whole file of torch.save with tensors and plain values only ({reason})")


def is_torch_file(path: Path) -> bool:
    """Whether a file is meant to be one of ``torch.save``, by its ending or its first bytes."""
    with path.open("rb") as file:
        return path.suffix in (".pth", ".pt") or file.read(4) == b"PK\x03\x04"


def _interpret(text: bytes) -> Any:
    """What a pickle of protocol 2 describes, as `torch.save` writes it; nothing is imported or called.

    Raises:
        ValueError: If it does anything that a checkpoint has no need of.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memory: dict[Any, Any] = {}

    def since_mark() -> list[Any]:
        start = marks.pop()
        if start < 0:
            raise ValueError("it takes more values than there are")
        items = stack[start:]
        del stack[start:]
        return items

    for number, (operation, argument, _) in enumerate(pickletools.genops(text)):
        if number == _MAX_OPERATIONS:
            raise ValueError(f"its pickle is longer than {_MAX_OPERATIONS} operations")
        match operation.name:
            case "PROTO" | "BINPERSID":  # a storage stays the tuple that describes it
                pass
            case name if name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            case name if name in _NUMBERS_AND_TEXT:
                stack.append(argument)
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "MARK":
                marks.append(len(stack))
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                marks.append(len(stack) - int(operation.name[-1]))
                stack.append(tuple(since_mark()))
            case "APPEND":
                marks.append(len(stack) - 1)
                _extend(stack, since_mark())
            case "APPENDS":
                _extend(stack, since_mark())
            case "SETITEM":
                marks.append(len(stack) - 2)
                _set_items(stack, since_mark())
            case "SETITEMS":
                _set_items(stack, since_mark())
            case "BINPUT" | "LONG_BINPUT":
                memory[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memory[argument])
            case "GLOBAL":
                stack.append(_named(str(argument)))
            case "NEWOBJ" | "REDUCE":
                arguments = stack.pop()
                stack.append(_made(stack.pop(), arguments))
            case "BUILD":
                state = stack.pop()
                if isinstance(stack[-1], SimpleNamespace):
                    vars(stack[-1]).update({str(key): value for key, value in state.items()})
                elif type(stack[-1]) is not dict:  # an ordered dictionary's attributes say nothing about the weights
                    raise ValueError("it sets the state of something that has none")
            case "STOP":
                (content,) = stack
                return content
            case _:
                raise ValueError(f"its pickle does {operation.name}, which torch.save does not")
    raise ValueError("its pickle has no end")


class _Name(NamedTuple):
    """One of the three names that may be called; what that means stands in `_made`."""

    name: str


def _named(name: str) -> Any:
    if name.startswith("torch ") and name.removeprefix("torch ") in _DTYPES:
        return _DTYPES[name.removeprefix("torch ")]
    if name not in (_NAMESPACE, _DICTIONARY, _TENSOR):
        raise ValueError(f"it asks for {name:.80}, which is refused")
    return _Name(name)


def _made(name: Any, arguments: Any) -> Any:
    if name == _Name(_NAMESPACE) and arguments == ():
        return SimpleNamespace()
    if name == _Name(_DICTIONARY) and arguments == ():
        return {}
    if name == _Name(_TENSOR):
        return _Claim(*arguments[:4])
    raise ValueError("it calls something else than a tensor, a dictionary or a namespace")


def _extend(stack: list[Any], items: list[Any]) -> None:
    if type(stack[-1]) is not list:
        raise ValueError("it appends to something that is not a list")
    stack[-1].extend(items)


def _set_items(stack: list[Any], items: list[Any]) -> None:
    if type(stack[-1]) is not dict or not all(type(key) in (str, int) for key in items[::2]):
        raise ValueError("it sets items of something that is not a dictionary of names or numbers")
    stack[-1].update(zip(items[::2], items[1::2], strict=True))
