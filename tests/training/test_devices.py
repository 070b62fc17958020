"""Which device and which kind of exchange a process takes on a machine with GPUs; the GPUs are pretended."""

from typing import Any

import pytest
import torch
from torch import distributed as processes

from maskel import distributed
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.sequence import move
from maskel.training import loading
from maskel.training.machine import provenance


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """The devices that were made this process's own, on a machine with two GPUs."""
    found: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", found.append)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.mark.parametrize(("device", "local", "number"), [("auto", 0, 0), ("cuda", 1, 1), ("cuda:1", 0, 1)])
def test_each_process_takes_a_gpu_of_its_own(
    device: str, local: int, number: int, chosen: list[torch.device], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", str(local))
    assert distributed.start(device).device == torch.device("cuda", number)
    assert chosen == [torch.device("cuda", number)]


@pytest.mark.parametrize(
    ("device", "local", "size", "message"),
    [
        ("cuda:2", 0, 1, "device cuda:2: PyTorch finds 2 GPUs"),
        ("cuda", 2, 3, "device cuda:2: .* start at most 2 processes on this machine"),
        ("cuda:0", 1, 2, "device cuda:0: several processes cannot share it"),
    ],
)
def test_a_gpu_that_is_not_there_or_would_be_shared_is_refused(
    device: str, local: int, size: int, message: str, chosen: list[torch.device], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", str(local))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(size))
    with pytest.raises(InputError, match=message):
        distributed.start(device)
    assert chosen == []


def test_processes_on_gpus_exchange_over_nccl_and_meet_on_their_own(
    chosen: list[torch.device], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(processes, "init_process_group", lambda backend, **options: asked.append(backend))
    distributed.start("cuda")
    monkeypatch.setattr(processes, "is_initialized", lambda: True)
    monkeypatch.setattr(processes, "get_backend", lambda: asked[0])
    monkeypatch.setattr(torch.cuda, "current_device", lambda: chosen[0].index)
    monkeypatch.setattr(processes, "barrier", lambda device_ids: asked.append(device_ids))
    distributed.barrier()
    assert asked == ["nccl", [1]]


def test_a_run_on_the_cpu_does_not_name_a_gpu(chosen: list[torch.device], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    assert provenance()["hardware"]["device"] != "a GPU"
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert provenance()["hardware"]["device"] == "a GPU"


@pytest.mark.parametrize(
    ("resident", "device", "free", "kept"),
    [
        ("auto", "cuda", 10, True),
        ("auto", "cuda", 9.9, False),
        ("auto", "cpu", 10, False),
        (True, "cuda", 0, True),
        (True, "cpu", 0, True),
        (False, "cuda", 10, False),
    ],
)
def test_a_set_is_kept_where_it_takes_a_tenth_of_what_is_free(
    resident: loading.Resident,
    device: str,
    free: float,
    kept: bool,
    tiny_set: SkeletonSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copied: list[torch.device] = []
    monkeypatch.setattr(SkeletonSet, "keep_on", lambda self, device: copied.append(device))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(free * tiny_set.joint_bytes), 0))
    assert loading.keep_resident(tiny_set, torch.device(device), resident) is kept
    assert copied == [torch.device(device)] * kept


class OnGPU(torch.Tensor):
    """Pretends to be on a GPU."""

    device = torch.device("cuda")  # type: ignore[assignment]


def test_only_a_copy_to_a_gpu_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: asked.append("pinned") or tensor)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device, non_blocking: asked.append(non_blocking) or tensor)
    move(torch.ones(1), torch.device("cuda"))
    move(torch.ones(1).as_subclass(OnGPU), torch.device("cuda"))
    move(torch.ones(1).as_subclass(OnGPU), torch.device("cpu"))  # else read before its values are there
    assert asked == ["pinned", True, True, False]
