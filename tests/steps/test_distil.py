"""Distillation: its two losses against their formulas, and a student that comes closer."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import BuildError, NoEffect
from pytest_perfgate.steps.distil import Distil
from pytest_perfgate.steps.distil_loss import Terms, distance, feature_loss, logit_loss
from pytest_perfgate.steps.training import Course

from tests.steps.conftest import example

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")

PATH = "toy.model:small"


def student(width: int = 4, outputs: int = 5) -> Any:
    """Like the model of `make_model`, and narrower."""
    torch.manual_seed(5)
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(2 * width, outputs, 1),
    ).eval()


def fit(module: Any, _data: Any, *, course: Course, **options: Any) -> Any:
    """A trainer whose own loss says nothing of the teacher."""
    optimizer = torch.optim.Adam(module.parameters(), lr=options["learning_rate"])
    module.train()
    for step in course.steps(options["steps"], module=module, optimizer=optimizer):
        images = torch.from_numpy(example(step % 4 + 1))
        loss = course.loss(images, 0.0 * module(images).sum())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return module.eval()


def distilled(make_model: Any, context: Any, **options: Any) -> tuple[Any, Any]:
    """What the step gives, and its options."""
    requested = Distil.Options(student=PATH, steps=40, learning_rate=0.02, images=4, **options)
    return Distil().apply(Artifact(TORCH, module=make_model()), requested, context), requested


def test_the_softened_divergence_is_hintons() -> None:
    """By hand for two classes, and zero for equal logits; each position counts once."""
    ours, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    chance = 1 / (1 + math.exp(2.0 / 4))  # the teacher's first class at temperature 4
    result = 1 / (1 + math.exp(-1.0 / 4))
    wanted = chance * math.log(chance / result) + (1 - chance) * math.log(
        (1 - chance) / (1 - result)
    )
    assert float(logit_loss(ours, other, 4.0, "softmax")) == pytest.approx(16 * wanted, rel=1e-5)
    assert float(logit_loss(other, other, 4.0, "softmax")) == pytest.approx(0.0, abs=1e-6)
    twice = logit_loss(ours.repeat(2, 1), other.repeat(2, 1), 4.0, "softmax")
    assert float(twice) == pytest.approx(16 * wanted, rel=1e-5)


def test_a_sigmoid_takes_each_class_by_itself() -> None:
    """By hand for one class; the sum is divided by the objects that the teacher expects."""
    ours, other = torch.tensor([[0.5]]), torch.tensor([[-1.0]])
    chance, result = 1 / (1 + math.exp(1.0)), 1 / (1 + math.exp(-0.5))
    one = chance * math.log(chance / result) + (1 - chance) * math.log((1 - chance) / (1 - result))
    assert float(logit_loss(ours, other, 1.0, "sigmoid")) == pytest.approx(one, rel=1e-5)
    ten = logit_loss(ours.repeat(10, 1), other.repeat(10, 1), 1.0, "sigmoid")
    assert float(ten) == pytest.approx(10 * one / (10 * chance), rel=1e-5)


def test_classes_are_on_axis_one_of_maps_and_last_otherwise() -> None:
    """A map of logits is as many positions as it has pixels."""
    ours, other = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    rows = [output.permute(0, 2, 3, 1).reshape(-1, 3) for output in (ours, other)]
    flat = logit_loss(*rows, 2.0, "softmax")
    assert float(logit_loss(ours, other, 2.0, "softmax")) == pytest.approx(float(flat), rel=1e-5)


def test_features_are_compared_on_the_teachers_scale() -> None:
    """A layer of a thousand times the values weighs the same."""
    ours, other = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    once = float(feature_loss(ours, other))
    assert once == pytest.approx(float(((ours - other) ** 2).mean() / (other**2).mean()), rel=1e-5)
    assert float(feature_loss(1000 * ours, 1000 * other)) == pytest.approx(once, rel=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alpha": 0.0, "features": (("4", "4"), ("1", "1"))},
        {"logits": (("5", "5"),), "activation": "sigmoid", "features": (("4", "4"),)},
    ],
    ids=["logits", "features", "both"],
)
def test_the_chains_own_model_comes_closer_to_a_teacher(
    options: dict[str, Any], make_model: Any, make_context: Any
) -> None:
    """What pruning has left goes on: it stays the chain's model, and the teacher is built."""
    context = make_context(trainer=fit, model=lambda path: make_model() if path == PATH else None)
    requested = Distil.Options(
        student="self", teacher=PATH, steps=40, learning_rate=0.02, images=4, **options
    )
    module = student()
    applied = Distil().apply(Artifact(TORCH, module=module), requested, context)
    Distil().prove(applied.effect, requested)
    assert applied.effect["distance"] < applied.effect["distance_before"]
    assert applied.effect["parameters"] < applied.effect["parameters_before"]
    assert applied.model == ""  # so that pruning is repeated before weights are loaded
    assert set(applied.artifact.module.state_dict()) == set(student().state_dict())
    with pytest.raises(NoEffect, match="away from its teacher's"):
        Distil().prove({**applied.effect, "distance": 2.0, "distance_before": 1.0}, requested)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"student": "self"}, 'student = "self" needs a teacher'),
        ({"student": PATH, "teacher": PATH}, "another student's teacher is the chain's model"),
        ({"student": "self", "teacher": "nonsense"}, "not an import path"),
    ],
)
def test_who_teaches_whom_is_checked_before_any_work(asked: dict[str, Any], said: str) -> None:
    """One of the two is the chain's model, never both and never neither."""
    with pytest.raises(ValidationError, match=said):
        Distil.Options(steps=1, **asked)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alpha": 0.0, "features": (("4", "4"), ("1", "1"))},
        {"logits": (("5", "5"),), "activation": "sigmoid", "features": (("4", "4"),)},
    ],
    ids=["logits", "features", "both"],
)
def test_a_student_comes_closer_to_its_teacher(
    options: dict[str, Any], make_model: Any, make_context: Any
) -> None:
    """By logits, by features of another width, and by both; nothing of the training stays on it."""
    built = student()
    context = make_context(trainer=fit, model=lambda path: built if path == PATH else None)
    applied, requested = distilled(make_model, context, **options)
    Distil().prove(applied.effect, requested)
    effect = applied.effect
    assert effect["parameters"] < effect["parameters_before"]
    if "macs" in effect:
        assert effect["macs"] < effect["macs_before"]
    assert applied.model == PATH
    names = applied.artifact.module.state_dict()
    assert not any("projector" in name for name in names)
    assert not any(module._forward_hooks for module in applied.artifact.module.modules())
    assert effect["distance"] < effect["distance_before"]
    assert effect["distance"] == pytest.approx(
        distance(applied.artifact.module, make_model(), context.inputs("train", 4)), rel=1e-2
    )


