"""How an ONNX file becomes an engine: network, profile, configuration, timing cache, inspection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import BuildError, suggestion
from pytest_perfgate.files import replacing
from pytest_perfgate.runtimes import cuda
from pytest_perfgate.runtimes.tensorrt_package import Log, quiet
from pytest_perfgate.steps import BuildContext
from pytest_perfgate.steps.tensorrt_layers import Layer, from_inspector, from_log

_WEIGHTED_OPS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_MIB = 1 << 20


@dataclass(frozen=True)
class Sizes:
    """An optimization profile's batches."""

    smallest: int
    optimal: int
    largest: int


@dataclass(frozen=True)
class Built:
    """A built engine.

    Attributes:
        engine: its bytes.
        batch: smallest, optimal and largest batch that it runs.
        layers: what it consists of; none when that could not be read.
        layers_from: where that was read: "inspector", "build log", or "".
        timing_cache: "off", "cold" (began empty), "warm" (held times of an earlier build), or
            "unused": the package times nothing while it builds.
    """

    engine: bytes
    batch: tuple[int, int, int]
    layers: tuple[Layer, ...]
    layers_from: str
    timing_cache: str


def precision_of(path: Path) -> dict[str, int]:
    """What an ONNX file asks TensorRT for: operators with weights whose both operands are 8-bit
    (they come from DequantizeLinear), and those whose weight is float16 or bfloat16.
    """
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    makers = {name: node.op_type for node in graph.node for name in node.output}
    precision = {"onnx_int8_ops": 0, "onnx_fp16_ops": 0, "onnx_bf16_ops": 0}
    words = {onnx.TensorProto.FLOAT16: "onnx_fp16_ops", onnx.TensorProto.BFLOAT16: "onnx_bf16_ops"}
    for node in graph.node:
        if node.op_type not in _WEIGHTED_OPS:
            continue
        operands = list(node.input[:2])
        if all(makers.get(name) == "DequantizeLinear" for name in operands):
            precision["onnx_int8_ops"] += 1
        elif types.get(operands[1]) in words:
            precision[words[types[operands[1]]]] += 1
    return precision


def build(
    trt: Any,
    source: Path,
    options: Any,
    context: BuildContext,
    *,
    sizes: Sizes,
    device: dict[str, Any] | None,
) -> Built:
    """An engine of the ONNX file `source`.

    Raises:
        BuildError: TensorRT does not read the file, does not know an option, or builds nothing;
            all that it said is in it.
    """
    log = Log(trt)
    if hasattr(trt, "init_libnvinfer_plugins"):
        trt.init_libnvinfer_plugins(log.logger, "")
    builder = trt.Builder(log.logger)
    network = builder.create_network(_network_flags(trt, options))
    parser = trt.OnnxParser(network, log.logger)  # the network needs it until the engine is built
    _parse(parser, network, source, log)
    with quiet():
        config = _configured(trt, builder, options, log)
        batch = _profile(builder, network, config, context, sizes)
        cache = _TimingCache(trt, config, options, context.cache, device)
        context.progress(0, 0, "building the engine")
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise BuildError(
                f"{trt.__name__} {trt.__version__} built no engine: {_said(log.errors)}",
                where=str(source),
            )
        state = cache.keep()
    engine = bytes(plan)
    layers, layers_from = _layers(trt, engine, log, device)
    return Built(engine, batch, layers, layers_from, state)


def _network_flags(trt: Any, options: Any) -> int:
    """Types are the file's own, unless a flag of TensorRT 10 leaves them to the builder. In
    versions that know nothing else the flag may be gone.
    """
    strong = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if strong is None or options.flags else 1 << int(strong)


def _parse(parser: Any, network: Any, source: Path, log: Log) -> None:
    parsed = parser.parse_from_file(str(source))
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    if not parsed or errors:
        problems = [_parser_error(error) for error in errors] or log.errors
        raise BuildError(
            f"TensorRT does not read the ONNX file: {_said(problems)}", where=str(source)
        )
    # A file that is no graph at all is read without an error.
    if not network.num_layers or not network.num_outputs or network.num_inputs != 1:
        raise BuildError(
            f"TensorRT reads {network.num_layers} layers, {network.num_inputs} inputs and "
            f"{network.num_outputs} outputs from the ONNX file",
            where=str(source),
            valid="a graph with one input (N, 3, H, W), and outputs",
        )


def _parser_error(error: Any) -> str:
    """One error in its own words, with the node that it is about."""
    return " ".join(str(error).split())


def _said(messages: Sequence[str]) -> str:
    return "; ".join(" ".join(message.split()) for message in messages) or "it gave no message"


