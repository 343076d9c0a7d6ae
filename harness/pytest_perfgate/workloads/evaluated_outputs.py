"""Outputs as they were when accuracy was evaluated, kept to compare timed ones with.

Of a small output all values are kept. Of a larger one some at random positions, and the largest of
each channel, where a network says what it has found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_perfgate.records.recipe import OUTPUT_TOLERANCE
from pytest_perfgate.workloads.output_comparison import (
    KeptOutput,
    compare,
    compare_varied,
    finished_arrays,
)

_WHOLE = 2_048  # values of an output that is kept whole
_RANDOM, _PEAKS = 1_024, 256  # values that are kept of a larger one
_LEAST_SCALE = 1e-3  # of the output's largest value: what a channel's values are compared with


@dataclass(frozen=True)
class EvaluatedImage:
    """Outputs of one validation image.

    Attributes:
        index: of the image in the validation data.
        predictions: the digest of what post-processing made of them, see `digest_predictions`.
    """

    index: int
    outputs: tuple[KeptOutput, ...]
    predictions: str

    def taken(self, arrays: Sequence[Any]) -> list[Any]:
        """Of another inference of it, the values at the same places; of an output of another shape
        all values.
        """
        return [
            output[kept.index] if output.shape == kept.shape else output.copy()
            for kept, output in zip(self.outputs, arrays, strict=False)
        ]


@dataclass(frozen=True)
class EvaluatedOutputs:
    """Outputs of the images that arms cycle through, in the order of these images.

    Attributes:
        spread: the largest gap between two inferences of the same image.
        moved: the largest root mean square between an image and a variation of it
            (`varied_images`, `compare_varied`).
        responds: whether every variation that was tried changed an output.
        length: so many of `images` in a row are the first frames of a sequence; 0: each image
            stands alone.
    """

    images: tuple[EvaluatedImage, ...]
    spread: float
    moved: float
    responds: bool
    length: int = 0

    def write(self, file: Path) -> None:
        """Writes an npz file: small, and without code."""
        import numpy as np

        kept = [output for image in self.images for output in image.outputs]
        table = {
            "images": [
                {
                    "index": image.index,
                    "predictions": image.predictions,
                    "outputs": [
                        {"shape": output.shape, "count": len(output.at)} for output in image.outputs
                    ],
                }
                for image in self.images
            ],
            "spread": self.spread,
            "moved": self.moved,
            "responds": self.responds,
            "length": self.length,
        }
        np.savez(
            file,
            table=np.frombuffer(json.dumps(table).encode(), dtype=np.uint8),
            at=np.concatenate([np.zeros(0, np.int64), *(output.at for output in kept)]),
            values=np.concatenate([np.zeros(0), *(output.values for output in kept)]),
            scale=np.concatenate([np.zeros(0), *(output.scale for output in kept)]),
        )

    @classmethod
    def read(cls, file: Path) -> EvaluatedOutputs:
        """What `write` wrote."""
        import numpy as np

        with np.load(file, allow_pickle=False) as stored:
            table = json.loads(stored["table"].tobytes())
            at, values, scale = stored["at"], stored["values"], stored["scale"]
        images, begin = [], 0
        for image in table["images"]:
            outputs = []
            for output in image["outputs"]:
                end = begin + output["count"]
                part = slice(begin, end)
                shape = tuple(output["shape"])
                outputs.append(KeptOutput(shape, at[part], values[part], scale[part]))
                begin = end
            images.append(EvaluatedImage(image["index"], tuple(outputs), image["predictions"]))
        return cls(
            tuple(images), table["spread"], table["moved"], table["responds"], table["length"]
        )


def digest_predictions(packed: Mapping[str, Any]) -> str:
    """A text for packed predictions (`Task.pack`), equal only for equal ones."""
    import numpy as np

    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(packed):
        values = np.asarray(packed[name])
        digest.update(f"{name} {values.dtype} {values.shape} ".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


@dataclass
class _Pending:
    """An image whose scales are not known before the last one."""

    index: int
    predictions: str
    outputs: list[tuple[tuple[int, ...], Any, Any]] = field(default_factory=list)


class OutputRecorder:
    """Keeps outputs while accuracy is evaluated; `length` is that of `EvaluatedOutputs`."""

    def __init__(self, length: int = 0) -> None:
        self._length = length
        self._images: list[_Pending] = []
        self._largest: list[Any] = []  # of each output, by channel
        self._repeats: list[float] = []
        self._variations: list[float] = []

    def add(self, index: int, outputs: Sequence[Any], predictions: str) -> None:
        """The outputs of one image, and the digest of its predictions."""
        import numpy as np

        image = _Pending(index, predictions)
        for number, output in enumerate(finished_arrays(outputs)):
            at = _positions(output)
            values = output[np.unravel_index(at, output.shape)].astype(np.float64)
            image.outputs.append((output.shape, at, values))
            largest = _largest(output)
            if number == len(self._largest):
                self._largest.append(largest)
            elif self._largest[number].shape == largest.shape:
                self._largest[number] = np.maximum(self._largest[number], largest)
            else:  # another number of channels: one scale for all
                both = self._largest[number].max(initial=0.0), largest.max(initial=0.0)
                self._largest[number] = np.array([max(both)])
        self._images.append(image)

    def repeat(self, number: int, outputs: Sequence[Any]) -> float:
        """The gap between the `number`th image and another inference of it."""
        kept = self._kept(self._images[number])
        value = compare(kept, finished_arrays(outputs), OUTPUT_TOLERANCE).value
        self._repeats.append(value)
        return value

    def vary(self, number: int, outputs: Sequence[Any]) -> None:
        """The outputs of a variation of the `number`th image."""
        kept = self._kept(self._images[number])
        gap = compare_varied(kept, finished_arrays(outputs), OUTPUT_TOLERANCE)
        self._variations.append(gap.value)

    def finish(self) -> EvaluatedOutputs:
        """All that was kept."""
        return EvaluatedOutputs(
            images=tuple(
                EvaluatedImage(image.index, self._kept(image), image.predictions)
                for image in self._images
            ),
            spread=max(self._repeats, default=0.0),
            moved=max(self._variations, default=0.0),
            responds=bool(self._variations) and min(self._variations) > 0,
            length=self._length,
        )

    def _kept(self, image: _Pending) -> tuple[KeptOutput, ...]:
        import numpy as np

        kept = []
        for number, (shape, at, values) in enumerate(image.outputs):
            largest = self._largest[number]
            floor = _LEAST_SCALE * float(largest.max(initial=0.0)) or 1.0
            axis = _channel_axis(shape)
            if axis is None or largest.shape != (shape[axis],):
                scale = np.full(len(at), float(largest.max(initial=0.0)))
            else:
                scale = largest[np.unravel_index(at, shape)[axis]]
            kept.append(KeptOutput(shape, at, values, np.maximum(scale, floor)))
        return tuple(kept)


def _channel_axis(shape: tuple[int, ...]) -> int | None:
    """The axis along which values mean different things: a box's corners, classes. None: none."""
    if len(shape) >= 4:  # (N, C, H, W)
        return 1
    if len(shape) == 3:  # (N, anchors, C) or (N, C, anchors)
        return 1 if shape[1] < shape[2] else 2
    return 1 if len(shape) == 2 and shape[0] != 1 else None  # (detections, C)


