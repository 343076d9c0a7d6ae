"""Decoders of raw heads: boxes relative to the cells of a grid, or to boxes that are declared.

Cells and prior boxes follow from the size of the network's input.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from pytest_perfgate.artifact import OptionsModel
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.decoders import Classes, Decoder, above, check_shapes, other_shapes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pytest_perfgate.tasks.decoders import Decoded
    from pytest_perfgate.tasks.pixels.geometry import Placed

    Floats = npt.NDArray[np.float32]

_Stride = Annotated[int, Field(ge=1, le=4_096)]
Strides = Annotated[tuple[_Stride, ...], Field(min_length=1)]
_Pixels = Annotated[float, Field(gt=0)]
STRIDES = "pixels of the network's input from cell to cell, of each feature map"


class Yolox(Decoder):
    """One output (N, A, 5 + C), as YOLOX is exported without its decoding
    (`decode_in_inference = False`): x and y of the centre from the cell's corner and the logarithms
    of width and height, in strides of the feature map; then the chance that there is an object, and
    that of each class if there is one. Cells are counted in rows, feature map by feature map
    (Ge et al. 2021; `demo_postprocess`). With its decoding it is what `yolov5` reads.
    """

    class Options(Classes):
        """The grids."""

        strides: Strides = Field((8, 16, 32), description=STRIDES)

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """See the class."""
        check_shapes("yolox", outputs, [("N", "A", "5 + C")])
        grid = cells(images[0].network, options.strides)
        refuse_other_count("yolox", outputs[0].shape[1], grid, images[0].network, options.strides)
        decoded = []
        for image in outputs[0]:
            rows, scores, categories = above(image[:, 4:5] * image[:, 5:], floor, options)
            decoded.append((of_cells(image[rows, :4], grid[rows]), scores, categories))
        return decoded


class Yunet(Decoder):
    """Nine outputs and more, as OpenCV's face detector YuNet gives them: for the strides 8, 16 and
    32 the chance of a face (N, A, 1), then the chances of an object (N, A, 1), then boxes (N, A, 4)
    as `yolox` has them. The score is the root of the product of both chances (OpenCV's
    `FaceDetectorYN`). Keypoints behind them are ignored.
    """

    class Options(Classes):
        """The grids."""

        strides: Strides = Field((8, 16, 32), description=STRIDES)

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """See the class."""
        import numpy as np

        count = len(options.strides)
        groups = [outputs[place : place + count] for place in range(0, 3 * count, count)]
        fits = len(outputs) >= 3 * count and all(
            output.ndim == 3 and output.shape[2] == columns
            for group, columns in zip(groups, (1, 1, 4), strict=True)
            for output in group
        )
        if not fits:
            raise other_shapes(
                "yunet", outputs, f"{count} times (N, A, 1), (N, A, 1) and (N, A, 4), one a stride"
            )
        faces, things, boxes = (np.concatenate(group, axis=1) for group in groups)
        grid = cells(images[0].network, options.strides)
        for part in (faces, things, boxes):
            refuse_other_count("yunet", part.shape[1], grid, images[0].network, options.strides)
        scores = np.sqrt(np.clip(faces, 0, 1) * np.clip(things, 0, 1))
        decoded = []
        for row in range(len(boxes)):
            rows, kept, categories = above(scores[row], floor, options)
            decoded.append((of_cells(boxes[row, rows], grid[rows]), kept, categories))
        return decoded


class PriorOptions(Classes):
    """Prior boxes: some for each cell of each feature map, in the order of Caffe's PriorBox."""

    background: int | None = Field(
        0, ge=0, description=str(Classes.model_fields["background"].description)
    )
    strides: Strides = Field((8, 16, 32, 64, 100, 300), description=STRIDES)
    sizes: tuple[tuple[_Pixels, ...], ...] = Field(
        ((30,), (60,), (111,), (162,), (213,), (264,)),
        description="sides of the square prior boxes of a cell, of each feature map",
    )
    max_sizes: tuple[tuple[_Pixels, ...], ...] = Field(
        ((60,), (111,), (162,), (213,), (264,), (315,)),
        description="for each of `sizes` another square: its side is the root of both multiplied; "
        "empty: none",
    )
    ratios: tuple[tuple[_Pixels, ...], ...] = Field(
        ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,)),
        description="width by height of further prior boxes, each upright too, of each feature "
        "map; empty: none",
    )
    variances: tuple[_Pixels, _Pixels] = Field(
        (0.1, 0.2), description="factors of the offsets of the centre, and of those of the size"
    )
    clip: bool = Field(False, description="clip prior boxes to the network's input")
    activation: Literal["softmax", "sigmoid", "none"] = Field(
        "softmax", description="activation from the network's output to scores"
    )

    @model_validator(mode="after")
    def _fit(self) -> PriorOptions:
        for name in ("sizes", "max_sizes", "ratios"):
            value = getattr(self, name)
            if len(value) != len(self.strides) and (name == "sizes" or value):
                raise ValueError(f"{name} has {len(value)} entries, strides {len(self.strides)}")
        if self.max_sizes and [*map(len, self.sizes)] != [*map(len, self.max_sizes)]:
            raise ValueError("max_sizes has other lengths than sizes")
        return self


