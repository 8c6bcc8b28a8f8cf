"""Data-parallel training: several processes take the same steps, each on its share of the texts of every batch.

All processes form the same batches. The gradient of a step is the mean over all texts of its batch, as in one process:

    g  =  Σ_r n_r g_r  /  Σ_r n_r

where g_r is the gradient of the mean loss of the n_r texts (of tagged text: words) of process r. The weights of all
processes are the same before the first step, and stay so. The learning curve is therefore that of one process, but for
rounding and random masks. Gradients are summed here once per step, not by ``DistributedDataParallel``: its hooks
overlap the sum with the backward pass, which is short, and would have to see all parameters used in every process,
though a share may be empty.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch import distributed as dist

from lstmcli.data.batches.ragged import Ints
from lstmcli.errors import ConfigError, RuntimeSetupError
from lstmcli.machine.place import Place
from lstmcli.types import Mean

Result = TypeVar("Result")
PATIENCE = timedelta(minutes=30)  # that a process waits for the others, as while the first evaluates


@dataclass(frozen=True)
class Group:
    """The processes of a run. device: of the tensors that they exchange."""

    place: Place = Place()  # noqa: RUF009 (frozen)
    device: str = "cpu"

    @property
    def several(self) -> bool:
        """True where there is more than one process."""
        return self.place.count > 1

    def share(self, lengths: Ints) -> Ints:
        """Return the indices of this process's texts of a batch: neighbours, with about the same number of tokens as
        those of each other process; there may be none. lengths: of all its texts, ``[text]``."""
        ends = lengths.cumsum()
        middles = ends - lengths / 2
        return np.flatnonzero((middles * self.place.count // max(1, ends[-1])) == self.place.rank)

    def seed(self, *parts: int) -> None:
        """Draw this process's random masks of a step by the seed of the run and the step: nothing else is needed to
        resume."""
        if self.several:
            torch.manual_seed(int(np.random.SeedSequence((*parts, self.place.rank)).generate_state(1)[0]))

    def mean(self, of_share: Mean) -> tuple[Tensor, float, int]:
        """Return what to differentiate, so that the sum of the gradients is that of the mean over all; that mean, and
        its count."""
        value, count = of_share.value, int(of_share.count)
        if not self.several:
            return value, value.item(), count
        totals = torch.tensor([count, count * value.item()], dtype=torch.float64)
        self.add_up(totals)
        total, weighted = totals.tolist()
        return value * (count / total), weighted / total, int(total)

    def add_up_gradients(self, model: nn.Module) -> None:
        """Sum the gradients of all processes, in place; a parameter that no process has used has none."""
        if not self.several:
            return
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        parts = [torch.zeros_like(one) if one.grad is None else one.grad for one in weights]
        used = torch.tensor([float(one.grad is not None) for one in weights], device=weights[0].device)
        flat = torch.cat([*(part.float().flatten() for part in parts), used])
        self.add_up(flat)
        *sums, counts = torch.split(flat, [one.numel() for one in (*weights, used)])
        for weight, part, count in zip(weights, sums, counts.tolist(), strict=True):
            weight.grad = part.view_as(weight).to(weight.dtype) if count else None

    def any(self, condition: bool) -> bool:
        """Return whether the condition holds in some process."""
        if not self.several:
            return condition
        asked = torch.tensor([float(condition)])
        self.add_up(asked)
        return bool(asked.item())

    def of_first(self, work: Callable[[], Result]) -> Result:
        """Return what the work returns in the first process, in all of them."""
        if not self.several:
            return work()
        found = [work() if self.place.is_first else None]
        with _explained(self.place):
            dist.broadcast_object_list(found, device=torch.device(self.device))
        return found[0]  # type: ignore[return-value]

    def begin(self, tensors: Sequence[Tensor], data: str) -> None:
        """Give all processes the weights of the first.

        Raises:
            ConfigError: they have not read the same data. data: its hash.
        """
        if not self.several:
            return
        known = self.of_first(lambda: data)
        if self.any(known != data):
            fix = "give each process the same files and the same recipe"
            raise ConfigError("the processes have read different data", where=_named(self.place), fix=fix)
        with _explained(self.place):
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def file(self, path: Path, load: Callable[[Path], Result]) -> Result:
        """Return what is loaded from a file that the first process has."""
        content = self.of_first(path.read_bytes) if self.several else b""
        if self.place.is_first:
            return load(path)
        with TemporaryDirectory(prefix="lstmcli-") as folder:
            copied = Path(folder) / path.name
            copied.write_bytes(content)
            return load(copied)

    def add_up(self, tensor: Tensor) -> None:
        """Sum a tensor over all processes, in place."""
        on_device = tensor.to(self.device)
        with _explained(self.place):
            dist.all_reduce(on_device)
        tensor.copy_(on_device)


ALONE = Group()


@contextmanager
def joined(place: Place, device: str) -> Iterator[Group]:
    """Return the group of all processes, in a ``with`` block. device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        RuntimeSetupError: a process ends, or is not reached.
    """
    if place.count == 1:
        yield ALONE
        return
    cuda = device != "cpu" and torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(place.local % torch.cuda.device_count())
    with _explained(place):
        dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield Group(place, "cuda" if cuda else "cpu")
    finally:
        dist.destroy_process_group()


@contextmanager
def _explained(place: Place) -> Iterator[None]:
    """Raise RuntimeSetupError where another process has ended."""
    try:
        yield
    except RuntimeError as error:
        fix = "see the message of the one that ended first; then go on with the run: --resume"
        raise RuntimeSetupError("another process of the run has ended", where=_named(place), fix=fix) from error


def _named(place: Place) -> str:
    return f"process {place.rank + 1} of {place.count}"


def weights_of(*modules: Any) -> list[Tensor]:
    """Return the tensors that all processes must share before the first step."""
    return [tensor.detach() for module in modules for tensor in (*module.parameters(), *module.buffers())]
