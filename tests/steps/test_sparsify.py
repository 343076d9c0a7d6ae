"""Zeros: as many as asked for, where they were asked for, and kept by the training after."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import BuildError, NoEffect
from pytest_perfgate.steps.finetune import Finetune
from pytest_perfgate.steps.sparsify import Sparsify, two_of_four
from pytest_perfgate.steps.training import Course

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")


def weights(module: Any) -> list[Any]:
    """Of every convolution."""
    return [module.weight for module in module.modules() if isinstance(module, torch.nn.Conv2d)]


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_the_share_that_was_asked_for_is_zero(
    make_model: Any, make_context: Any, scope: str
) -> None:
    """Over the model, or in every layer; what is left are the largest, unchanged."""
    step, options = Sparsify(), Sparsify.Options(pattern="unstructured", amount=0.7, scope=scope)
    applied = step.apply(Artifact(TORCH, module=make_model()), options, make_context())
    step.prove(applied.effect, options)
    after, before = weights(applied.artifact.module), weights(make_model())
    total = sum(weight.numel() for weight in after)
    assert applied.effect["sparsity"] == pytest.approx(0.7, abs=0.005)
    assert applied.effect["nonzero_weights"] == sum(int((weight != 0).sum()) for weight in after)
    assert sum(int((weight == 0).sum()) for weight in after) / total == pytest.approx(
        0.7, abs=0.005
    )
    shares = [float((weight == 0).float().mean()) for weight in after]
    assert (max(shares) - min(shares) < 0.02) == (scope == "layer")
    for left, was in zip(after, before, strict=True):
        assert torch.equal(left[left != 0], was[left != 0])
    assert not [name for name, _ in applied.artifact.module.named_buffers() if "mask" in name]


def test_two_of_every_four_are_zero(make_model: Any, make_context: Any) -> None:
    """Along the input channels; the first layer has three of those, and is told as skipped."""
    step, options = Sparsify(), Sparsify.Options(pattern="2:4")
    applied = step.apply(Artifact(TORCH, module=make_model()), options, make_context())
    step.prove(applied.effect, options)
    assert (applied.effect["layers"], applied.effect["layers_skipped"]) == (3, 1)
    assert applied.effect["layers_2_4"] == 2
    first, second, third = weights(applied.artifact.module)
    assert (first != 0).all()
    for weight in (second, third):
        groups = weight.movedim(1, -1).reshape(-1, 4)
        assert ((groups != 0).sum(dim=1) == 2).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 3), st.sampled_from([4, 8, 12]))
def test_the_two_largest_of_four_are_kept(seed: int, kernel: int, channels: int) -> None:
    """For every weight: the least kept magnitude of a group is no less than the largest lost."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(5, channels, kernel, kernel, generator=generator)
    mask = two_of_four(weight)
    assert mask.shape == weight.shape
    sizes = weight.abs().movedim(1, -1).reshape(-1, 4)
    kept = mask.movedim(1, -1).reshape(-1, 4).bool()
    assert (kept.sum(dim=1) == 2).all()
    least = sizes.masked_fill(~kept, float("inf")).min(dim=1).values
    lost = sizes.masked_fill(kept, 0.0).max(dim=1).values
    assert (least >= lost).all()


def test_a_model_without_groups_of_four_is_no_effect(make_context: Any) -> None:
    """Nothing could be done, which is not a success."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3)).eval()
    step, options = Sparsify(), Sparsify.Options(pattern="2:4")
    applied = step.apply(Artifact(TORCH, module=model), options, make_context())
    with pytest.raises(NoEffect, match="zero, as before"):
        step.prove(applied.effect, options)


def test_fewer_zeros_than_asked_for_are_no_effect(make_model: Any, make_context: Any) -> None:
    """The proof reads the artifact's numbers, not the options."""
    step, options = Sparsify(), Sparsify.Options(pattern="unstructured", amount=0.3)
    applied = step.apply(Artifact(TORCH, module=make_model()), options, make_context())
    with pytest.raises(NoEffect, match=r"30\.0% of the weights are zero, asked for 60\.0%"):
        step.prove(applied.effect, Sparsify.Options(pattern="unstructured", amount=0.6))


def test_ignored_layers_stay(make_model: Any, make_context: Any) -> None:
    """Named as torch names modules; one that is not there is an error with the nearest."""
    step = Sparsify()
    options = Sparsify.Options(pattern="unstructured", amount=0.5, ignored_layers=("0",))
    applied = step.apply(Artifact(TORCH, module=make_model()), options, make_context())
    assert (weights(applied.artifact.module)[0] != 0).all()
    wrong = Sparsify.Options(pattern="2:4", ignored_layers=("9",))
    with pytest.raises(BuildError, match="no module '9'"):
        step.apply(Artifact(TORCH, module=make_model()), wrong, make_context("other"))


@pytest.mark.parametrize(
    "asked",
    [
        {"pattern": "2:4", "amount": 0.6},
        {"pattern": "2:4", "scope": "layer"},
        {"pattern": "1:2"},
        {"pattern": "unstructured", "amount": 1.0},
    ],
)
def test_wrong_options_are_refused(asked: dict[str, Any]) -> None:
    """Those of the other pattern too."""
    with pytest.raises(ValidationError):
        Sparsify.Options(**asked)


@pytest.mark.parametrize("keep", [True, False])
def test_training_after_it_keeps_the_zeros(make_model: Any, make_context: Any, keep: bool) -> None:
    """Weights change, zeros stay zero, even for a trainer that adds to all; unless told."""
    sparse = Sparsify().apply(
        Artifact(TORCH, module=make_model()),
        Sparsify.Options(pattern="unstructured", amount=0.5),
        make_context(),
    )

    def fit(module: Any, _data: Any, *, course: Course, **options: Any) -> Any:
        with torch.no_grad():
            for _ in course.steps(options["steps"]):
                for parameter in module.parameters():
                    parameter.add_(0.01)
        return module

    step, options = Finetune(), Finetune.Options(steps=1, keep_zeros=keep)
    applied = step.apply(sparse.artifact, options, make_context("tuned", trainer=fit))
    step.prove(applied.effect, options)
    zeros = sum(int((weight == 0).sum()) for weight in weights(applied.artifact.module))
    assert applied.effect["changed_parameters"] > 0
    assert (zeros > 0) == keep
    assert applied.effect["kept_zeros"] == (zeros if keep else 0)


def test_lost_zeros_are_no_effect() -> None:
    """The proof of the training fails when fewer are left than there were."""
    effect = {"finite": True, "changed_parameters": 5, "kept_zeros": 3, "zeros_before": 4}
    with pytest.raises(NoEffect, match="3 of 4 zeros are left"):
        Finetune().prove(effect, Finetune.Options(steps=1))
