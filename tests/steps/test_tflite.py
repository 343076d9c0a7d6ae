"""The step `tflite` and the runtime `litert`.

`small.tflite` beside this file is what the step made of `ramp()`; it is here because the converter
needs an environment of its own: `python -m venv .litert` and litert-torch in it make the test of
the conversion run too.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import TFLITE, TORCH, Artifact
from pytest_perfgate.errors import BuildError, NoEffect, RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.litert import LiteRt
from pytest_perfgate.steps.tflite import Tflite

from tests.steps.conftest import example

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("ai_edge_litert", reason="python -m pip install 'pytest-perfgate[litert]'")

SMALL = Path(__file__).with_name("small.tflite")
PYTHON = os.environ.get("PERFGATE_LITERT_PYTHON", ".litert/bin/python")


def ramp() -> Any:
    """Two convolutions whose weights are plain ramps, and two outputs: the same everywhere."""

    class Ramp(torch.nn.Module):  # type: ignore[misc, name-defined] # torch may be skipped
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Conv2d(3, 4, 3, 2, 1)
            self.second = torch.nn.Conv2d(4, 2, 1)
            with torch.no_grad():
                for each in self.parameters():
                    each.copy_(torch.linspace(-1, 1, each.numel()).reshape(each.shape))

        def forward(self, x: Any) -> Any:
            y = torch.relu(self.first(x))
            return self.second(y), y.sum((2, 3))

    return Ramp().eval()


def opened(path: Path, folder: Path) -> Any:
    """A session on a file."""
    return LiteRt().open(Artifact(TFLITE, path=path), LiteRt.Options(), OpenContext(1, folder))


def test_a_file_runs_every_batch_in_parts_and_says_what_it_uses(tmp_path: Path) -> None:
    """The module's numbers in the module's order; what one run gave stays as it was."""
    session = opened(SMALL, tmp_path)
    assert session.facts["threads"] == 1
    assert session.facts["layers"] == {"float32": 2}
    two = LiteRt().open(
        Artifact(TFLITE, path=SMALL), LiteRt.Options(threads=2), OpenContext(1, tmp_path)
    )
    assert two.facts["threads"] == 2  # counted in the process
    two.close()
    assert session.facts["batch"] == "1 at a time"
    kept = []
    for count in (1, 3):
        found = session.run(Inputs(example(count)))
        wanted = [each.detach().numpy() for each in ramp()(torch.from_numpy(example(count)))]
        for one, two in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-3)
        kept.append((found[0], found[0].copy()))
    assert all(np.array_equal(one, two) for one, two in kept)


@pytest.mark.parametrize("content", [b"this is no model", None])
def test_a_file_that_does_not_load_is_named(tmp_path: Path, content: bytes | None) -> None:
    """Broken and missing files give a fault that names the file."""
    file = tmp_path / "broken.tflite"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RuntimeFault) as caught:
        opened(file, tmp_path)
    assert caught.value.where == str(file)


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which(PYTHON) is None,
    reason="python -m venv .litert && .litert/bin/python -m pip install litert-torch",
)
@pytest.mark.parametrize("batch", [1, 2])
def test_the_converter_gives_the_modules_numbers(
    make_context: Any, tmp_path: Path, batch: int
) -> None:
    """One file of the batch that was asked for; a batch that does not fit is refused."""
    context, options = make_context(), Tflite.Options(python=PYTHON, batch=batch)
    applied = Tflite().apply(Artifact(TORCH, module=ramp()), options, context)
    Tflite().prove(applied.effect, options)
    assert [file.name for file in context.folder.iterdir()] == ["model.tflite"]
    session = opened(applied.artifact.path, tmp_path)
    assert session.run(Inputs(example(4)))[0].shape[0] == 4
    if batch == 2:
        with pytest.raises(RuntimeFault, match="batch of 3 is not a multiple of 2"):
            session.run(Inputs(example(3)))


def test_an_interpreter_that_is_not_there_or_lacks_the_converter_is_told(make_context: Any) -> None:
    """Both say how to make one."""
    for name, python, said in (
        ("a", "/no/such/python", "no Python interpreter"),
        ("b", sys.executable, "No module named 'litert_torch'"),
    ):
        with pytest.raises(BuildError, match=said) as caught:
            Tflite().apply(
                Artifact(TORCH, module=ramp()), Tflite.Options(python=python), make_context(name)
            )
        assert "pip install litert-torch" in caught.value.next_step


@pytest.mark.parametrize(("difference", "word"), [(0.1, r"0\.1"), (None, "infinity")])
def test_the_proof_fails_on_other_numbers(difference: float | None, word: str) -> None:
    """Far from the module's, or not finite; and a batch that was not asked for."""
    with pytest.raises(NoEffect, match=f"differ by {word}"):
        Tflite().prove({"batch": 1, "largest_difference": difference}, Tflite.Options())
    with pytest.raises(NoEffect, match="the batch is 2"):
        Tflite().prove({"batch": 2, "largest_difference": 0.0}, Tflite.Options())


@pytest.mark.parametrize("values", [{"converter": "onnx2tf"}, {"batch": 0}, {"interpreter": "x"}])
def test_options_are_checked_before_any_work(values: dict[str, Any]) -> None:
    """Other converters, values out of range, unknown options."""
    with pytest.raises(ValidationError):
        Tflite.Options(**values)
    with pytest.raises(ValidationError):
        LiteRt.Options(threads=0)
