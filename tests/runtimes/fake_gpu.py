"""A GPU that is not there: the least of pycuda's driver, of TensorRT's runtime and of libcuda that
the runtime `tensorrt` asks for. Device memory is the host's; streams work at once.

The engine computes y = 2 x from the addresses that it is given, so that what goes wrong with
shapes, addresses, copies or replays gives wrong numbers.
"""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np


class Memory:
    """A piece of device memory."""

    alive = 0

    def __init__(self, size: int) -> None:
        self.bytes = (ctypes.c_uint8 * size)()
        Memory.alive += 1

    def __int__(self) -> int:
        return ctypes.addressof(self.bytes)

    def free(self) -> None:
        """Once."""
        assert self.bytes is not None
        self.bytes = None  # type: ignore[assignment] # freed memory has none
        Memory.alive -= 1


class Stream:
    """What is put on it is done at once, unless it is being captured."""

    handle = 7

    def __init__(self, flags: int = 0) -> None:
        self.flags = flags

    def synchronize(self) -> None:
        """Nothing is left to wait for."""


class Event:
    """Events are a millisecond apart."""

    clock = 0

    def record(self, stream: Stream) -> None:
        """Takes the time."""
        assert isinstance(stream, Stream)
        Event.clock += 1
        self.at = Event.clock

    def time_since(self, other: Event) -> float:
        """Milliseconds."""
        return float(self.at - other.at)


class Driver:
    """pycuda.driver."""

    class Error(Exception):
        """pycuda.driver.Error."""

    Stream, Event = Stream, Event
    device_attribute = SimpleNamespace(L2_CACHE_SIZE="l2")
    open_contexts = 0
    free = iter(())
    """What is free on the device, at each time that it is asked for."""

    class Device:
        """pycuda.driver.Device."""

        def __init__(self, index: int) -> None:
            self.index = index

        @staticmethod
        def count() -> int:
            """One device."""
            return 1

        def name(self) -> str:
            """A name."""
            return "Imaginary GPU"

        def get_attribute(self, which: str) -> int:
            """The size of its L2 cache."""
            assert which == "l2"
            return 4 << 20

        def compute_capability(self) -> tuple[int, int]:
            """As pycuda has it."""
            return 8, 6

        def retain_primary_context(self) -> Any:
            """A context that is to be popped again."""

            def push() -> None:
                Driver.open_contexts += 1

            return SimpleNamespace(push=push)

    class Context:
        """pycuda.driver.Context."""

        @staticmethod
        def pop() -> None:
            """Undoes push."""
            Driver.open_contexts -= 1

    @staticmethod
    def init() -> None:
        """What cuInit does: nothing here."""

    @staticmethod
    def mem_get_info() -> tuple[int, int]:
        """Free and total bytes."""
        return next(Driver.free), 1000

    @staticmethod
    def pagelocked_empty(shape: tuple[int, ...], dtype: Any) -> Any:
        """An array that holds rubbish."""
        return np.full(shape, -77, dtype)

    @staticmethod
    def mem_alloc(size: int) -> Memory:
        """Device memory."""
        return Memory(size)

    @staticmethod
    def memset_d8_async(target: Memory, value: int, count: int, stream: Stream) -> None:
        """Bytes of the device."""
        assert isinstance(stream, Stream)
        ctypes.memset(int(target), value, count)

    @staticmethod
    def memcpy_htod_async(target: Memory, source: Any, stream: Stream) -> None:
        """Host to device."""
        assert isinstance(stream, Stream)
        ctypes.memmove(int(target), source.ctypes.data, source.nbytes)

    @staticmethod
    def memcpy_dtoh_async(target: Any, source: Memory, stream: Stream) -> None:
        """Device to host."""
        assert isinstance(stream, Stream)
        ctypes.memmove(target.ctypes.data, int(source), target.nbytes)


class LibCuda:
    """libcuda's functions that tell a device and capture a stream: a graph replays what it
    captured of the engine.
    """

    capturing: list[Any] | None = None
    launched = 0

    def __init__(self, broken: str = "") -> None:
        self._broken = broken
        self._graphs: list[list[Any]] = []

    def __getattr__(self, name: str) -> Any:
        if name == self._broken:
            return lambda *_: 901
        return {
            "cuStreamBeginCapture_v2": self._begin,
            "cuStreamEndCapture": self._end,
            "cuGraphInstantiateWithFlags": self._instantiate,
            "cuGraphLaunch": self._launch,
            "cuInit": lambda _: 0,
            "cuDeviceGet": self._device,
            "cuDeviceGetUuid_v2": self._uuid,
            "cuGraphExecDestroy": lambda _: 0,
            "cuGraphDestroy": lambda _: 0,
        }[name]

    @staticmethod
    def _device(device: Any, index: int) -> int:
        device._obj.value = 40 + index
        return 0

    @staticmethod
    def _uuid(raw: Any, device: Any) -> int:
        raw._obj[:] = [device.value] + [0xAB] * 15
        return 0

    def _begin(self, _: Any, mode: int) -> int:
        assert mode == 1
        LibCuda.capturing = []
        return 0

    def _end(self, _: Any, graph: Any) -> int:
        assert LibCuda.capturing is not None
        self._graphs.append(LibCuda.capturing)
        LibCuda.capturing = None
        graph._obj.value = len(self._graphs)
        return 0

    @staticmethod
    def _instantiate(ready: Any, graph: Any, _: Any) -> int:
        ready._obj.value = graph.value
        return 0

    def _launch(self, ready: Any, _: Any) -> int:
        LibCuda.launched += 1
        for work in self._graphs[ready.value - 1]:
            work()
        return 0


