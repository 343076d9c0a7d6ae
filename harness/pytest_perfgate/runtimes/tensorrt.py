"""TensorRT engines on an NVIDIA GPU, through pycuda; by the package that built the engine."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pytest_perfgate import registry
from pytest_perfgate.artifact import TENSORRT, Artifact, OptionsModel
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.records.profile import Operator
from pytest_perfgate.runtimes import (
    DEVICE_UUID,
    InferenceSession,
    OpenContext,
    Runtime,
    cuda,
    tensorrt_profile,
)
from pytest_perfgate.runtimes.tensorrt_buffers import EngineBuffers, EngineTensor
from pytest_perfgate.runtimes.tensorrt_package import (
    EngineNote,
    Log,
    engine_in,
    not_loaded,
    package,
    package_of,
)

if TYPE_CHECKING:
    pass

_SHAPES = 4  # batch sizes whose buffers are kept: a sample's, a batch's, and some of parity's


class TensorRt(Runtime):
    """The runtime `tensorrt`."""

    name = "tensorrt"
    accepts = frozenset({TENSORRT})
    requires = (registry.from_extra("pycuda", "gpu"), cuda.GPU)
    # Neither pycuda nor TensorRT: a process that forks must not have opened the driver.
    preload = ("numpy",)

    class Options(OptionsModel):
        """Options."""

        device: int = Field(0, ge=0, description="the GPU, by its number")
        cuda_graph: bool = Field(
            False, description="capture one CUDA graph per batch size and replay it"
        )
        kernel_specialization: Literal["LAZY", "EAGER", "NONE"] | None = Field(
            None,
            description="tensorrt_rtx: when kernels for one batch size are compiled; default: "
            "EAGER, before the measurement",
        )

    def open(self, artifact: Artifact, options: Any, context: OpenContext) -> TensorRtSession:
        """A session on the engine; the device is opened here, in this process."""
        if artifact.path is None:
            raise RuntimeFault("there is no engine to run")
        return TensorRtSession(artifact.path, options, context)


class TensorRtSession(InferenceSession):
    """A deserialised engine, a stream, and buffers for each batch size."""

    def __init__(self, path: Path, options: Any, context: OpenContext) -> None:
        import numpy as np
        from pycuda import driver

        self._driver = driver
        self._folder = context.folder
        note = EngineNote.read(path)
        content = engine_in(path.read_bytes())
        self._trt = package(note.package if note else package_of(content))
        self._log = Log(self._trt)
        self._buffers: OrderedDict[tuple[int, ...], EngineBuffers] = OrderedDict()
        self._flushed: Any = None
        self._open = contextlib.ExitStack()
        try:
            device = cuda.open_device(driver, options.device, self._open)
            self._engine = self._deserialise(path, content, note)
            self._entry, self._outputs = self._tensors(path)
            self._dtype = np.dtype(self._entry[1]).name
            # tensorrt_rtx captures by itself; tensorrt leaves it to its caller.
            self._own_graph = options.cuda_graph and not hasattr(self._trt, "CudaGraphStrategy")
            self._cache: Any = None
            self._cached = False
            self._settings = self._runtime_settings(options)
            self._shared: Any = None if self._own_graph else self._execution_context()
            self._stream = driver.Stream()
            self._start, self._end = driver.Event(), driver.Event()
            l2 = device.get_attribute(driver.device_attribute.L2_CACHE_SIZE)
            self._flush_size = 2 * max(int(l2), 1 << 20)
        except BaseException:
            self._open.close()
            raise
        self._active: tuple[int, ...] | None = None
        if note is None:
            self.fixed_batch = max(0, int(self._engine.get_tensor_shape(self._entry[0])[0]))
        self.facts: dict[str, Any] = {
            "device": device.name(),
            DEVICE_UUID: cuda.device_uuid(options.device),
            "compute_capability": ".".join(map(str, device.compute_capability())),
            "package": self._trt.__name__,
            "version": self._trt.__version__,
            "batch": list(note.batch if note else self._batches()),
            "layers": self._engine.num_layers,
            "cuda_graph": options.cuda_graph,
            "threads": context.threads,
        }
        if self._settings is not None:
            self.facts["kernel_specialization"] = options.kernel_specialization or "EAGER"

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`.

        Raises:
            RuntimeFault: the engine has no profile for this batch, or TensorRT refuses to run it.
        """
        import numpy as np

        batch = inputs.only_images("TensorRT", self._dtype)
        buffers = self._prepared(tuple(batch.shape))
        np.copyto(buffers.entry.host, batch)
        copy = self._driver
        copy.memcpy_htod_async(buffers.entry.device, buffers.entry.host, self._stream)
        self._execute(buffers)
        for output in buffers.outputs:
            copy.memcpy_dtoh_async(output.host, output.device, self._stream)
        self._stream.synchronize()
        # The pinned arrays are written to by the next inference.
        return tuple(
            output.host.astype(np.float32)
            if output.host.dtype == np.float16
            else output.host.copy()
            for output in buffers.outputs
        )

    def device_seconds(self) -> float:
        """Seconds that the last inference took on the device, between two events around the
        engine's own work: copies to and from the host are outside.
        """
        return float(self._end.time_since(self._start)) / 1e3

    profiler = tensorrt_profile.PROFILER

    def profile(self, inputs: Inputs, count: int) -> list[Operator]:
        """See `InferenceSession.profile`: in a context of its own, without a graph."""
        import numpy as np

        batch = inputs.only_images("TensorRT", self._dtype)
        context = self._engine.create_execution_context()
        self._set_shape(context, tuple(batch.shape))
        buffers = self._allocated(context, tuple(batch.shape))

        def infer() -> None:
            self._enqueue(buffers)
            self._stream.synchronize()

        try:
            for tensor in (buffers.entry, *buffers.outputs):
                context.set_tensor_address(tensor.name, int(tensor.device))
            np.copyto(buffers.entry.host, batch)
            self._driver.memcpy_htod_async(buffers.entry.device, buffers.entry.host, self._stream)
            return tensorrt_profile.profile(self._trt, self._engine, context, infer, count)
        finally:
            buffers.close()

    def flush_cache(self) -> bool:
        """Write twice the size of the device's L2 cache, and wait for it."""
        if self._flushed is None:
            self._flushed = self._driver.mem_alloc(self._flush_size)
        self._driver.memset_d8_async(self._flushed, 0, self._flush_size, self._stream)
        self._stream.synchronize()
        return True

    def close(self) -> None:
        """Frees buffers and engine, and lets the device go."""
        self._keep_compiled()
        for buffers in self._buffers.values():
            buffers.close()
        self._buffers.clear()
        # All that lives in the device's context goes before it does.
        self._shared = self._settings = self._cache = self._engine = self._runtime = None
        self._stream = self._start = self._end = None
        if self._flushed is not None:
            self._flushed.free()
        self._open.close()

    # -- one inference -------------------------------------------------------------------------

    def _execute(self, buffers: EngineBuffers) -> None:
        """The engine's work on the stream, between the two events that `device_seconds` reads."""
        if self._own_graph and buffers.graph is None and buffers.warm:
            # What is lazily made was made by the inference before.
            buffers.graph = cuda.Graph(self._stream.handle, lambda: self._enqueue(buffers))
        self._start.record(self._stream)
        if buffers.graph is not None:
            buffers.graph.launch()
        else:
            self._enqueue(buffers)
        self._end.record(self._stream)
        buffers.warm = True

    def _enqueue(self, buffers: EngineBuffers) -> None:
        if not buffers.context.execute_async_v3(self._stream.handle):
            raise RuntimeFault(f"TensorRT does not run the engine: {self._said()}")

    def _prepared(self, shape: tuple[int, ...]) -> EngineBuffers:
        """The buffers of a batch size, their addresses set."""
        buffers = self._buffers.get(shape)
        if buffers is None:
            while len(self._buffers) >= _SHAPES:
                _, oldest = self._buffers.popitem(last=False)
                oldest.close()
            # A captured graph holds on to its context's shapes, so that each has its own.
            context = self._shared or self._execution_context()
            self._set_shape(context, shape)
            buffers = self._allocated(context, shape)
            self._buffers[shape] = buffers
        elif self._active != shape and buffers.context is self._shared:
            self._set_shape(buffers.context, shape)
        self._buffers.move_to_end(shape)
        if self._active != shape:
            for tensor in (buffers.entry, *buffers.outputs):
                buffers.context.set_tensor_address(tensor.name, int(tensor.device))
            self._active = shape
        return buffers

    def _set_shape(self, context: Any, shape: tuple[int, ...]) -> None:
        if not context.set_input_shape(self._entry[0], shape):
            smallest, optimal, largest = (
                tuple(shape) for shape in self._engine.get_tensor_profile_shape(self._entry[0], 0)
            )
            raise RuntimeFault(
                f"the engine does not take an input of the shape {shape}",
                valid=f"{smallest} to {largest}, best {optimal}",
                next_step="set min_batch and max_batch of the step tensorrt, or `batch` in [suite]",
            )

    def _allocated(self, context: Any, shape: tuple[int, ...]) -> EngineBuffers:
        def tensor(name: str, size: tuple[int, ...], dtype: Any) -> EngineTensor:
            host = self._driver.pagelocked_empty(size, dtype)
            return EngineTensor(name, host, self._driver.mem_alloc(max(1, host.nbytes)))

        outputs = []
        for name, dtype in self._outputs:
            size = tuple(context.get_tensor_shape(name))
            if any(extent < 0 for extent in size):
                raise RuntimeFault(
                    f"the shape of the output {name!r}, {size}, depends on what is in the image",
                    valid="outputs whose shape follows from the batch",
                )
            outputs.append(tensor(name, size, dtype))
        return EngineBuffers(context, tensor(*_sized(self._entry, shape)), outputs)

    # -- opening -------------------------------------------------------------------------------

    def _batches(self) -> list[int]:
        """The smallest, the optimal and the largest batch."""
        shapes = self._engine.get_tensor_profile_shape(self._entry[0], 0)
        return [int(shape[0]) for shape in shapes]

    def _deserialise(self, path: Path, content: bytes, note: EngineNote | None) -> Any:
        if hasattr(self._trt, "init_libnvinfer_plugins"):
            self._trt.init_libnvinfer_plugins(self._log.logger, "")
        runtime = self._trt.Runtime(self._log.logger)
        if note and note.carries_code and hasattr(runtime, "engine_host_code_allowed"):
            # Only engines that this project's own step wrote to its cache have a note.
            runtime.engine_host_code_allowed = True
        engine = runtime.deserialize_cuda_engine(content)
        if engine is None:
            raise not_loaded(self._trt, path, note, self._said())
        self._runtime = runtime  # the engine needs it
        return engine

    def _tensors(self, path: Path) -> tuple[tuple[str, Any], list[tuple[str, Any]]]:
        """Name and numpy type of the one input, and of each output in the graph's order."""
        trt, engine = self._trt, self._engine
        inputs: list[tuple[str, Any]] = []
        outputs: list[tuple[str, Any]] = []
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            try:
                dtype = trt.nptype(engine.get_tensor_dtype(name))
            except TypeError as error:
                raise RuntimeFault(
                    f"the tensor {name!r} is {engine.get_tensor_dtype(name)}, a type that numpy "
                    "lacks",
                    where=str(path),
                    next_step="let the graph's inputs and outputs be float32",
                ) from error
            entry = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            (inputs if entry else outputs).append((name, dtype))
        if len(inputs) != 1 or not outputs:
            raise RuntimeFault(
                f"the engine has the inputs {[name for name, _ in inputs]} and the outputs "
                f"{[name for name, _ in outputs]}",
                where=str(path),
                valid="one input (N, 3, H, W), and outputs",
            )
        return inputs[0], outputs

    def _runtime_settings(self, options: Any) -> Any:
        """What tensorrt_rtx takes at run time: its own CUDA graphs, and kernels that it compiled
        for this device before. None for tensorrt, which has neither.
        """
        specialization = options.kernel_specialization
        if not hasattr(self._trt, "CudaGraphStrategy"):
            if specialization is not None:
                raise RuntimeFault(
                    f"{self._trt.__name__} compiles nothing as it runs",
                    next_step="leave kernel_specialization out",
                )
            return None
        settings = self._engine.create_runtime_config()
        strategies = self._trt.CudaGraphStrategy
        settings.cuda_graph_strategy = (
            strategies.WHOLE_GRAPH_CAPTURE if options.cuda_graph else strategies.DISABLED
        )
        when = self._trt.DynamicShapesKernelSpecializationStrategy
        settings.dynamic_shapes_kernel_specialization_strategy = getattr(
            when, specialization or "EAGER"
        )
        self._cache = settings.create_runtime_cache()
        # One of another device or version is refused, and is written anew.
        self._cached = self._kept.is_file() and self._cache.deserialize(self._kept.read_bytes())
        settings.set_runtime_cache(self._cache)
        return settings

    @property
    def _kept(self) -> Path:
        return self._folder / "tensorrt_rtx.cache"

    def _keep_compiled(self) -> None:
        """What was compiled as it ran, for the next process: whole, or not at all."""
        if self._cache is None or self._cached:
            return
        part = self._kept.with_suffix(".part")
        part.write_bytes(bytes(self._cache.serialize()))
        part.replace(self._kept)

    def _execution_context(self) -> Any:
        context = (
            self._engine.create_execution_context()
            if self._settings is None
            else self._engine.create_execution_context(self._settings)
        )
        if context is None:
            raise RuntimeFault(
                f"TensorRT makes no execution context: {self._said()}",
                next_step="check the free device memory: nvidia-smi",
            )
        return context

    def _said(self) -> str:
        return "; ".join(" ".join(error.split()) for error in self._log.errors) or (
            "it gave no message"
        )


def _sized(entry: tuple[str, Any], shape: tuple[int, ...]) -> tuple[str, tuple[int, ...], Any]:
    return entry[0], shape, entry[1]
