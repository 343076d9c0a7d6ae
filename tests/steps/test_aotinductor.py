"""The step `aotinductor` and the runtime that runs what it makes."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import AOTI, CPU_FEATURES, TORCH, Artifact
from pytest_perfgate.errors import BuildError, NoEffect, RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes import aotinductor as runtime_module
from pytest_perfgate.runtimes.aotinductor import AotInductor as Runtime
from pytest_perfgate.steps.aotinductor import AotInductor as Step

from tests.steps.conftest import example

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")

GOOD = {"device": "cpu", "cpu_isa": "avx2", "threads": 1, "largest_difference": 0.0}


@pytest.mark.slow
def test_a_package_runs_every_batch_and_says_what_it_is(
    make_model: Any, make_context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file, the module's numbers at batches it was not compiled for, and a fault on a CPU that
    lacks what it was compiled for. Nothing is left of what was compiled on the way.
    """
    context, wanted = make_context(), make_model()
    applied = Step().apply(Artifact(TORCH, module=make_model()), Step.Options(), context)
    Step().prove(applied.effect, Step.Options())
    assert [file.name for file in context.folder.iterdir()] == ["model.pt2"]
    opening = OpenContext(threads=1, folder=tmp_path)
    session = Runtime().open(applied.artifact, Runtime.Options(), opening)
    assert session.facts["device"] == "cpu"
    assert session.facts["compiled"] is True
    assert session.facts["threads"] == 1
    for count in (1, 2, 5):
        (result,) = session.run(Inputs(example(count)))
        assert result.dtype == np.float32
        expected = wanted(torch.from_numpy(example(count))).detach().numpy()
        np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4)
    with zipfile.ZipFile(applied.artifact.path) as package:
        texts = [package.read(name) for name in package.namelist() if name.endswith(".json")]
    assert any(CPU_FEATURES.encode() in text for text in texts)

    poor = runtime_module.this_machine().model_copy(update={"features": ()})
    monkeypatch.setattr(runtime_module, "this_machine", lambda: poor)
    if session.facts["cpu_isa"]:
        with pytest.raises(RuntimeFault, match="compiled for a CPU with"):
            Runtime().open(applied.artifact, Runtime.Options(), opening)


def test_a_module_with_a_frozen_batch_is_an_error(make_model: Any, make_context: Any) -> None:
    """It is found before anything is compiled."""

    class Fixed(torch.nn.Module):  # type: ignore[misc, name-defined] # torch may be skipped
        def __init__(self) -> None:
            super().__init__()
            self.body = make_model()

        def forward(self, x: Any) -> Any:
            return self.body(x).reshape(2, 5, 8, 8)

    with pytest.raises(BuildError, match="dynamic batch"):
        Step().apply(Artifact(TORCH, module=Fixed().eval()), Step.Options(), make_context())


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"device": ""}, "no device"),
        ({"device": "cuda"}, "'cuda'"),
        ({"largest_difference": 0.1}, "differ by 0.1"),
        ({"largest_difference": None}, "infinity"),
    ],
)
def test_the_proof_fails_on_each_broken_promise(change: dict[str, Any], word: str) -> None:
    """Code for something else than a CPU, and other numbers."""
    Step().prove(GOOD, Step.Options())
    with pytest.raises(NoEffect, match=word):
        Step().prove({**GOOD, **change}, Step.Options())


def test_a_file_that_is_no_package_is_named(tmp_path: Path) -> None:
    """A broken file gives a fault that names it."""
    file = tmp_path / "model.pt2"
    file.write_bytes(b"this is no package")
    with pytest.raises(RuntimeFault) as caught:
        Runtime().open(Artifact(AOTI, path=file), Runtime.Options(), OpenContext(1, tmp_path))
    assert caught.value.where == str(file)


@pytest.mark.parametrize("values", [{"package": "so"}, {"freezing": "often"}, {"frozen": True}])
def test_options_are_checked_before_any_work(values: dict[str, Any]) -> None:
    """Other formats, other types, unknown options; the runtime has none at all."""
    with pytest.raises(ValidationError):
        Step.Options(**values)
    with pytest.raises(ValidationError):
        Runtime.Options(threads=2)  # type: ignore[call-arg] # that is the point