class ExecutionContext:
    """Doubles what lies at the address of x, for the shape that was set."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shape: tuple[int, ...] = ()
        self._at: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        """False outside the profile."""
        smallest, _, largest = self._engine.get_tensor_profile_shape(name, 0)
        if shape[1:] != largest[1:] or not smallest[0] <= shape[0] <= largest[0]:
            return False
        self._shape = shape
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """That of x; of y unknown, when it is told so."""
        return (-1, *self._shape[1:]) if self._engine.vague and name == "y" else self._shape

    def set_tensor_address(self, name: str, address: int) -> bool:
        """Keeps it."""
        self._at[name] = address
        return True

    profiler: Any = None

    def report_to_profiler(self) -> bool:
        """Two layers; the second takes three times as long."""
        self.profiler.report_layer_time("conv", 0.25)
        self.profiler.report_layer_time("relu", 0.75)
        return True

    def execute_async_v3(self, stream: int) -> bool:
        """At once, or into the capture."""
        assert stream == Stream.handle
        if self._engine.refuses:
            self._engine.log(2, "no more today")
            return False
        shape, at = self._shape, dict(self._at)

        def work() -> None:
            size = int(np.prod(shape))
            float_at = ctypes.POINTER(ctypes.c_float)
            x = np.ctypeslib.as_array(ctypes.cast(at["x"], float_at), (size,))
            y = np.ctypeslib.as_array(ctypes.cast(at["y"], float_at), (size,))
            y[:] = 2 * x

        if LibCuda.capturing is None:
            work()
        else:
            LibCuda.capturing.append(work)
        return True


class Inspector:
    """Knows one of the two layers."""

    @staticmethod
    def get_engine_information(_form: str) -> str:
        """As JSON."""
        return '{"Layers": [{"Name": "conv", "LayerType": "CaskConvolution"}, "relu"]}'


class Engine:
    """One input x, one output y, batches of 1 to 4 of 3 x 8 x 8."""

    create_engine_inspector = Inspector

    num_io_tensors, num_layers = 2, 1
    vague = refuses = False

    def __init__(self, log: Any) -> None:
        self.log = log
        self.contexts = 0
        self.settings: Any = None

    def get_tensor_name(self, index: int) -> str:
        """The output comes first."""
        return "yx"[index]

    def get_tensor_mode(self, name: str) -> str:
        """As trt.TensorIOMode."""
        return "in" if name == "x" else "out"

    def get_tensor_dtype(self, _: str) -> Any:
        """A TensorRT type."""
        return "FLOAT"

    def get_tensor_shape(self, _: str) -> tuple[int, ...]:
        """Of any batch."""
        return -1, 3, 8, 8

    def get_tensor_profile_shape(self, _: str, __: int) -> tuple[tuple[int, ...], ...]:
        """Smallest, optimal, largest."""
        return (1, 3, 8, 8), (1, 3, 8, 8), (4, 3, 8, 8)

    def create_runtime_config(self) -> Any:
        """As in tensorrt_rtx."""
        cache = SimpleNamespace(held=b"", serialize=lambda: b"compiled")

        def deserialize(content: bytes) -> bool:
            cache.held = content
            return content == b"compiled"

        cache.deserialize = deserialize
        return SimpleNamespace(
            create_runtime_cache=lambda: cache,
            set_runtime_cache=lambda given: setattr(self, "cache", given),
        )

    def create_execution_context(self, settings: Any = None) -> ExecutionContext:
        """A new one."""
        self.contexts += 1
        self.settings = settings
        return ExecutionContext(self)


def tensorrt(version: str = "10.16.0", *, rtx: bool = False) -> Any:
    """The module, as far as running an engine needs it; `made` are its engines."""

    class ILogger:
        Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=2, WARNING=3)

    built: list[Engine] = []

    class Runtime:
        engine_host_code_allowed = False

        def __init__(self, logger: Any) -> None:
            self._logger = logger
            module.hosts.append(self)

        def deserialize_cuda_engine(self, content: bytes) -> Engine | None:
            if content != b"an engine":
                self._logger.log(2, "magic tag does not match")
                return None
            built.append(Engine(self._logger.log))
            return built[-1]

    module = SimpleNamespace(
        __name__="tensorrt",
        __version__=version,
        ILogger=ILogger,
        Runtime=Runtime,
        TensorIOMode=SimpleNamespace(INPUT="in"),
        IProfiler=type("IProfiler", (), {}),
        LayerInformationFormat=SimpleNamespace(JSON="json"),
        nptype=lambda _: np.float32,
        made=built,
        hosts=[],
    )
    if rtx:
        module.CudaGraphStrategy = SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole", DISABLED="none")
        module.DynamicShapesKernelSpecializationStrategy = SimpleNamespace(
            LAZY="lazy", EAGER="eager", NONE="none"
        )
    return module
