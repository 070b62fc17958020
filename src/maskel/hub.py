"""Models on the Hugging Face Hub: ``hf://user/name[@revision]`` wherever a path of one is taken.

Only files of known names are fetched. Each is held against its limit before it is downloaded, and against size and hash
that the Hub names afterwards. They lie in the cache of huggingface_hub, and its settings apply: ``HF_HOME``,
``HF_HUB_OFFLINE``, ``HF_ENDPOINT``.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskel.console import notify
from maskel.errors import InputError
from maskel.files import MOST_BYTES, MOST_YAML_BYTES, described, one_line, open_regular
from maskel.shipped import is_shipped, shipped
from maskel.version import __version__

ENCODER = "encoder.safetensors"
CLASSIFIER = "classifier.safetensors"
CONFIG = "config.yaml"
RESULT = "result.json"
MOST_WEIGHTS = 2 << 30
"""Bytes of a file of weights; those of MAMP as published take 24 MB."""
_LIMITS = {CONFIG: MOST_YAML_BYTES, RESULT: MOST_BYTES}
"""Files that are fetched beside the weights, where they are there; before them, so that weights come last."""

_PREFIX = "hf:/"  # a path joins the two slashes
_REFERENCE = re.compile(r"hf:/{1,2}(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>\w[\w./-]*))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT = 20.0  # seconds for an answer of the Hub


@dataclass(frozen=True)
class Reference:
    """A model on the Hub.

    Args:
        repo: Its name, ``user/name``.
        revision: A branch, a tag or a commit.
    """

    repo: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"hf://{self.repo}" + ("" if self.revision == "main" else f"@{self.revision}")

    @classmethod
    def read(cls, text: Path | str) -> "Reference":
        """Read ``hf://user/name`` or ``hf://user/name@revision``.

        Raises:
            InputError: If it is neither.

        Examples:
            >>> Reference.read("hf://user/name@v1")
            Reference(repo='user/name', revision='v1')
        """
        found = _REFERENCE.fullmatch(_posix(text))
        if found is None or ".." in _posix(text):
            raise InputError(f"{spelt(text)}: expected hf://user/name or hf://user/name@revision")
        return cls(found["repo"], found["revision"] or "main")


def is_reference(path: Path | str) -> bool:
    """Return True for the name of a model on the Hub, in place of a path.

    Examples:
        >>> is_reference("hf://user/name"), is_reference("runs/pretrain-001")
        (True, False)
    """
    return _posix(path).startswith(_PREFIX)


def spelt(path: Path | str) -> str:
    """Return a path as text; of a reference both slashes, which a path joins.

    Examples:
        >>> spelt(Path("hf://user/name"))
        'hf://user/name'
    """
    return re.sub(r"^hf:/{1,2}", "hf://", _posix(path)) if is_reference(path) else str(path)


def fetched(path: Path | str, *weights: str) -> Path:
    """Return a path as it is; for a reference, or an encoder that comes with maskel, the folder with the files.

    Args:
        path: A path, a reference, or the name of an encoder that comes with maskel.
        weights: File names; the first that the model has is fetched, with options and result of its run.

    Raises:
        InputError: If there is no such model, it has no such file, a file is too large or not what the Hub says, or
            neither the Hub nor the cache can give it; if the name of an encoder that comes with maskel is also a path.
    """
    if is_shipped(path) and ENCODER in weights:
        return shipped(path, ENCODER)
    return _fetch(Reference.read(path), weights) if is_reference(path) else Path(path)


def pinned(path: Path, weights: str) -> Path:
    """Return a path as it is; a reference with the commit that it stands for now, once its files are fetched.

    Raises:
        InputError: As `fetched`.
    """
    if not is_reference(path):
        return path
    reference = Reference.read(path)
    return Path(str(Reference(reference.repo, _fetch(reference, (weights,)).name)))


def cached(path: Path | str) -> Path:
    """Return a path as it is; for a reference, the folder of the cache that `fetched` has filled.

    The Hub is not called. What is not in the cache is not found in the folder. An encoder that comes with maskel has a
    folder of its own.
    """
    if is_shipped(path):
        return shipped(path, ENCODER)
    if not is_reference(path):
        return Path(path)
    reference = Reference.read(path)
    return _in_cache(_library(), reference, (ENCODER, CLASSIFIER)) or Path(spelt(path))


def upload(repo: str, files: Mapping[str, bytes], message: str, private: bool = False) -> Reference:
    """Put files into a model on the Hub, in one commit; the model is made where there is none.

    Args:
        repo: Its name, ``user/name``.
        files: Name -> content.
        message: Of the commit.
        private: Make a model that only its owner sees.

    Returns:
        The commit.

    Raises:
        InputError: If the model holds weights of another kind or is public against the wish, or the Hub cannot be
            reached or refuses.
    """
    hub = _library()
    api = hub.HfApi(library_name="maskel", library_version=__version__)
    additions = [hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in files.items()]
    with _quiet(hub):
        try:
            api.create_repo(repo, private=private or None, exist_ok=True)
            about = api.model_info(repo, timeout=_TIMEOUT)
            others = {ENCODER, CLASSIFIER} & {entry.rfilename for entry in about.siblings or []} - files.keys()
            if others:
                raise InputError(f"{repo} holds {min(others)} of another run; choose another name, or remove it there")
            if private and not about.private:
                raise InputError(f"{repo} exists and is public; make it private on the Hub, or choose another name")
            commit = api.create_commit(repo, additions, commit_message=message)
        except InputError:
            raise
        except hub.errors.OfflineModeIsEnabled as fault:
            raise InputError(f"{repo}: nothing is sent, as HF_HUB_OFFLINE is set") from fault
        except Exception as fault:  # of the network, in the classes of the library that it is reached by
            status = getattr(getattr(fault, "response", None), "status_code", None)
            login = "; log in with a token that may write there (hf auth login)" if status in (401, 403) else ""
            why = "; ".join(one_line(each) for each in (fault, fault.__cause__) if isinstance(each, Exception))
            raise InputError(f"{repo}: the Hub did not take it ({why}){login}") from fault
    return Reference(repo, commit.oid)


def _fetch(reference: Reference, weights: tuple[str, ...]) -> Path:
    """Fetch a model's files, or find them in the cache; return their folder, whose name is the commit."""
    hub = _library()
    if _COMMIT.fullmatch(reference.revision) and (folder := _in_cache(hub, reference, weights)):
        return folder  # a commit never changes
    api = hub.HfApi(library_name="maskel", library_version=__version__)
    try:
        about = api.model_info(reference.repo, revision=reference.revision, files_metadata=True, timeout=_TIMEOUT)
    except hub.errors.GatedRepoError as fault:
        raise InputError(
            f"{reference}: its owner grants access on the Hub, and you have none; ask for it there, then log in "
            "(hf auth login)"
        ) from fault
    except (hub.errors.RepositoryNotFoundError, hub.errors.RevisionNotFoundError) as fault:
        what = "revision" if isinstance(fault, hub.errors.RevisionNotFoundError) else "model"
        raise InputError(
            f"{reference}: the Hub shows no such {what}; check the name, and log in for a private one (hf auth login)"
        ) from fault
    except Exception as fault:  # noqa: BLE001 (of the network, in the classes of the library that it is reached by)
        return _without_hub(hub, reference, weights, fault)
    present = {entry.rfilename: entry for entry in about.siblings or []}
    name = next((name for name in weights if name in present), None)
    if name is None or not _COMMIT.fullmatch(about.sha or ""):
        found = ", ".join(described(other) for other in list(present)[:5]) or "no file"
        raise InputError(f"{reference}: found {found}, expected {' or '.join(weights)}, as maskel push leaves it")
    exact = Reference(reference.repo, about.sha)
    for wanted in filter(present.__contains__, _LIMITS):
        _download(hub, api, exact, exact.revision, present[wanted], _LIMITS[wanted])
    # by the name as given, so that the cache knows what it stood for
    folder = _download(hub, api, exact, reference.revision, present[name], MOST_WEIGHTS).parent
    if folder.name != exact.revision:
        raise InputError(f"{reference}: it was changed while it was fetched; try again")
    return folder


