"""What `finetune` changes of a network that has learned: proven, and refused where it cannot be."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import BuildError, NoEffect
from pytest_perfgate.steps.finetune import Finetune
from pytest_perfgate.steps.training import Course
from pytest_perfgate.steps.training_checkpoints import Checkpoints

from tests.steps.conftest import example

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")

FIRST = ["0.weight", "0.bias"]
"""Of the small network: a convolution, a batch normalisation (1), two more convolutions (3, 5)."""


def fit(
    module: Any,
    _data: Any,
    *,
    steps: int,
    learning_rate: float,
    seed: int,
    course: Course,
    disobey: Callable[[Any, int], None] = lambda *_: None,
    **_options: Any,
) -> Any:
    """A trainer as docs have it: weight decay, momentum and a schedule reach every parameter that
    its optimizer has; `disobey(module, step)` is what else it does.
    """
    module.train()
    groups = course.parameter_groups(module, learning_rate)
    optimizer = torch.optim.AdamW(groups, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in groups], total_steps=steps
    )
    state = {"module": module, "optimizer": optimizer, "schedule": schedule}
    for step in course.steps(steps, **state):
        images = torch.from_numpy(example(seed + step + 1))
        course.minimize(course.loss(images, module(images).square().mean()), optimizer)
        schedule.step()
        disobey(module, step)
    return module.eval()


def plain(module: Any, _data: Any, *, steps: int, learning_rate: float, **rest: Any) -> Any:
    """A trainer that knows nothing of groups of parameters, and trains a copy."""
    module = copy.deepcopy(module).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=learning_rate, weight_decay=0.1)
    for step in rest["course"].steps(steps, module=module, optimizer=optimizer):
        images = torch.from_numpy(example(step + 1))
        rest["course"].minimize(module(images).square().mean(), optimizer)
    return module.eval()


def disobedient(change: Callable[[Any, int], None]) -> Any:
    """The trainer that does something else besides."""
    return lambda *arguments, **options: fit(*arguments, **options, disobey=change)


Tune = Callable[..., tuple[dict[str, Any], Any, Any]]


@pytest.fixture
def tune(make_model: Any, make_context: Any) -> Tune:
    """`finetune` of the small network by a trainer: the effect, the module before, and after."""
    folders = map(str, itertools.count())

    def run(trainer: Any = fit, **options: Any) -> tuple[dict[str, Any], Any, Any]:
        requested = Finetune.Options(**{"steps": 4, "learning_rate": 0.01, **options})
        module = make_model()
        before = copy.deepcopy(module)
        context = make_context(next(folders), trainer=trainer)
        applied = Finetune().apply(Artifact(TORCH, module=module), requested, context)
        Finetune().prove(applied.effect, requested)
        return applied.effect, before, applied.artifact.module

    return run


def differing(before: Any, after: Any) -> set[str]:
    """Names of parameters and statistics that are not bit-equal."""
    one, other = before.state_dict(), after.state_dict()
    return {name for name in one if not torch.equal(one[name], other[name])}


@pytest.mark.parametrize("trainer", [fit, plain])
def test_frozen_parameters_are_bit_equal(tune: Tune, trainer: Any) -> None:
    """Whatever optimizer the trainer builds; statistics still follow the images, and parameters
    can be trained again by the next step.
    """
    effect, before, after = tune(trainer, freeze=["*", "!5.*"])
    changed = differing(before, after)
    assert changed == {
        "5.weight",
        "5.bias",
        *(name for name in changed if name[:4] in {"1.ru", "1.nu"}),
    }
    assert "1.running_mean" in changed
    assert effect["frozen_changed"] == []
    assert effect["frozen_parameters"] == sum(
        value.numel() for name, value in before.named_parameters() if not name.startswith("5")
    )
    assert all(parameter.requires_grad for parameter in after.parameters())


def test_a_trainer_that_changes_frozen_parameters_is_no_effect(tune: Tune) -> None:
    """The proof names them, by one bit."""

    def melt(module: Any, step: int) -> None:
        if step == 3:
            with torch.no_grad():
                module[0].bias[3] *= 1.0000001

    with pytest.raises(NoEffect, match=r"0\.bias changed though frozen"):
        tune(disobedient(melt), freeze=["0.*"])


def test_frozen_parameters_are_trained_from_their_step_on(tune: Tune) -> None:
    """As long as they are frozen they stay; then they learn, with the optimizer's decay."""
    observed: list[set[str]] = []
    fresh: list[Any] = []

    def look(module: Any, _step: int) -> None:
        fresh.append(copy.deepcopy(module))
        observed.append({name for name in FIRST if module.get_parameter(name).grad is not None})

    effect, before, after = tune(
        disobedient(look), freeze=["0.*", "3.*"], unfreeze={2: ["0.*"]}, steps=4
    )
    assert observed == [set(), set(), set(FIRST), set(FIRST)]
    assert {"0.weight", "0.bias"} <= differing(before, after)
    assert not {"0.weight", "0.bias"} & differing(before, fresh[1])
    assert not {"3.weight", "3.bias"} & differing(before, after)
    assert effect["unfrozen_parameters"] == 16 * 27 + 16
    assert (effect["unfrozen_early"], effect["unfrozen_unchanged"]) == ([], [])

    def early(module: Any, step: int) -> None:
        if step == 0:
            with torch.no_grad():
                module[0].bias += 1

    with pytest.raises(NoEffect, match=r"0\.bias changed before the step that unfreezes"):
        tune(disobedient(early), freeze=["0.*"], unfreeze={2: ["0.*"]})


