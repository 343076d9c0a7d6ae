"""Steps from a torch module to a torch module."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import BuildError, NoEffect
from pytest_perfgate.steps.channels_last import ChannelsLast
from pytest_perfgate.steps.finetune import Finetune
from pytest_perfgate.steps.prune import Prune
from pytest_perfgate.steps.training import Course

from tests.steps.conftest import example

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")


def outputs(module: Any) -> Any:
    """What the module gives for the fixed example."""
    with torch.inference_mode():
        return module(torch.from_numpy(example(2)))


def test_channels_last_moves_weights_and_no_value(make_model: Any, make_context: Any) -> None:
    """The step counts the weights that really have the layout, and changes no output."""
    step = ChannelsLast()
    applied = step.apply(Artifact(TORCH, module=make_model()), step.Options(), make_context())
    # The 1 x 1 convolution is the same in both layouts, so it does not count.
    assert applied.effect == {"channels_last_weights": 2, "weights": 3}
    step.prove(applied.effect, step.Options())
    assert torch.allclose(outputs(applied.artifact.module), outputs(make_model()), atol=1e-5)


def test_channels_last_survives_loading_weights(
    make_model: Any, make_context: Any, tmp_path: Path
) -> None:
    """A restored module keeps the layout when stored weights are loaded into it."""
    from safetensors.torch import load_model, save_model

    step, options = ChannelsLast(), ChannelsLast.Options()
    applied = step.apply(Artifact(TORCH, module=make_model()), options, make_context())
    save_model(applied.artifact.module, str(tmp_path / "w.safetensors"), force_contiguous=True)
    fresh = step.restore(make_model(), applied.structure, options)
    load_model(fresh, tmp_path / "w.safetensors")
    assert fresh[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert not fresh[0].weight.is_contiguous()


def test_channels_last_switched_off_proves_nothing(make_model: Any, make_context: Any) -> None:
    """`channels_last = false` moves no weight, which is no effect."""
    step, options = ChannelsLast(), ChannelsLast.Options(enabled=False)
    applied = step.apply(Artifact(TORCH, module=make_model()), options, make_context())
    with pytest.raises(NoEffect, match="channels-last"):
        step.prove(applied.effect, options)


def test_prune_restores_the_very_same_model(
    make_model: Any, make_context: Any, tmp_path: Path
) -> None:
    """Repeating the history on a fresh module and loading weights gives equal outputs."""
    import json

    from safetensors.torch import load_model, save_model

    step, options = Prune(), Prune.Options(pruning_ratio=0.5)
    applied = step.apply(Artifact(TORCH, module=make_model()), options, make_context())
    step.prove(applied.effect, options)
    pruned = applied.artifact.module
    assert applied.effect["parameters"] == sum(
        parameter.numel() for parameter in pruned.parameters()
    )
    save_model(pruned, str(tmp_path / "w.safetensors"), force_contiguous=True)
    structure = json.loads(json.dumps(applied.structure))
    fresh = step.restore(make_model(), structure, options)
    load_model(fresh, tmp_path / "w.safetensors")
    assert torch.equal(outputs(fresh.eval()), outputs(pruned))


def test_prune_is_deterministic(make_model: Any, make_context: Any) -> None:
    """The same model and options lose the same channels."""
    step, options = Prune(), Prune.Options(pruning_ratio=0.5)
    result = [
        step.apply(Artifact(TORCH, module=make_model()), options, make_context(name)).structure
        for name in ("one", "two")
    ]
    assert result[0] == result[1]


def test_prune_keeps_the_models_outputs(make_model: Any, make_context: Any) -> None:
    """The channels of the last layer are the model's outputs, and stay."""
    step = Prune()
    tail = torch.nn.Conv2d(32, 64, 1)
    applied = step.apply(
        Artifact(TORCH, module=make_model(tail)),
        step.Options(pruning_ratio=0.5),
        make_context(),
    )
    assert outputs(applied.artifact.module).shape == (2, 64, 8, 8)


