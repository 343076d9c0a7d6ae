"""The likely cause of a reference that does not work as declared."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.tasks.classification import Classification, Output
from pytest_perfgate.tasks.classification.data import Called, ClassificationData
from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.worker.reference_check import doubt_of

HALF = 40


class TakesMinusOneToOne:
    """Dark pictures are below 0, bright ones above: scores (N, 2), bright first."""

    def run(self, inputs: Any) -> tuple[Any, ...]:
        """The scores of images (N, 3, H, W)."""
        level = inputs.images.mean(axis=(1, 2, 3))
        return (np.stack([level, -level], axis=1),)


def test_the_cause_is_looked_for_on_images_of_all_classes_of_a_sorted_folder() -> None:
    """The network calls everything by the name of the first class, without `mean` and `std`."""
    pytest.importorskip("sklearn", reason="pip install 'pytest-perfgate[classification]'")
    images = [np.full((4, 4, 3), grey, np.uint8) for grey in [200] * HALF + [50] * HALF]
    validation = ClassificationData(images, [0] * HALF + [1] * HALF, ["bright", "dark"])
    task, pixels, output = Classification(), Input(), Output()
    predictions = [Called(np.array([1.0, 0.0], np.float32))] * (2 * HALF)
    data: Any = SimpleNamespace(
        task=task,
        pipeline=task.pipeline(pixels, output),
        input=pixels,
        output=output,
        split=lambda _: validation,
        images=lambda _, rows: [images[row] for row in rows],
    )
    session: Any = TakesMinusOneToOne()
    doubt = doubt_of(data, session, predictions, task.evaluate(validation, predictions))
    assert doubt is not None
    assert doubt.next_step.startswith("[suite.input] mean = ")
    assert "scores far better on 32 images (accuracy)" in doubt.next_step
