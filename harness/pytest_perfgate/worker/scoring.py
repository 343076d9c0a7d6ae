"""What every evaluation refuses: outputs without a finite value, and scores that are missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.errors import PerfgateError, RuntimeFault
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.recipe import VALIDATION


def refuse_void(
    outputs: Sequence[Any], index: int, split: str = VALIDATION, *, under: str = ""
) -> None:
    """Check that outputs of an image have a finite value; `under` says how it is corrupted.

    Post-processing leaves out boxes that are no numbers, so that one image among many would be
    missed by no score. Single values may be infinite: networks mask by them.

    Raises:
        RuntimeFault: one of them has none.
    """
    where = f" under {under}" if under else ""
    for number, output in enumerate(outputs):
        array = np.asarray(output)
        if array.dtype.kind == "f" and array.size and not np.isfinite(array).any():
            raise RuntimeFault(
                f"output {number} of {split} image {index}{where} has no finite value",
                next_step="look for overflows: 16-bit layers, a division by zero, a logarithm",
            )


def refuse_missing(data: SuiteData, accuracy: Accuracy) -> None:
    """Check that an evaluation has every score of the task that it can have, and that each is a
    number.

    Raises:
        PerfgateError: names those that it lacks, or one that is none.
    """
    for name, value in accuracy.values.items():
        if not math.isfinite(value):
            raise PerfgateError(
                f"the evaluator gave {value} for {name}, which is no score",
                where=f"task {data.task.name!r}",
                valid="a finite number; a metric that the data give no value for belongs into "
                "Accuracy.unmeasured, with the reason",
            )
    needed = {
        name
        for name, metric in data.task.metrics.items()
        if not (metric.against_reference or metric.optional)
    }
    missing = sorted(needed - accuracy.values.keys() - accuracy.unmeasured.keys())
    if missing:
        raise PerfgateError(f"the evaluator gave no value for {', '.join(missing)}")


def point_of(output: Any) -> str:
    """The operating point that options of output declare, for people; "" for none."""
    point = getattr(output, "operating_point", None)
    values = point.model_dump() if point is not None else {}
    return ", ".join(f"{name} = {value:g}" for name, value in values.items())
