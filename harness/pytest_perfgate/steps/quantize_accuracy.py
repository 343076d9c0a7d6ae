"""quantize with `accuracy_drop`: the most sensitive layers stay in float until accuracy holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.errors import BuildError
from pytest_perfgate.steps import BuildContext

SENSITIVITY_IMAGES = 8
"""Calibration images that layers are ranked with."""


def held(
    quantize: Callable[[Sequence[str]], dict[str, Any]],
    reader: Callable[[], Any],
    *,
    files: tuple[Path, Path, Path],
    options: Any,
    context: BuildContext,
) -> dict[str, Any]:
    """Quantizes with no layer in float, then with one, two, four … until the drop holds.

    Args:
        quantize: writes the quantized file, with the named nodes left in float.
        reader: calibration images, read anew.
        files: the graph as it came, prepared, and quantized.
        options: those of the step.
        context: scores, and shows progress.

    Raises:
        BuildError: it does not hold with as many layers in float as are allowed.
    """
    source, plain, path = files
    split = options.accuracy_split
    before = context.score(Artifact(ONNX, path=source), split)
    floats: list[str] = []
    ranked: list[str] = []
    tried = 0
    while True:
        facts = quantize(floats)
        after = context.score(Artifact(ONNX, path=path), split)
        tried += 1
        context.progress(tried, 0, f"{len(floats)} layers in float, {before - after:+.4f} lost")
        if before - after <= options.accuracy_drop:
            return {
                **facts,
                "accuracy_before": round(before, 6),
                "accuracy_drop": round(before - after, 6),
                "tried": tried,
                "float_layers": floats,
            }
        ranked = ranked or _most_sensitive(plain, path, options, reader)
        most = min(options.max_excluded, len(ranked) - 1)
        if len(floats) >= most:
            raise BuildError(
                f"accuracy_drop {options.accuracy_drop:g} does not hold with {len(floats)} layers "
                f"in float: {before:.4f} became {after:.4f} on {split} images",
                next_step="a larger accuracy_drop or max_excluded, or another calibrate_method",
            )
        floats = ranked[: min(most, max(1, 2 * len(floats)))]


def _most_sensitive(
    plain: Path, quantized: Path, options: Any, reader: Callable[[], Any]
) -> list[str]:
    """Names of quantized nodes, least signal to quantization noise of weight or input first."""
    import onnx
    from onnxruntime.quantization import qdq_loss_debug as debug

    activations = []
    for model in (plain, quantized):
        opened = plain.with_name(f"opened-{model.name}")
        debug.modify_model_output_intermediate_tensors(str(model), str(opened))
        activations.append(debug.collect_activations(str(opened), reader()))
        opened.unlink()
    matched = debug.create_activation_matching(activations[1], activations[0])
    inputs = debug.compute_activation_error(matched)
    weights = debug.compute_weight_error(debug.create_weight_matching(str(plain), str(quantized)))
    noise = {}
    for node in onnx.load(plain).graph.node:
        if node.op_type in options.op_types_to_quantize and node.name:
            errors = [inputs[node.input[0]]["qdq_err"]] if node.input[0] in inputs else []
            errors += [weights[name] for name in node.input[1:2] if name in weights]
            if errors:
                noise[node.name] = float(min(errors))
    return sorted(noise, key=lambda name: (noise[name], name))
