"""The workload `pipeline` with several images under way: its outputs are the evaluated ones."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.workloads import WorkContext
from pytest_perfgate.workloads.evaluated_outputs import OutputRecorder
from pytest_perfgate.workloads.output_check import OutputCheck
from pytest_perfgate.workloads.pipeline import Pipeline

IMAGES = [np.full((4, 4, 3), 10 * index, np.uint8) for index in range(4)]


class Echoes(InferenceSession):
    """Gives back its input after a while in which others can work."""

    facts: dict[str, Any] = {"device": "cpu"}  # noqa: RUF012 - of a class, as sessions may have it

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """The pixels."""
        time.sleep(0.001)
        return (inputs.images,)


def preprocess(images: Any) -> tuple[Inputs, None]:
    """Pixels as they are, after a while."""
    time.sleep(0.001)
    return Inputs(np.stack(images).astype(np.float32)), None


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 1, 3, 2)])
def test_outputs_of_images_under_way_are_the_evaluated_ones(order: tuple[int, ...]) -> None:
    """Those of two images that are exchanged, or answered late, are refused."""
    recorder = OutputRecorder()
    for index in range(4):
        recorder.add(index, (IMAGES[order[index]][None].astype(np.float32),), "")
    context = WorkContext(
        session=Echoes,
        module=lambda: None,
        pipeline=SimpleNamespace(preprocess=preprocess, postprocess=lambda *_: []),  # type: ignore[arg-type] # as much of one as is used
        images=IMAGES,
        data=lambda _: None,
        trainer=lambda: lambda: None,
        batch=8,
        threads=1,
        flush=lambda _: None,
        check=OutputCheck(IMAGES, recorder.finish(), tolerance=0.02),
    )
    work = Pipeline().open(Pipeline.Options(depth=2, images=8), context)
    if order == (0, 1, 2, 3):
        assert len(work.sample(0)) == 3
        return
    with pytest.raises(RuntimeFault, match="the timed output is not the evaluated one"):
        work.sample(0)
