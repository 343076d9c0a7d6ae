"""The workload `batches`: what one turn does, on a session that counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.workloads import WorkContext
from pytest_perfgate.workloads.batches import Batches


class Counts:
    """A session and a pipeline that note what they were given."""

    in_tiles = False

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.facts: dict[str, Any] = {"provider": "none"}
        self.finished = 0

    def preprocess(self, images: Any) -> tuple[Any, Any]:
        """The first pixel of every image."""
        return Inputs([int(image[0, 0, 0]) for image in images]), "meta"

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """Notes the batch."""
        self.batches.append(inputs.images)
        return (np.array(inputs.images),)

    def postprocess(self, outputs: Any, meta: Any) -> list[Any]:
        """Notes that it came to its end."""
        assert meta == "meta"
        self.finished += 1
        return list(outputs)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_turn_is_one_whole_batch_of_the_images_of_its_number(size: int) -> None:
    """Arms with the same size get the same images; images go round."""
    counts = Counts()
    images = [np.full((2, 2, 3), index, np.uint8) for index in range(4)]
    context = WorkContext(
        session=lambda: counts,  # type: ignore[arg-type,return-value] # as much of one as is used
        module=lambda: None,
        pipeline=counts,  # type: ignore[arg-type] # the same
        images=images,
        data=lambda _: None,
        trainer=lambda: lambda: None,
        batch=8,
        threads=1,
        flush=lambda _: None,
    )
    work = Batches().open(Batches.Options(size=size), context)
    assert work.facts == {"provider": "none", "batch_size": size}
    rate, seconds = work.sample(2)
    assert rate == pytest.approx(size / seconds)
    assert counts.batches == [[(2 * size + each) % 4 for each in range(size)]]
    assert counts.finished == 1
