"""A torch module as a graph of torch.export, in training too."""

from __future__ import annotations

from typing import Any

from pytest_perfgate.errors import BuildError
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.steps import BuildContext, expect
from pytest_perfgate.steps.output_check import dynamic_batch, tensors
from pytest_perfgate.steps.training import Course, course_facts, train

_LARGEST_BATCH = 1024


def program_of(module: Any, inputs: Inputs) -> Any:
    """`module` as a program of torch.export that takes any batch; `inputs` are of at least two
    images.
    """
    import torch

    batch = torch.export.Dim("batch", min=1, max=_LARGEST_BATCH)
    with torch.no_grad():
        shapes = dynamic_batch(inputs, batch)
        return torch.export.export(module, tensors(inputs), dynamic_shapes=shapes)


def graph_of(module: Any, inputs: Inputs) -> Any:
    """`module` as an exported graph that can be changed and trained, see `program_of`."""
    return program_of(module, inputs).module()


def trainable(graph: Any) -> Any:
    """An exported graph as a module that `train`, `eval` and a deep copy work on: the graph's own
    refuse.
    """
    import torch
    from torchao.quantization.pt2e import move_exported_model_to_eval, move_exported_model_to_train

    class Trainable(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.graph = graph

        def forward(self, *inputs: Any) -> Any:
            return self.graph(*inputs)

        def train(self, mode: bool = True) -> Any:
            (move_exported_model_to_train if mode else move_exported_model_to_eval)(self.graph)
            self.training = mode
            return self

    return Trainable()


def trained(
    step: str, graph: Any, samples: int, options: Any, context: BuildContext
) -> tuple[Any, dict[str, Any]]:
    """What the suite's trainer makes of a graph that simulates rounding, and facts of the training.

    Args:
        step: the name of the step.
        graph: an exported graph with fake quantizers, changed in place.
        samples: training images that ranges start from.
        options: `steps.training.TrainingOptions`.
        context: has the trainer and the data.

    Raises:
        BuildError: several processes cannot normalise together; and see `steps.training.train`.
        NoEffect: the training ended in weights that are not finite.
    """
    import torch

    if options.processes > 1 and _normalises(graph):
        raise BuildError(
            "batch normalisation in an exported graph is over the images of one process alone",
            where=f"{step}.processes",
            valid="1",
            next_step="{ qat = … }, which folds it beforehand, or { fuse = true } before",
        )
    wrapped = trainable(graph).eval()
    with torch.no_grad():  # ranges start from images, not from infinity
        for inputs in context.inputs(options.data, samples):
            wrapped(*tensors(inputs))
    course = Course(
        context.progress, context.checkpoints, device=options.device, peers=context.peers
    )
    data = context.data(options.data)
    result = train(context.trainer, wrapped, data, options, context.seed, course).eval()
    finite = all(bool(torch.isfinite(parameter).all()) for parameter in result.parameters())
    expect(finite, step, "training ended in NaN or infinite weights")
    return result.graph, course_facts(course)


def _normalises(graph: Any) -> bool:
    """Whether a graph has an operator of batch normalisation."""
    return any("batch_norm" in str(node.target) for node in graph.graph.nodes)
