"""Batch normalisation over the batches of all processes of a training: mean and variance are those
of the whole batch, as in torch's `SyncBatchNorm`, which refuses tensors on the CPU.
"""

from __future__ import annotations

import functools
from typing import Any

from pytest_perfgate.errors import BuildError


@functools.cache
def _synchronized() -> dict[type, type]:
    """Torch's layers, each with the one that takes its place while a training runs."""
    import torch
    from torch import distributed, nn

    class Total(torch.autograd.Function):
        """The sum over processes; its gradient is the sum of theirs."""

        @staticmethod
        def forward(_context: Any, value: Any) -> Any:
            total = value.clone()
            distributed.all_reduce(total)
            return total

        @staticmethod
        def backward(_context: Any, gradient: Any) -> Any:
            total = gradient.contiguous().clone()
            distributed.all_reduce(total)
            return total

    class Synchronized:
        def forward(self: Any, values: Any) -> Any:
            if not self.training and self.running_mean is not None:
                return super().forward(values)  # type: ignore[misc] # of torch's layer beside it
            self._check_input_dim(values)
            wide = values.float()
            others = [axis for axis in range(values.dim()) if axis != 1]
            shape = [1, -1] + [1] * (values.dim() - 2)
            total: Any = Total.apply
            count = total(wide.new_tensor(float(wide.numel() // wide.shape[1])))
            mean = total(wide.sum(others)) / count
            apart = wide - mean.view(shape)
            variance = total(apart.square().sum(others)) / count
            if self.running_mean is not None:
                self._keep(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
            result = apart * (variance + self.eps).rsqrt().view(shape)
            if self.affine:
                result = result * self.weight.view(shape) + self.bias.view(shape)
            return result.to(values.dtype)

        def _keep(self: Any, mean: Any, variance: Any) -> None:
            self.num_batches_tracked += 1
            share = self.momentum
            if share is None:
                share = 1.0 / float(self.num_batches_tracked)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
            self.running_var.lerp_(variance.to(self.running_var.dtype), share)

    plain = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    return {kind: type(kind.__name__, (Synchronized, kind), {}) for kind in plain}


def synchronize(module: Any) -> None:
    """Makes the layers of batch normalisation normalise over all processes, until `restore`.

    Raises:
        BuildError: a layer is of a class of its own, whose statistics are those of one process.
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    kinds = _synchronized()
    layers = [one for one in module.named_modules() if isinstance(one[1], _BatchNorm)]
    for name, layer in layers:
        if type(layer) not in kinds and type(layer) not in kinds.values():
            raise BuildError(
                f"{name} is a {type(layer).__name__}, which normalises over the images of one "
                "process",
                where="processes",
                valid=", ".join(kind.__name__ for kind in kinds),
                next_step="processes = 1",
            )
    for _, layer in layers:
        layer.__class__ = kinds.get(type(layer), type(layer))


def restore(module: Any) -> None:
    """Makes them torch's own layers again."""
    plain = {kind: torch_kind for torch_kind, kind in _synchronized().items()}
    for layer in module.modules():
        if type(layer) in plain:
            layer.__class__ = plain[type(layer)]


def buffers(module: Any) -> set[int]:
    """Identities of the buffers that synchronized layers keep equal in all processes."""
    kinds = set(_synchronized().values())
    return {id(value) for one in module.modules() if type(one) in kinds for value in one.buffers()}
