"""Training in mixed precision: what it really does, and the proof."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import NoEffect
from pytest_perfgate.steps.finetune import Finetune
from pytest_perfgate.steps.training import Course
from pytest_perfgate.steps.training_checkpoints import Checkpoints

from tests.steps.conftest import example

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("safetensors", reason="python -m pip install 'pytest-perfgate[torch]'")


def fit(module: Any, data: Any, *, course: Course, **options: Any) -> Any:
    """A trainer as the contract has it."""
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=options["learning_rate"], momentum=0.9)
    for step in course.steps(options["steps"], module=module, optimizer=optimizer):
        images = torch.from_numpy(example(step + 1)[:2])
        with course.precision():
            loss = course.loss(images, module(images).float().square().mean() * data)
        course.minimize(loss, optimizer, clip=1.0)
    return module.eval()


def by_hand(module: Any, data: Any, *, course: Course, **options: Any) -> Any:
    """A trainer that knows nothing of precision."""
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=options["learning_rate"], momentum=0.9)
    for step in course.steps(options["steps"], module=module, optimizer=optimizer):
        images = torch.from_numpy(example(step + 1)[:2])
        loss = course.loss(images, module(images).float().square().mean() * data)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
    return module.eval()


def tuned(make_model: Any, make_context: Any, trainer: Any = fit, scale: float = 1.0, **asked: Any):
    """A step of training, applied: its effect and all weights as one vector."""
    options = Finetune.Options(steps=6, learning_rate=0.05, **asked)
    context = make_context(
        str(len(asked)) + trainer.__name__, trainer=trainer, data=lambda _: scale
    )
    applied = Finetune().apply(Artifact(TORCH, module=make_model()), options, context)
    module = applied.artifact.module
    return applied.effect, torch.cat(
        [parameter.flatten() for parameter in module.parameters()]
    ).detach()


def test_without_autocast_the_course_does_what_a_trainer_does_by_hand(
    make_model: Any, make_context: Any
) -> None:
    """To the last bit."""
    _, one = tuned(make_model, make_context)
    _, other = tuned(make_model, make_context, by_hand)
    assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_layers_compute_in_the_type_and_the_training_arrives(
    make_model: Any, make_context: Any, dtype: str
) -> None:
    """Near float32, and not at it; the weights stay float32."""
    plain, one = tuned(make_model, make_context)
    effect, other = tuned(make_model, make_context, autocast=dtype)
    Finetune().prove(effect, Finetune.Options(steps=6, autocast=dtype))
    assert (effect["autocast_layers"], effect["layers"]) == (3, 3)
    assert other.dtype == torch.float32
    assert not torch.equal(one, other)
    assert torch.allclose(one, other, atol=0.05)
    assert effect["training_loss"] == pytest.approx(plain["training_loss"], rel=0.05)
    assert ("scaled_steps" in effect) == (dtype == "float16")


def test_a_trainer_that_asks_for_no_precision_has_no_effect(
    make_model: Any, make_context: Any
) -> None:
    """Float32 under another name does not pass."""
    effect, _ = tuned(make_model, make_context, by_hand, autocast="bfloat16")
    with pytest.raises(NoEffect, match=r"none of 3 .* course\.precision"):
        Finetune().prove(effect, Finetune.Options(steps=6, autocast="bfloat16"))


def test_gradients_of_float16_that_nobody_scales_have_no_effect(
    make_model: Any, make_context: Any
) -> None:
    """The forward pass alone is not mixed precision."""

    def unscaled(module: Any, data: Any, *, course: Course, **options: Any) -> Any:
        optimizer = torch.optim.SGD(module.parameters(), lr=options["learning_rate"])
        for step in course.steps(options["steps"], module=module, optimizer=optimizer):
            images = torch.from_numpy(example(step + 1)[:2])
            with course.precision():
                loss = course.loss(images, module(images).float().square().mean() * data)
            loss.backward()
            optimizer.step()
        return module

    effect, _ = tuned(make_model, make_context, unscaled, autocast="float16")
    with pytest.raises(NoEffect, match=r"course\.minimize"):
        Finetune().prove(effect, Finetune.Options(steps=6, autocast="float16"))


def test_steps_whose_gradients_overflow_are_left_out(make_model: Any, make_context: Any) -> None:
    """A loss of 1e6 times 65536 is no float16: the scale falls until it is, and all is said."""
    effect, weights = tuned(make_model, make_context, scale=1e6, autocast="float16")
    assert 0 < effect["skipped_steps"] <= effect["scaled_steps"] == 6
    assert torch.isfinite(weights).all()


def test_the_scale_is_kept_when_a_training_is_cut_off(make_model: Any, tmp_path: Path) -> None:
    """A continued training ends in the same weights as one that was not cut off."""

    def course(name: str) -> Course:
        kept = Checkpoints(tmp_path / name, dict, lambda _: True, every=0.0)
        return Course(checkpoints=kept, autocast="float16")

    def run(course: Course, die: int = -1) -> Any:
        module = make_model().train()
        optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
        for step in course.steps(6, module=module, optimizer=optimizer):
            if step == die:
                return module
            images = torch.from_numpy(example(step + 1)[:2])
            with course.precision():
                loss = course.loss(images, module(images).float().square().mean() * 1e5)
            course.minimize(loss, optimizer, clip=1.0)
        return module

    whole = run(course("whole"))
    run(course("cut"), die=3)
    again = course("cut")
    continued = run(again)
    assert again.resumed_at == 3
    for one, other in zip(whole.parameters(), continued.parameters(), strict=True):
        assert torch.equal(one, other)
    assert again.mixed is not None
    assert again.mixed.effect()["scaled_steps"] == 6
