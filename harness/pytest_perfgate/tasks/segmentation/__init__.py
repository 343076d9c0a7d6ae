"""Segmentation: a class for every pixel, held to the mean intersection over union."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.corruptions import STILL
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.metric import Better, Metric, by_name
from pytest_perfgate.tasks import Pipeline, Task
from pytest_perfgate.tasks.pixels.filters import required
from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.tasks.pixels.own_functions import OwnPredictions
from pytest_perfgate.tasks.pixels.preprocessing import Preprocessing
from pytest_perfgate.tasks.pixels.tiles import TILES
from pytest_perfgate.tasks.segmentation.data import SegmentationData, as_segments
from pytest_perfgate.tasks.segmentation.output import Labelling, Output

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Accuracy, Doubt
    from pytest_perfgate.records.image_losses import SeenBox, WorseImage
    from pytest_perfgate.tasks.segmentation.data import Segments

METRICS = by_name(
    Metric.score(
        "miou",
        "Mean intersection over union (IoU) of the classes. A class's IoU is the number of pixels "
        "of all validation images that are of the class and predicted as it, divided by those that "
        "are either. The mean leaves out classes without a pixel on either side; the report names "
        "them. Ignored pixels do not count.",
    ),
    Metric.score(
        "pixel_accuracy",
        "Share of the pixels of all validation images with the true class.",
        by_image=True,
    ),
    Metric.score(
        "boundary_f",
        "Harmonic mean of precision and recall of boundary pixels, which match within a fraction "
        "of the diagonal (0.008 unless the data declares another): mean over the classes of an "
        "image with a boundary on either side, then over images (Perazzi et al. 2016; Csurka et "
        "al. 2013).",
    ),
    Metric.score(
        "agreement",
        "Share of pixels for which recipe and reference predict the same class. No masks are used.",
        against_reference=True,
    ),
    Metric.score(
        "score_shift",
        "Mean absolute difference between the scores that recipe and reference give to the class "
        "that the reference predicts, at 12 x 12 points of each image. It changes when all scores "
        "collapse in the same order, miou does not. Not measured for outputs that are labels.",
        Better.LOWER,
        against_reference=True,
        optional=True,
    ),
)


class Segmentation(Task):
    """The task `segmentation`."""

    name = "segmentation"
    metrics = METRICS
    Data = SegmentationData
    class_score = "IoU"
    corruptions = STILL
    merges_tiles = True
    Input = Input
    Output = Output
    requires = (registry.from_extra("PIL", "segmentation"),)

    def read(self, declared: Mapping[str, Any], folder: Path, root: Path) -> SegmentationData:
        """`{ images = "folder", masks = "folder", classes = [...] }`: PNG masks of class ids.
        Without `masks` the images alone.
        """
        from pytest_perfgate.tasks.segmentation.folder import read_folder

        return read_folder(declared, folder, root)

    @override
    def requires_with(self, input_options: Any) -> tuple[registry.Requirement, ...]:
        """Also the package that resizes pictures."""
        return (*self.requires, *required(input_options))

    def pipeline(self, input_options: Any, output_options: Any) -> SegmentationPipeline:
        """The stages around inference."""
        return SegmentationPipeline(input_options, output_options)

    def evaluate(self, data: SegmentationData, predictions: Sequence[Segments]) -> Accuracy:
        """The metrics of one prediction per image."""
        from pytest_perfgate.tasks.segmentation.scores import evaluate

        return evaluate(data, predictions)

    def doubt(
        self,
        data: SegmentationData,
        predictions: Sequence[Segments],
        accuracy: Accuracy,
        output_options: Any,
    ) -> Doubt | None:
        """See `tasks.segmentation.doubts.doubt_segments`."""
        from pytest_perfgate.tasks.segmentation.doubts import doubt_segments

        return doubt_segments(data, predictions, accuracy, output_options.classes)

    @override
    def doubt_outputs(
        self, samples: Sequence[tuple[tuple[Any, ...], Any]], output_options: Any
    ) -> Doubt | None:
        """Scores are no input of a softmax; None for the project's own function."""
        wanted = output_options
        if wanted.postprocess or wanted.format != "classes" or wanted.activation == "sigmoid":
            return None
        from pytest_perfgate.tasks.activations import doubt_applied_twice

        return doubt_applied_twice(samples, wanted.activation or "softmax")

    @override
    def check_together(self, input_options: Any, output_options: Any) -> None:
        """Labels of tiles have no mean where these overlap."""
        if input_options.resize == TILES and output_options.format == "labels":
            raise RecipeError(
                "labels of tiles cannot be averaged where tiles overlap",
                where="suite.output.format",
                valid='"classes" or "binary", scores',
            )

    @override
    def part(self, data: SegmentationData, rows: Sequence[int]) -> SegmentationData:
        """Some images and their masks."""
        return data.part(rows)

    def alternatives(
        self, input_options: Any, output_options: Any
    ) -> Iterator[tuple[str, Any, Any]]:
        """Other ways to prepare pixels."""
        from pytest_perfgate.tasks.pixels.other_inputs import other_inputs

        for text, pixels in other_inputs(input_options):
            yield text, pixels, output_options

    def pack(self, predictions: Sequence[Segments]) -> dict[str, Any]:
        """Predictions as arrays, labels as runs."""
        from pytest_perfgate.tasks.segmentation.scores import pack

        return pack(predictions)

    def compare(self, ours: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        """`agreement` and `score_shift`: numerator and denominator per image."""
        from pytest_perfgate.tasks.segmentation.scores import compare

        return compare(ours, other)

    def worse(
        self, data: SegmentationData, ours: Mapping[str, Any], other: Mapping[str, Any], most: int
    ) -> list[WorseImage] | None:
        """The images whose classes lost most of their intersection over union."""
        from pytest_perfgate.tasks.segmentation.losses import worse_images

        return worse_images(data, ours, other, most)

    def objects(self, data: SegmentationData, index: int) -> tuple[str, tuple[SeenBox, ...]]:
        """The file name of an image, and the box around each class of its mask."""
        from pytest_perfgate.tasks.image_files import ImageFiles
        from pytest_perfgate.tasks.segmentation.losses import class_boxes

        images = data.images
        name = images.file(index).name if isinstance(images, ImageFiles) else ""
        return name, class_boxes(data, index)


class SegmentationPipeline(Pipeline):
    """Pre-process and post-process as declared."""

    def __init__(self, options: Input, wanted: Output) -> None:
        self._pixels = Preprocessing(options, placed=not wanted.postprocess)
        self._labelling = Labelling(wanted)
        self.in_tiles = options.resize == TILES
        self._own = OwnPredictions(wanted.postprocess, as_segments) if wanted.postprocess else None

    def preprocess(self, images: Sequence[Any]) -> tuple[Inputs, Any]:
        """See `tasks.preprocessing`."""
        return self._pixels.read(images)

    def postprocess(self, outputs: tuple[Any, ...], meta: Any) -> list[Segments]:
        """The network's first output to a class for each pixel of the original images."""
        return (self._own or self._labelling).read(outputs, meta)
