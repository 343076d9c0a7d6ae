"""Batches of images whose inputs have several sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.tasks.pixels.preprocessing import Pixels
from pytest_perfgate.workloads import WorkContext
from pytest_perfgate.workloads.batches import Batches
from pytest_perfgate.workloads.evaluated_outputs import OutputRecorder, digest_predictions
from pytest_perfgate.workloads.images import Images
from pytest_perfgate.workloads.output_check import OutputCheck
from pytest_perfgate.workloads.size_groups import SizeGroups

SHAPES = [(32, 16), (16, 32), (32, 16), (8, 16), (16, 32)]
"""Inputs of sides of 32: the second, the fourth and the fifth image have one size."""


def pictures() -> list[Any]:
    """An image of each shape, each of a grey of its own."""
    return [np.full((*shape, 3), 20 * (1 + index), np.uint8) for index, shape in enumerate(SHAPES)]


class Means:
    """A network of dynamic height and width: the mean of each image; notes its batches."""

    fixed_batch = 0
    in_tiles = False

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.batches: list[tuple[int, ...]] = []
        self.pixels = Pixels(Input(size=32, resize="longer_side"))

    def preprocess(self, images: Any) -> Any:
        """As `[suite.input]` declares it."""
        batch, places = self.pixels.read(images)
        return Inputs(batch), places

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """One number per image, (N, 1)."""
        batch = inputs.images
        self.batches.append(batch.shape)
        return (batch.mean(axis=(1, 2, 3))[:, None].astype(np.float32),)

    def postprocess(self, outputs: Any, meta: Any) -> list[Any]:
        """The numbers."""
        assert len(outputs[0]) == len(meta)
        return list(outputs[0])


def context(network: Means, check: OutputCheck | None = None, batch: int = 5) -> WorkContext:
    """Of an arm that cycles through all pictures."""
    return WorkContext(
        session=lambda: network,  # type: ignore[arg-type,return-value] # as much of one as is used
        module=lambda: None,
        pipeline=network,  # type: ignore[arg-type] # the same
        images=pictures(),
        data=lambda _: None,
        trainer=lambda: lambda: None,
        batch=batch,
        threads=1,
        flush=lambda _: None,
        check=check,
    )


def test_images_of_one_size_share_a_group_wherever_a_batch_begins() -> None:
    """Each place is in one group; images of one size all in one."""
    groups = SizeGroups(Means(), pictures())  # type: ignore[arg-type] # as much of one as is used
    assert groups.batch(0, 5) == ((0, 2), (1, 3, 4))
    assert groups.batch(3, 4) == ((0, 1, 3), (2,))
    alike = SizeGroups(Means(), pictures()[1:2] * 3)  # type: ignore[arg-type] # the same
    assert alike.batch(1, 4) == ((0, 1, 2, 3),)


def test_a_batch_of_several_sizes_is_timed_in_one_inference_per_size() -> None:
    """By both workloads that batch; every image is inferred once."""
    network = Means()
    work = Batches().open(Batches.Options(size=5), context(network))
    rate, seconds = work.sample(2)
    assert network.batches == [(2, 3, 32, 16), (3, 3, 16, 32)]
    assert rate == pytest.approx(5 / seconds)
    network = Means()
    images = Images().open(None, context(network))
    assert images.batch() > 0
    assert network.batches[-2:] == [(2, 3, 32, 16), (3, 3, 16, 32)]


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_outputs_of_each_group_are_compared_with_those_of_its_images(shift: float) -> None:
    """Equal where all is right; an output of another image is an error."""
    network, recorder = Means(), OutputRecorder()
    for index, image in enumerate(pictures()):
        outputs = network.run(network.preprocess([image])[0])
        recorder.add(index, outputs, digest_predictions({"rows": outputs[0]}))
    check = OutputCheck(pictures(), recorder.finish(), lambda _: {}, 0.02)
    real = network.run
    network.run = lambda inputs: (real(inputs)[0] + np.float32(shift),)  # type: ignore[method-assign] # a network that errs
    work = Images().open(None, context(network, check))
    if not shift:
        assert work.batch() > 0
        return
    with pytest.raises(RuntimeFault, match="timed output of a batch of 2 is not the evaluated one"):
        work.batch()


def test_images_in_tiles_never_share_an_inference() -> None:
    """A batch is as many inferences as images, whatever their sizes."""
    pipeline = Means()
    pipeline.in_tiles = True
    groups = SizeGroups(pipeline, pictures())  # type: ignore[arg-type] # as much of one as is used
    assert groups.batch(1, 3) == ((0,), (1,), (2,))
