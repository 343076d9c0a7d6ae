"""Another backbone in a model: that it is really there, that it fits, and when that is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import BuildError, NoEffect
from pytest_perfgate.steps.backbone import Backbone
from pytest_perfgate.steps.backbone_seam import Seam, fit_of
from pytest_perfgate.steps.training import Course

from tests.steps.conftest import SIDE, example

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")

SMALL = {"layer_type": "basic", "embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1]}
"""A residual network whose maps are an eighth of the image."""


def fit(module: Any, _data: Any, *, course: Course, **options: Any) -> Any:
    """A trainer that trains."""
    optimizer = torch.optim.SGD(module.parameters(), lr=options["learning_rate"])
    module.train()
    for step in course.steps(options["steps"], module=module, optimizer=optimizer):
        images = torch.from_numpy(example(step + 2))
        course.minimize(course.loss(images, module(images).square().mean()), optimizer, clip=1.0)
    return module.eval()


def idle(module: Any, _data: Any, *, course: Course, **options: Any) -> Any:
    """One that counts its steps and does nothing."""
    for _ in course.steps(options["steps"]):
        pass
    return module


def classifier(stride: int = 4, *, vector: bool = False) -> Any:
    """A backbone with maps of an image's `stride`-th, or their mean, and a head of five classes."""
    torch.manual_seed(3)
    nn = torch.nn
    pool = (nn.AdaptiveAvgPool2d(1), nn.Flatten()) if vector else ()
    head = (
        (nn.Linear(16, 5),) if vector else (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5))
    )
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 16, 3, stride, 1), nn.ReLU(), *pool), nn.Sequential(*head)
    ).eval()


def asked_for(backbone: str = "transformers:resnet", **options: Any) -> Any:
    """Options of the step; the small network unless told."""
    if backbone == "transformers:resnet":
        options.setdefault("arguments", SMALL)
    return Backbone.Options(backbone=backbone, at=options.pop("at", "0"), steps=2, **options)


def put(module: Any, context: Any, options: Any) -> Any:
    """The step's work."""
    return Backbone().apply(Artifact(TORCH, module=module), options, context)


needs_transformers = pytest.mark.skipif(
    bool(Backbone().requires_with(asked_for())[1].missing),
    reason="python -m pip install 'pytest-perfgate[transformers]'",
)


@needs_transformers
@pytest.mark.parametrize(
    ("stride", "vector", "fit_asked"),
    [(8, False, (1, 1)), (4, False, (2, 1)), (16, False, (1, 2)), (8, True, (1, 0))],
    ids=["as large", "smaller", "larger", "vector"],
)
def test_another_network_makes_the_features(
    stride: int, vector: bool, fit_asked: tuple[int, int], make_context: Any
) -> None:
    """It is there by its name, fits what reads it, is trained, and comes back with its weights."""
    options = asked_for()
    applied = put(classifier(stride, vector=vector), make_context(trainer=fit), options)
    Backbone().prove(applied.effect, options)
    effect, module = applied.effect, applied.artifact.module
    assert effect["backbone"] == "transformers:resnet"
    assert effect["parameters"] > effect["backbone_parameters"] > 0
    assert effect["backbone_before"] == "Sequential"
    (fitted,) = applied.structure["fit"]["maps"]
    assert (fitted["repeat"], fitted["pool"]) == fit_asked
    again = Backbone().restore(classifier(stride, vector=vector), applied.structure, options)
    again.load_state_dict(module.state_dict())
    batch = torch.from_numpy(example(2))
    assert module(batch).shape == (2, 5)
    assert torch.equal(again.eval()(batch), module(batch))


@needs_transformers
def test_a_backbone_that_is_not_there_is_no_effect(make_context: Any) -> None:
    """A trainer that gives back a model with its old backbone, or one of another size."""
    before = classifier()[0]

    def backwards(module: Any, data: Any, **options: Any) -> Any:
        fit(module, data, **options)
        module[0] = before
        return module

    applied = put(classifier(), make_context(trainer=backwards), asked_for())
    with pytest.raises(NoEffect, match="backbone is Sequential, not transformers:resnet"):
        Backbone().prove(applied.effect, asked_for())

    def thinned(module: Any, data: Any, **options: Any) -> Any:
        fit(module, data, **options)
        module[0].features.model.more = torch.nn.Linear(2, 2)
        return module

    applied = put(classifier(), make_context("two", trainer=thinned), asked_for())
    with pytest.raises(NoEffect, match="backbone is another network"):
        Backbone().prove(applied.effect, asked_for())


@needs_transformers
def test_what_was_not_trained_or_changed_is_no_effect(make_context: Any) -> None:
    """Steps in which nothing is learned; numbers as before; weights that are not numbers."""
    applied = put(classifier(), make_context(trainer=idle), asked_for())
    with pytest.raises(NoEffect, match="no parameter was trained"):
        Backbone().prove(applied.effect, asked_for())
    good = {**applied.effect, "changed_parameters": 5}
    Backbone().prove(good, asked_for())
    same = {what: good[f"{what}_before"] for what in ("parameters", "macs")}
    for wrong, said in ((same, "as before"), ({"finite": False}, "NaN")):
        with pytest.raises(NoEffect, match=said):
            Backbone().prove({**good, **wrong}, asked_for())


