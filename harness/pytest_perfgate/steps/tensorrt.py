"""tensorrt: an ONNX file as a TensorRT engine, proven by the layers that it consists of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, TENSORRT, Artifact, OptionsModel
from pytest_perfgate.errors import BuildError
from pytest_perfgate.registry import Requirement
from pytest_perfgate.runtimes import cuda, tensorrt_package
from pytest_perfgate.runtimes.gpu_cards import BF16, TENSORRT_RTX
from pytest_perfgate.runtimes.tensorrt_package import EngineNote
from pytest_perfgate.steps import Applied, BuildContext, Step, expect, tensorrt_layers
from pytest_perfgate.steps.tensorrt_build import Built, Sizes, build, precision_of

_FLAGS = ("fp16", "bf16", "int8")
_PRECISION = (
    'precision comes from the ONNX file\'s types and its Q/DQ: add {{ half = "float16" }} or '
    '{{ quantize = "static", … }} before, and leave {} out'
)


class TensorRt(Step):
    """The step `tensorrt`."""

    name = "tensorrt"
    argument = "package"
    accepts = frozenset({ONNX})
    produces = TENSORRT
    requires = (
        registry.from_extra("onnx", "onnx"),
        tensorrt_package.PACKAGES["tensorrt"],
    )

    class Options(OptionsModel):
        """Options in the words of TensorRT's IBuilderConfig, BuilderFlag and trtexec."""

        package: Literal["tensorrt", "tensorrt_rtx"] = Field(
            "tensorrt", description="the Python package that builds and runs the engine"
        )
        min_batch: int = Field(1, ge=1, description="optimization profile: smallest batch")
        opt_batch: int = Field(
            1, ge=1, description="optimization profile: the batch that kernels are chosen for"
        )
        max_batch: int = Field(8, ge=1, description="optimization profile: largest batch")
        workspace: int | None = Field(
            None, ge=1, description="MemoryPoolType.WORKSPACE in MiB; default: all of the device"
        )
        builder_optimization_level: int | None = Field(
            None,
            ge=0,
            le=5,
            description="level of the search for fast kernels; default: TensorRT's",
        )
        timing_cache: bool = Field(
            True, description="keep kernel timings for the next build on this GPU"
        )
        version_compatible: bool = Field(
            False,
            description="build an engine that runs in later versions of the same major version",
        )
        exclude_lean_runtime: bool = Field(
            False, description="version_compatible: leave the runtime out of the engine"
        )
        hardware_compatibility_level: (
            Literal["NONE", "AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY"] | None
        ) = Field(None, description="further GPUs that the engine runs on; default: none")
        compute_capabilities: tuple[str, ...] = Field(
            (),
            description="tensorrt_rtx: GPUs to build for, such as SM86; default: the package's "
            "choice",
        )
        sparse_weights: bool = Field(
            False, description="allow kernels for 2:4 sparse weights where they are faster"
        )
        tf32: bool = Field(True, description="allow TF32 for products of float32")
        fp16: bool = Field(False, description="TensorRT 10: allow float16 where it is faster")
        bf16: bool = Field(False, description="TensorRT 10: allow bfloat16 where it is faster")
        int8: bool = Field(False, description="TensorRT 10: allow int8 where the graph has ranges")

        @field_validator("compute_capabilities")
        @classmethod
        def _named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
            for name in value:
                if not re.fullmatch(r"SM\d{2,3}", name):
                    raise ValueError(f"{name!r} is no compute capability such as 'SM86'")
            return value

        @model_validator(mode="after")
        def _fits(self) -> TensorRt.Options:
            """Options that contradict each other, or that the package has not."""
            if not self.min_batch <= self.opt_batch <= self.max_batch:
                raise ValueError(
                    f"min_batch {self.min_batch}, opt_batch {self.opt_batch}, max_batch "
                    f"{self.max_batch} must be in ascending order"
                )
            if self.exclude_lean_runtime and not self.version_compatible:
                raise ValueError("exclude_lean_runtime needs version_compatible")
            if self.package == "tensorrt_rtx":
                for name in _FLAGS:
                    if getattr(self, name):
                        raise ValueError(f"tensorrt_rtx has no {name}: {_PRECISION.format(name)}")
            return self

        @property
        def flags(self) -> tuple[str, ...]:
            """The precision flags that were asked for."""
            return tuple(name for name in _FLAGS if getattr(self, name))

    def machine(self, options: Any) -> dict[str, Any]:
        """An engine is for one version of TensorRT, one GPU and its driver."""
        return {
            "version": tensorrt_package.package(options.package).__version__,
            "device": cuda.device_key(),
        }

    @override
    def requires_with(self, options: Any) -> tuple[Requirement, ...]:
        """The package that builds, and of a GPU, if there is one, that it can run the engine."""
        onnx = registry.from_extra("onnx", "onnx")
        return (
            onnx,
            tensorrt_package.PACKAGES[options.package],
            *((TENSORRT_RTX,) if options.package == "tensorrt_rtx" else ()),
            *((BF16,) if options.bf16 else ()),
        )

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Builds the engine, and reads what its layers are."""
        if artifact.path is None:
            raise BuildError("there is no ONNX file to build an engine from")
        trt = tensorrt_package.package(options.package)
        for name in options.flags:
            if not hasattr(trt.BuilderFlag, name.upper()):
                raise BuildError(
                    f"{options.package} {trt.__version__} has no BuilderFlag.{name.upper()}: "
                    f"{_PRECISION.format(name)}"
                )
        declared = precision_of(artifact.path)
        if options.int8 and not declared["onnx_int8_ops"]:
            raise BuildError(
                "int8 = true is set, but the graph has no ranges for 8-bit computation",
                next_step='add { quantize = "static", … } before',
            )
        device = cuda.device_key()
        sizes = Sizes(options.min_batch, options.opt_batch, options.max_batch)
        built: Built = build(trt, artifact.path, options, context, sizes=sizes, device=device)
        path = context.folder / "model.engine"
        path.write_bytes(built.engine)
        carries_code = options.version_compatible and not options.exclude_lean_runtime
        EngineNote(
            package=options.package,
            version=trt.__version__,
            device=device,
            batch=built.batch,
            carries_code=carries_code,
        ).write(path)
        # In a folder of its own: it is for reading, and not a part of what is deployed.
        notes = context.folder / "inspector"
        notes.mkdir()
        (notes / "layers.json").write_text(
            tensorrt_layers.as_json(built.layers) + "\n", encoding="utf-8"
        )
        effect = {
            "package": options.package,
            "version": trt.__version__,
            "gpu": (device or {}).get("gpu", "none here"),
            "batch": list(built.batch),
            **tensorrt_layers.summary(built.layers),
            "layers_from": built.layers_from,
            **declared,
            "timing_cache": built.timing_cache,
            "bytes_before": artifact.path.stat().st_size,
            "bytes": path.stat().st_size,
        }
        return Applied(Artifact(TENSORRT, path=path), effect)

    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """Layers with weights must compute in the types that the ONNX file, or a flag, asks for."""
        expect(
            effect["layers"] > 0,
            self.name,
            "the engine does not list its layers, so their precision is unknown",
        )
        by = effect["weighted_by_precision"]
        listed = ", ".join(f"{count} {name}" for name, count in by.items()) or "none"
        for precision in ("int8", "fp16", "bf16"):
            in_file = effect[f"onnx_{precision}_ops"]
            flagged = precision in options.flags
            if in_file or flagged:
                why = f"the ONNX file has {in_file}" if in_file else f"{precision} = true is set"
                expect(
                    by.get(precision, 0) > 0,
                    self.name,
                    f"no layer with weights computes in {precision}, but {why}; layers with "
                    f"weights: {listed}",
                )
        if options.sparse_weights:
            expect(
                effect["sparse_layers"] > 0,
                self.name,
                "sparse_weights = true is set, but no layer is known to have a kernel for 2:4 "
                'sparse weights. Such kernels need { sparsify = "2:4" } before, an Ampere '
                "GPU or later to build on, and layers large enough to gain",
            )
