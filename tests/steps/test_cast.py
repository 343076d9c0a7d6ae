"""`cast`: a module in 16-bit floating point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import BuildError, NoEffect
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.torch import Torch
from pytest_perfgate.steps.cast import Cast
from pytest_perfgate.steps.export import Export

from tests.steps.conftest import example

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")


def apply(module: Any, context: Any, dtype: str = "bfloat16") -> Any:
    """The step applied."""
    return Cast().apply(Artifact(TORCH, module=module), Cast.Options(dtype=dtype), context)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_cast_changes_every_parameter_and_the_runtime_gives_float32(
    make_model: Any, make_context: Any, tmp_path: Path, dtype: str
) -> None:
    """The session feeds the module its own type, says so, and returns float32 near the original."""
    import numpy as np

    wanted = make_model()(torch.from_numpy(example(2))).detach().numpy()
    applied = apply(make_model(), make_context(), dtype)
    Cast().prove(applied.effect, Cast.Options(dtype=dtype))
    assert applied.effect["share"] == 1.0
    assert applied.effect["share_before"] == 0.0
    context = OpenContext(threads=1, folder=tmp_path)
    session = Torch().open(applied.artifact, Torch.Options(), context)
    assert session.facts["dtype"] == dtype
    (result,) = session.run(Inputs(example(2)))
    assert result.dtype == np.float32
    assert 0 < np.abs(result - wanted).max() < 0.05 * np.abs(wanted).max()


def test_cast_is_restored_from_stored_weights(
    make_model: Any, make_context: Any, tmp_path: Path
) -> None:
    """A fresh module of that type takes the stored weights, bit by bit."""
    from safetensors.torch import load_model, save_model

    applied = apply(make_model(), make_context())
    save_model(applied.artifact.module, str(tmp_path / "w.safetensors"), force_contiguous=True)
    fresh = Cast().restore(make_model(), applied.structure, Cast.Options())
    load_model(fresh, tmp_path / "w.safetensors")
    both = zip(fresh.parameters(), applied.artifact.module.parameters(), strict=True)
    assert all(one.dtype == torch.bfloat16 and torch.equal(one, other) for one, other in both)


def test_cast_to_float16_that_overflows_is_found(make_model: Any, make_context: Any) -> None:
    """Activations above 65504 become infinite: the build stops, and says which type."""
    tail = torch.nn.Conv2d(32, 5, 1)
    torch.nn.init.constant_(tail.weight, 6e4)
    torch.nn.init.constant_(tail.bias, 6e4)
    applied = apply(make_model(tail), make_context(), "float16")
    with pytest.raises(NoEffect, match="overflows float16"):
        Cast().prove(applied.effect, Cast.Options(dtype="float16"))


def test_cast_of_what_has_the_type_is_no_effect(make_model: Any, make_context: Any) -> None:
    """A second cast changes nothing."""
    applied = apply(make_model().to(torch.bfloat16), make_context())
    with pytest.raises(NoEffect, match="100% were"):
        Cast().prove(applied.effect, Cast.Options())


def test_cast_proof_fails_on_a_part_and_on_other_numbers() -> None:
    """Some parameters left in float32, and numbers too far off."""
    good = {"share_before": 0.0, "share": 1.0, "largest_difference": 0.01}
    Cast().prove(good, Cast.Options())
    with pytest.raises(NoEffect, match="50% of the parameters"):
        Cast().prove({**good, "share": 0.5}, Cast.Options())
    with pytest.raises(NoEffect, match=r"differ by 0\.5"):
        Cast().prove({**good, "largest_difference": 0.5}, Cast.Options())


def test_an_export_after_a_cast_is_refused_with_what_to_write(
    make_model: Any, make_context: Any
) -> None:
    """An order that makes no sense names the step that does."""
    applied = apply(make_model(), make_context("cast"))
    with pytest.raises(BuildError, match="bfloat16") as caught:
        Export().apply(applied.artifact, Export.Options(), make_context("export"))
    assert "half" in caught.value.next_step


@pytest.mark.parametrize("values", [{"dtype": "int8"}, {"dtype": "float32"}, {"type": "float16"}])
def test_cast_options_are_checked_before_any_work(values: dict[str, Any]) -> None:
    """Other types, and unknown options."""
    with pytest.raises(ValidationError):
        Cast.Options(**values)
