"""Dependencies between the channels of a torch module's layers, and their removal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

from pytest_perfgate.errors import BuildError, suggestion


def output_layers(module: Any, example: tuple[Any, ...]) -> set[Any]:
    """The convolution and linear layers whose channels are the model's outputs: the last ones on
    the way from each output back to the input.
    """
    import torch

    outputs = module(*example)
    outputs = (outputs,) if isinstance(outputs, torch.Tensor) else tuple(outputs)
    kinds = (torch.nn.modules.conv._ConvNd, torch.nn.Linear)
    owners = {}
    for layer in module.modules():
        if isinstance(layer, kinds):
            for parameter in layer.parameters(recurse=False):
                owners[id(parameter)] = layer
    layers: set[Any] = set()
    visited = set()
    waiting = [output.grad_fn for output in outputs]
    while waiting:
        node = waiting.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        before = [after for after, _ in node.next_functions if after is not None]
        # A linear layer's weight is transposed on the way.
        before += [deep for after in before for deep, _ in after.next_functions if _turns(after)]
        variables = [getattr(after, "variable", None) for after in before]
        owned = {owners[id(variable)] for variable in variables if id(variable) in owners}
        if owned:
            layers |= owned  # and no further: what lies before it may be pruned
            continue
        waiting += [after for after, _ in node.next_functions]
    if not layers:
        raise BuildError("no layer was found whose channels are the model's outputs")
    return layers


class Ends(contextlib.ExitStack):
    """Gives the tracer every layer's output besides the model's own, while it is entered.

    The tracer walks back from outputs, so a layer whose output nothing uses would stay unseen, and
    lose the channels that it reads.
    """

    def __init__(self, module: Any) -> None:
        super().__init__()
        self._module = module
        self._outputs: list[Any] = []

    def __enter__(self) -> Ends:
        for layer in self._module.modules():
            if next(layer.children(), None) is None:
                self.callback(layer.register_forward_hook(self._hear).remove)
        return self

    def _hear(self, _layer: Any, _inputs: Any, output: Any) -> None:
        if getattr(output, "grad_fn", None) is not None:
            self._outputs.append(output)

    def __call__(self, outputs: Any) -> list[Any]:
        """The model's outputs and, after them, those of its layers in the last run."""
        own = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
        of_layers, self._outputs = self._outputs, []
        return own + of_layers


def _turns(node: Any) -> bool:
    return str(node.name()).startswith(("TBackward", "TransposeBackward", "PermuteBackward"))


def named_layers(module: Any, names: tuple[str, ...]) -> set[Any]:
    """Parts of a module by their names.

    Raises:
        BuildError: it has no part of a name.
    """
    modules = dict(module.named_modules())
    for name in names:
        if name not in modules:
            raise BuildError(
                f"ignored_layers: the model has no module {name!r}", valid=suggestion(name, modules)
            )
    return {modules[name] for name in names}


Removal = tuple[str, bool, tuple[int, ...]]
"""A layer's name, whether its outputs or its inputs lose channels, and which of those that it has
by then.
"""


def dependencies(module: Any, example: tuple[Any, ...]) -> Any:
    """torch-pruning's graph of a module: which channels go together."""
    import torch_pruning

    for parameter in module.parameters():
        parameter.requires_grad_(True)  # the way back from the outputs is that of gradients
    graph = torch_pruning.DependencyGraph()
    with Ends(module) as ends:
        graph.build_dependency(module, example_inputs=example, output_transform=ends)
    return graph


def replay(module: Any, removals: Iterable[Removal], example: tuple[Any, ...]) -> None:
    """Removes channels from a module that has them still."""
    graph, modules = dependencies(module, example), dict(module.named_modules())
    for name, is_output, indices in removals:
        layer = modules[name]
        functions = graph.get_pruner_of_module(layer)
        function = functions.prune_out_channels if is_output else functions.prune_in_channels
        graph.get_pruning_group(layer, function, list(indices)).prune()


def zeros_like(inputs: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    """Inputs of the shapes and types that `Applied.structure` keeps."""
    import torch

    return tuple(torch.zeros(shape, dtype=getattr(torch, dtype)) for shape, dtype in inputs)


def shapes_of(example: Iterable[Any]) -> list[list[Any]]:
    """Shapes and types of inputs, for `zeros_like`."""
    return [[list(value.shape), str(value.dtype)[6:]] for value in example]
