"""Device, precision, threads and seeds. Imports no torch at its top: a process that only scores texts may need none."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from lstmcli import registry
from lstmcli.config import RunConfig
from lstmcli.errors import RuntimeSetupError

if TYPE_CHECKING:
    import torch

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
SHARED = 1024  # tokens of a step from which on a second processor pays
SET_BY_LIBRARIES = ("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "TORCHINDUCTOR_CACHE_DIR")  # of the environment
DRIVER = Path("/dev/nvidiactl")  # of a CUDA device
_TURN = RLock()  # held by the thread that may change the state of the process
_open: list[ExitStack] = []  # the ``unchanged`` blocks that do not restore torch yet, since it was not loaded


@dataclass(frozen=True)
class Runtime:
    """Where and in which precision a model runs."""

    device: str
    dtype: "torch.dtype"

    def autocast(self) -> AbstractContextManager[object]:
        """Products, and on a CPU LSTM kernels, in bfloat16 where that was chosen; losses stay float32."""
        import torch

        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.dtype is torch.bfloat16)


def prepare(config: RunConfig) -> Runtime:
    """Set threads and seeds, and choose device and precision.

    Raises:
        RuntimeSetupError: the device is not available, or it does not run the precision.
    """
    import torch

    _remember(config)
    torch.set_num_threads(config.threads or available_threads())
    device = _device(config)
    torch.default_generator.manual_seed(config.seed)
    if device.startswith("cuda"):
        number = int(device.partition(":")[2] or 0)
        if number >= torch.cuda.device_count():
            count = torch.cuda.device_count() or "no"
            raise RuntimeSetupError(f"there are {count} CUDA devices", where=f"--device {device}", fix="--device cpu")
        torch.cuda.manual_seed_all(config.seed)
    if config.precision == "bfloat16" and not runs_bfloat16(device):
        fix = "--precision float32, or --precision auto, which chooses by the device"
        raise RuntimeSetupError("the device runs no LSTM in bfloat16", where=f"precision=bfloat16 on {device}", fix=fix)
    return Runtime(device, best_precision(device) if config.precision == "auto" else getattr(torch, config.precision))


def _device(config: RunConfig) -> str:
    import torch

    if config.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return config.device


def may_be_cuda(config: RunConfig) -> bool:
    """Return False where the device is certainly the CPU, for which torch is not loaded."""
    if config.device != "auto":
        return config.device.startswith("cuda")
    return (DRIVER.exists() or shutil.which("nvidia-smi") is not None) and _device(config) != "cpu"


@contextmanager
def unchanged(config: RunConfig) -> Iterator[None]:
    """Restore torch's random state and thread count at the end of the ``with`` block, and what libraries set in the
    environment.

    They belong to the process, so threads of Python take turns: one is inside at a time.
    """
    with _TURN, ExitStack() as restoring:
        absent = [name for name in SET_BY_LIBRARIES if name not in os.environ]
        _open.append(restoring)
        try:
            if "torch" in sys.modules:
                _remember(config)
            yield
        finally:
            if restoring in _open:
                _open.remove(restoring)
            for name in absent:
                os.environ.pop(name, None)


def _remember(config: RunConfig) -> None:
    """Have the open ``unchanged`` blocks restore torch's state as it is now."""
    import torch

    devices = range(torch.cuda.device_count()) if _open and _device(config).startswith("cuda") else ()
    while _open:
        restoring = _open.pop()
        restoring.enter_context(torch.random.fork_rng(devices))
        restoring.callback(torch.set_num_threads, torch.get_num_threads())


def threads() -> int:
    """Threads for work without torch: as many as torch has now, where it is loaded."""
    loaded = sys.modules.get("torch")
    return available_threads() if loaded is None else int(loaded.get_num_threads())


def available_threads() -> int:
    """Processors that this process may use: its affinity, a container's quota, and OMP_NUM_THREADS."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if CPU_QUOTA.is_file():
        quota, _, period = CPU_QUOTA.read_text().partition(" ")
        if quota != "max":
            count = min(count, max(1, round(int(quota) / int(period))))
    requested = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]  # a list: one number per level of nesting
    return min(count, int(requested)) if requested.isdecimal() and int(requested) > 0 else count


def step_threads(config: RunConfig) -> int | None:
    """Processors per training step; None: all. For a few hundred words, distributing them costs more than it saves.

    A step of a language model, which scores thousands of words for each, is never so small.
    """
    small = (
        registry.task(config.task).READS != "stream" and config.episodes is None and config.train.batch_tokens < SHARED
    )
    return 1 if small else None


def best_precision(device: str) -> "torch.dtype":
    """Return bfloat16 where it is fast and the device runs it, else float32."""
    import torch

    return torch.bfloat16 if fast_bfloat16(device) and runs_bfloat16(device) else torch.float32


def fast_bfloat16(device: str) -> bool:
    """Return True on new GPUs, and on a CPU with AMX or AVX-512 BF16, where the fused LSTM runs at twice its float32
    speed."""
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return any(getattr(torch.cpu, name, bool)() for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))


@cache
def runs_bfloat16(device: str) -> bool:
    """Return whether an LSTM predicts and learns in bfloat16 on the device.

    Found by trying: oneDNN chooses one kernel for inference and others for training, and no flag of the processor
    shows which of them exist. Draws no random numbers.
    """
    import torch

    inputs, state = torch.ones(2, 3, 4, device=device), torch.zeros(1, 2, 8, device=device)
    shapes = ((32, 4), (32, 8), (32,), (32,))
    weights = [torch.ones(shape, device=device, requires_grad=True) for shape in shapes]
    try:
        for training in (False, True):
            with torch.inference_mode(not training), Runtime(device, torch.bfloat16).autocast():
                outputs, *_ = torch.lstm(inputs, (state, state), weights, True, 1, 0.0, training, False, True)
        torch.autograd.grad(outputs.float().sum(), weights)
    except RuntimeError:
        return False
    return True
