"""tflite: a torch module as a .tflite file, by a converter in an environment of its own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pytest_perfgate import registry
from pytest_perfgate.artifact import TFLITE, TORCH, Artifact, OptionsModel
from pytest_perfgate.errors import BuildError
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.litert import LiteRt as Runtime
from pytest_perfgate.steps import Applied, BuildContext, Step, expect
from pytest_perfgate.steps.output_check import (
    expect_close,
    finite,
    largest_difference,
    module_outputs,
    tensors,
    tolerance_option,
)
from pytest_perfgate.steps.probe_inputs import probes

_INSTALL = "python -m venv .litert && .litert/bin/python -m pip install litert-torch"

_CONVERT = """
import sys
import litert_torch, torch
program = torch.export.load(sys.argv[1])
(example,), _ = program.example_inputs
litert_torch.convert(program.module(), (example,)).export(sys.argv[2])
"""


class Tflite(Step):
    """The step `tflite`. litert-torch does not install beside what else is used here, so that a
    process of another interpreter converts the exported program.
    """

    name = "tflite"
    argument = "converter"
    accepts = frozenset({TORCH})
    produces = TFLITE
    requires = (
        registry.from_extra("torch", "torch"),
        registry.from_extra("ai_edge_litert", "litert"),
    )

    class Options(OptionsModel):
        """Its options."""

        converter: Literal["litert_torch"] = Field("litert_torch", description="what converts")
        python: str = Field(
            ".litert/bin/python",
            min_length=1,
            description="the interpreter of an environment that has the converter",
        )
        batch: int = Field(1, ge=1, description="the fixed batch of the file")
        tolerance: float = tolerance_option(1e-3)

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Exports, converts in another process, and compares the outputs with the module's."""
        import torch

        torch.set_num_threads(context.threads)
        python = shutil.which(options.python)
        if python is None:
            raise BuildError(
                f"there is no Python interpreter {options.python!r}",
                where="python",
                next_step=_INSTALL,
            )
        module = artifact.module.eval().to(memory_format=torch.contiguous_format)
        inputs = context.example(options.batch)
        inputs.only_images("LiteRT")
        path = context.folder / "model.tflite"
        with tempfile.TemporaryDirectory() as scratch:
            program = Path(scratch) / "program.pt2"
            torch.export.save(torch.export.export(module, tensors(inputs)), program)
            _run([python, "-c", _CONVERT, str(program), str(path)], path)
        session = Runtime().open(
            Artifact(TFLITE, path=path),
            Runtime.Options(),
            OpenContext(threads=context.threads, folder=context.folder),
        )
        difference = 0.0
        for one in (inputs, *probes(inputs).values()):
            fed = one.repeated(options.batch)
            ours, theirs = session.run(fed), module_outputs(module, fed)
            difference = max(difference, largest_difference(theirs, ours, len(fed)))
        session.close()
        effect = {
            "bytes": path.stat().st_size,
            "batch": options.batch,
            "largest_difference": finite(difference),
        }
        return Applied(Artifact(TFLITE, path=path), effect)

    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """The file must give the module's numbers."""
        expect(effect["batch"] == options.batch, self.name, f"the batch is {effect['batch']}")
        expect_close(self.name, effect, options, "the module's")


def _run(command: list[str], output_file: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode or not output_file.is_file():
        words = (done.stderr or done.stdout).strip()[-600:]
        missing = "No module named 'litert_torch'" in words
        raise BuildError(
            f"the converter ended with exit code {done.returncode}: {words}",
            where=command[0],
            next_step=_INSTALL if missing else "look for an operator that the converter lacks",
        )