def _download(hub: Any, api: Any, exact: Reference, revision: str, entry: Any, most: int) -> Path:
    """Download a file, unless it is in the cache, and compare it with what the Hub says of it."""
    name, size = entry.rfilename, entry.size
    if type(size) is not int or not 0 <= size <= most:
        raise InputError(f"{exact}: {name} has {described(size)} bytes, expected {most:,} at most; it is not fetched")
    if not isinstance(hub.try_to_load_from_cache(exact.repo, name, revision=exact.revision), str):
        notify(f"{exact}: fetching {name}, {size:,} bytes")
    try:
        with _quiet(hub):
            file = Path(api.hf_hub_download(exact.repo, name, revision=revision))
    except Exception as fault:
        raise InputError(f"{exact}: {name} cannot be fetched ({one_line(fault)}); try again") from fault
    _compare(exact, file, size, str(entry.lfs.sha256 if entry.lfs else entry.blob_id))
    return file


@contextmanager
def _quiet(hub: Any) -> Iterator[None]:
    """Show no bars of the library: a line says what is fetched."""
    hidden = hub.utils.are_progress_bars_disabled()
    try:
        if not hidden:
            hub.utils.disable_progress_bars()
        yield
    finally:
        if not hidden:
            hub.utils.enable_progress_bars()


