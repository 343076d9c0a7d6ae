"""What a torch module computes, counted as it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from pytest_perfgate.records.counts import Graph

DISPATCHED = "operators that torch dispatches"
COMPILED = "the graphs that torch.compile compiles"


def graph_of(
    module: Any, infer: Callable[[], object], compiled: Mapping[str, int] | None = None
) -> Graph:
    """What a module runs.

    Args:
        module: with the weights.
        infer: one inference of one image by it, not compiled.
        compiled: nodes of the compiled graphs by kind, where it runs compiled.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    operators: Counter[str] = Counter()
    flops = 0

    class Listening(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch types only some of its own
        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            return False  # else torch imports Dynamo for it, which takes a second

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal flops
            output = func(*args, **(kwargs or {}))
            operators[str(func.overloadpacket).removeprefix("aten.")] += 1
            # The formulas of torch's FlopCounterMode, which itself imports Dynamo.
            if (formula := flop_registry.get(func.overloadpacket)) is not None:
                flops += formula(*args, **(kwargs or {}), out_val=output)
            return output

    # In inference mode, operators that are made of others are not seen in their parts.
    listening = Listening()  # type: ignore[no-untyped-call] # as above
    with torch.no_grad(), listening:
        infer()
    return Graph(
        source=DISPATCHED if compiled is None else COMPILED,
        nodes=dict(operators if compiled is None else compiled),
        multiply_adds=flops // 2,  # a multiply-add is two operations
        parameters=parameters(module),
    )


def parameters(module: Any) -> int:
    """Numbers in a module's parameters, and in the 8-bit buffers in which quantization keeps
    weights.
    """
    import torch

    codes = (torch.int8, torch.uint8)
    tensors = [*module.parameters(), *(one for one in module.buffers() if one.dtype in codes)]
    return sum(int(tensor.numel()) for tensor in tensors)


def kinds_of(graph: Any) -> Counter[str]:
    """Kinds of the nodes of a graph of torch.fx that compute: "conv2d", or a module's class."""
    kinds: Counter[str] = Counter()
    for node in graph.graph.nodes:
        if node.op == "call_module":
            kinds[type(graph.get_submodule(node.target)).__name__] += 1
        elif node.op in {"call_function", "call_method"}:
            kinds[str(getattr(node.target, "__name__", node.target))] += 1
    return kinds