def test_a_student_as_large_as_its_teacher_is_no_effect(make_model: Any, make_context: Any) -> None:
    """It may come as close as it likes."""
    context = make_context(trainer=fit, model=lambda _: student(width=40))
    applied, requested = distilled(make_model, context)
    with pytest.raises(NoEffect, match="the student has"):
        Distil().prove(applied.effect, requested)


def test_a_student_that_came_no_closer_is_no_effect(make_model: Any, make_context: Any) -> None:
    """A trainer that throws its work away has distilled nothing."""

    def forgetful(module: Any, data: Any, **options: Any) -> Any:
        start = {name: value.clone() for name, value in module.state_dict().items()}
        fit(module, data, **options)
        module.load_state_dict(start)
        return module

    context = make_context(trainer=forgetful, model=lambda _: student())
    applied, requested = distilled(make_model, context)
    with pytest.raises(NoEffect, match="away from its teacher"):
        Distil().prove(applied.effect, requested)


def test_a_trainer_that_leaves_the_teacher_out_is_an_error(
    make_model: Any, make_context: Any
) -> None:
    """Every step's loss must have been given to the course."""

    def own_way(module: Any, _data: Any, *, course: Course, **options: Any) -> Any:
        for _ in course.steps(options["steps"]):
            pass
        return module

    context = make_context(trainer=own_way, model=lambda _: student())
    with pytest.raises(BuildError, match="0 of 40 losses"):
        distilled(make_model, context)


@pytest.mark.parametrize(
    ("options", "width", "said"),
    [
        ({"features": (("9", "4"),)}, 5, "the student has no layer '9'"),
        ({"features": (("0", "3"),)}, 5, "only their width may differ"),
        ({"logits": (("3", "3"),)}, 5, "logits of the student's '3'"),
        ({}, 7, "the student's outputs are"),
    ],
)
def test_layers_that_do_not_fit_are_named(
    options: dict[str, Any], width: int, said: str, make_model: Any, make_context: Any
) -> None:
    """Before any training: the layer, and both shapes."""
    context = make_context(trainer=None, model=lambda _: student(outputs=width))
    with pytest.raises(BuildError, match=said.replace("'", ".")):
        distilled(make_model, context, **options)


def test_terms_before_the_student_ran_are_an_error(make_model: Any) -> None:
    """A loss of images that the student has not just been given is not distilled."""
    options = Distil.Options(student=PATH, steps=1)
    terms = Terms(student(), make_model(), options, (torch.from_numpy(example(1)),))
    with pytest.raises(BuildError, match="did not run the student's layer"):
        terms(torch.from_numpy(example(1)), torch.tensor(0.0))


@pytest.mark.parametrize(
    "values",
    [
        {"student": "toy/model.py"},
        {"student": "os.system"},
        {"temperature": 0},
        {"alpha": 1.5},
        {"activation": "tanh"},
        {"alpha": 0},
        {"logits": ()},
        {"features": (("a",),)},
        {"data": "validation"},
        {"data": "../other"},
        {"steps": 0},
    ],
)
def test_options_are_checked_before_any_work(values: dict[str, Any]) -> None:
    """Values out of range, paths that are none, and distilling nothing are errors."""
    Distil.Options(student=PATH, steps=1)
    with pytest.raises(ValidationError):
        Distil.Options(**{"student": PATH, "steps": 1, **values})
