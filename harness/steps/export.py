"""export: a torch module as an ONNX file, its batch dynamic, its numbers checked."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from harness import registry
from harness.artifact import ONNX, TORCH, Artifact, OptionsModel
from harness.errors import BuildError
from harness.registry import Requirement
from harness.steps import Applied, BuildContext, expect

_CHECKED = (1, 3)  # batch sizes: one that tracing specialises on, and one it has not seen


class Export:
    """The step `export`."""

    name = "export"
    argument = "format"
    accepts = frozenset({TORCH})
    produces = ONNX
    requires: tuple[Requirement, ...] = (
        registry.from_extra("torch", "torch"),
        registry.from_extra("onnx", "onnx"),
        registry.from_extra("onnxscript", "onnx"),
        registry.from_extra("onnxruntime", "onnx"),
    )
    splits: frozenset[str] = frozenset()
    trains = False

    class Options(OptionsModel):
        """Options in torch.onnx.export's words."""

        format: Literal["onnx"] = Field("onnx", description="the file format")
        opset_version: int = Field(18, ge=17, le=25, description="ONNX operator set")
        tolerance: float = Field(
            1e-3,
            gt=0,
            description="largest relative difference of an output, to the output's largest value",
        )

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Exports with a dynamic batch and compares ONNX Runtime's outputs with the module's."""
        import onnx
        import torch

        torch.set_num_threads(context.threads)
        path = context.folder / "model.onnx"
        module = artifact.module.eval().to(memory_format=torch.contiguous_format)
        example = torch.from_numpy(context.example(2))
        with _quiet():
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                opset_version=options.opset_version,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                external_data=False,
                verbose=False,
            )
            if program is None:
                raise BuildError("torch.onnx.export gave nothing")
            program.save(str(path), external_data=False)
        _forget_source(path)
        difference = self._compare(module, path, options, context)
        graph = onnx.load(path).graph
        batch = graph.input[0].type.tensor_type.shape.dim[0]
        effect = {
            "nodes": len(graph.node),
            "opset_version": options.opset_version,
            "dynamic_batch": not batch.HasField("dim_value"),
            "largest_difference": float(f"{difference:.3g}"),
        }
        return Applied(Artifact(ONNX, path=path), effect)

    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """There must be a graph, its batch dynamic, its numbers the module's."""
        expect(effect["nodes"] > 0, self.name, "the graph is empty")
        expect(effect["dynamic_batch"], self.name, "the batch is frozen in the exported graph")
        expect(
            effect["largest_difference"] <= options.tolerance,
            self.name,
            f"outputs differ by {effect['largest_difference']} from the module's, more than "
            f"{options.tolerance}",
        )

    def restore(self, module: Any, structure: Any, options: Any) -> Any:  # noqa: ARG002 - the Protocol's
        """Nothing: an ONNX file is whole."""
        return module

    @staticmethod
    def _compare(module: Any, path: Any, options: Any, context: BuildContext) -> float:
        import numpy as np
        import onnxruntime
        import torch

        asked = onnxruntime.SessionOptions()
        asked.intra_op_num_threads = context.threads
        asked.log_severity_level = 3
        session = onnxruntime.InferenceSession(str(path), asked, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        worst = 0.0
        for count in _CHECKED:
            batch = context.example(count)
            try:
                got = session.run(None, {name: batch})
            except Exception as error:
                raise BuildError(
                    f"the exported graph does not run a batch of {count}: {error}"
                ) from error
            with torch.inference_mode():
                wanted = module(torch.from_numpy(batch))
            wanted = (wanted,) if isinstance(wanted, torch.Tensor) else tuple(wanted)
            for ours, theirs in zip(wanted, got, strict=True):
                expected = ours.numpy()
                scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
                worst = max(worst, float(np.abs(expected - theirs).max(initial=0.0)) / scale)
        if not worst <= options.tolerance:
            raise BuildError(
                f"the exported graph's outputs differ by {worst:.3g} (relative) from the module's",
                valid=f"at most {options.tolerance}",
                next_step="raise `tolerance`, or look for an operator that exports differently",
            )
        return worst


def _forget_source(path: Path) -> None:
    """Takes out where in the source each node comes from: the same model exported from another
    folder must give the same file.
    """
    import onnx

    model = onnx.load(path)
    graph = model.graph
    graph.doc_string = ""
    for each in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        each.doc_string = ""
        del each.metadata_props[:]
    for holder in (model, graph, *model.functions):
        del holder.metadata_props[:]
    onnx.save(model, path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's own progress, notes and warnings are of no use in a report."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
