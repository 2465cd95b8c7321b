"""The machine: which device, how many processes, what precision, how much memory."""

import os
import platform
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate import PartialState  # type: ignore[import-untyped]

from curation.errors import RecipeError
from curation.results import Device


class Precision(NamedTuple):
    """A resolved precision."""

    name: str
    """fp32, bf16 or fp16."""

    @property
    def autocast(self) -> torch.dtype | None:
        """Type of matrix products, None for fp32."""
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.name)


def resolve_precision(asked: str) -> Precision:
    """Returns what "auto" means here, or what was asked for.

    Raises:
        RecipeError: fp16 without a CUDA device.
    """
    cuda = torch.cuda.is_available()
    if asked == "fp16" and not cuda:
        raise RecipeError(
            "training.precision fp16 needs a CUDA device, here is none; use auto, bf16 or fp32"
        )
    if asked == "auto":
        return Precision("bf16" if cuda and torch.cuda.is_bf16_supported() else "fp32")
    return Precision(asked)


def join_processes() -> PartialState:
    """Joins the processes of a torchrun, or finds this one alone.

    Other accelerators than CUDA are left aside: results must not depend on which laptop it is.
    """
    cpu = not torch.cuda.is_available()
    together = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return PartialState(cpu=cpu, **({"backend": "gloo"} if cpu and together else {}))


def make_deterministic() -> None:
    """Makes torch take the algorithms that give the same bits each time, where it has them."""
    torch.use_deterministic_algorithms(mode=True, warn_only=True)


def describe_device(precision: str) -> Device:
    """Returns where this runs; `precision` is what the job asked for."""
    cuda = torch.cuda.is_available()
    return Device(
        kind="cuda" if cuda else "cpu",
        name=torch.cuda.get_device_name() if cuda else _cpu_name(),
        count=PartialState().num_processes,
        threads=torch.get_num_threads(),
        precision=resolve_precision(precision).name,
    )


def peak_rss_bytes() -> int:
    """Returns the most memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def peak_cuda_bytes() -> int | None:
    """Returns the most device memory that tensors have held; None without CUDA."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def _cpu_name() -> str:
    """Returns the model of the processor where Linux tells it, else its architecture."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
