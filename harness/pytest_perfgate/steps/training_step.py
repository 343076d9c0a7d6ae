"""The base of steps that train the chain's model and do nothing else."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import TORCH
from pytest_perfgate.registry import Requirement
from pytest_perfgate.steps import Step, training_device


class TrainingStep(Step):
    """A step that gives a torch module to the suite's trainer; its options are
    `steps.training.TrainingOptions`.
    """

    accepts = frozenset({TORCH})
    produces = TORCH
    requires: tuple[Requirement, ...] = (registry.from_extra("torch", "torch"),)
    splits = frozenset({"train"})
    trains = True

    @override
    def requires_with(self, options: Any) -> tuple[Requirement, ...]:
        """The packages of the step, and those of the device that trains."""
        return (*self.requires, *training_device.requirements(options.device))

    @override
    def splits_with(self, options: Any) -> frozenset[str]:
        """The data of the training."""
        return frozenset({options.data})
