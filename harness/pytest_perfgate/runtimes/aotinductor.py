"""Code that AOTInductor compiled ahead of time, run by torch on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import AOTI, CPU_FEATURES, Artifact
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.machine.fingerprint import this_machine
from pytest_perfgate.records.profile import Operator
from pytest_perfgate.runtimes import InferenceSession, OpenContext, Runtime, torch_profile

if TYPE_CHECKING:
    pass


class AotInductor(Runtime):
    """The runtime `aotinductor`; takes what the step of that name made."""

    name = "aotinductor"
    accepts = frozenset({AOTI})
    requires = (registry.from_extra("torch", "torch"),)
    preload = ("numpy", "torch", "torch._inductor.package")

    @override
    def open(self, artifact: Artifact, options: Any, context: OpenContext) -> AotInductorSession:
        """A session on the package."""
        return AotInductorSession(artifact, context)


class AotInductorSession(InferenceSession):
    """A loaded package."""

    def __init__(self, artifact: Artifact, context: OpenContext) -> None:
        import torch
        from torch import _inductor

        torch.set_num_threads(context.threads)
        self._torch = torch
        try:
            self._code: Any = _inductor.aoti_load_package(str(artifact.path))
            metadata = dict(self._code.loader.get_metadata())
        except Exception as error:
            raise RuntimeFault(
                f"the package does not load: {error}", where=str(artifact.path)
            ) from error
        device = metadata.get("AOTI_DEVICE_KEY", "")
        if device != "cpu":
            raise RuntimeFault(
                f"the package is for the device {device!r}", where=str(artifact.path), valid="cpu"
            )
        features = this_machine().features
        lacking = sorted(set(metadata.get(CPU_FEATURES, "").split()) - set(features))
        if lacking:  # it would die of an illegal instruction
            raise RuntimeFault(
                f"the package was compiled for a CPU with {', '.join(lacking)}, which this CPU "
                "lacks",
                where=str(artifact.path),
                next_step="build it here: empty the cache of artifacts, .perfgate/",
            )
        self.facts: dict[str, Any] = {
            "device": device,
            "cpu_isa": metadata.get("AOTI_CPU_ISA", "").lower(),
            "compiled": True,
            "threads": torch.get_num_threads(),
            "version": torch.__version__,
        }

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`."""
        torch = self._torch
        with torch.inference_mode():
            outputs = self._code(*map(torch.from_numpy, inputs.arrays))
        if isinstance(outputs, torch.Tensor):
            outputs = (outputs,)
        return tuple(output.numpy() for output in outputs)

    profiler = torch_profile.PROFILER

    def profile(self, inputs: Inputs, count: int) -> list[Operator]:
        """See `InferenceSession.profile`: compiled code has no layers, its rows are operations."""
        return torch_profile.profile(lambda: self.run(inputs), count)

    def close(self) -> None:
        """Lets the code go."""
        self._code = None
