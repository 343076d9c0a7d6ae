"""ONNX Runtime, with proof of the provider that it really uses, node by node."""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, Artifact, OptionsModel
from pytest_perfgate.errors import RuntimeFault, suggestion
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.records.counts import Graph
from pytest_perfgate.records.profile import Operator
from pytest_perfgate.registry import Requirement
from pytest_perfgate.runtimes import (
    DEVICE_TIME_PROBLEM,
    DEVICE_UUID,
    InferenceSession,
    OpenContext,
    Runtime,
    cuda,
)
from pytest_perfgate.runtimes import onnxruntime_build as build
from pytest_perfgate.runtimes import onnxruntime_providers as providers
from pytest_perfgate.runtimes import onnxruntime_settings as settings
from pytest_perfgate.runtimes import onnxruntime_stream as streams
from pytest_perfgate.runtimes.onnxruntime_binding import Binding
from pytest_perfgate.runtimes.onnxruntime_graph import graph_of
from pytest_perfgate.runtimes.onnxruntime_inputs import fixed_batch, taken_by
from pytest_perfgate.runtimes.onnxruntime_profile import operators as operator_rows

_LEVELS = ("disable", "basic", "extended", "all")
"""Levels of graph optimization, lowest first."""


class OnnxRuntime(Runtime):
    """The runtime `onnxruntime`."""

    name = "onnxruntime"
    accepts = frozenset({ONNX})
    requires = (registry.from_extra("onnxruntime", "onnx"),)
    preload = ("numpy", "onnxruntime")
    computes_as_onnxruntime = True

    class Options(OptionsModel):
        """Options of ONNX Runtime."""

        provider: Literal["cpu", "cuda", "tensorrt"] = Field(
            "cpu", description="the execution provider; running on any other is an error"
        )
        provider_options: dict[str, bool | int | float | str] = Field(
            default_factory=dict, description="options of the provider, by ONNX Runtime's names"
        )
        fallback_ops: tuple[str, ...] = Field(
            (),
            description="operators that may fall back to the CPU; falling back with any other is "
            "an error",
        )
        io_binding: bool | None = Field(
            None, description="bind inputs and outputs to device memory; default: true on a GPU"
        )
        cuda_graph: bool = Field(
            False, description="capture one CUDA graph per batch size and replay it"
        )
        graph_optimization: Literal["disable", "basic", "extended", "all"] = Field(
            "all", description="graph optimization level"
        )
        session: dict[str, bool | int | float | str] = Field(
            default_factory=dict,
            description="further attributes of SessionOptions and configuration entries, by ONNX "
            "Runtime's names",
        )
        enable_cpu_mem_arena: bool = Field(
            True, description="reuse the host memory of an inference for the next one"
        )
        enable_mem_pattern: bool = Field(
            True, description="plan the host memory of an inference by the shapes of the one before"
        )
        arena_shrinkage: bool = Field(
            False, description="return unused host memory of the arena after every inference"
        )
        threads: int | None = Field(
            None, ge=1, description="intra-op threads; default: those of the suite"
        )

        @model_validator(mode="after")
        def _fits(self) -> OnnxRuntime.Options:
            """An option that the provider has not is an error here, before anything is built."""
            settings.refuse(self.session, self.changed)
            known = providers.KNOWN[self.provider]
            for name in self.provider_options:
                if name == providers.GRAPH_OPTION.get(self.provider):
                    raise ValueError(f"{name} is set by cuda_graph = true")
                if name not in known:
                    raise ValueError(
                        f"the provider {self.provider!r} has no option {name!r}; valid: "
                        f"{suggestion(name, known)}"
                    )
            if self.provider == "cpu":
                for name in ("cuda_graph", "fallback_ops"):
                    if getattr(self, name):
                        raise ValueError(f"{name} has no effect with the provider 'cpu'")
            if self.arena_shrinkage and not self.enable_cpu_mem_arena:
                raise ValueError("arena_shrinkage needs enable_cpu_mem_arena")
            if self.arena_shrinkage and (self.io_binding or self.provider != "cpu"):
                raise ValueError("arena_shrinkage needs the provider 'cpu' without io_binding")
            if self.cuda_graph and self.io_binding is False:
                raise ValueError("cuda_graph needs io_binding: a graph has fixed addresses")
            return self

    @override
    def check(self, options: Any) -> None:
        """Configuration entries must be among the installed library's."""
        settings.refuse_unknown(options.session)

    @override
    def requires_with(self, options: Any) -> tuple[Requirement, ...]:
        """A provider for GPUs needs a GPU, and another package."""
        if options.provider == "cpu":
            return self.requires
        return (build.CUDA_PROVIDER, cuda.GPU)

    @override
    def optimizes_graph(self, options: Any) -> bool:
        """Above the lowest level; a provider for GPUs has kernels of its own at each."""
        lowest = _LEVELS[0]
        return bool(options.provider != "cpu" or options.graph_optimization != lowest)

    @override
    def computes_in_16_bits(self, options: Any) -> bool:
        """On a GPU products are in TF32 or less, unless told otherwise."""
        return bool(options.provider != "cpu")

    @override
    def alternatives(self, options: Any) -> Mapping[str, Any]:
        """Lower levels of graph optimization, highest first."""
        lower = _LEVELS[: _LEVELS.index(options.graph_optimization)]
        return {
            f'graph_optimization = "{level}"': options.model_copy(
                update={"graph_optimization": level}
            )
            for level in reversed(lower)
        }

    def open(self, artifact: Artifact, options: Any, context: OpenContext) -> OnnxSession:
        """A session on the ONNX file."""
        return OnnxSession(artifact, options, context)


