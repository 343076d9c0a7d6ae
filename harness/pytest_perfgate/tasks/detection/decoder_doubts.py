"""Whether decoded boxes can be those of a detector, and which decoder or option reads them better.

No annotations are used: boxes have a left and a right edge, and most of them lie in the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from pytest_perfgate import registry
from pytest_perfgate.errors import DataError, PerfgateError
from pytest_perfgate.records.accuracy import Doubt
from pytest_perfgate.tasks.decoders import BoxFormat, BoxOptions, Units
from pytest_perfgate.tasks.pairing import CONFIDENT

if TYPE_CHECKING:
    from pytest_perfgate.tasks.decoders import Decoder
    from pytest_perfgate.tasks.detection.output import Output
    from pytest_perfgate.tasks.pixels.geometry import Placed

Sample = tuple[tuple[Any, ...], Sequence["Placed"]]
"""The network's outputs of a batch, and how its images lie in the input."""

FEWEST = 5
"""Fewer boxes say nothing of how boxes are written."""

_MOST_OUTSIDE = 0.05  # of the boxes that a detector is sure of
_MOST_WRONG = 0.5  # of the boxes, in a reading that stands
_LEAST_RIGHT = 0.95  # of the boxes, in a reading that is named
_SLACK = 0.1  # of the picture's side, by which the middle of a box may lie outside
_CORNER = 2.0  # pixels: boxes in pixels that all lie nearer to the corner are fractions
_LEAST_SIDE = 32  # of a network's input; smaller ones have such boxes
_NAMED = 3


def doubt_boxes(samples: Sequence[Sample], output: Output) -> Doubt | None:
    """Why boxes cannot be as they are declared, with the readings that fit them; None: they can be,
    or there are fewer than `FEWEST`.
    """
    boxes, sizes = _boxes(samples, output)
    if len(boxes) < FEWEST:
        return None
    problem = _problem(boxes, sizes)
    if not problem:
        return None
    return Doubt(problem=problem, next_step=_named(samples, output))


def odd_boxes(samples: Sequence[Sample], output: Output) -> str:
    """Where a detector is sure of boxes outside of the picture, which a right one is of hardly any;
    "" for a right one, and where there are fewer than `FEWEST`.
    """
    boxes, sizes = _boxes(samples, output, CONFIDENT)
    if len(boxes) < FEWEST:
        return ""
    outside = int((~_inside(boxes, sizes)).sum())
    if outside <= _MOST_OUTSIDE * len(boxes):
        return ""
    return (
        f"{outside} of {len(boxes)} boxes with a score of at least {CONFIDENT} lie outside of the "
        "picture"
    )


def explained(error: DataError, outputs: tuple[Any, ...], images: Any, output: Output) -> DataError:
    """The error of a decoder, with the decoders that can read the outputs as its next step, in
    place of what the decoder guesses without a look at the others.
    """
    likely = _named([(outputs, images)], output)
    if not likely:
        return error
    return DataError(error.problem, where=error.where, valid=error.valid, next_step=likely)


def other_readings(output: Output) -> Iterator[tuple[str, Output]]:
    """Each other way to read boxes, as the line of the suite file that asks for it: the declared
    decoder with other units and formats, then the other decoders with their defaults.
    """
    decoder = registry.find(registry.DECODERS, output.decode)
    options = decoder.Options.model_validate(output.options)
    if isinstance(options, BoxOptions):
        changes = [
            {"units": units, "box_format": box_format}
            for units in get_args(Units)
            for box_format in get_args(BoxFormat)
        ]
        declared = {"units": options.units, "box_format": options.box_format}
        own = [
            {key: value for key, value in change.items() if value != declared[key]}
            for change in changes
        ]
        for change in sorted(filter(None, own), key=len):
            written = ", ".join(f'{key} = "{value}"' for key, value in change.items())
            yield (
                f"[suite.output] options = {{ {written} }}",
                output.model_copy(update={"options": {**output.options, **change}}),
            )
    for name in registry.names(registry.DECODERS):
        if name != output.decode:
            yield (
                f'[suite.output] decode = "{name}"',
                output.model_copy(update={"decode": name, "options": {}}),
            )


def _boxes(samples: Sequence[Sample], output: Output, least: float = 0.0) -> tuple[Any, Any]:
    """The boxes (M, 4) of all samples with scores of at least `least`, and the width and height
    (M, 2) of what they lie in, in one unit: pixels of the network's input, or of the picture.

    Raises:
        DataError: the decoder does not read such outputs.
    """
    decoder: Decoder = registry.find(registry.DECODERS, output.decode)
    options = decoder.Options.model_validate(output.options)
    units = decoder.units(options)
    boxes, sizes = [np.zeros((0, 4))], [np.zeros((0, 2))]
    for outputs, images in samples:
        decoded = decoder.decode(outputs, max(output.score_threshold, least), options, images)
        for (own, _, _), placed in zip(decoded, images, strict=True):
            size = np.array((placed.original if units == "original" else placed.network)[::-1])
            scale = [*size, *size] if units == "fractions" else 1.0
            boxes.append(np.asarray(own, dtype=np.float64) * scale)
            sizes.append(np.broadcast_to(size, (len(own), 2)))
    return np.concatenate(boxes), np.concatenate(sizes)


def _problem(boxes: Any, sizes: Any) -> str:
    """What is wrong with boxes (M, 4) in pixels of what is `sizes` (M, 2) large, "" for nothing."""
    count = len(boxes)
    inverted = int((~(boxes[:, 2:] > boxes[:, :2]).all(axis=1)).sum())
    if inverted > _MOST_WRONG * count:
        return f"{inverted} of {count} boxes have no width or no height, or less than none"
    outside = int((~_inside(boxes, sizes)).sum())
    if outside > _MOST_WRONG * count:
        return f"{outside} of {count} boxes lie outside of the picture"
    if np.abs(boxes).max() <= _CORNER and sizes.min() >= _LEAST_SIDE:
        return f"all {count} boxes lie within {_CORNER:g} pixels of the picture's corner"
    return ""


def _inside(boxes: Any, sizes: Any) -> Any:
    """Whether the middle of each box is in the picture, or near it, and the box no larger: (M,)."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    slack = _SLACK * sizes
    near = ((middle >= -slack) & (middle <= sizes + slack)).all(axis=1)
    return near & (boxes[:, 2:] - boxes[:, :2] <= (1 + 2 * _SLACK) * sizes).all(axis=1)


def _named(samples: Sequence[Sample], output: Output) -> str:
    """The readings under which the boxes are plausible, as a next step, those with the fewest
    changes alone; "" for none.
    """
    lines: list[str] = []
    fewest = 0
    for line, other in other_readings(output):
        changes = _changes(output, other)
        if lines and changes > fewest:
            break
        try:
            boxes, sizes = _boxes(samples, other)
        except PerfgateError:
            continue
        except Exception:  # noqa: BLE001, S112 - a decoder that does not fit raises whatever it does
            continue
        if not len(boxes):
            continue
        right = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & _inside(boxes, sizes)
        if not _problem(boxes, sizes) and right.mean() >= _LEAST_RIGHT:
            lines.append(line)
            fewest = changes
    return f"try {' or '.join(lines[:_NAMED])}" if lines else ""


def _changes(output: Output, other: Output) -> int:
    """How many options two readings differ in; another decoder is more than all of them."""
    if output.decode != other.decode:
        return len(BoxOptions.model_fields)
    keys = output.options.keys() | other.options.keys()
    return sum(output.options.get(key) != other.options.get(key) for key in keys)
