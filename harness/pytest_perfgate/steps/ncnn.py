"""ncnn: an ONNX graph as ncnn's two files, by pnnx."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pytest_perfgate import registry
from pytest_perfgate.artifact import NCNN, ONNX, Artifact, OptionsModel
from pytest_perfgate.errors import BuildError
from pytest_perfgate.runtimes import InferenceSession, OpenContext
from pytest_perfgate.runtimes.ncnn import Ncnn as Runtime
from pytest_perfgate.steps import Applied, BuildContext, Step, expect
from pytest_perfgate.steps.onnx_comparison import Comparison
from pytest_perfgate.steps.onnx_weights import gather_weights
from pytest_perfgate.steps.output_check import expect_close, short, tolerance_option


class Ncnn(Step):
    """The step `ncnn`."""

    name = "ncnn"
    argument = "converter"
    accepts = frozenset({ONNX})
    produces = NCNN
    requires = (
        registry.from_extra("onnx", "onnx"),
        registry.from_extra("onnxruntime", "onnx"),
        registry.from_extra("pnnx", "ncnn"),
        registry.from_extra("ncnn", "ncnn"),
    )
    not_after: Mapping[str, str] = {
        "quantize": "ncnn does not support Q/DQ operators",
        "qat": "ncnn does not support Q/DQ operators",
        "half": "pnnx reads float32 graphs; `fp16` makes the weights 16-bit",
    }

    class Options(OptionsModel):
        """Options in pnnx's words."""

        converter: Literal["pnnx"] = Field("pnnx", description="what converts")
        fp16: bool = Field(False, description="store weights in 16 bits")
        optlevel: Literal[0, 1, 2] = Field(2, description="level of graph optimization")
        tolerance: float = tolerance_option(1e-3)

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Converts for the size of the example, and compares outputs on extreme inputs too."""
        if artifact.path is None:
            raise BuildError("there is no ONNX file to convert")
        path = context.folder / "model.param"
        inputs = context.example(4)
        shape = inputs.only_images("ncnn").shape
        _convert(artifact.path, path, shape, options)

        def opened(path: Path) -> InferenceSession:
            if path.suffix == ".onnx":  # a part of the graph
                _convert(path, path.with_suffix(".param"), shape, options)
            return Runtime().open(
                Artifact(NCNN, path=path.with_suffix(".param")),
                Runtime.Options(),
                OpenContext(threads=context.threads, folder=context.folder),
            )

        comparison = Comparison(artifact.path, inputs, context.threads)
        session = opened(path)
        widest = comparison.widest(opened, session)
        session.close()
        operator = None
        if widest.difference > options.tolerance:
            operator = comparison.parting(widest, opened, options.tolerance)
        effect = {
            "layers": int(path.read_text().split(maxsplit=2)[1]),
            "fp16_weights": options.fp16,
            "weights_bytes": path.with_suffix(".bin").stat().st_size,
            "input": list(shape[1:]),
            "largest_difference": short(widest.difference),
            "first_difference": str(operator or ""),
        }
        return Applied(Artifact(NCNN, path=path), effect)

    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """There must be a network with weights, and the same numbers."""
        expect(
            effect["layers"] > 0 and effect["weights_bytes"] > 0,
            self.name,
            f"the network has {effect['layers']} layers and {effect['weights_bytes']} B of weights",
        )
        operator = effect["first_difference"]
        source = f"the ONNX file's (first at {operator})" if operator else "the ONNX file's"
        expect_close(self.name, effect, options, source)


def _convert(source: Path, path: Path, shape: tuple[int, ...], options: Any) -> None:
    """Writes `path` and the weights beside it; pnnx's other files go with its folder."""
    import onnx
    import pnnx
    from google.protobuf.message import DecodeError

    program = pnnx.EXEC_PATH
    size = ",".join(str(size) for size in (1, *shape[1:]))
    with tempfile.TemporaryDirectory() as scratch:
        try:
            model = gather_weights(onnx.load(source))
        except DecodeError as error:
            raise BuildError(f"pnnx does not convert the graph: {error}") from error
        onnx.save(model, Path(scratch) / "model.onnx")
        done = subprocess.run(
            [
                str(program),
                "model.onnx",
                f"inputshape=[{size}]f32",
                f"fp16={int(options.fp16)}",
                f"optlevel={options.optlevel}",
                "ncnnparam=model.param",
                "ncnnbin=model.bin",
            ],
            cwd=scratch,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        files = [Path(scratch) / name for name in ("model.param", "model.bin")]
        if done.returncode or not all(file.is_file() for file in files):
            words = (done.stdout + done.stderr).strip()[-600:]
            raise BuildError(
                f"pnnx does not convert the graph (exit code {done.returncode}): {words}",
                next_step="look for an operator that ncnn lacks",
            )
        for file in files:
            shutil.copy(file, path.with_name(file.name))