def test_a_trainer_that_leaves_unfrozen_parameters_out_is_no_effect(tune: Tune) -> None:
    """An optimizer of what needs a gradient at the beginning never trains the rest."""

    def first(module: Any, _data: Any, *, steps: int, course: Course, **_: Any) -> Any:
        wanted = [parameter for parameter in module.parameters() if parameter.requires_grad]
        optimizer = torch.optim.SGD(wanted, lr=0.01)
        for _step in course.steps(steps, module=module, optimizer=optimizer):
            course.minimize(module(torch.from_numpy(example(2))).square().mean(), optimizer)
        return module

    with pytest.raises(NoEffect, match=r"0\.bias, 0\.weight did not change after"):
        tune(first, freeze=["0.*"], unfreeze={2: ["0.*"]})


def test_an_unfrozen_training_is_continued_where_it_was(make_model: Any, tmp_path: Path) -> None:
    """Cut off after the step that unfreezes, it ends in the same weights."""
    from pytest_perfgate.steps.finetune_transfer import Transfer, TransferOptions
    from pytest_perfgate.steps.training import train

    options = TransferOptions(steps=5, learning_rate=0.01, freeze=["0.*"], unfreeze={2: ["0.*"]})

    class Stop(Exception):
        """What cuts it off."""

    def trained(trainer: Any, folder: Path) -> Any:
        kept = Checkpoints(folder, dict, lambda _: True, every=0.0)
        module = make_model()
        course = Course(checkpoints=kept, transfer=Transfer(module, options))
        return train(trainer, module, "train", options, 0, course).state_dict()

    def stop(_module: Any, step: int) -> None:
        if step == 3:
            raise Stop

    with pytest.raises(Stop):
        trained(disobedient(stop), tmp_path / "cut")
    resumed, whole = trained(fit, tmp_path / "cut"), trained(fit, tmp_path / "whole")
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_statistics_are_kept_and_normalize(tune: Tune) -> None:
    """`module.train()` of the trainer does not bring the batch's own back, nor into a copy."""
    training: list[bool] = []

    def look(module: Any, _step: int) -> None:
        training.append(module[1].training)

    effect, before, after = tune(disobedient(look), freeze_batch_norm_statistics=True)
    assert not {"1.running_mean", "1.running_var", "1.num_batches_tracked"} & differing(
        before, after
    )
    assert "1.weight" in differing(before, after)
    assert training == [False] * 4
    assert effect["kept_statistics"] == 3
    assert not after[1]._forward_pre_hooks
    _, before, after = tune(plain, freeze_batch_norm_statistics=True)
    assert "1.running_mean" not in differing(before, after)
    assert not after[1]._forward_pre_hooks

    def count(module: Any, step: int) -> None:
        if step == 0:
            module[1].running_mean += 1e-3

    with pytest.raises(NoEffect, match=r"statistics 1\.running_mean changed though kept"):
        tune(disobedient(count), freeze_batch_norm_statistics=True)


def test_layers_learn_at_their_own_rates(tune: Tune) -> None:
    """By patterns, the first that fits, or each by a factor of the next; a schedule keeps the
    ratios.
    """
    rates: list[list[float]] = []

    def look(course: Course, module: Any) -> None:
        rates.append([group["lr"] for group in course.parameter_groups(module, 1.0)])

    def looking(module: Any, data: Any, *, course: Course, **options: Any) -> Any:
        look(course, module)
        return fit(module, data, course=course, **options)

    effect, *_ = tune(looking, layer_learning_rates={"0.bias": 0.5, "0.*": 0.1})
    assert effect["learning_rate_factors"] == [0.1, 0.5, 1.0]
    assert effect["steps_watched"] == 4
    tune(looking, layer_learning_rates=0.5)
    assert rates == [[0.1, 0.5, 1.0], [0.125, 0.25, 0.5, 1.0]]


def test_without_options_all_parameters_are_one_group(make_model: Any) -> None:
    """So one trainer serves every recipe."""
    module = make_model()
    (group,) = Course().parameter_groups(module, 0.5)
    assert group["lr"] == 0.5
    assert [id(value) for value in group["params"]] == [id(value) for value in module.parameters()]


