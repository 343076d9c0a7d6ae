"""Backbones of detectors with several levels: maps by stride, adapters, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import BuildError
from pytest_perfgate.steps.backbone import Backbone
from pytest_perfgate.steps.distil import Distil
from pytest_perfgate.steps.distil_loss import box_loss, confidence_of
from pytest_perfgate.steps.training import Course

from tests.steps.conftest import SIDE, example

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
nn = torch.nn

SMALL = {"layer_type": "basic", "embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1]}
"""A residual network with maps of the strides 4 and 8."""
PATCHES = {"image_size": 64, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
"""A transformer of tokens."""
CLASSES, BINS = 3, 4


class Trunk(nn.Module):  # type: ignore[misc] # torch is imported where it is installed
    """Maps of the strides 4 and 8, as a tuple, a list or a dict."""

    def __init__(self, form: type) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(3, 16, 4, 4), nn.Conv2d(16, 24, 2, 2)
        self.form = form

    def forward(self, images: Any) -> Any:
        """The maps."""
        fine = self.fine(images).relu()
        maps = (fine, self.coarse(fine).relu())
        return dict(zip("ab", maps, strict=True)) if self.form is dict else self.form(maps)


class Detector(nn.Module):  # type: ignore[misc] # torch is imported where it is installed
    """Logits of classes and of the bins of box edges, at two levels."""

    def __init__(self, form: type = tuple, bins: int = BINS) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.backbone = Trunk(form)
        self.classes = nn.ModuleList(nn.Conv2d(width, CLASSES, 1) for width in (16, 24))
        self.boxes = nn.ModuleList(nn.Conv2d(width, 4 * bins, 1) for width in (16, 24))

    def forward(self, images: Any) -> Any:
        """Everything, place after place: (N, A, CLASSES) and (N, A, 4 * bins)."""
        maps = self.backbone(images)
        maps = list(maps.values()) if isinstance(maps, dict) else maps
        return tuple(
            torch.cat([head(level).flatten(2) for head, level in zip(heads, maps, strict=True)], 2)
            for heads in (self.classes, self.boxes)
        )


def fit(module: Any, _data: Any, *, course: Course, **options: Any) -> Any:
    """A trainer whose own loss says nothing of the teacher."""
    optimizer = torch.optim.Adam(module.parameters(), lr=options["learning_rate"])
    module.train()
    for step in course.steps(options["steps"], module=module, optimizer=optimizer):
        images = torch.from_numpy(example(step % 4 + 2))
        loss = sum(output.square().mean() for output in module(images))
        course.minimize(course.loss(images, loss), optimizer)
    return module.eval()


def never(*_: Any, **__: Any) -> Any:
    """A trainer that is not to be reached."""
    raise AssertionError("work began")


def put(module: Any, context: Any, options: Any) -> Any:
    """The step's work."""
    return Backbone().apply(Artifact(TORCH, module=module), options, context)


def asked_for(name: str = "transformers:resnet", **options: Any) -> Any:
    """Options of the step; the small network unless told."""
    options.setdefault("arguments", SMALL if name == "transformers:resnet" else {})
    return Backbone.Options(backbone=name, steps=2, **options)


def skip_without(options: Any) -> None:
    """Skips a test whose package is not here."""
    missing = [need.install for need in Backbone().requires_with(options) if need.missing]
    if missing:
        pytest.skip(f"tox run -e torchvision, or: {missing[0]}")


@pytest.mark.parametrize("form", [tuple, list, dict])
def test_a_network_of_several_maps_goes_into_a_detector(form: type, make_context: Any) -> None:
    """Each map from that of its stride, through an adapter that is said; it comes back with its
    weights.
    """
    options = asked_for()
    skip_without(options)
    applied = put(Detector(form), make_context(trainer=fit), options)
    Backbone().prove(applied.effect, options)
    assert applied.effect["backbone"] == "transformers:resnet"
    assert applied.effect["adapters"] == [
        "map 0 of stride 4, 8 to 16 channels",
        "map 1 of stride 8, 12 to 24 channels",
    ]
    again = Backbone().restore(Detector(form), applied.structure, options)
    again.load_state_dict(applied.artifact.module.state_dict())
    batch = torch.from_numpy(example(2))
    for one, other in zip(again.eval()(batch), applied.artifact.module(batch), strict=True):
        assert torch.equal(one, other)
    assert isinstance(applied.artifact.module.backbone(batch), form)


def test_maps_are_chosen_by_their_numbers(make_context: Any) -> None:
    """The coarse one for both levels: it is repeated for the fine one."""
    options = asked_for(maps=[1, 1])
    skip_without(options)
    applied = put(Detector(), make_context(trainer=fit), options)
    assert applied.effect["adapters"] == [
        "map 1 of stride 8, 12 to 16 channels, repeated 2 x 2",
        "map 1 of stride 8, 12 to 24 channels",
    ]


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("resnet", {"maps": [0]}, r"maps = \[0\] does not fit: the model reads 2 maps"),
        ("resnet", {"maps": [0, 2]}, "the new backbone has 2"),
        ("resnet", {"maps": [0], "at": "backbone.fine"}, "reads one map of 'backbone.fine'"),
        ("vit", {"arguments": PATCHES}, r"vit has no maps .* it makes \[1, 17, 8\]"),
    ],
)
def test_a_network_without_such_maps_is_refused_before_work_begins(
    name: str, options: dict[str, Any], said: str, make_context: Any
) -> None:
    """One error, and the trainer is not called."""
    requested = asked_for(f"transformers:{name}", **options)
    skip_without(requested)
    with pytest.raises(BuildError, match=said):
        put(Detector(), make_context(trainer=never), requested)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *(f"torchvision:{name}" for name in ("resnet18", "mobilenet_v3_small", "convnext_tiny")),
        *(f"timm:{name}" for name in ("resnet18", "mobilenetv3_small_100", "convnext_atto")),
        *(f"transformers:{name}" for name in ("mobilenet_v2", "convnext", "efficientnet")),
    ],
)
def test_every_package_gives_maps(name: str, make_context: Any) -> None:
    """Where it is installed; of the strides 4 and 8 here."""
    options = asked_for(name)
    skip_without(options)
    applied = put(Detector(), make_context(trainer=fit), options)
    Backbone().prove(applied.effect, options)
    strides = [line.partition(",")[0].split()[-1] for line in applied.effect["adapters"]]
    assert strides == ["4", "8"]
    again = Backbone().restore(Detector(), applied.structure, options)
    again.load_state_dict(applied.artifact.module.state_dict())
    batch = torch.zeros(1, 3, SIDE, SIDE)
    assert torch.equal(again.eval()(batch)[0], applied.artifact.module(batch)[0])


def test_distributions_of_edges_are_compared_where_the_teacher_is_sure() -> None:
    """By hand: two bins, temperature 1; a place counts as much as the teacher's best class."""
    teacher = torch.zeros(1, 8, 1, 2)
    student = teacher.clone()
    student[0, 0, 0, 0] = 2.0  # the first bin of one of four edges, at the first of two places
    chance = torch.tensor([2.0, 0.0]).softmax(0)
    apart = float((0.5 * (0.5 / chance).log()).sum()) / 4
    for confidence, share in (([[0.5, 0.5]], 0.5), ([[1.0, 0.0]], 1.0), ([[0.0, 1.0]], 0.0)):
        loss = box_loss(student, teacher, torch.tensor([confidence]), 1.0)
        assert float(loss) == pytest.approx(share * apart, abs=1e-6)
    assert float(box_loss(student, student, torch.ones(1, 1, 2), 2.0)) == 0
    softer = box_loss(student, teacher, torch.ones(1, 1, 2), 10.0)
    assert float(softer) != pytest.approx(0.5 * apart, rel=0.01)
    logits = torch.tensor([0.0, 2.0]).view(1, 2, 1, 1)
    assert float(confidence_of(logits, "sigmoid")) == pytest.approx(1 / (1 + 2.718281828**-2))
    assert float(confidence_of(logits, "softmax")) == pytest.approx(1 / (1 + 2.718281828**-2))


LEVELS = {
    "logits": [[f"classes.{level}"] * 2 for level in range(2)],
    "boxes": [[f"boxes.{level}"] * 2 for level in range(2)],
    "activation": "sigmoid",
    "temperature": 1.0,
}


def test_the_old_detector_teaches_the_new_one_its_boxes(make_context: Any) -> None:
    """A detector with another backbone that is taught distributions has boxes like its teacher's;
    one that is taught classes alone has not.
    """
    skip_without(asked_for())
    batch = torch.from_numpy(example(4))
    apart = []
    for name, weight in (("with", 1.0), ("without", 1e-9)):
        context = make_context(name, trainer=fit)
        student = put(Detector(), context, asked_for()).artifact.module
        options = Distil.Options(
            student="self",
            teacher="toy:old",
            steps=40,
            learning_rate=0.02,
            images=4,
            alpha=1.0,
            gamma=weight,
            **LEVELS,
        )
        context = make_context(f"distil-{name}", trainer=fit, model=lambda _: Detector())
        applied = Distil().apply(Artifact(TORCH, module=student), options, context)
        Distil().prove(applied.effect, options)
        with torch.inference_mode():
            ours, other = (
                model(batch)[1].unflatten(1, (4, BINS)).softmax(2)
                for model in (applied.artifact.module, Detector())
            )
        apart.append(float((ours - other).abs().mean()))
    assert apart[0] < 0.5 * apart[1]


def test_what_gives_no_distribution_is_refused(make_context: Any) -> None:
    """One number for each edge; another number of pairs; an order that mixes levels."""
    context = make_context(trainer=never, model=lambda _: Detector(bins=1))
    options = Distil.Options(student="self", teacher="toy:old", steps=1, **LEVELS)
    with pytest.raises(BuildError, match=r"gives \[1, 4, 8, 8\]: no distribution"):
        Distil().apply(Artifact(TORCH, module=Detector(bins=1)), options, context)
    mixed = {**LEVELS, "boxes": LEVELS["boxes"][::-1]}
    context = make_context("mixed", trainer=never, model=lambda _: Detector())
    options = Distil.Options(student="self", teacher="toy:old", steps=1, **mixed)
    with pytest.raises(BuildError, match=r"and its logits 'classes\.0'"):
        Distil().apply(Artifact(TORCH, module=Detector()), options, context)
    with pytest.raises(ValidationError, match="1 pairs of boxes for 2 pairs of logits"):
        Distil.Options(
            student="self", teacher="a:b", steps=1, **{**LEVELS, "boxes": LEVELS["boxes"][:1]}
        )