class OnnxSession(InferenceSession):
    """An inference session on one provider."""

    def __init__(self, artifact: Artifact, options: Any, context: OpenContext) -> None:
        self._opened = artifact, options, context
        self._session: Any = None
        self._binding: Binding | None = None
        self._stream: streams.DeviceStream | None = None
        self._number = int(options.provider_options.get("device_id", 0))
        problem = ""
        if options.provider != "cpu":
            cuda.require_index(self._number)
            problem = streams.problem(options.io_binding)
            if not problem:
                self._stream = streams.DeviceStream(self._number)
        try:
            with self._stream.growing() if self._stream else contextlib.nullcontext():
                self._load()
        except BaseException:
            self.close()
            raise
        if problem:
            self.facts[DEVICE_TIME_PROBLEM] = problem

    def _load(self) -> None:
        """Opens the session, proves where it runs, and reads the facts from it."""
        import onnxruntime

        artifact, options, context = self._opened
        session_options = settings.session_options(options, context)
        provider = providers.PROVIDERS[options.provider]
        self._provider = (provider, provider_settings(options, context.folder))
        if self._stream is not None:
            self._provider[1][streams.OPTION] = str(self._stream.handle)
        try:
            self._session = onnxruntime.InferenceSession(
                str(artifact.path), session_options, providers=[self._provider], enable_fallback=0
            )
        except Exception as error:
            raise RuntimeFault(
                f"ONNX Runtime does not load the file: {error}",
                where=str(artifact.path),
                next_step=next((to for word, to in _REMEDIES if word in str(error)), ""),
            ) from error
        used = self._session.get_providers()
        if not used or used[0] != provider:
            raise RuntimeFault(
                f"the provider {provider} was requested, but ONNX Runtime uses {', '.join(used)}",
                valid=", ".join(onnxruntime.get_available_providers()),
                next_step=build.conflict()
                or ("install the packages of the provider, or set another provider"),
            )
        nodes = assignment(self._session)
        refuse_fallback(nodes, provider, options.fallback_ops, str(artifact.path))
        self._taken = taken_by(self._session)
        self.fixed_batch = fixed_batch(self._session)
        self._binding = self._bound(options)
        self._run_options = None
        if options.arena_shrinkage:
            self._run_options = onnxruntime.RunOptions()
            self._run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self.facts: dict[str, Any] = {
            "provider": used[0],
            "threads": session_options.intra_op_num_threads,
            **settings.facts_of(self._session, options),
            "version": onnxruntime.__version__,
        }
        for name in ("enable_cpu_mem_arena", "enable_mem_pattern"):
            if not getattr(session_options, name):
                self.facts[name] = False
        if options.arena_shrinkage:
            self.facts["arena_shrinkage"] = True
        if nodes is not None:
            self.facts["nodes"] = {name: sum(ops.values()) for name, ops in nodes.items()}
        if self._binding is not None:
            self.facts |= {"io_binding": self._binding.device, "cuda_graph": options.cuda_graph}
        if options.provider != "cpu":
            self.facts[DEVICE_UUID] = cuda.device_uuid(self._number)
        if options.provider_options:
            self.facts["provider_options"] = dict(options.provider_options)

    def _bound(self, options: Any) -> Binding | None:
        gpu = options.provider != "cpu"
        if not (gpu if options.io_binding is None else options.io_binding):
            return None
        return Binding(
            self._session,
            device="cuda" if gpu else "cpu",
            number=self._number,
            graph=options.cuda_graph,
            stream=self._stream,
        )

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`."""
        fed = inputs.feed(self._taken)
        if self._binding is not None:
            outputs = self._binding.run(fed)
        else:
            outputs = self._session.run(None, fed, self._run_options)
        return tuple(
            output.astype("float32") if output.dtype == "float16" else output for output in outputs
        )

    @override
    def device_seconds(self) -> float:
        """See `InferenceSession.device_seconds`; NaN on a CPU, without pycuda or bound memory."""
        return math.nan if self._stream is None else self._stream.seconds()

    @override
    def peak_device_memory(self) -> int | None:
        """By how many bytes the device's free memory fell as the session was opened and took inputs
        of a new batch size: weights, arena, what libraries hold for it.
        """
        return None if self._stream is None else self._stream.peak()

    profiler = "ONNX Runtime's profiling"

    def profile(self, inputs: Inputs, count: int) -> list[Operator]:
        """See `InferenceSession.profile`: a second session like this one, with profiling on."""
        _, options, context = self._opened
        session_options = settings.session_options(options, context)
        session_options.enable_profiling = True
        fed = inputs.feed(self._taken)
        with tempfile.TemporaryDirectory() as folder:
            session_options.profile_file_prefix = str(Path(folder) / "profile")
            session = self._like(session_options)
            for _ in range(_WARM + count):
                session.run(None, fed)
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        return operator_rows(events, count)

    def graph(self, inputs: Inputs) -> Graph:
        """See `InferenceSession.graph`: sessions like this one are opened."""
        artifact, options, context = self._opened
        return graph_of(
            self._like,
            settings.session_options(options, context),
            Path(str(artifact.path)),
            inputs.feed(self._taken),
        )

    def _like(self, session_options: Any) -> Any:
        """A session on the same file and provider, with other options."""
        import onnxruntime

        return onnxruntime.InferenceSession(
            str(self._opened[0].path),
            session_options,
            providers=[self._provider],
            enable_fallback=0,
        )

    def close(self) -> None:
        """Lets the session go, and then the stream that it works on."""
        self._binding = self._session = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None


_REMEDIES = (
    (
        "IR version",
        "python -m pip install -U onnxruntime, or export the model with an older version of onnx",
    ),
    (
        "load external data into raw data",  # of shapes and axes, which it reads before any weights
        "save the model as one file, onnx.save(onnx.load(PATH), PATH), or with small values inside "
        "the graph: onnx.save(..., save_as_external_data=True, size_threshold=1024)",
    ),
)
"""What ONNX Runtime's own words of a file that it does not load lead to."""


def provider_settings(options: Any, folder: Path) -> dict[str, str]:
    """A provider's options as ONNX Runtime takes them, all texts. Engines that its TensorRT
    provider builds are kept in `folder`, unless the recipe says otherwise.
    """
    given: dict[str, Any] = dict(options.provider_options)
    if options.provider == "tensorrt":
        for what in ("engine_cache", "timing_cache"):
            given.setdefault(f"trt_{what}_enable", True)
            given.setdefault(f"trt_{what}_path", str(folder / f"trt_{what}"))
    if options.cuda_graph:
        given[providers.GRAPH_OPTION[options.provider]] = True
    return {
        name: str(int(value)) if isinstance(value, bool) else str(value)
        for name, value in given.items()
    }


def assignment(session: Any) -> dict[str, Counter[str]] | None:
    """Which operators each provider runs, and how many of each; None where this version of ONNX
    Runtime does not tell.
    """
    if not hasattr(session, settings.ASSIGNMENT):
        return None
    operators: dict[str, Counter[str]] = {}
    for part in getattr(session, settings.ASSIGNMENT)():
        operators.setdefault(part.ep_name, Counter()).update(
            node.op_type for node in part.get_nodes()
        )
    return operators


def refuse_fallback(
    nodes: Mapping[str, Counter[str]] | None,
    provider: str,
    allowed: tuple[str, ...],
    where: str,
) -> None:
    """Nothing, when `provider` runs every node but those whose operator is `allowed` elsewhere.

    Raises:
        RuntimeFault: names the operators that another provider runs, and how many of each.
    """
    if nodes is None:
        if allowed:
            raise RuntimeFault(
                "this version of ONNX Runtime does not list the operators that fell back, so "
                "fallback_ops cannot be checked",
                where=where,
                next_step="python -m pip install -U 'onnxruntime-gpu>=1.24', or leave it out",
            )
        return
    stray: Counter[str] = Counter()
    for name, operators in nodes.items():
        if name != provider:
            stray.update({op: count for op, count in operators.items() if op not in allowed})
    if stray:
        listed = ", ".join(f"{count} {op}" for op, count in sorted(stray.items()))
        total = sum(sum(operators.values()) for operators in nodes.values())
        names = ", ".join(f'"{op}"' for op in sorted({*stray, *allowed}))
        raise RuntimeFault(
            f"of {total} nodes, {sum(stray.values())} do not run on {provider}: {listed}",
            where=where,
            next_step=f"to allow it, as for operators on shapes: fallback_ops = [{names}]",
        )


_WARM = 2  # inferences before those that are counted: the first one allocates
