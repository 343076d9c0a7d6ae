"""Data-parallel training: several processes, each with its own share of every batch, whose
gradients are averaged before the optimizer's step (Li et al. 2020, "PyTorch Distributed",
arXiv 2006.15704, section 3.1). Processes on cores talk through gloo, those on GPUs through NCCL.

Every process runs the same step of the chain from its beginning; rank 0 is the process that builds.
What they compute differs in their share of a batch alone, so that their weights stay equal to the
last bit: each adds the same averaged gradient.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_perfgate.errors import BuildError
from pytest_perfgate.steps import training_batch_norm
from pytest_perfgate.steps.training_peers import Peers

_BACKENDS = "cpu:gloo,cuda:nccl"


class RankDone(Exception):
    """Ends a process of another rank than 0 when the training is finished: rank 0 has the model."""


class ProcessGroup:
    """The processes of one training, once they have met; a context manager."""

    def __init__(self, peers: Peers, device: str) -> None:
        self.rank, self.size = peers.rank, peers.size
        self._peers, self._device = peers, device
        self._module: Any = None

    def __enter__(self) -> ProcessGroup:
        import torch
        from torch import distributed

        self._peers.ready()
        if self._device == "cuda":
            torch.cuda.set_device(self.rank)
        distributed.init_process_group(
            _BACKENDS if self._device == "cuda" else "gloo",
            init_method=self._peers.rendezvous.as_uri(),
            rank=self.rank,
            world_size=self.size,
        )
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from torch import distributed

        if self._module is not None:
            training_batch_norm.restore(self._module)
        # A collective says no more of a process that ended than "connection closed by peer". Asked
        # first: without the group the others end too.
        lost = self._peers.lost() if isinstance(error, RuntimeError) else None
        distributed.destroy_process_group()
        if lost is not None:
            raise lost from error

    def share(self, rows: Any) -> Any:
        """The rows of a batch that are this process's, in their order; see `Course.share`."""
        count = len(rows)
        if count % self.size:
            raise BuildError(
                f"{count} rows of a batch cannot be divided evenly among {self.size} processes",
                where="suite.trainer",
                valid=f"batches of a multiple of {self.size} rows",
            )
        part = count // self.size
        return rows[self.rank * part : (self.rank + 1) * part]

    def begin(self, state: Mapping[str, Any]) -> None:
        """Before the first step: all have the modules of rank 0, batch normalisation is over the
        whole batch, and random numbers of torch differ from process to process.

        Raises:
            BuildError: the trainer gave no module to the course, or a layer's statistics cannot be
                those of the whole batch.
        """
        import torch

        modules = [part for part in state.values() if isinstance(part, torch.nn.Module)]
        if "module" not in state or not modules:
            raise BuildError(
                "the processes of a training do not know its module",
                where="suite.trainer",
                next_step="give it to the course: `course.steps(steps, module=module, …)`",
            )
        for module in modules:
            self._from_first((*module.parameters(), *module.buffers()))
        self._module = state["module"]
        training_batch_norm.synchronize(self._module)
        if self.rank:
            torch.manual_seed(torch.initial_seed() + self.rank)

    def average_gradients(self, optimizer: Any) -> None:
        """Puts the mean of all processes in place of each gradient; a parameter that got none in
        one of them counts as zero there, and stays without one where no process has one.
        """
        import torch

        for parameters in _by_place(optimizer):
            present = torch.tensor(
                [parameter.grad is not None for parameter in parameters],
                dtype=parameters[0].dtype,
                device=parameters[0].device,
            )
            flat = torch.cat(
                [
                    present,
                    *(
                        (p.grad if p.grad is not None else torch.zeros_like(p)).flatten()
                        for p in parameters
                    ),
                ]
            )
            self._sum(flat)
            flat /= self.size
            place = len(parameters)
            for index, parameter in enumerate(parameters):
                size = parameter.numel()
                if flat[index] > 0:
                    parameter.grad = flat[place : place + size].view_as(parameter).clone()
                place += size

    def keep_buffers(self, module: Any) -> None:
        """After a step: buffers that no synchronized layer keeps equal are those of rank 0, as in
        torch's DistributedDataParallel.
        """
        equal = training_batch_norm.buffers(module)
        self._from_first(value for value in module.buffers() if id(value) not in equal)

    def mean(self, value: Any) -> Any:
        """The mean of all processes: of a tensor, without its gradient, or of a number."""
        import torch

        number = not isinstance(value, torch.Tensor)
        total = torch.tensor(value, dtype=torch.float64) if number else value.detach().clone()
        self._sum(total)
        total = total / self.size
        return total.item() if number else total

    def agreed(self, value: int) -> int:
        """What rank 0 says, in all processes."""
        import torch

        said = torch.tensor(value, dtype=torch.int64)
        self._broadcast(said)
        return int(said)

    def gathered(self, own: Any) -> list[Any]:
        """A tensor on the CPU of each process, of one shape, by rank."""
        import torch
        from torch import distributed

        states = [torch.empty_like(own) for _ in range(self.size)]
        distributed.all_gather(states, own)
        return states

    def prove_equal(self, module: Any) -> None:
        """Check that all processes have ended in the same weights.

        Raises:
            BuildError: they differ.
        """
        import torch

        digest = hashlib.sha256()
        for name, value in module.state_dict().items():
            content = value.detach().cpu().contiguous().flatten().view(torch.uint8)
            digest.update(name.encode() + content.numpy().tobytes())
        own = torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8)
        if not all(torch.equal(other, own) for other in self.gathered(own)):
            raise BuildError(
                f"the {self.size} processes of the training ended in different weights",
                where="suite.trainer",
                next_step="change weights by the optimizer alone, or from the seed and the number "
                "of the step: random numbers of torch differ from process to process",
            )

    def _from_first(self, values: Iterable[Any]) -> None:
        for value in values:
            self._broadcast(value.data)

    @staticmethod
    def _sum(value: Any) -> None:
        from torch import distributed

        distributed.all_reduce(value)

    @staticmethod
    def _broadcast(value: Any) -> None:
        from torch import distributed

        distributed.broadcast(value, 0)


def _by_place(optimizer: Any) -> list[list[Any]]:
    """The parameters of an optimizer that are trained, those of one type and device together."""
    places: dict[tuple[Any, Any], list[Any]] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.requires_grad:
                places.setdefault((parameter.dtype, parameter.device), []).append(parameter)
    return list(places.values())
