"""aotinductor: a torch module as a package of compiled code, its batch dynamic."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import AOTI, CPU_FEATURES, TORCH, Artifact, OptionsModel, dtype_of
from pytest_perfgate.errors import BuildError
from pytest_perfgate.machine.fingerprint import this_machine
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.aotinductor import AotInductor as Runtime
from pytest_perfgate.steps import Applied, BuildContext, Step, expect
from pytest_perfgate.steps.output_check import (
    CHECKED,
    dynamic_batch,
    expect_close,
    finite,
    largest_difference,
    module_outputs,
    tensors,
    tolerance_option,
)


class AotInductor(Step):
    """The step `aotinductor`: torch.export and torch._inductor.aoti_compile_and_package.

    The package holds machine code for this machine's CPU and for the suite's number of threads.
    """

    name = "aotinductor"
    argument = "package"
    accepts = frozenset({TORCH})
    produces = AOTI
    requires = (registry.from_extra("torch", "torch"),)

    class Options(OptionsModel):
        """Options in torch._inductor.config's words."""

        package: Literal["pt2"] = Field("pt2", description="the file format")
        freezing: bool = Field(
            True, description="freeze weights into constants, in the layout that the kernels need"
        )
        max_autotune: bool = Field(
            False, description="time several kernels for each operator and take the fastest"
        )
        tolerance: float = tolerance_option(1e-3)

    @override
    def machine(self, options: Any) -> dict[str, Any]:
        """Machine code is for this CPU: its name and what it can do."""
        machine = this_machine()
        return {"cpu": machine.cpu, "features": list(machine.features)}

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Exports, compiles, and compares the package's outputs with the module's."""
        import torch
        from torch import _inductor

        torch.set_num_threads(context.threads)
        module = _float32_interface(artifact.module.eval())
        example = context.example(2)
        path = context.folder / "model.pt2"
        with torch.no_grad(), _own_cache(context.folder):
            try:
                program = torch.export.export(
                    module,
                    tensors(example),
                    dynamic_shapes=dynamic_batch(example, torch.export.Dim("batch")),
                )
            except Exception as error:
                raise BuildError(
                    f"the module does not export with a dynamic batch: {error}",
                    next_step="look in `forward` for a shape or an index that fixes the batch",
                ) from error
            _inductor.aoti_compile_and_package(
                program,
                package_path=str(path),
                inductor_configs={
                    "freezing": options.freezing,
                    "max_autotune": options.max_autotune,
                    "cpp.threads": context.threads,
                    "aot_inductor.metadata": {CPU_FEATURES: " ".join(this_machine().features)},
                },
            )
        session = Runtime().open(
            Artifact(AOTI, path=path),
            Runtime.Options(),
            OpenContext(threads=context.threads, folder=context.folder),
        )
        difference = 0.0
        for count in CHECKED:
            inputs = context.example(count)
            expected = module_outputs(module, inputs)
            outputs = session.run(inputs)
            difference = max(difference, largest_difference(expected, outputs, count))
        effect = {
            "device": session.facts["device"],
            "cpu_isa": session.facts["cpu_isa"],
            "threads": session.facts["threads"],
            "batches": list(CHECKED),
            "largest_difference": finite(difference),
        }
        return Applied(Artifact(AOTI, path=path), effect)

    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """The code must be for a CPU, and give the module's numbers at batches not compiled for."""
        expect(
            effect["device"] == "cpu",
            self.name,
            f"the package says that it is for {effect['device'] or 'no device'!r}, not for a CPU",
        )
        expect_close(self.name, effect, options, "the module's")


def _float32_interface(module: Any) -> Any:
    """The module with float32 inputs and outputs, whatever it computes in."""
    import torch

    dtype = dtype_of(module)
    if dtype in {None, torch.float32}:
        return module

    class Float32(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *inputs: Any) -> Any:
            cast = (x.to(dtype) if x.is_floating_point() else x for x in inputs)
            outputs = self.module(*cast)
            if isinstance(outputs, torch.Tensor):
                return outputs.float()
            return tuple(output.float() for output in outputs)

    return Float32().eval()


@contextlib.contextmanager
def _own_cache(folder: Path) -> Iterator[None]:
    """Compiles from nothing: what a build costs is measured, and must not depend on what was
    compiled before.
    """
    name = "TORCHINDUCTOR_CACHE_DIR"
    before = os.environ.get(name)
    with tempfile.TemporaryDirectory(dir=folder) as own:
        os.environ[name] = own
        try:
            yield
        finally:
            del os.environ[name]
            if before is not None:
                os.environ[name] = before