def _largest(output: Any) -> Any:
    """The largest finite value of each channel, as float64."""
    import numpy as np

    axis = _channel_axis(output.shape)
    others = None if axis is None else tuple(n for n in range(output.ndim) if n != axis)
    size = np.abs(output.astype(np.float64))
    size[~np.isfinite(size)] = 0.0
    return np.atleast_1d(np.max(size, axis=others, initial=0.0))


def _positions(output: Any) -> Any:
    """Flat positions of the values to keep, sorted."""
    import numpy as np

    if output.size <= _WHOLE:
        return np.arange(output.size)
    chosen = np.random.default_rng(output.size).integers(0, output.size, _RANDOM)
    axis = _channel_axis(output.shape) or 0
    channels = output.shape[axis] if output.shape[axis] <= _PEAKS else 1
    order = np.moveaxis(np.arange(output.size).reshape(output.shape), axis, 0)
    size = np.moveaxis(np.abs(output), axis, 0).reshape(channels, -1)
    most = min(max(1, _PEAKS // channels), size.shape[1] - 1)
    peaks = (
        np.argpartition(size, -most, axis=1)[:, -most:] if most else np.zeros((channels, 1), int)
    )
    at = np.take_along_axis(order.reshape(channels, -1), peaks, axis=1)
    return np.unique(np.concatenate([chosen, at.reshape(-1)]))
