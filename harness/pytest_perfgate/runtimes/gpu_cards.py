"""What a GPU can compute, by its compute capability: NVML tells it, and no CUDA is opened."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.machine import nvml
from pytest_perfgate.machine.visible_gpus import visible
from pytest_perfgate.registry import Requirement

Capability = tuple[int, int]


def compute_capability(index: int = 0) -> Capability | None:
    """The compute capability of a visible GPU, such as (9, 0); None where NVML does not tell it:
    no GPU, no driver, no nvidia-ml-py.
    """
    library, _ = nvml.connect()
    if library is None:
        return None
    try:
        devices = visible(library)
        return devices[index].compute_capability() if index < len(devices) else None
    except RuntimeFault:
        return None
    finally:
        library.close()


@dataclass(frozen=True)
class Card(Requirement):
    """A GPU whose compute capability is `least` or later, or, with `majors` and `exact`, is listed.

    Without a GPU, or where NVML does not tell its capability, nothing is missing by this: other
    requirements say so.
    """

    feature: str = ""
    least: Capability | None = None
    exact: frozenset[Capability] = frozenset()
    majors: frozenset[int] = frozenset()

    @property
    def missing(self) -> bool:
        """Whether there is a GPU that is known not to do this."""
        capability = compute_capability()
        return capability is not None and not self.fits(capability)

    def fits(self, capability: Capability) -> bool:
        """Whether a GPU of this compute capability can."""
        if self.least is not None:
            return capability >= self.least
        return capability in self.exact or capability[0] in self.majors

    @property
    def reason(self) -> str:
        """The feature, what it needs, and what this GPU has."""
        capability = compute_capability()
        observed = "unknown" if capability is None else ".".join(map(str, capability))
        return f"{self.feature} needs {self.module}; this GPU has {observed}"


_OTHER_GPU = "nvidia-smi --query-gpu=name,compute_cap --format=csv  # use another GPU"

BF16 = Card(
    "a GPU of compute capability 8.0 (Ampere) or later", _OTHER_GPU, "bfloat16", least=(8, 0)
)
TF32 = Card("a GPU of compute capability 8.0 (Ampere) or later", _OTHER_GPU, "TF32", least=(8, 0))
TENSORRT_RTX = Card(
    "a GPU of compute capability 7.5, 8.0, 8.6, 8.9 or 12.x",
    _OTHER_GPU,
    "TensorRT-RTX",
    exact=frozenset({(7, 5), (8, 0), (8, 6), (8, 9)}),
    majors=frozenset({12}),
)
