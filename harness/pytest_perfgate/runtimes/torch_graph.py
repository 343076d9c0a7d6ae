"""What a torch module computes, counted as it runs."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytest_perfgate.metric import MULTIPLY_ADDS, PARAMETERS
from pytest_perfgate.records.counts import Graph

_PRODUCT = re.compile(
    r"(^|_)(\w*(mm|mv|dot|matmul)|addr|einsum|cdist|q?conv(olution)?(\dd)?|depthwise\dd|q?linear"
    r"|bilinear|trilinear|attention|encoder|decoder|q?lstm|q?gru|q?rnn)(_|$)"
)
"""Names of operators that have convolutions or matrix products in them."""

_NAMED_BY_WORK = frozenset(
    {"aten", "prim", "prims", "quantized", "quantized_decomposed", "torchvision"}
)
"""Namespaces whose operators say by their names whether they are products."""

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

    operators: Counter[str] = Counter()
    uncounted: set[str] = set()
    formulas = _formulas()
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
            if (formula := formulas.get(func.overloadpacket)) is not None:
                flops += formula(*args, **(kwargs or {}), out_val=output)
            elif _may_multiply(func):
                uncounted.add(str(func.overloadpacket).removeprefix("aten."))
            return output

    # In inference mode, operators that are made of others are not seen in their parts.
    listening = Listening()  # type: ignore[no-untyped-call] # as above
    with torch.no_grad(), _attention_in_parts(), listening:
        infer()
    packed = _packed(module)
    unmeasured = {}
    if uncounted:
        unmeasured[MULTIPLY_ADDS] = (
            f"the products of {', '.join(sorted(uncounted))} are not counted"
        )
    if packed:
        unmeasured[PARAMETERS] = f"the packed weights of {', '.join(packed)} are not counted"
    return Graph(
        source=DISPATCHED if compiled is None else COMPILED,
        nodes=dict(operators if compiled is None else compiled),
        # A multiply-add is two operations.
        multiply_adds=None if uncounted else flops // 2,
        parameters=None if packed else parameters(module),
        unmeasured=unmeasured,
    )


def _formulas() -> dict[Any, Callable[..., int]]:
    """Operators to torch's formulas of their floating-point operations: those of FlopCounterMode,
    which itself imports Dynamo, and that of attention for its form on CPUs, which it lacks.
    """
    import torch
    from torch.utils.flop_counter import flop_registry

    aten = torch.ops.aten
    attention = flop_registry[aten._scaled_dot_product_flash_attention]
    return {**flop_registry, aten._scaled_dot_product_flash_attention_for_cpu: attention}


def _may_multiply(operator: Any) -> bool:
    """Whether an operator without a formula may do work that `multiply_adds` counts."""
    if operator.namespace not in _NAMED_BY_WORK:
        return True
    return _PRODUCT.search(operator.overloadpacket.__name__.strip("_")) is not None


@contextlib.contextmanager
def _attention_in_parts() -> Iterator[None]:
    """Within it, transformer layers run as products that have formulas; their fast path in `eval`
    is one operator that has none.
    """
    import torch

    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _packed(module: Any) -> list[str]:
    """Classes of the modules whose weights are in an object of C++, which tells no numbers."""
    import torch

    def is_packed(part: Any) -> bool:
        values = [*vars(part).values(), getattr(part, "_packed_params", None)]
        return any(
            isinstance(value, torch.ScriptObject) and not isinstance(value, torch._C.ScriptModule)
            for value in values
        )

    return sorted({type(part).__name__ for part in module.modules() if is_packed(part)})


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