def _without_hub(hub: Any, reference: Reference, weights: tuple[str, ...], fault: Exception) -> Path:
    """Return the folder of the cache where the Hub cannot be reached; a line says so, unless that is wished for."""
    offline = isinstance(fault, hub.errors.OfflineModeIsEnabled)
    why = "HF_HUB_OFFLINE is set" if offline else f"the Hub cannot be reached ({one_line(fault, 120)})"
    folder = _in_cache(hub, reference, weights)
    if folder is None:
        raise InputError(f"{reference}: {why}, and the cache has no {' or '.join(weights)} of it") from fault
    if not offline:
        notify(f"{reference}: {why}; the copy in the cache is used, of commit {folder.name}")
    return folder


def _in_cache(hub: Any, reference: Reference, weights: tuple[str, ...]) -> Path | None:
    """Return the folder of the cache with a model's weights, if they are there and whole."""
    for name in weights:
        found = hub.try_to_load_from_cache(reference.repo, name, revision=reference.revision)
        if isinstance(found, str) and Path(found).is_file():
            folder = Path(found).parent
            for file in (folder / other for other in (*_LIMITS, name) if (folder / other).is_file()):
                _compare(reference, file, None, file.resolve().name)
            return folder
    return None


def _compare(reference: Reference, file: Path, size: int | None, expected: str) -> None:
    """Refuse a file that is not what the Hub says: by its SHA-256, or for small files by their hash in git."""
    with open_regular(file) as content:
        found = os.fstat(content.fileno()).st_size
        alike = size in (None, found)
        if alike and re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", expected):  # a cache without links keeps no hash
            digest = hashlib.sha256() if len(expected) == 64 else hashlib.sha1(usedforsecurity=False)
            digest.update(b"" if len(expected) == 64 else b"blob %d\0" % found)
            alike = hashlib.file_digest(content, lambda: digest).hexdigest() == expected
    if not alike:
        raise InputError(
            f"{reference}: {file.name} has {found:,} bytes and is not what the Hub says, by size or hash; remove "
            f"{file.resolve()} and fetch it again"
        )


def _library() -> Any:
    """Import huggingface_hub, or say how to install it."""
    try:
        import huggingface_hub
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as fault:
        raise InputError(
            f"{fault.name} is not installed, which hf:// needs; install it with: pip install 'maskel[hub]'"
        ) from fault
    return huggingface_hub


def _posix(path: Path | str) -> str:
    return path.as_posix() if isinstance(path, Path) else path