def test_prune_keeps_the_outputs_of_a_transposed_convolution(
    make_model: Any, make_context: Any
) -> None:
    """A model that ends in a transposed convolution keeps its outputs."""
    step = Prune()
    applied = step.apply(
        Artifact(TORCH, module=make_model(torch.nn.ConvTranspose2d(32, 16, 2, 2))),
        step.Options(pruning_ratio=0.5),
        make_context(),
    )
    assert outputs(applied.artifact.module).shape == (2, 16, 16, 16)


def test_prune_restores_a_model_of_fixed_input_size(make_model: Any, make_context: Any) -> None:
    """A model that only takes 32 x 32 images is restored like any other."""
    step, options = Prune(), Prune.Options(pruning_ratio=0.5)

    def tail() -> Any:
        torch.manual_seed(1)
        return torch.nn.Flatten(), torch.nn.Linear(32 * 8 * 8, 5)

    applied = step.apply(Artifact(TORCH, module=make_model(*tail())), options, make_context())
    fresh = step.restore(make_model(*tail()), applied.structure, options)
    assert fresh[0].weight.shape == applied.artifact.module[0].weight.shape


def test_prune_takes_a_frozen_model(make_model: Any, make_context: Any) -> None:
    """A model whose parameters need no gradient is pruned too."""
    step, options = Prune(), Prune.Options(pruning_ratio=0.5)
    frozen = make_model().requires_grad_(False)
    applied = step.apply(Artifact(TORCH, module=frozen), options, make_context())
    step.prove(applied.effect, options)


def test_prune_respects_ignored_layers(make_model: Any, make_context: Any) -> None:
    """A module named in `ignored_layers` keeps its channels; an unknown name is an error."""
    step = Prune()
    options = step.Options(pruning_ratio=0.5, ignored_layers=("0",))
    applied = step.apply(Artifact(TORCH, module=make_model()), options, make_context("a"))
    assert applied.artifact.module[0].out_channels == 16
    assert applied.artifact.module[3].out_channels == 16
    with pytest.raises(BuildError, match="no module 'nobody'"):
        step.apply(
            Artifact(TORCH, module=make_model()),
            step.Options(ignored_layers=("nobody",)),
            make_context("b"),
        )


def test_prune_that_removes_nothing_is_no_effect(make_model: Any, make_context: Any) -> None:
    """A ratio that rounding brings to zero channels removes nothing, and is found out."""
    step, options = Prune(), Prune.Options(pruning_ratio=0.01, round_to=32)
    applied = step.apply(Artifact(TORCH, module=make_model()), options, make_context())
    with pytest.raises(NoEffect, match="as much work"):
        step.prove(applied.effect, options)
    with pytest.raises(NoEffect, match="as many parameters"):
        step.prove({**applied.effect, "macs": 0.0}, options)


def fit(module: Any, data: Any, *, course: Course, **options: Any) -> Any:
    """A trainer: some steps of gradient descent towards zero outputs."""
    assert data in {"train", "toy.data:night"}
    optimizer = torch.optim.SGD(module.parameters(), lr=options["learning_rate"])
    module.train()
    for _ in course.steps(options["steps"], module=module, optimizer=optimizer):
        optimizer.zero_grad()
        batch = torch.from_numpy(example(options["batch_size"]))
        course.loss(batch, (module(batch) ** 2).mean()).backward()
        optimizer.step()
    return module.eval()


def idle(module: Any, _data: Any, *, course: Course, **options: Any) -> Any:
    """A trainer that goes through its steps and changes nothing."""
    for _ in course.steps(options["steps"]):
        pass
    return module


def test_finetune_trains_with_the_suites_trainer(make_model: Any, make_context: Any) -> None:
    """The trainer gets the options and the train split; its changes are counted."""
    observed: list[tuple[int, int, str]] = []
    step, options = Finetune(), Finetune.Options(steps=2, batch_size=3)
    context = make_context(trainer=fit, progress=lambda *reported: observed.append(reported))
    module = make_model().requires_grad_(False)
    applied = step.apply(Artifact(TORCH, module=module), options, context)
    step.prove(applied.effect, options)
    assert [(done, total) for done, total, _ in observed] == [(1, 2), (2, 2)]
    assert all(note.startswith("loss 0.") for _, _, note in observed)
    assert applied.effect["steps"] == 2
    assert 0 < applied.effect["changed_parameters"] <= applied.effect["parameters"]
    assert not applied.artifact.module.training


