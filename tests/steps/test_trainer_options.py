"""Arguments of a trainer's own: typed by its signature, refused before it is called."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import ValidationError
from pytest_perfgate.errors import BuildError, RecipeError
from pytest_perfgate.steps.finetune import Finetune
from pytest_perfgate.steps.trainer_options import signature_of
from pytest_perfgate.steps.training import Course, train
from pytest_perfgate.steps.training_options import TrainingOptions


class Order(enum.Enum):
    """A type of the project's own."""

    SHUFFLED = "shuffled"


def fit(
    module: Any,
    data: Any,
    *,
    steps: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    course: Course,
    schedule: Literal["cosine", "constant"],
    warmup: float = 0.1,
    sides: tuple[int, ...] = (),
    order: Order = Order.SHUFFLED,
    log: Callable[[str], None] | None = None,
) -> Any:
    """A trainer with arguments of its own, which is not called here."""
    contract = module, data, steps, learning_rate, batch_size, seed, course
    raise AssertionError(contract, schedule, warmup, sides, order, log)


def test_values_get_the_types_of_the_signature() -> None:
    """A whole number is a float too, an array a tuple, a text a member of an enumeration."""
    values = signature_of(fit).check(
        {"schedule": "cosine", "warmup": 1, "sides": [160, 320], "order": "shuffled"}
    )
    assert values == {
        "schedule": "cosine",
        "warmup": 1.0,
        "sides": (160, 320),
        "order": Order.SHUFFLED,
    }
    assert isinstance(values["warmup"], float)


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"warmup": 0.2}, "needs a value for 'schedule'", "Literal"),
    ({"schedule": "linear"}, "'linear' is no Literal", "cosine"),
    ({"schedule": "cosine", "warmpu": 1}, "takes no argument 'warmpu'", "did you mean 'warmup'?"),
    ({"schedule": "cosine", "warmup": "0.2"}, "'0.2' is no float", "float"),
    ({"schedule": "cosine", "warmup": True}, "True is no float", "float"),
    ({"schedule": "cosine", "sides": [1.5]}, "[1.5] is no tuple[int, ...]", "tuple[int, ...]"),
    ({"schedule": "cosine", "order": "sorted"}, "'sorted' is no Order", "Order"),
    ({"schedule": "cosine", "module": 1}, "takes no argument 'module'", "schedule"),
    ({"schedule": "cosine", "log": "print"}, "'print' is no Callable", "Callable"),
]


@pytest.mark.parametrize(("options", "problem", "valid"), WRONG)
def test_what_the_trainer_does_not_take_is_refused(
    options: dict[str, Any], problem: str, valid: str
) -> None:
    """With the argument's place, the value, and what it takes."""
    with pytest.raises(RecipeError) as caught:
        signature_of(fit).check(options)
    assert problem in caught.value.problem
    assert valid in caught.value.valid
    assert caught.value.where.startswith("trainer_options")


def test_a_trainer_of_any_arguments_takes_any() -> None:
    """`**options` takes every name, in its type where it has one; wrapped functions are seen
    through.
    """

    def loose(module: Any, data: Any, *, course: Course, **options: Any) -> Any:
        raise AssertionError(module, data, course, options)

    def typed(module: Any, data: Any, *, course: Course, **options: int) -> Any:
        raise AssertionError(module, data, course, options)

    @functools.wraps(fit)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        raise AssertionError(arguments, options)

    assert signature_of(loose).check({"anything": [1, "a"]}) == {"anything": [1, "a"]}
    assert signature_of(typed).check({"anything": 1}) == {"anything": 1}
    with pytest.raises(RecipeError, match="'a' is no int"):
        signature_of(typed).check({"anything": "a"})
    with pytest.raises(RecipeError, match="takes no argument 'anything'"):
        signature_of(wrapped).check({"anything": 1})


def test_a_type_that_no_suite_file_can_give_is_named() -> None:
    """Neither a class nor a name that is there for type checkers alone is left unchecked."""

    def classy(module: Any, data: Any, *, course: Course, teacher: Course) -> Any:
        raise AssertionError(module, data, course, teacher)

    def hidden(module: Any, data: Any, *, course: Course, teacher: Teacher) -> Any:  # type: ignore[name-defined]  # noqa: F821 - the case
        raise AssertionError(module, data, course, teacher)

    with pytest.raises(RecipeError, match="Course for 'teacher', which a suite file cannot give"):
        signature_of(classy).check({"teacher": "a"})
    with pytest.raises(RecipeError, match="annotation Teacher cannot be evaluated"):
        signature_of(hidden)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"learning_rate": 1.0}, "learning_rate is given to every trainer already"),
        ({"not-a-name": 1}, "'not-a-name' is no name of an argument"),
        ({"when": [float("nan")]}, "when is not plain"),
        ({"when": Path()}, "when is not plain"),
    ],
)
def test_names_and_values_are_those_of_arguments(options: dict[str, Any], problem: str) -> None:
    """Known without a trainer, so refused when options are read."""
    with pytest.raises(ValidationError, match=problem):
        TrainingOptions(steps=1, trainer_options=options)


def test_the_trainer_gets_them_and_they_are_part_of_the_options() -> None:
    """Options without any are as they were before there were any: the key of a link stays."""
    torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
    got: dict[str, Any] = {}

    def taking(module: Any, data: Any, *, course: Course, warmup: float = 0.0, **rest: Any) -> Any:
        got.update(warmup=warmup, data=data)
        for _ in course.steps(rest["steps"]):
            pass
        return module

    options = Finetune.Options(steps=1, trainer_options={"warmup": 1})
    train(taking, torch.nn.Linear(1, 1), "train", options, 0, Course())
    assert got == {"warmup": 1.0, "data": "train"}
    assert options.model_dump(mode="json")["trainer_options"] == {"warmup": 1}
    assert "trainer_options" not in Finetune.Options(steps=1).model_dump(mode="json")
    wrong = Finetune.Options(steps=1, trainer_options={"warmup": "a lot"})
    with pytest.raises(BuildError, match="'a lot' is no float") as caught:
        train(taking, torch.nn.Linear(1, 1), "train", wrong, 0, Course())
    assert caught.value.where == "trainer_options.warmup"
