"""A segmenter's output: scores or labels on a grid of its own, enlarged to the original image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.output_options import OutputOptions
from pytest_perfgate.tasks.pixels.geometry import grouped
from pytest_perfgate.tasks.segmentation.data import Segments, sample_points
from pytest_perfgate.tasks.segmentation.grids import Enlarging, Grid, TiledGrid

if TYPE_CHECKING:
    import numpy.typing as npt

    from pytest_perfgate.tasks.pixels.geometry import Placed

_WHERE = "suite.output"
_MOST_SKEW = 1.25  # of a stride's height to its width, or back; padding of an output rounds it


class Output(OutputOptions):
    """How the network's first output becomes a class for each pixel: `[suite.output]`."""

    format: Literal["classes", "binary", "labels"] = Field(
        "classes",
        description="the network's first output. classes: a channel for each class, (N, C, h, w); "
        "binary: one channel, (N, 1, h, w) or (N, h, w), for the second of two classes; labels: "
        "the index of the class, (N, h, w) or (N, 1, h, w)",
    )
    layout: Literal["NCHW", "NHWC"] = Field(
        "NCHW", description="place of the channels in the output; NHWC: (N, h, w, C)"
    )
    activation: Literal["softmax", "sigmoid", "none"] | None = Field(
        None,
        description="activation from the enlarged output to scores; none: the output is scores. "
        "Default: softmax of classes, sigmoid of binary",
    )
    threshold: float = Field(
        0.5, gt=0, lt=1, description="binary: lowest score of the second class"
    )
    upsample: Literal["bilinear", "nearest"] | None = Field(
        None,
        description="enlargement of the output to the original image, before the activation. "
        "Default: bilinear; labels: nearest",
    )
    align_corners: bool = Field(
        False,
        description="whether the middles of corner pixels are aligned by bilinear enlargement, as "
        "torch's option of this name does; else the corners",
    )
    classes: tuple[int, ...] = Field(
        (),
        description="index of each of the data's classes among the network's. Default: the same "
        "order",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.format == "labels":
            if self.upsample == "bilinear":
                raise ValueError('labels cannot be interpolated; valid: upsample = "nearest"')
            if self.activation is not None:
                raise ValueError("labels have no activation")
        if self.format == "binary" and self.activation == "softmax":
            raise ValueError("a softmax over one channel is 1; valid: sigmoid, none")
        if self.align_corners and (self.format == "labels" or self.upsample == "nearest"):
            raise ValueError("align_corners is an option of bilinear enlargement")
        if any(index < 0 for index in self.classes) or len({*self.classes}) != len(self.classes):
            raise ValueError("classes are different indices from 0 on")
        return self


class Labelling:
    """From the first output to `Segments`, as `[suite.output]` declares."""

    def __init__(self, wanted: Output) -> None:
        self._wanted = wanted

    def read(self, outputs: Sequence[Any], placed: Sequence[Placed]) -> list[Segments]:
        """What was predicted of each image.

        Raises:
            DataError: the output cannot be what is declared; names its shape and the likely cause.
        """
        import numpy as np

        given = np.asarray(outputs[0])
        wanted = self._wanted
        if given.ndim == 4 and wanted.layout == "NHWC":
            given = np.moveaxis(given, 3, 1)
        if given.ndim == 4 and given.shape[1] == 1 and wanted.format != "classes":
            given = given[:, 0]
        if given.dtype.kind == "f" and given.dtype != np.float32:
            given = given.astype(np.float32)
        _check_shape(given, wanted, placed)
        _check_values(given, wanted)
        one: Callable[[Any, Grid | TiledGrid], Segments] = {
            "classes": self._of_classes,
            "binary": self._of_binary,
            "labels": self._of_labels,
        }[wanted.format]
        cells = given.shape[-2:]
        bilinear = wanted.format != "labels" and wanted.upsample != "nearest"
        how = Enlarging(bilinear, wanted.align_corners)
        segments = []
        for group in grouped(placed):
            places = placed[group]
            if len(places) == 1:
                segments.append(one(given[group][0], Grid(places[0], cells, how)))
            else:  # (T, C, h, w) as (C, T, h, w): each channel is a plane of each tile
                planes = given[group] if given.ndim == 3 else np.moveaxis(given[group], 1, 0)
                segments.append(one(planes, TiledGrid(places, cells, how)))
        return segments

    def _of_classes(self, planes: npt.NDArray[Any], grid: Grid | TiledGrid) -> Segments:
        import numpy as np
        from scipy.special import expit, softmax

        classes = list(self._wanted.classes) or list(range(len(planes)))
        _check_classes(classes, len(planes))
        best = grid.enlarge(planes[classes[0]])
        labels = np.zeros(grid.shape, dtype=_type_for(len(classes)))
        for index, channel in enumerate(classes[1:], 1):  # all planes at once are gigabytes
            plane = grid.enlarge(planes[channel])
            better = plane > best
            labels[better] = index
            np.copyto(best, plane, where=better)
        values = grid.points(planes, *sample_points(*grid.shape))
        how = self._wanted.activation or "softmax"
        scores = softmax(values, axis=1) if how == "softmax" else values
        scores = expit(values) if how == "sigmoid" else scores
        return Segments(labels, scores[:, classes].astype(np.float32), len(classes))

    def _of_binary(self, plane: npt.NDArray[Any], grid: Grid | TiledGrid) -> Segments:
        import numpy as np
        from scipy.special import expit, logit

        sigmoid = self._wanted.activation != "none"
        # The activation is monotone: a threshold for logits spares it for all pixels.
        limit = float(logit(self._wanted.threshold)) if sigmoid else self._wanted.threshold
        labels = (grid.enlarge(plane) >= np.float32(limit)).astype(np.uint8)
        values = grid.points(plane[None], *sample_points(*grid.shape))[:, 0]
        second = expit(values) if sigmoid else values
        scores = np.stack([1 - second, second], axis=1).astype(np.float32)
        if classes := self._wanted.classes:
            _check_classes(classes, 2)
            labels = np.argsort(classes).astype(np.uint8)[labels]
            scores = scores[:, list(classes)]
        return Segments(labels, scores, 2)

    def _of_labels(self, plane: npt.NDArray[Any], grid: Grid | TiledGrid) -> Segments:
        import numpy as np

        labels = grid.enlarge(plane).astype(np.int64)
        if classes := self._wanted.classes:
            # All labels of no class of the data are one, the next number.
            table = np.full(max(int(labels.max(initial=0)), *classes) + 1, len(classes))
            table[list(classes)] = np.arange(len(classes))
            labels = table[labels]
        count = len(classes) if classes else None
        return Segments(labels.astype(_type_for(int(labels.max(initial=0)) + 1)), channels=count)


def _type_for(count: int) -> Any:
    import numpy as np

    return np.uint8 if count <= 256 else np.uint16


def _check_classes(classes: Sequence[int], channels: int) -> None:
    if max(classes) >= channels:
        raise DataError(
            f"the network has {channels} classes, and classes = {list(classes)} is set",
            where=f"{_WHERE}.classes",
            valid=f"indices from 0 to {channels - 1}",
        )


def _check_shape(given: npt.NDArray[Any], wanted: Output, placed: Sequence[Placed]) -> None:
    """Check that the output has the declared form, and its grid the proportions of the input."""
    count = len(placed)
    ndim = 4 if wanted.format == "classes" else 3
    shape = "(N, C, h, w)" if ndim == 4 else "(N, h, w) or (N, 1, h, w)"
    if given.ndim != ndim or given.shape[0] != count or 0 in given.shape:
        raise DataError(
            f"the output has the shape {given.shape}",
            where=_WHERE,
            valid=f'{shape} with N = {count} for format = "{wanted.format}"',
            next_step=_other_form(given, wanted.format),
        )
    height, width = given.shape[-2:]
    tall, wide = placed[0].network
    if wanted.format == "classes" and given.shape[1] == 1:
        raise DataError(
            f"the output has one channel: {given.shape}",
            where=_WHERE,
            valid="two channels or more, one for each class",
            next_step='format = "binary" for scores of one class, format = "labels" for indices',
        )
    if _is_skew((height, width), (tall, wide)):
        cause = "the network's first output must be the one on a grid over the input"
        last, other = given.shape[1:3], "NHWC"
        if wanted.layout == "NHWC":  # the channels were brought to the front
            last, other = (given.shape[-1], given.shape[1]), "NCHW"
        if given.ndim == 4 and not _is_skew(last, (tall, wide)):
            cause = f'layout = "{other}"'
        elif not _is_skew((width, height), (tall, wide)):
            cause = "height and width are exchanged: transpose the output in the model"
        raise DataError(
            f"the output has the shape {given.shape}, and the input has {tall} x {wide} pixels",
            where=_WHERE,
            valid=f"{shape} with h / w near {tall} / {wide}",
            next_step=cause,
        )


def _is_skew(cells: tuple[int, ...], pixels: tuple[int, int]) -> bool:
    """Whether a grid of (h, w) cells has other proportions than (H, W) pixels, one cell aside."""
    down, across = pixels[0] / cells[0], pixels[1] / cells[1]
    return max(down / across, across / down) > _MOST_SKEW * (1 + 1 / min(cells))


def _other_form(given: npt.NDArray[Any], form: str) -> str:
    if given.ndim == 2:
        return "the output has no grid: this is a classifier's, or another output comes first"
    if form == "classes" and given.ndim == 3:
        kind = "labels" if given.dtype.kind in "iub" else "binary"
        return f'format = "{kind}" where the output has no channels'
    if form != "classes" and given.ndim == 4 and given.shape[3] == 1:
        return 'layout = "NHWC" where the last of the dimensions is the channel'
    if form != "classes" and given.ndim == 4:
        return f'format = "classes" where each of the {given.shape[1]} channels is a class'
    return ""


def _check_values(given: npt.NDArray[Any], wanted: Output) -> None:
    """Check that values can be what is declared: numbers; labels, whole and not negative; scores
    of an output without activation, from 0 to 1.
    """
    import numpy as np

    low, high = given.min(), given.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise DataError("the model gives values that are not numbers (NaN) or infinite")
    if wanted.format == "labels":
        if low < 0 or high > np.iinfo(np.uint16).max or (given != np.floor(given)).any():
            raise DataError(
                f"the output has values from {low} to {high} that are not all indices of classes",
                where=f"{_WHERE}.format",
                valid="whole numbers from 0 on",
                next_step='format = "binary" where the output is scores of one class',
            )
    elif given.dtype.kind != "f":
        raise DataError(
            f"the output has the type {given.dtype}",
            where=f"{_WHERE}.format",
            valid="floating point",
            next_step='format = "labels" where the output is indices of classes',
        )
    elif wanted.activation == "none" and (low < -1e-3 or high > 1 + 1e-3):
        raise DataError(
            f"the output has values from {low:.4g} to {high:.4g}",
            where=f"{_WHERE}.activation",
            valid="scores from 0 to 1 where activation is none",
            next_step=f'activation = "{"sigmoid" if wanted.format == "binary" else "softmax"}"',
        )