def test_finetune_twice_gives_the_same_weights(make_model: Any, make_context: Any) -> None:
    """The seed says it all; another seed may give others."""
    result = []
    for name in ("one", "two"):
        step, options = Finetune(), Finetune.Options(steps=3)
        context = make_context(name, trainer=fit)
        result.append(step.apply(Artifact(TORCH, module=make_model()), options, context))
    one, two = (built.artifact.module.state_dict() for built in result)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_finetune_trains_on_the_data_that_is_named(make_model: Any, make_context: Any) -> None:
    """Another split or an import path; what recipes are judged on is none of them."""
    step, options = Finetune(), Finetune.Options(steps=1, data="toy.data:night")
    assert step.splits_with(options) == {"toy.data:night"}
    applied = step.apply(Artifact(TORCH, module=make_model()), options, make_context(trainer=fit))
    step.prove(applied.effect, options)
    for wrong in ("validation", "night", "toy/data.py"):
        with pytest.raises(ValidationError, match="not a split or a function of training data"):
            Finetune.Options(steps=1, data=wrong)


def test_finetune_without_a_change_is_no_effect(make_model: Any, make_context: Any) -> None:
    """A trainer that gives back what it got has trained nothing."""
    step, options = Finetune(), Finetune.Options(steps=1)
    context = make_context(trainer=idle)
    applied = step.apply(Artifact(TORCH, module=make_model()), options, context)
    with pytest.raises(NoEffect, match="no parameter"):
        step.prove(applied.effect, options)


def test_finetune_to_nan_is_no_effect(make_model: Any, make_context: Any) -> None:
    """Weights that are no numbers are never a success."""

    def explode(module: Any, data: Any, **options: Any) -> Any:
        broken = copy.deepcopy(idle(module, data, **options))
        with torch.no_grad():
            broken[0].weight[0, 0, 0, 0] = float("nan")
        return broken

    step, options = Finetune(), Finetune.Options(steps=1)
    context = make_context(trainer=explode)
    applied = step.apply(Artifact(TORCH, module=make_model()), options, context)
    with pytest.raises(NoEffect, match="NaN"):
        step.prove(applied.effect, options)


def test_finetune_without_a_trainer_says_where(make_model: Any, make_context: Any) -> None:
    """A suite without a trainer is told the key."""
    with pytest.raises(BuildError) as caught:
        Finetune().apply(
            Artifact(TORCH, module=make_model()), Finetune.Options(steps=1), make_context()
        )
    assert caught.value.where == "suite.trainer"


@pytest.mark.parametrize(
    ("options", "values"),
    [
        (Finetune.Options, {"steps": 0}),
        (Prune.Options, {"pruning_ratio": 1.0}),
        (Prune.Options, {"ratio": 0.5}),
        (ChannelsLast.Options, {"enabled": "perhaps"}),
    ],
)
def test_options_are_checked_before_any_work(options: Any, values: dict[str, Any]) -> None:
    """Values out of range and unknown options are errors."""
    with pytest.raises(ValidationError):
        options(**values)


def test_prune_sees_a_layer_whose_output_nothing_uses(make_context: Any) -> None:
    """A dead end loses the same input channels as its neighbours, so the model still runs."""

    class DeadEnd(torch.nn.Module):  # type: ignore[misc, name-defined] # torch may be skipped
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Conv2d(3, 32, 3, padding=1)
            self.idle = torch.nn.Conv2d(32, 16, 3, padding=1)
            self.norm = torch.nn.BatchNorm2d(16)
            self.last = torch.nn.Conv2d(32, 4, 1)

        def forward(self, x: Any) -> Any:
            y = torch.relu(self.first(x))
            torch.relu(self.norm(self.idle(y)))
            return self.last(y)

    artifact = Artifact(TORCH, module=DeadEnd().eval())
    applied = Prune().apply(artifact, Prune.Options(pruning_ratio=0.5), make_context())
    assert applied.artifact.module.idle.in_channels == 16
    assert outputs(applied.artifact.module).shape[1] == 4
    again = Prune().restore(DeadEnd().eval(), applied.structure, Prune.Options())
    assert again.idle.in_channels == 16
    assert outputs(again).shape[1] == 4
