"""Device, precision, threads and seeds."""

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch

from lstmcli.config import RunConfig
from lstmcli.engine import memory
from lstmcli.errors import RuntimeSetupError

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
SHARED = 1024  # tokens of a step that more than one processor is worth while for


@dataclass(frozen=True)
class Runtime:
    """Where and in which precision a model runs."""

    device: str
    dtype: torch.dtype

    def autocast(self) -> AbstractContextManager[object]:
        """Products, and on a CPU LSTM kernels, in bfloat16 where that was chosen; losses stay float32."""
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.dtype is torch.bfloat16)


def prepare(config: RunConfig, *, training: bool = False) -> Runtime:
    """Set memory, threads and seeds, and choose device and precision.

    Raises:
        RuntimeSetupError: the device is not there.
    """
    memory.keep(shared=training and memory.large(config))
    torch.set_num_threads(config.threads or granted_threads())
    torch.manual_seed(config.seed)
    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda"):
        number = int(device.partition(":")[2] or 0)
        if number >= torch.cuda.device_count():
            count = torch.cuda.device_count() or "no"
            raise RuntimeSetupError(f"there are {count} CUDA devices", where=f"--device {device}", fix="--device cpu")
    if config.precision == "auto":
        return Runtime(device, torch.bfloat16 if fast_bfloat16(device) else torch.float32)
    return Runtime(device, getattr(torch, config.precision))


def granted_threads() -> int:
    """Processors that this process may use: its affinity, and a container's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if CPU_QUOTA.is_file():
        quota, _, period = CPU_QUOTA.read_text().partition(" ")
        if quota != "max":
            count = min(count, max(1, round(int(quota) / int(period))))
    return count


def step_threads(config: RunConfig) -> int | None:
    """Processors that share a training step, none: all. To hand a few hundred words around costs more than it saves.

    A step of a language model, which scores thousands of words for each, is never so small.
    """
    small = config.task != "model_language" and config.episodes is None and config.train.batch_tokens < SHARED
    return 1 if small else None


def fast_bfloat16(device: str) -> bool:
    """True on new GPUs, and on a CPU with AMX or AVX-512 BF16, where the fused LSTM runs at twice its float32 speed."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return any(getattr(torch.cpu, name, bool)() for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
