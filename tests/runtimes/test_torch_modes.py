"""torch compiled, and under autocast: what was asked for is what runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.torch import Torch

from tests.runtimes.test_runtimes import batch

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")


@pytest.fixture(autouse=True)
def own_caches(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What one test compiled is no other's, and where it is kept is not left behind."""
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def opened(module: Any, folder: Path, **options: Any) -> Any:
    """A session."""
    context = OpenContext(threads=1, folder=folder)
    return Torch().open(Artifact(TORCH, module=module.eval()), Torch.Options(**options), context)


def convolution() -> Any:
    """A small module."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())


@pytest.mark.slow
def test_compiled_code_runs_at_every_batch_and_is_kept_in_the_given_folder(tmp_path: Path) -> None:
    """The graphs are counted, the numbers are eager's, and the folder holds what was compiled."""
    session = opened(convolution(), tmp_path, compile=True)
    for count in (1, 3):
        (result,) = session.run(Inputs(batch(count)))
        wanted = convolution()(torch.from_numpy(batch(count))).detach().numpy()
        np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-5)
    assert session.facts["compiled"] is True
    assert session.facts["graphs"] >= 1
    assert session.facts["graph_breaks"] == 0
    assert any((tmp_path / "inductor").rglob("*.so"))


@pytest.mark.slow
def test_a_graph_break_is_counted(tmp_path: Path) -> None:
    """A model that tracing has to leave half way is compiled in parts, and says so."""

    class Broken(torch.nn.Module):  # type: ignore[misc, name-defined] # torch may be skipped
        def forward(self, x: Any) -> Any:
            y = torch.relu(x) + 1
            torch._dynamo.graph_break()
            return y * 2

    session = opened(Broken(), tmp_path, compile=True)
    session.run(Inputs(batch(1)))
    assert session.facts["graph_breaks"] == 1
    assert session.facts["graphs"] == 2


def test_eager_in_place_of_compiled_code_is_a_fault(tmp_path: Path) -> None:
    """What may not be compiled runs as it is, in silence; not with this runtime."""

    class Refuses(torch.nn.Module):  # type: ignore[misc, name-defined] # torch may be skipped
        @torch.compiler.disable
        def forward(self, x: Any) -> Any:
            return torch.relu(x)

    session = opened(Refuses(), tmp_path, compile=True)
    with pytest.raises(RuntimeFault, match="no part of the model ran as compiled code"):
        session.run(Inputs(batch(1)))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_autocast_computes_in_its_type_and_gives_float32(tmp_path: Path, dtype: str) -> None:
    """The layers that it casts are counted; the outputs are near, and not the same."""
    session = opened(convolution(), tmp_path, autocast=dtype)
    (result,) = session.run(Inputs(batch(2)))
    wanted = convolution()(torch.from_numpy(batch(2))).detach().numpy()
    assert result.dtype == np.float32
    assert 0 < np.abs(result - wanted).max() < 0.02
    assert session.facts["autocast"] == dtype
    assert (session.facts["autocast_layers"], session.facts["layers"]) == (1, 1)


def test_autocast_that_casts_nothing_is_a_fault(tmp_path: Path) -> None:
    """A model without such a layer, or one that switches autocast off, is no autocast."""

    class Off(torch.nn.Module):  # type: ignore[misc, name-defined] # torch may be skipped
        def __init__(self) -> None:
            super().__init__()
            self.body = convolution()

        def forward(self, x: Any) -> Any:
            with torch.autocast("cpu", enabled=False):
                return self.body(x)

    session = opened(Off(), tmp_path, autocast="bfloat16")
    with pytest.raises(RuntimeFault, match="none of 1 convolutions"):
        session.run(Inputs(batch(1)))


@pytest.mark.parametrize("values", [{"autocast": "int8"}, {"compile": "later"}, {"compiled": True}])
def test_options_are_checked_before_any_work(values: dict[str, Any]) -> None:
    """Other types, and unknown options."""
    with pytest.raises(ValidationError):
        Torch.Options(**values)
