"""export: a torch module as an ONNX file, its batch dynamic, its numbers checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, TORCH, Artifact, OptionsModel, dtype_of
from pytest_perfgate.errors import BuildError
from pytest_perfgate.steps import Applied, BuildContext, Step, expect
from pytest_perfgate.steps.onnx_export import FIXED_BATCH, write_onnx
from pytest_perfgate.steps.output_check import (
    CHECKED,
    expect_close,
    largest_difference,
    module_outputs,
    onnx_outputs,
    onnx_session,
    own_batch,
    tolerance_option,
)


class Export(Step):
    """The step `export`."""

    name = "export"
    argument = "format"
    accepts = frozenset({TORCH})
    produces = ONNX
    requires = (
        registry.from_extra("torch", "torch"),
        registry.from_extra("onnx", "onnx"),
        registry.from_extra("onnxscript", "onnx"),
        registry.from_extra("onnxruntime", "onnx"),
    )
    not_after: Mapping[str, str] = {
        "cast": "a graph is exported in float32, and `half` makes it 16-bit",
    }

    class Options(OptionsModel):
        """Options in torch.onnx.export's words."""

        format: Literal["onnx"] = Field("onnx", description="the file format")
        opset_version: int = Field(18, ge=17, le=25, description="ONNX operator set")
        batch: Literal[1] | None = Field(
            None,
            description="fix the batch at one image, for a module whose `forward` depends on it; "
            "default: any batch",
        )
        tolerance: float = tolerance_option(1e-3)

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Exports, with a dynamic batch by default, and compares outputs with the module's."""
        import onnx
        import torch

        torch.set_num_threads(context.threads)
        path = context.folder / "model.onnx"
        module = artifact.module.eval().to(memory_format=torch.contiguous_format)
        example = context.example(options.batch or 2)
        if dtype_of(module) not in {None, torch.float32}:
            raise BuildError(
                f"the module is in {dtype_of(module)}, and an ONNX graph is exported in float32",
                next_step='leave { cast = … } out, and add { half = "float16" } after the export',
            )
        write_onnx(
            module,
            path,
            example,
            opset_version=options.opset_version,
            batch=options.batch,
            next_step=_FIXED,
        )
        difference = self._compare(module, path, options, context)
        graph = onnx.load(path).graph
        effect = {
            "nodes": len(graph.node),
            "opset_version": options.opset_version,
            "dynamic_batch": not own_batch(graph),
            "largest_difference": float(f"{difference:.3g}"),
        }
        return Applied(Artifact(ONNX, path=path), effect)

    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """There must be a graph, its batch as requested, its numbers the module's."""
        expect(effect["nodes"] > 0, self.name, "the graph is empty")
        frozen = "is dynamic" if effect["dynamic_batch"] else "is frozen"
        expect(
            effect["dynamic_batch"] is (options.batch is None),
            self.name,
            f"the batch {frozen} in the exported graph",
        )
        expect_close(self.name, effect, options, "the module's")

    @staticmethod
    def _compare(module: Any, path: Path, options: Any, context: BuildContext) -> float:
        session = onnx_session(path, context.threads, exact=True)
        worst = 0.0
        for count in (options.batch,) if options.batch else CHECKED:
            inputs = context.example(count)
            try:
                outputs = onnx_outputs(session, inputs)
            except BuildError as error:
                raise BuildError(error.problem, next_step=_FIXED) from error
            expected = module_outputs(module, inputs)
            worst = max(worst, largest_difference(expected, outputs, count))
        if not worst <= options.tolerance:
            raise BuildError(
                f"the exported graph's outputs differ by {worst:.3g} (relative) from the module's",
                valid=f"at most {options.tolerance}",
                next_step="raise `tolerance`, or look for an operator that exports differently",
            )
        return worst


_FIXED = f"{FIXED_BATCH}; or set batch = 1, which leaves out throughput"
