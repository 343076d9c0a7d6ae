"""prune takes from each layer about what was requested, or says which layer it did not."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import BuildError, NoEffect
from pytest_perfgate.steps.prune import Prune

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")


def two_layers(channels: int, *between: Any) -> Artifact:
    """A convolution of so many channels, what stands behind it, and one that is the output."""
    torch.manual_seed(1)
    width = between[-1].out_channels if between else channels
    first, last = torch.nn.Conv2d(3, channels, 3, 2, 1), torch.nn.Conv2d(width, 5, 1)
    return Artifact(TORCH, module=torch.nn.Sequential(first, *between, last).eval())


@pytest.mark.parametrize(
    ("channels", "values", "words"),
    [
        (20, {"pruning_ratio": 0.25}, "of 20 channels lost 60% where 25% were requested"),
        (64, {"pruning_ratio": 0.88}, "of 64 channels is left whole where 88% were requested"),
        (20, {"pruning_ratio": 0.25, "global_pruning": True}, "60% of the channels were removed"),
    ],
)
def test_rounding_that_takes_another_share_is_refused(
    make_context: Any, channels: int, values: dict[str, Any], words: str
) -> None:
    """`round_to` of 8 leaves 8 of 20 channels, and all of 64 where less than 8 would be left."""
    step, options = Prune(), Prune.Options(**values)
    effect = step.apply(two_layers(channels), options, make_context()).effect
    with pytest.raises(NoEffect, match=words):
        step.prove(effect, options)


def test_the_remedy_that_is_named_works(make_context: Any) -> None:
    """Each layer is listed with its channels before and after; the rounding that is named fits."""
    step, options = Prune(), Prune.Options(pruning_ratio=0.25)
    effect = step.apply(two_layers(20), options, make_context("a")).effect
    assert effect["channels"] == {"0": [20, 8]}
    assert (effect["requested_share"], effect["removed_share"]) == (0.25, 0.6)
    with pytest.raises(NoEffect, match="set round_to = 2, or name it in ignored_layers"):
        step.prove(effect, options)
    mended = Prune.Options(pruning_ratio=0.25, round_to=2)
    step.prove(step.apply(two_layers(20), mended, make_context("b")).effect, mended)
    allowed = Prune.Options(pruning_ratio=0.25, tolerance=0.4)
    step.prove(effect, allowed)


@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d"])
def test_grouped_layers_that_cannot_be_pruned_are_named(make_context: Any, kind: str) -> None:
    """The library ends in an IndexError; the error here says which layer, and what to set."""
    grouped = (
        torch.nn.Conv2d(16, 32, 3, groups=16)
        if kind == "Conv2d"
        else torch.nn.ConvTranspose2d(16, 32, 2, 2, groups=4)
    )
    options = Prune.Options(pruning_ratio=0.5, round_to=4)
    with pytest.raises(BuildError, match=r"grouped convolutions: 1 \(\d+ groups\)") as caught:
        Prune().apply(two_layers(16, grouped), options, make_context("a"))
    assert "ignored_layers" in caught.value.next_step