def _configured(trt: Any, builder: Any, options: Any, log: Log) -> Any:
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if options.workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace * _MIB)
    if options.builder_optimization_level is not None:
        config.builder_optimization_level = options.builder_optimization_level
    flags = {
        "VERSION_COMPATIBLE": options.version_compatible,
        "EXCLUDE_LEAN_RUNTIME": options.exclude_lean_runtime,
        "SPARSE_WEIGHTS": options.sparse_weights,
        **{name.upper(): True for name in options.flags},
    }
    for name, wanted in flags.items():
        if wanted:
            config.set_flag(_member(trt, "BuilderFlag", name))
    if hasattr(trt.BuilderFlag, "TF32"):  # set unless it is cleared
        (config.set_flag if options.tf32 else config.clear_flag)(trt.BuilderFlag.TF32)
    elif not options.tf32:
        raise BuildError(f"{trt.__name__} {trt.__version__} has no BuilderFlag.TF32 to clear")
    level = options.hardware_compatibility_level
    if level is not None:
        config.hardware_compatibility_level = _member(trt, "HardwareCompatibilityLevel", level)
    _set_capabilities(trt, config, options.compute_capabilities)
    if log.refusals:
        raise BuildError(
            f"{trt.__name__} {trt.__version__} rejects an option: {_said(log.refusals)}",
            next_step="leave it out",
        )
    return config


def _set_capabilities(trt: Any, config: Any, names: Sequence[str]) -> None:
    if not names:
        return
    if not hasattr(config, "set_compute_capability"):
        raise BuildError(
            f"{trt.__name__} {trt.__version__} builds for the local GPU only",
            next_step='leave compute_capabilities out, or set package = "tensorrt_rtx"',
        )
    config.num_compute_capabilities = len(names)
    for index, name in enumerate(names):
        member = _member(trt, "ComputeCapability", name)
        if not config.set_compute_capability(member, index):
            raise BuildError(f"{trt.__name__} {trt.__version__} does not build for {name}")


def _member(trt: Any, group: str, name: str) -> Any:
    known = getattr(getattr(trt, group), "__members__", {})
    if name not in known:
        raise BuildError(
            f"{trt.__name__} {trt.__version__} has no {group}.{name}",
            valid=suggestion(name, known),
        )
    return known[name]


def _profile(
    builder: Any, network: Any, config: Any, context: BuildContext, sizes: Sizes
) -> tuple[int, int, int]:
    """Adds the profile of an input whose batch is dynamic; height and width, where they are
    dynamic too, are those of the suite's images. The batches that the engine will run.
    """
    entry = network.get_input(0)
    shape = tuple(entry.shape)
    if len(shape) != 4:
        raise BuildError(f"the graph's input has the shape {shape}", valid="(N, 3, H, W)")
    if all(size >= 0 for size in shape):
        return (shape[0],) * 3
    rest = tuple(context.example(1).only_images("TensorRT").shape[1:])
    for expected, given in zip(shape[1:], rest, strict=True):
        if expected not in {-1, given}:
            raise BuildError(f"the graph's input has the shape {shape}, the images {rest}")
    batches = (sizes.smallest, sizes.optimal, sizes.largest)
    if shape[0] >= 0:
        batches = (shape[0],) * 3
    profile = builder.create_optimization_profile()
    profile.set_shape(entry.name, *((batch, *rest) for batch in batches))
    if config.add_optimization_profile(profile) < 0:
        raise BuildError(f"TensorRT rejects the optimization profile of the batches {batches}")
    return batches


class _TimingCache:
    """Times of kernels, kept between builds in a file for each package, version and GPU."""

    def __init__(
        self,
        trt: Any,
        config: Any,
        options: Any,
        folder: Path | None,
        device: dict[str, Any] | None,
    ) -> None:
        self._config = config
        self._file: Path | None = None
        self._state = "off"
        if not options.timing_cache or folder is None:
            if hasattr(trt.BuilderFlag, "DISABLE_TIMING_CACHE") and not options.timing_cache:
                config.set_flag(trt.BuilderFlag.DISABLE_TIMING_CACHE)
            return
        words = [trt.__name__, trt.__version__, *map(str, (device or {}).values())]
        name = re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(words))
        self._file = folder / f"{name}.timing"
        self._empty = len(bytes(config.create_timing_cache(b"").serialize()))
        kept = self._file.read_bytes() if self._file.is_file() else b""
        cache = config.create_timing_cache(kept)
        # One that is damaged, or of another device, is refused, and the build begins without it.
        taken = bool(kept) and cache is not None and config.set_timing_cache(cache, False)
        if not taken:
            config.set_timing_cache(config.create_timing_cache(b""), False)
        self._state = "warm" if taken else "cold"

    def keep(self) -> str:
        """Writes what the build added, whole or not at all; in which state the build began."""
        if self._file is None:
            return self._state
        cache = self._config.get_timing_cache()
        content = b"" if cache is None else bytes(cache.serialize())
        if len(content) <= self._empty:
            return "unused"
        with replacing(self._file) as part:
            part.write_bytes(content)
        return self._state


def _layers(
    trt: Any, engine: bytes, log: Log, device: dict[str, Any] | None
) -> tuple[tuple[Layer, ...], str]:
    """From the inspector, where there is a device that can open the engine; else as the builder
    wrote them.
    """
    if device is not None and not cuda.GPU.missing:
        own = Log(trt)
        runtime = trt.Runtime(own.logger)
        if hasattr(runtime, "engine_host_code_allowed"):
            runtime.engine_host_code_allowed = True  # it was built a moment ago
        opened = runtime.deserialize_cuda_engine(engine)
        if opened is not None:
            text = opened.create_engine_inspector().get_engine_information(
                trt.LayerInformationFormat.JSON
            )
            return from_inspector(text), "inspector"
    layers = from_log(log.messages)
    return layers, "build log" if layers else ""
