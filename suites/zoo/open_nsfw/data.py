"""Photographs, all of them harmless: recipes are held to the reference, not to labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suites.zoo.pictures import views

if TYPE_CHECKING:
    from pytest_perfgate.tasks.classification_data import ClassificationData


def calibration() -> ClassificationData:
    """Other cut-outs."""
    return _of(32, seed=7)


def validation() -> ClassificationData:
    """Cut-outs of all photographs."""
    return _of(240, seed=8)


def _of(count: int, seed: int) -> ClassificationData:
    from pytest_perfgate.tasks.classification_data import ClassificationData

    return ClassificationData(views(count, seed), (), ())
