"""A pipeline with a fault in one of its two stages."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from pytest_perfgate.inputs import Inputs
from pytest_perfgate.proving.pictures import INPUTS, PICTURES
from pytest_perfgate.proving.predictions import PREDICTIONS
from pytest_perfgate.records.recipe import PlantedFault
from pytest_perfgate.tasks import Pipeline

SLOW_BEFORE = frozenset({"slow_preprocess", "slow_preprocess_5_percent"})
SLOW_AFTER = frozenset({"slow_postprocess", "slow_postprocess_5_percent"})


def plant_in_pipeline(pipeline: Pipeline, planted: PlantedFault) -> Pipeline:
    """The pipeline with the fault; as it is where the fault lies elsewhere."""
    stages = PICTURES.keys() | INPUTS.keys() | PREDICTIONS.keys() | SLOW_BEFORE | SLOW_AFTER
    return PlantedPipeline(pipeline, planted) if planted.name in stages else pipeline


class PlantedPipeline(Pipeline):
    """A pipeline that does what another does, but for one fault."""

    def __init__(self, pipeline: Pipeline, planted: PlantedFault) -> None:
        self._pipeline = pipeline
        self.in_tiles = pipeline.in_tiles
        self._picture = PICTURES.get(planted.name)
        self._input = INPUTS.get(planted.name)
        self._prediction = PREDICTIONS.get(planted.name)
        self._before = planted.size if planted.name in SLOW_BEFORE else 0.0
        self._after = planted.size if planted.name in SLOW_AFTER else 0.0

    @override
    def preprocess(self, images: Sequence[Any]) -> tuple[Inputs, Any]:
        """See `Pipeline.preprocess`."""
        import numpy as np

        if self._picture is not None:
            images = [np.ascontiguousarray(self._picture(image)) for image in images]
        inputs, meta = self._pipeline.preprocess(images)
        if self._input is not None:
            inputs = self._input(inputs, images)
        burn(self._before * len(images))
        return inputs, meta

    @override
    def postprocess(self, outputs: tuple[Any, ...], meta: Any) -> list[Any]:
        """See `Pipeline.postprocess`."""
        predictions = self._pipeline.postprocess(outputs, meta)
        if self._prediction is not None:
            predictions = [self._prediction(prediction) for prediction in predictions]
        burn(self._after * len(predictions))
        return predictions

    @override
    def begin(self, sequences: int) -> None:
        """See `Pipeline.begin`."""
        self._pipeline.begin(sequences)

    @override
    def carried(self, outputs: tuple[Any, ...], inputs: Inputs) -> Mapping[str, Any]:
        """See `Pipeline.carried`."""
        return self._pipeline.carried(outputs, inputs)


def burn(seconds: float) -> None:
    """Keeps the core busy for so long: a sleep would free it for others, and wake up late."""
    if seconds:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass
