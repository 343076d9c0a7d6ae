"""simplify: an ONNX graph with fewer nodes and the same numbers, by onnxslim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, Artifact, OptionsModel
from pytest_perfgate.errors import BuildError, suggestion
from pytest_perfgate.steps import Applied, BuildContext, Step, expect
from pytest_perfgate.steps.output_check import (
    batches,
    expect_close,
    largest_difference,
    onnx_outputs,
    onnx_session,
    own_batch,
    short,
    tolerance_option,
)


class Simplify(Step):
    """The step `simplify`."""

    name = "simplify"
    argument = "method"
    accepts = frozenset({ONNX})
    produces = ONNX
    requires = (
        registry.from_extra("onnx", "onnx"),
        registry.from_extra("onnxruntime", "onnx"),
        registry.from_extra("onnxslim", "onnxslim"),
    )

    class Options(OptionsModel):
        """Options in onnxslim's words."""

        method: Literal["onnxslim"] = Field("onnxslim", description="what simplifies")
        skip_fusion_patterns: tuple[str, ...] = Field(
            (), description="fusion patterns to leave out, such as `FusionConvBN`"
        )
        skip_optimizations: tuple[
            Literal[
                "constant_folding",
                "graph_fusion",
                "dead_node_elimination",
                "subexpression_elimination",
                "weight_tying",
            ],
            ...,
        ] = Field((), description="optimizations to leave out")
        tolerance: float = tolerance_option(1e-3)

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Simplifies, and compares the outputs with those of before."""
        import onnx
        import onnxslim

        if artifact.path is None:
            raise BuildError("there is no ONNX file to simplify")
        from onnxslim.core.pattern.registry import DEFAULT_FUSION_PATTERNS as PATTERNS

        for name in options.skip_fusion_patterns:
            if name not in PATTERNS:
                raise BuildError(
                    f"skip_fusion_patterns: onnxslim has no pattern {name!r}",
                    valid=suggestion(name, PATTERNS),
                )
        before = onnx.load(artifact.path)
        path = context.folder / "model.onnx"
        after = onnxslim.slim(
            onnx.load(artifact.path),
            skip_fusion_patterns=list(options.skip_fusion_patterns) or None,
            skip_optimizations=list(options.skip_optimizations) or None,
        )
        onnx.save(after, path)
        difference = 0.0
        sessions = [
            onnx_session(model, context.threads, exact=True) for model in (artifact.path, path)
        ]
        for count in batches(before):
            one, other = (onnx_outputs(session, context.example(count)) for session in sessions)
            difference = max(difference, largest_difference(one, other, count))
        effect = {
            "nodes_before": len(before.graph.node),
            "nodes": len(after.graph.node),
            "dynamic_batch_before": _dynamic(before),
            "dynamic_batch": _dynamic(after),
            "largest_difference": short(difference),
        }
        return Applied(Artifact(ONNX, path=path), effect)

    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """There must be fewer nodes, the batch as dynamic as before, and the same numbers."""
        expect(
            effect["nodes"] < effect["nodes_before"],
            self.name,
            f"the graph has {effect['nodes']} nodes, and had {effect['nodes_before']}",
        )
        expect(
            effect["dynamic_batch"] == effect["dynamic_batch_before"],
            self.name,
            "the batch is frozen in the simplified graph",
        )
        expect_close(self.name, effect, options, "those before")


def _dynamic(model: Any) -> bool:
    return not own_batch(model.graph)
