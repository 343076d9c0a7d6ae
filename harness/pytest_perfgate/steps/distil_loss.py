"""What distillation adds to a trainer's loss: a student's softened logits and features held to its
teacher's.

Logits: the Kullback-Leibler divergence between both sides' outputs, softened by a temperature T and
multiplied by its square (Hinton, Vinyals & Dean 2015, arXiv 1503.02531, sections 2 and 2.1). For
independent classes, as in detectors, a sigmoid takes the softmax's place, and the divergence is
that of each class by itself. It is summed, and divided by the sum of the teacher's own
probabilities: with a softmax these are the positions, so it is the mean over them; with a sigmoid
the number of objects that the teacher expects (1 at the least), as detectors divide their own loss
by the number of positives (Lin et al. 2017, arXiv 1708.02002).

Features: the mean squared difference between a layer of the student and one of the teacher, through
a 1 x 1 convolution of its own where the student's layer is narrower or wider (Romero et al. 2015,
arXiv 1412.6550, equation 3, its regressor made 1 x 1). It is divided by the mean square of the
teacher's layer, so that layers of any scale weigh the same.

Boxes: localization distillation (Zheng et al. 2022, arXiv 2102.12252, equations 3 and 4). Detectors
with distribution focal loss (Li et al. 2020, arXiv 2006.04388) give, for each edge of a box, logits
over bins of its distance. The Kullback-Leibler divergence between both sides' softened
distributions, multiplied by T squared, is the mean over the four edges; over places it is weighted
by the highest probability that the teacher has for a class there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pytest_perfgate.errors import BuildError, suggestion
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.steps.output_check import tensors

Pairs = tuple[tuple[str, str], ...]
"""Names of layers, the student's and the teacher's; "" is the model itself."""

_PROJECTOR = "distil_projector"
_PARTS = ("weight", "bias")


Mean = Callable[[Any], Any]
"""The mean of a tensor over the processes of a training; the tensor itself where one trains."""


def logit_loss(
    student: Any, teacher: Any, temperature: float, activation: str, mean: Mean = lambda own: own
) -> Any:
    """A scalar: softened divergence of logits of one shape; classes are on axis 1 of (N, C, H, W),
    and on the last axis otherwise. What it is divided by is a `mean` of all processes.
    """
    import torch
    from torch.nn import functional

    axis = 1 if student.dim() == 4 else -1
    ours, other = student / temperature, teacher / temperature
    if activation == "softmax":
        wanted = functional.log_softmax(other, axis)
        likely = functional.log_softmax(ours, axis)
        apart = (wanted.exp() * (wanted - likely)).sum()
        expected = torch.tensor(
            float(teacher.numel() // teacher.shape[axis]), device=teacher.device
        )
    else:
        chance = other.sigmoid()
        apart = (
            chance * (functional.logsigmoid(other) - functional.logsigmoid(ours))
            + (1 - chance) * (functional.logsigmoid(-other) - functional.logsigmoid(-ours))
        ).sum()
        expected = mean(teacher.sigmoid().sum()).clamp(min=1.0)
    return temperature**2 * apart / expected


def feature_loss(student: Any, teacher: Any, mean: Mean = lambda own: own) -> Any:
    """A scalar: mean squared difference over the teacher's mean square, a `mean` of all
    processes.
    """
    return (student - teacher).square().mean() / mean(teacher.square().mean()).clamp(min=1e-12)


def box_loss(
    student: Any, teacher: Any, confidence: Any, temperature: float, mean: Mean = lambda own: own
) -> Any:
    """A scalar: softened divergence of distributions over bins, (N, 4 * bins, h, w) both, weighted
    by the teacher's `confidence` (N, h, w), from 0 to 1; see the module.
    """
    from torch.nn import functional

    wanted, likely = (
        functional.log_softmax(value.unflatten(1, (4, -1)) / temperature, 2)
        for value in (teacher, student)
    )
    apart = (wanted.exp() * (wanted - likely)).sum(2).mean(1)
    total = mean(confidence.sum()).clamp(min=1e-6)
    return temperature**2 * (apart * confidence).sum() / total


def confidence_of(logits: Any, activation: str) -> Any:
    """The highest probability of a class at each place, (N, C, h, w) to (N, h, w)."""
    return (logits.softmax(1) if activation == "softmax" else logits.sigmoid()).amax(1)


class Terms:
    """The loss of a student beside its teacher; the callable of a `Course`.

    Hooks hear the layers of both; `close` takes them, and the projectors, away.
    """

    def __init__(self, student: Any, teacher: Any, options: Any, example: tuple[Any, ...]) -> None:
        import torch

        self._student, self._teacher, self._options = student, teacher, options
        self._heard: dict[str, dict[str, Any]] = {"student": {}, "teacher": {}}
        self._hooks: list[Any] = []
        pairs = (*options.logits, *options.features, *options.boxes)
        self._listen("student", student, (ours for ours, _ in pairs))
        self._listen("teacher", teacher, (other for _, other in pairs))
        with torch.no_grad():
            student(*example)
            teacher(*example)
        self._projected = [
            self._projector(index, *pair) for index, pair in enumerate(options.features)
        ]
        for ours, other in options.logits:
            self._same("logits", ours, other)
        for (ours, other), (_, classes) in zip(options.boxes, options.logits, strict=False):
            self._same("distributions of boxes", ours, other)
            self._refuse_no_distribution(other, classes)
        self._forget()

    def __call__(self, images: Any, loss: Any, mean: Mean = lambda own: own) -> Any:
        """The trainer's loss, weighted, and what distillation adds.

        Raises:
            BuildError: the trainer did not run the student just before.
        """
        import torch

        with torch.no_grad():
            self._teacher(images)
        options, student, teacher = self._options, self._heard["student"], self._heard["teacher"]
        pairs = (*options.logits, *options.features, *options.boxes)
        missing = [ours for ours, _ in pairs if ours not in student]
        if missing:
            raise BuildError(
                f"the trainer did not run the student's layer {missing[0]!r} before `course.loss`",
                where="suite.trainer",
                next_step="call `course.loss(images, loss)` once after each `module(images)`",
            )
        total = (1 - options.alpha) * loss
        for ours, other in options.logits:
            apart = logit_loss(
                student[ours], teacher[other], options.temperature, options.activation, mean
            )
            total = total + options.alpha * apart / len(options.logits)
        for index, (ours, other) in enumerate(options.features):
            apart = feature_loss(self._project(index, student[ours]), teacher[other], mean)
            total = total + options.beta * apart / len(options.features)
        for (ours, other), (_, classes) in zip(options.boxes, options.logits, strict=False):
            confidence = confidence_of(teacher[classes], options.activation)
            apart = box_loss(student[ours], teacher[other], confidence, options.temperature, mean)
            total = total + options.gamma * apart / len(options.boxes)
        self._forget()
        return total

    def close(self, trained: Any) -> None:
        """Leaves `trained` and the teacher as models of their own."""
        for hook in self._hooks:
            hook.remove()
        for module in (self._student, trained):
            for index in range(len(self._projected)):
                for what in _PARTS:
                    if hasattr(module, f"{_PROJECTOR}{index}_{what}"):
                        delattr(module, f"{_PROJECTOR}{index}_{what}")

    def _forget(self) -> None:
        for heard in self._heard.values():
            heard.clear()

    def _listen(self, side: str, module: Any, names: Iterable[str]) -> None:
        layers = dict(module.named_modules())
        for name in dict.fromkeys(names):
            if name not in layers:
                raise BuildError(
                    f"the {side} has no layer {name!r}", valid=suggestion(name, layers)
                )
            heard, layer = self._heard[side], layers[name]

            def hear(
                this: Any,
                _inputs: Any,
                output: Any,
                name: str = name,
                layer: Any = layer,
                heard: dict[str, Any] = heard,
            ) -> None:
                if this is layer:  # and not a copy's, whose averages a trainer may look at
                    heard[name] = output

            self._hooks.append(layer.register_forward_hook(hear))

    def _pair(self, ours: str, other: str) -> tuple[Any, Any]:
        import torch

        pair = (
            _output(self._heard["student"], ours, "student"),
            _output(self._heard["teacher"], other, "teacher"),
        )
        if not all(isinstance(output, torch.Tensor) for output in pair):
            raise BuildError(
                f"the layers {ours!r} and {other!r} do not both give one tensor",
                valid="names of layers that do; for logits, of those before softmax or sigmoid",
            )
        return pair

    def _refuse_no_distribution(self, boxes: str, classes: str) -> None:
        """Check that a layer of the teacher gives distributions, at the places of its logits."""
        given, logits = (self._heard["teacher"][name] for name in (boxes, classes))
        bins, rest = divmod(given.shape[1], 4) if given.dim() == 4 else (0, 0)
        if rest or bins < 2:
            raise BuildError(
                f"the teacher's {boxes!r} gives {list(given.shape)}: no distribution for each of "
                "the four edges of a box",
                where="distil.boxes",
                valid="(N, 4 * bins, h, w) with 2 bins or more",
                next_step="a detector with one number for each edge is distilled by its logits and "
                "features",
            )
        if logits.dim() != 4 or logits.shape[2:] != given.shape[2:]:
            raise BuildError(
                f"the teacher's {boxes!r} gives {list(given.shape)}, and its logits {classes!r} "
                f"{list(logits.shape)}",
                where="distil.boxes",
                valid="maps of one size, in the order of `logits`",
            )

    def _same(self, what: str, ours: str, other: str) -> None:
        student, teacher = self._pair(ours, other)
        if student.shape != teacher.shape:
            raise BuildError(
                f"{what} of the student's {ours!r} are {list(student.shape)}, of the teacher's "
                f"{other!r} {list(teacher.shape)}"
            )

    def _projector(self, index: int, ours: str, other: str) -> bool:
        """Whether the student's features need to be taken to another width, the teacher's. The
        parameters for it are the student's then, where the trainer's optimizer finds them.
        """
        import torch

        student, teacher = self._pair(ours, other)
        axis = 1 if student.dim() == 4 else -1
        shapes = [list(output.shape) for output in (student, teacher)]
        for shape in shapes:
            shape[axis] = 0
        if shapes[0] != shapes[1]:
            raise BuildError(
                f"features of the student's {ours!r} are {list(student.shape)}, of the teacher's "
                f"{other!r} {list(teacher.shape)}: only their width may differ"
            )
        width, wanted = student.shape[axis], teacher.shape[axis]
        if width != wanted:
            linear = torch.nn.Linear(width, wanted)
            for what in _PARTS:
                name = f"{_PROJECTOR}{index}_{what}"
                self._student.register_parameter(name, getattr(linear, what))
        return bool(width != wanted)

    def _project(self, index: int, features: Any) -> Any:
        from torch.nn import functional

        if not self._projected[index]:
            return features
        weight, bias = (getattr(self._student, f"{_PROJECTOR}{index}_{what}") for what in _PARTS)
        if features.dim() == 4:
            return functional.conv2d(features, weight[:, :, None, None], bias)
        return functional.linear(features, weight, bias)


def _output(heard: Mapping[str, Any], name: str, side: str) -> Any:
    if name not in heard:
        raise BuildError(f"the {side}'s layer {name!r} does not run in a forward pass")
    return heard[name]


def distance(student: Any, teacher: Any, inputs: Iterable[Inputs]) -> float:
    """How far a student's outputs are from its teacher's: the root of the summed squared
    differences over that of the teacher's squares, over all inputs, mean over the outputs.

    Raises:
        BuildError: the two give other outputs.
    """
    import torch

    apart: list[float] = []
    whole: list[float] = []
    with torch.inference_mode():
        for one in inputs:
            fed = tensors(one)
            sides = [_tensors(module(*fed)) for module in (student, teacher)]
            shapes = [[list(output.shape) for output in side] for side in sides]
            if shapes[0] != shapes[1]:
                raise BuildError(
                    f"the student's outputs are {shapes[0]}", valid=f"the teacher's: {shapes[1]}"
                )
            apart = apart or [0.0] * len(sides[0])
            whole = whole or [0.0] * len(sides[0])
            for index, (ours, other) in enumerate(zip(*sides, strict=True)):
                apart[index] += float((ours - other).double().square().sum())
                whole[index] += float(other.double().square().sum())
    if not apart:
        raise BuildError("there is no image to compare student and teacher on")
    ratios = [math.sqrt(a / max(b, 1e-30)) for a, b in zip(apart, whole, strict=True)]
    return sum(ratios) / len(ratios)


def _tensors(outputs: Any) -> list[Any]:
    import torch

    return [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