class Ssd(Decoder):
    """Two outputs, as SSD and RetinaFace train them: offsets (N, A, 4) of the prior boxes' centres
    and sizes, and classes (N, A, C), of which one is the background (Liu et al. 2016). The one with
    four columns is the offsets; of two such the first. Prior boxes follow from the options; those
    of SSD300 are the defaults. Landmarks behind them are ignored.
    """

    Options: type[OptionsModel] = PriorOptions

    name = "ssd"

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """See the class."""
        import numpy as np
        from scipy.special import expit, softmax

        first = outputs[0].shape[-1] == 4 or len(outputs) < 2 or outputs[1].shape[-1] != 4
        offsets, classes = outputs[:2] if first and len(outputs) > 1 else outputs[1::-1]
        check_shapes(self.name, (offsets, classes), [("N", "A", "4"), ("N", "A", "C")])
        network = images[0].network
        priors = prior_boxes(network, options)
        refuse_other_count(self.name, offsets.shape[1], priors, network, options.strides)
        to_centre, to_size = (np.float32(factor) for factor in options.variances)
        decoded = []
        for row, given in enumerate(classes):
            logits = given.astype(np.float32, copy=False)
            scores = softmax(logits, axis=1) if options.activation == "softmax" else logits
            scores = expit(logits) if options.activation == "sigmoid" else scores
            rows, kept, categories = above(scores, floor, options)
            prior, offset = priors[rows], offsets[row, rows].astype(np.float32, copy=False)
            centre = prior[:, :2] + offset[:, :2] * to_centre * prior[:, 2:]
            half = prior[:, 2:] * np.exp(offset[:, 2:] * to_size) / 2
            decoded.append((np.concatenate([centre - half, centre + half], 1), kept, categories))
        return decoded


class RetinaFace(Ssd):
    """`ssd` with the prior boxes of RetinaFace (Deng et al. 2020, in its PyTorch form): offsets
    (N, A, 4), chances (N, A, 2) of background and face, and landmarks, which are ignored.
    """

    class Options(PriorOptions):
        """Two squares for each cell of three feature maps."""

        strides: Strides = Field((8, 16, 32), description=STRIDES)
        sizes: tuple[tuple[_Pixels, ...], ...] = Field(
            ((16, 32), (64, 128), (256, 512)),
            description=str(PriorOptions.model_fields["sizes"].description),
        )
        max_sizes: tuple[tuple[_Pixels, ...], ...] = Field(
            (), description=str(PriorOptions.model_fields["max_sizes"].description)
        )
        ratios: tuple[tuple[_Pixels, ...], ...] = Field(
            (), description=str(PriorOptions.model_fields["ratios"].description)
        )
        activation: Literal["softmax", "sigmoid", "none"] = Field(
            "none", description=str(PriorOptions.model_fields["activation"].description)
        )

    name = "retinaface"


@lru_cache(maxsize=16)
def cells(network: tuple[int, int], strides: tuple[int, ...]) -> Floats:
    """Column, row and stride of every cell, (A, 3), map by map and in rows; `network` is the height
    and width of the input.
    """
    import numpy as np

    grids = []
    for stride in strides:
        rows, columns = np.mgrid[: -(-network[0] // stride), : -(-network[1] // stride)]
        flat = [columns.ravel(), rows.ravel(), np.full(rows.size, stride)]
        grids.append(np.stack(flat, axis=1))
    result: Floats = np.concatenate(grids).astype(np.float32)
    result.flags.writeable = False  # it is kept
    return result


def of_cells(raw: Any, grid: Any) -> Floats:
    """Boxes (M, 4) of a head without anchors, in strides of their cells `grid` (M, 3), as corners
    in network pixels: (raw + cell) * stride is the centre, exp(raw) * stride the size.
    """
    import numpy as np

    stride = grid[:, 2:]
    centre = (raw[:, :2] + grid[:, :2]) * stride
    half = np.exp(raw[:, 2:]) * stride / 2
    result: Floats = np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)
    return result


@lru_cache(maxsize=16)
def prior_boxes(network: tuple[int, int], options: PriorOptions) -> Floats:
    """Centre, width and height (A, 4) of the prior boxes, in pixels of a network's input of height
    and width `network`.
    """
    import numpy as np

    parts = []
    for index, stride in enumerate(options.strides):
        shapes: list[tuple[float, float]] = []
        for place, side in enumerate(options.sizes[index]):
            shapes.append((side, side))
            if options.max_sizes:
                between = (side * options.max_sizes[index][place]) ** 0.5
                shapes.append((between, between))
            for ratio in options.ratios[index] if options.ratios else ():
                root = ratio**0.5
                shapes += [(side * root, side / root), (side / root, side * root)]
        grid = cells(network, (stride,)).astype(np.float64)
        centres = np.repeat((grid[:, :2] + 0.5) * stride, len(shapes), axis=0)
        parts.append(np.concatenate([centres, np.tile(shapes, (len(grid), 1))], axis=1))
    boxes = np.concatenate(parts)
    if options.clip:
        boxes = np.clip(boxes, 0, [network[1], network[0]] * 2)
    result: Floats = boxes.astype(np.float32)
    result.flags.writeable = False  # it is kept
    return result


def refuse_other_count(
    name: str, rows: int, expected: Floats, network: tuple[int, int], strides: tuple[int, ...]
) -> None:
    """Check that a head has as many rows as there are cells or prior boxes."""
    if rows != len(expected):
        height, width = network
        raise DataError(
            f"the outputs have {rows} rows, and the strides {', '.join(map(str, strides))} of an "
            f"input of {height} x {width} make {len(expected)}",
            where=f"suite.output.decode = {name!r}",
            next_step="compare [suite.input] size and the decoder's options with the network's",
        )