def test_a_trainer_with_one_rate_for_all_is_no_effect(tune: Tune) -> None:
    """An optimizer of `module.parameters()`, and a schedule that sets one rate, are seen."""

    def level(module: Any, _data: Any, *, course: Course, **options: Any) -> Any:
        groups = course.parameter_groups(module, 0.01)
        optimizer = torch.optim.SGD(groups)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=5)
        for _ in course.steps(options["steps"], module=module, optimizer=optimizer):
            course.minimize(module(torch.from_numpy(example(2))).square().mean(), optimizer)
            schedule.step()
        return module

    for trainer in (plain, level):
        with pytest.raises(NoEffect, match="other learning rates than theirs in 4 of 4 steps"):
            tune(trainer, layer_learning_rates={"0.*": 0.1})


def test_a_head_of_other_classes_is_new_and_restored(tune: Tune, make_model: Any) -> None:
    """Of the same settings, trained, and built again for weights that are loaded."""
    options = {"heads": {"5": 7}, "freeze": ["[0-3].*"]}
    effect, _, after = tune(**options)
    assert effect["heads"] == {"5": 7}
    images = torch.from_numpy(example(2))
    assert after(images).shape[1] == 7
    fresh = Finetune().restore(make_model(), {}, Finetune.Options(steps=4, **options))
    fresh.load_state_dict(after.state_dict())
    assert torch.equal(fresh.eval()(images), after(images))
    _, _, again = tune(**options)
    assert not differing(after, again)

    def back(module: Any, data: Any, **arguments: Any) -> Any:
        trained = fit(module, data, **arguments)
        trained[5] = make_model()[5]
        return trained

    with pytest.raises(NoEffect, match="5 has another number of outputs"):
        tune(back, **options)


WRONG = [
    ({"freeze": ["backbone.*"]}, "'backbone.*' fits no parameter", "freeze", "0.weight"),
    ({"freeze": ["0.*", "!3.*"]}, "no parameter that a pattern before it fits", "freeze", "0."),
    ({"freeze": ["*"]}, "all 8 parameters are frozen", "freeze", "!head.*"),
    ({"freeze": ["0.*", "[135].*"]}, "all 8 parameters are frozen", "freeze", "leave some"),
    (
        {"freeze": ["0.*"], "unfreeze": {2: ["3.*"]}},
        "'3.*' fits no parameter",
        "unfreeze.2",
        "0.bias",
    ),
    (
        {"layer_learning_rates": {"backbone.*": 0.1}},
        "fits no parameter",
        "layer_learning_rates",
        "3.weight",
    ),
    ({"heads": {"1": 7}}, "fits no linear layer", "heads.1", "5"),
]


@pytest.mark.parametrize(("options", "problem", "key", "valid"), WRONG)
def test_patterns_that_do_nothing_or_leave_nothing_are_refused_before_training(
    tune: Tune, options: dict[str, Any], problem: str, key: str, valid: str
) -> None:
    """One message with the key, the pattern and the names that there are."""

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError

    with pytest.raises(BuildError) as caught:
        tune(never, **options)
    assert problem in caught.value.problem
    assert caught.value.where == f"finetune.{key}"
    assert valid in caught.value.valid


def test_statistics_need_a_batch_normalisation(make_context: Any) -> None:
    """A network without any has none to keep."""
    options = Finetune.Options(steps=1, freeze_batch_norm_statistics=True)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1))
    with pytest.raises(BuildError, match="no statistics of batch normalisation"):
        Finetune().apply(Artifact(TORCH, module=module), options, make_context(trainer=fit))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"unfreeze": {2: ["a"]}}, "nothing is frozen without `freeze`"),
        ({"freeze": ["a"], "unfreeze": {9: ["a"]}}, "step 9 is not below the 9 steps"),
        ({"freeze": ["a"], "unfreeze": {0: ["a"]}}, "greater than or equal to 1"),
        ({"freeze": [""]}, "at least 1 character"),
        ({"layer_learning_rates": {"a": 0.0}}, "greater than 0"),
        ({"layer_learning_rates": 1.5}, "less than 1"),
        ({"heads": {"fc": 0}}, "greater than or equal to 1"),
    ],
)
def test_options_that_contradict_themselves_are_refused_at_reading(
    options: dict[str, Any], problem: str
) -> None:
    """Without a network to look at."""
    with pytest.raises(ValidationError, match=problem):
        Finetune.Options(steps=9, **options)


def test_options_travel_as_json_and_leave_older_keys_as_they_are() -> None:
    """Numbers of steps come back as numbers; a training without them has the key that it had."""
    options = Finetune.Options(
        steps=9, freeze=["a.*"], unfreeze={3: ["a.b"]}, layer_learning_rates={"a": 0.1}
    )
    assert Finetune.Options.model_validate(options.model_dump(mode="json")) == options
    plain_keys = {"steps", "learning_rate", "batch_size", "data", "keep_zeros", "autocast"}
    assert Finetune.Options(steps=9).model_dump(mode="json").keys() == plain_keys
