"""PyTorch on the CPU or a GPU, eager or compiled, with proof that this is what runs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import EXPORTED, TORCH, TORCHSCRIPT, Artifact, OptionsModel
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.registry import Requirement
from pytest_perfgate.runtimes import OpenContext, Runtime, torch_tensorrt
from pytest_perfgate.runtimes.cuda import GPU
from pytest_perfgate.runtimes.gpu_cards import BF16, TF32
from pytest_perfgate.runtimes.torch_session import TorchSession, load_file


class CudaBuild(Requirement):
    """A torch that was built with CUDA, told by its version: torch itself is not imported."""

    @property
    def missing(self) -> bool:
        """Whether it is a build for the CPU alone; one that is not there is said to be missing."""
        try:
            return "+cpu" in version("torch")
        except PackageNotFoundError:
            return True


WITH_CUDA = CudaBuild(
    "a torch that is built with CUDA",
    "python -m pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu126",
)


def _unfit(problem: str, valid: str) -> PydanticCustomError:
    return PydanticCustomError("unfit", "{problem}", {"problem": problem, "expected": valid})


class Torch(Runtime):
    """The runtime `torch`."""

    name = "torch"
    accepts = frozenset({TORCH, EXPORTED, TORCHSCRIPT})
    requires = (registry.from_extra("torch", "torch"),)
    preload = ("numpy", "torch")

    class Options(OptionsModel):
        """Options of torch."""

        threads: int | None = Field(
            None, ge=1, description="intra-op threads; default: those of the suite"
        )
        compile: bool = Field(
            False, description="run code of torch.compile; falling back to eager mode is an error"
        )
        autocast: Literal["bfloat16", "float16"] | None = Field(
            None, description="the type that torch.autocast computes in; default: no autocast"
        )
        compile_mode: Literal[
            "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"
        ] = Field("default", description="the mode of torch.compile")
        compile_backend: Literal["inductor", "tensorrt"] = Field(
            "inductor", description="the compiler; `tensorrt` is Torch-TensorRT, on `cuda`"
        )
        device: Literal["cpu", "cuda"] = Field(
            "cpu", description="the device; running on any other is an error"
        )
        tf32: bool = Field(
            False, description="float32 products and convolutions in TF32; on `cuda` only"
        )
        cuda_graph: bool = Field(
            False, description="capture one CUDA graph per shape and replay it; on `cuda`"
        )

        @model_validator(mode="after")
        def _fit(self) -> Self:
            for name in ("tf32", "cuda_graph"):
                if getattr(self, name) and self.device != "cuda":
                    raise _unfit(f"{name} needs a GPU", 'device = "cuda"')
            for name, usual in (("compile_mode", "default"), ("compile_backend", "inductor")):
                if getattr(self, name) != usual and not self.compile:
                    raise _unfit(f"{name} is an option of torch.compile", "compile = true")
            if self.compile_backend == "tensorrt":
                if self.device != "cuda":
                    raise _unfit('compile_backend = "tensorrt" needs a GPU', 'device = "cuda"')
                if self.compile_mode != "default":
                    raise _unfit(
                        "compile_mode is an option of Inductor", 'compile_backend = "inductor"'
                    )
                if self.autocast:
                    raise _unfit(
                        "an engine computes in the types of the module, without autocast",
                        "{ cast = ... }",
                    )
            if self.cuda_graph and self.compile_mode in {"reduce-overhead", "max-autotune"}:
                raise _unfit(
                    f"compile_mode = {self.compile_mode!r} captures graphs by itself",
                    "cuda_graph = false",
                )
            return self

    @override
    def requires_with(self, options: Any) -> tuple[Requirement, ...]:
        """torch, the compiler's package, and for `cuda` a GPU."""
        compiles = options.compile_backend == "tensorrt"
        needed = (*self.requires, torch_tensorrt.TORCH_TENSORRT) if compiles else self.requires
        if options.device == "cpu":
            return needed
        cards = ((options.tf32, TF32), (options.autocast == "bfloat16", BF16))
        return (*needed, WITH_CUDA, GPU, *(card for used, card in cards if used))

    def open(self, artifact: Artifact, options: Any, context: OpenContext) -> TorchSession:
        """A session on the live module, the exported program or the TorchScript archive."""
        exported = artifact.kind == EXPORTED
        if artifact.kind == TORCH:
            module, fixed = artifact.module, 0
        else:
            module, fixed = load_file(artifact)
            if options.compile and not exported:
                raise RuntimeFault(
                    "torch.compile does not take TorchScript",
                    where=str(artifact.path),
                    next_step="leave `compile` out, or name a file of torch.export.save (.pt2)",
                )
        if options.device == "cuda":
            from pytest_perfgate.runtimes.torch_cuda import CudaSession

            session: TorchSession = CudaSession(module, options, context, exported=exported)
        else:
            session = TorchSession(module, options, context, exported=exported)
        session.fixed_batch = fixed
        return session