@needs_transformers
def test_a_training_that_diverges_is_no_effect(make_context: Any) -> None:
    """Also when every weight is still a number: what the model gives is not."""

    def wild(module: Any, data: Any, **options: Any) -> Any:
        fit(module, data, **options)
        with torch.no_grad():
            for value in module.parameters():
                value.mul_(1e30)
        return module

    applied = put(classifier(), make_context(trainer=wild), asked_for())
    assert all(
        bool(torch.isfinite(parameter).all()) for parameter in applied.artifact.module.parameters()
    )
    with pytest.raises(NoEffect, match="or outputs"):
        Backbone().prove(applied.effect, asked_for())


@needs_transformers
def test_what_does_not_fit_is_said(make_context: Any) -> None:
    """Where nothing can be put, and maps of which one is no multiple of the other."""
    context = make_context(trainer=fit)
    cases = [
        (classifier(), {"at": "backbone"}, "no module 'backbone'"),
        (classifier(), {"at": "1"}, "a backbone reads images"),
        (classifier(), {"at": "0.1"}, "a backbone reads images"),
        (classifier(stride=6), {}, "neither is a multiple"),
        (
            torch.nn.Sequential(twice := classifier()[0], torch.nn.Conv2d(16, 3, 1), twice),
            {},
            "2 times",
        ),
    ]
    for module, options, said in cases:
        with pytest.raises(BuildError, match=said):
            put(module, context, asked_for(**options))


def test_maps_are_channels_first() -> None:
    """A network whose channels come last, as some transformers' do, is refused."""

    class Last(torch.nn.Module):
        def forward(self, images: Any) -> Any:
            return images[:, :, ::8, ::8].permute(0, 2, 3, 1)

    with pytest.raises(BuildError, match="not a feature map"):
        fit_of(Last(), Seam((1, 3, 32, 32), ((1, 16, 4, 4),)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"backbone": "resnet"}, "did you mean 'resnet"),
        ({"backbone": "timmm:resnet18"}, "did you mean 'timm'"),
        ({"backbone": "timm:res net"}, "cannot be a model's name"),
        ({"backbone": "transformers:a/b"}, "serves pretrained weights only"),
        ({"backbone": "timm:vgg11", "arguments": {"pretrained": True}}, "among the arguments"),
        ({"backbone": "vgg11", "sorted": 1}, "Extra inputs"),
    ],
)
def test_options_are_checked_before_any_work(options: dict[str, Any], said: str) -> None:
    """A name that no source has the form of, and what the source has an option for."""
    with pytest.raises(ValidationError, match=said):
        Backbone.Options(steps=1, **options)


def test_a_name_means_the_first_package_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And where none is, the first that could be, so that its command is told."""
    from pytest_perfgate.registry import Requirement

    here: set[str] = set()
    monkeypatch.setattr(Requirement, "missing", property(lambda part: part.module not in here))
    assert str(asked_for("resnet18").chosen) == "torchvision:resnet18"
    assert "[torchvision]" in Backbone().requires_with(asked_for("resnet18"))[1].install
    here |= {"torch", "transformers"}
    assert str(asked_for("resnet18").chosen) == "transformers:resnet"
    assert str(asked_for("vgg11").chosen) == "torchvision:vgg11"
    here |= {"timm", "torchvision"}
    assert str(asked_for("mobilenet_v2").chosen) == "torchvision:mobilenet_v2"
    assert str(asked_for("timm:resnet18").chosen) == "timm:resnet18"


FAMILY = [
    "mobilenet_v2",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "shufflenet_v2_x0_5",
    "resnet18",
    "vgg11",
]


@pytest.mark.slow
@pytest.mark.parametrize("source", ["torchvision", "timm", "transformers"])
@pytest.mark.parametrize("name", FAMILY)
def test_every_family_goes_in_by_its_name(source: str, name: str, make_context: Any) -> None:
    """Through each package that has it; where that is not installed, it is skipped."""
    from pytest_perfgate.steps.backbone_parts import KNOWN

    if source not in KNOWN[name]:
        pytest.skip(f"{source} has no {name}")
    model, arguments = KNOWN[name][source]
    options = asked_for(f"{source}:{model}", arguments=dict(arguments))
    missing = [option.install for option in Backbone().requires_with(options) if option.missing]
    if missing:
        pytest.skip(f"tox run -e torchvision, or: {missing[0]}")
    applied = put(classifier(), make_context(trainer=fit), options)
    Backbone().prove(applied.effect, options)
    again = Backbone().restore(classifier(), applied.structure, options)
    again.load_state_dict(applied.artifact.module.state_dict())
    batch = torch.zeros(2, 3, SIDE, SIDE)
    assert torch.equal(again.eval()(batch), applied.artifact.module(batch))
