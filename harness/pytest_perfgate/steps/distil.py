"""distil: a model trained by the suite's trainer to do what its teacher does: a smaller one to do
what the chain's model so far does, or the chain's own, which steps made smaller, to do what the
original did.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from pytest_perfgate import registry
from pytest_perfgate.artifact import TORCH, Artifact, import_path
from pytest_perfgate.errors import BuildError
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.steps import Applied, BuildContext, expect, training_device
from pytest_perfgate.steps.distil_loss import Pairs, Terms, distance
from pytest_perfgate.steps.output_check import short, tensors
from pytest_perfgate.steps.training import Course, course_facts, train
from pytest_perfgate.steps.training_options import TrainingOptions
from pytest_perfgate.steps.training_step import TrainingStep

_SELF = "self"
"""The chain's model so far, as the student."""


class Distil(TrainingStep):
    """The step `distil`. What comes after it has the student."""

    name = "distil"
    argument = "student"
    not_after: Mapping[str, str] = {
        "cast": "the teacher would be 16-bit, and a trainer needs float32",
    }

    class Options(TrainingOptions):
        """Options of the training and of what is added to its loss."""

        student: str = Field(
            description='import path of a function that builds the student; or "self", the '
            "model that the steps before gave"
        )
        teacher: str = Field(
            "",
            description='with student = "self": import path of a function that builds the '
            "teacher; otherwise the teacher is the model that the steps before gave",
        )
        temperature: float = Field(
            2.0, gt=0, description="divisor of the logits of student and teacher"
        )
        alpha: float = Field(
            0.5,
            ge=0,
            le=1,
            description="weight of the loss on logits; the trainer's loss has the rest",
        )
        logits: Pairs = Field(
            (("", ""),),
            description="pairs of layers that give logits, of student and teacher; '' is the "
            "whole model",
        )
        activation: Literal["softmax", "sigmoid"] = Field(
            "softmax",
            description="activation from logits to probabilities; sigmoid: independent classes",
        )
        features: Pairs = Field(
            (), description="pairs of layers whose features are compared, of student and teacher"
        )
        beta: float = Field(1.0, gt=0, description="weight of the loss on features")
        boxes: Pairs = Field(
            (),
            description="pairs of layers that give distributions of the distances to the edges of "
            "a box, (N, 4 * bins, h, w), of student and teacher; one for each pair of `logits`",
        )
        gamma: float = Field(1.0, gt=0, description="weight of the loss on boxes")
        images: int = Field(
            32, ge=1, description="training images for the comparison of student and teacher"
        )

        @field_validator("student")
        @classmethod
        def _student(cls, value: str) -> str:
            return value if value == _SELF else import_path(value)

        @field_validator("teacher")
        @classmethod
        def _teacher(cls, value: str) -> str:
            return import_path(value) if value else ""

        @model_validator(mode="after")
        def _something(self) -> Distil.Options:
            if self.student == _SELF and not self.teacher:
                raise ValueError('student = "self" needs a teacher')
            if self.student != _SELF and self.teacher:
                raise ValueError(
                    'teacher needs student = "self": another student\'s teacher is '
                    "the chain's model"
                )
            if not self.features and not self.boxes and (self.alpha == 0 or not self.logits):
                raise ValueError("nothing is distilled: neither logits, features nor boxes")
            if self.boxes and len(self.boxes) != len(self.logits):
                raise ValueError(
                    f"{len(self.boxes)} pairs of boxes for {len(self.logits)} pairs of logits: "
                    "where a box counts, the teacher's logits of the same level say"
                )
            return self

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Trains the student beside the frozen teacher."""
        import torch

        torch.set_num_threads(context.threads)
        torch.manual_seed(context.seed)
        goes_on = options.student == _SELF
        if goes_on:
            teacher, student = context.model(options.teacher), artifact.module
        else:
            teacher, student = artifact.module, context.model(options.student)
        teacher = teacher.eval().requires_grad_(False)
        student = student.requires_grad_(True)
        example = context.example(1)
        effect = {**_sizes(teacher, example, "_before"), **_sizes(student, example, "")}

        def compared() -> float:
            return short(distance(student, teacher, context.inputs(options.data, options.images)))

        effect["distance_before"] = compared()
        # The teacher is asked where the student trains; what is measured before and after is not.
        terms = Terms(student, teacher, options, tensors(example))
        course = Course(
            context.progress,
            context.checkpoints,
            terms,
            device=options.device,
            peers=context.peers,
        )
        trained = None
        try:
            data = context.data(options.data)
            teacher.to(options.device)
            trained = train(context.trainer, student, data, options, context.seed, course)
        finally:
            teacher.to(training_device.CPU)
            terms.close(trained)
        if course.losses < course.done - course.resumed_at:
            raise BuildError(
                f"the trainer gave {course.losses} of {course.done - course.resumed_at} losses to "
                "`course.loss`, so not every step was distilled",
                where="suite.trainer",
                next_step="minimize `course.loss(images, loss)` in place of `loss`",
            )
        student = trained.eval()
        effect |= course_facts(course)
        effect["distance"] = compared()
        effect["images"] = options.images
        model = "" if goes_on else options.student
        return Applied(Artifact(TORCH, module=student), effect, structure={}, model=model)

    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """The student must have come closer to its teacher; one of its own must be smaller."""
        for what in ("parameters", "macs"):
            if what in effect and options.student != _SELF:
                before = effect[f"{what}_before"]
                expect(
                    effect[what] < before,
                    self.name,
                    f"the student has {effect[what]:,.0f} {what}, its teacher {before:,.0f}",
                )
        expect(
            effect["distance"] < effect["distance_before"],
            self.name,
            f"the student's outputs are {effect['distance']} away from its teacher's, and were "
            f"{effect['distance_before']} before",
        )


def _sizes(module: Any, example: Inputs, suffix: str) -> dict[str, float]:
    """Parameters, and multiplications of one image where torch-pruning is there to count them."""
    parameters = sum(parameter.numel() for parameter in module.parameters())
    sizes: dict[str, float] = {f"parameters{suffix}": parameters}
    if not registry.from_extra("torch_pruning", "torch").missing:
        import torch_pruning

        macs, _ = torch_pruning.utils.count_ops_and_params(module, tensors(example))
        sizes[f"macs{suffix}"] = float(macs)
    return sizes
