"""`fuse`: batch normalisation folded into the convolution before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import NoEffect
from pytest_perfgate.steps.fuse import Fuse

from tests.steps.conftest import example

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")


def outputs(module: Any) -> Any:
    """What the module gives for the fixed example."""
    with torch.inference_mode():
        return module(torch.from_numpy(example(2)))


def settled(module: Any) -> Any:
    """The module with batch normalisations that do something."""
    torch.manual_seed(1)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.uniform_(-1, 1)
            layer.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(layer.weight, 0.5, 2)
            torch.nn.init.uniform_(layer.bias, -1, 1)
    return module.eval()


def apply(module: Any, context: Any, **options: Any) -> Any:
    """The step applied with its options."""
    return Fuse().apply(Artifact(TORCH, module=module), Fuse.Options(**options), context)


def test_fuse_folds_every_pair_and_keeps_the_numbers(make_model: Any, make_context: Any) -> None:
    """The normalisation is gone from the module, and the outputs are the same."""
    wanted = outputs(settled(make_model()))
    applied = apply(settled(make_model()), make_context())
    Fuse().prove(applied.effect, Fuse.Options())
    result = applied.artifact.module
    assert applied.effect["fused_pairs"] == applied.effect["batch_norms_before"] == 1
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in result.modules())
    assert torch.allclose(outputs(result), wanted, atol=1e-5)


def test_fuse_is_restored_from_stored_weights(
    make_model: Any, make_context: Any, tmp_path: Path
) -> None:
    """A fresh module with the pairs folded takes the stored weights and gives equal outputs."""
    from safetensors.torch import load_model, save_model

    applied = apply(settled(make_model()), make_context())
    save_model(applied.artifact.module, str(tmp_path / "w.safetensors"), force_contiguous=True)
    structure = json.loads(json.dumps(applied.structure))
    fresh = Fuse().restore(make_model(), structure, Fuse.Options())
    load_model(fresh, tmp_path / "w.safetensors")
    assert torch.equal(outputs(fresh.eval()), outputs(applied.artifact.module))


def test_fuse_leaves_what_is_read_elsewhere_or_called_apart(make_context: Any) -> None:
    """A convolution whose output is read twice, or that feeds two normalisations, stays."""

    class Shared(torch.nn.Module):  # type: ignore[misc, name-defined] # torch may be skipped
        def __init__(self) -> None:
            super().__init__()
            self.read_twice, self.norm = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)
            self.shared = torch.nn.Conv2d(4, 4, 1)
            self.one, self.other = torch.nn.BatchNorm2d(4), torch.nn.BatchNorm2d(4)
            self.plain, self.last = torch.nn.Conv2d(4, 4, 1), torch.nn.BatchNorm2d(4)

        def forward(self, x: Any) -> Any:
            y = self.read_twice(x)
            y = self.norm(y) + y
            y = self.one(self.shared(y)) + self.other(self.shared(torch.relu(y)))
            return self.last(self.plain(y))

    module = settled(Shared())
    wanted = outputs(module)
    applied = apply(module, make_context())
    assert applied.structure == {"pairs": [["plain", "last"]]}
    assert applied.effect["batch_norms"] == 3
    assert torch.allclose(outputs(applied.artifact.module), wanted, atol=1e-5)


def test_fuse_folds_a_pair_that_is_used_at_several_places(make_context: Any) -> None:
    """A pair that is always called together is one pair, under whatever names."""

    class Twice(torch.nn.Module):  # type: ignore[misc, name-defined] # torch may be skipped
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Conv2d(3, 3, 3, padding=1)
            self.body = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.BatchNorm2d(3))
            self.again = self.body

        def forward(self, x: Any) -> Any:
            return self.again(torch.relu(self.body(self.first(x))))

    module = settled(Twice())
    wanted = outputs(module)
    applied = apply(module, make_context())
    assert applied.effect["fused_pairs"] == 1
    assert applied.effect["batch_norms"] == 0
    assert torch.allclose(outputs(applied.artifact.module), wanted, atol=1e-5)


def test_fuse_of_a_transposed_convolution(make_model: Any, make_context: Any) -> None:
    """Its weights lie the other way round, and are folded all the same."""

    def build() -> Any:
        torch.manual_seed(3)
        tail = torch.nn.ConvTranspose2d(32, 8, 2, 2), torch.nn.BatchNorm2d(8)
        return settled(make_model(*tail))

    applied = apply(build(), make_context())
    assert applied.effect["fused_pairs"] == 2
    assert torch.allclose(outputs(applied.artifact.module), outputs(build()), atol=1e-5)


@pytest.mark.parametrize("off", [True, False])
def test_fuse_without_a_pair_is_no_effect(make_model: Any, make_context: Any, off: bool) -> None:
    """A model with nothing to fold, and a step that is switched off, are called what they are."""
    module = make_model() if off else torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)).eval()
    applied = apply(module, make_context(), enabled=not off)
    with pytest.raises(NoEffect, match="no convolution is followed"):
        Fuse().prove(applied.effect, Fuse.Options(enabled=not off))


def test_fuse_proof_fails_on_other_numbers() -> None:
    """Folded, but not the same."""
    effect = {
        "fused_pairs": 1,
        "batch_norms_before": 1,
        "batch_norms": 0,
        "largest_difference": 0.5,
    }
    with pytest.raises(NoEffect, match=r"differ by 0\.5"):
        Fuse().prove(effect, Fuse.Options())
    Fuse().prove(effect, Fuse.Options(tolerance=0.6))


@pytest.mark.parametrize("values", [{"enabled": "perhaps"}, {"tolerance": 0}, {"pairs": 1}])
def test_fuse_options_are_checked_before_any_work(values: dict[str, Any]) -> None:
    """Unknown options, and values out of range."""
    with pytest.raises(ValidationError):
        Fuse.Options(**values)
