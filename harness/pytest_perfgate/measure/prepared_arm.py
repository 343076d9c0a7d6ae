"""An arm of a session, and what its preparation gives."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.image_losses import WorseImage
from pytest_perfgate.records.launch import Growth, Parity
from pytest_perfgate.records.recipe import Recipe, Suite
from pytest_perfgate.records.soak import Soak
from pytest_perfgate.worker.protocol import Prepared


@dataclass(frozen=True)
class Arm:
    """One thing being measured in a session: a recipe at one version of the code.

    Attributes:
        label: its name in the session, unlike any other's.
        copy_of: the label of the arm that this one is an unchanged copy of, "" for none; a copy is
            measured and not prepared.
        python: the interpreter of its version of the code.
        parity: the limit on its outputs' difference to the reference's, None: it is not measured.
        growth: whether the growth of its memory is measured.
        allocations: whether those of an inference are counted.
        soak: whether its server gets requests for as long as its workload says.
    """

    label: str
    suite: Suite
    recipe: Recipe
    copy_of: str = ""
    python: str = sys.executable
    parity: float | None = None
    growth: bool = False
    allocations: bool = False
    soak: bool = False

    @property
    def source(self) -> str:
        """The label under which it is prepared."""
        return self.copy_of or self.label


@dataclass
class PreparedArm:
    """An arm that is ready, with what is added to the worker's answer later.

    Attributes:
        accuracy: with what was compared with the reference.
        compared: the sets on which it was, "" for the validation images.
        worse: the images that it does worse than its reference; None: not looked for.
    """

    answer: Prepared
    accuracy: Accuracy
    compared: frozenset[str] = frozenset()
    worse: tuple[WorseImage, ...] | None = None
    parity: Parity | None = None
    growth: Growth | None = None
    soak: Soak | None = None

    def predictions(self, of_set: str) -> Path:
        """The file with its predictions for a set, for the validation images of ""."""
        return self.answer.set_predictions[of_set] if of_set else self.answer.predictions
