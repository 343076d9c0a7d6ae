"""Detection: boxes of some categories, held to COCO's mean average precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.corruptions import STILL
from pytest_perfgate.errors import DataError, RecipeError
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.metric import Metric, by_name
from pytest_perfgate.tasks import Pipeline, Task
from pytest_perfgate.tasks.calibration import calibration_error, with_calibration
from pytest_perfgate.tasks.class_names import with_decoder_indices
from pytest_perfgate.tasks.detection.data import DetectionData, as_prediction
from pytest_perfgate.tasks.detection.output import Output
from pytest_perfgate.tasks.pixels.filters import required
from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.tasks.pixels.own_functions import OwnPredictions
from pytest_perfgate.tasks.pixels.preprocessing import Preprocessing
from pytest_perfgate.tasks.pixels.tiles import TILES
from pytest_perfgate.tasks.score_metrics import at_operating_point, by_size, score_shift

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Accuracy, Doubt
    from pytest_perfgate.records.image_losses import SeenBox, WorseImage
    from pytest_perfgate.tasks.decoders import Decoder
    from pytest_perfgate.tasks.detection.data import Prediction


_IOU = "intersection over union (IoU)"

METRICS = by_name(
    Metric.score(
        "map",
        f"COCO mean average precision over all validation images: mean over categories and {_IOU} "
        "from 0.50 to 0.95, at most 100 detections per image.",
        by_class=True,
    ),
    Metric.score("map50", "map at an IoU of 0.50.", by_class=True),
    Metric.score("map75", "map at an IoU of 0.75.", by_class=True),
    *by_size("map", "small", "medium", "large"),
    *at_operating_point("map", "detection"),
    calibration_error(
        "detection",
        f"A detection that matches an object as in map50, at an {_IOU} of 0.50, is right. All "
        "detections of `score_threshold` or more count.",
        "the detections of each category",
    ),
    Metric.score(
        "agreement",
        "Share of detections that recipe and reference have in common: twice the number of matched "
        "pairs, divided by all detections of both with a score of at least 0.3. Two detections "
        "match when they have the same category and an IoU of at least 0.5. No annotations are "
        "used.",
        against_reference=True,
    ),
    score_shift("map", "detection"),
)


class Detection(Task):
    """The task `detection`."""

    name = "detection"
    metrics = METRICS
    Data = DetectionData
    class_score = "average precision"
    corruptions = STILL
    merges_tiles = True
    Input = Input
    Output = Output
    requires = (
        registry.from_extra("faster_coco_eval", "detection"),
        registry.from_extra("PIL", "detection"),
    )

    def read(self, declared: Mapping[str, Any], folder: Path, root: Path) -> DetectionData:
        """`{ images = "folder", annotations = "instances.json" }`: COCO's instances; or with
        `labels` and `classes` YOLO's. Without either the images alone.
        """
        from pytest_perfgate.tasks.coco.files import read_coco

        return read_coco(declared, folder, root, DetectionData)

    @override
    def requires_with(self, input_options: Any) -> tuple[registry.Requirement, ...]:
        """Also the package that resizes pictures."""
        return (*self.requires, *required(input_options))

    @override
    def fit_output(self, output_options: Any, data: Callable[[], DetectionData]) -> Any:
        """Names of the network's classes become indices."""
        return with_decoder_indices(
            output_options, lambda: data().instances.categories if data().annotated else None
        )

    def pipeline(self, input_options: Any, output_options: Any) -> DetectionPipeline:
        """The stages around inference."""
        return DetectionPipeline(input_options, output_options)

    def evaluate(self, data: DetectionData, predictions: Sequence[Prediction]) -> Accuracy:
        """COCO metrics of one prediction per image."""
        from pytest_perfgate.tasks.detection.coco_scores import evaluate

        return with_calibration(evaluate(data, predictions), "detection")

    @override
    def score_at(
        self, data: DetectionData, predictions: Sequence[Prediction], output_options: Any
    ) -> Mapping[str, tuple[Any, Any]]:
        """Precision, recall, F1 and confidence at the declared operating point."""
        if output_options.operating_point is None or not data.annotated:
            return {}
        from pytest_perfgate.tasks.detection.operating_point import ratios_at

        return ratios_at(data, predictions, output_options.operating_point)

    def doubt(
        self,
        data: DetectionData,
        predictions: Sequence[Prediction],
        accuracy: Accuracy,
        output_options: Any,
    ) -> Doubt | None:
        """See `tasks.detection.doubts.doubt_detections`."""
        from pytest_perfgate.tasks.detection.doubts import doubt_detections

        return doubt_detections(
            data, predictions, accuracy, output_options.options.get("classes", ())
        )

    def doubt_outputs(
        self, samples: Sequence[tuple[tuple[Any, ...], Any]], output_options: Any
    ) -> Doubt | None:
        """See `tasks.detection.decoder_doubts.doubt_boxes`; None for the project's own function."""
        if output_options.postprocess:
            return None
        from pytest_perfgate.tasks.detection.decoder_doubts import doubt_boxes

        return doubt_boxes(samples, output_options)

    @override
    def odd_outputs(
        self, samples: Sequence[tuple[tuple[Any, ...], Any]], output_options: Any
    ) -> str:
        """See `tasks.detection.decoder_doubts.odd_boxes`; "" for the project's own function."""
        if output_options.postprocess:
            return ""
        from pytest_perfgate.tasks.detection.decoder_doubts import odd_boxes

        return odd_boxes(samples, output_options)

    @override
    def part(self, data: DetectionData, rows: Sequence[int]) -> DetectionData:
        """Some images and their annotations."""
        return data.part(rows)

    @override
    def check_together(self, input_options: Any, output_options: Any) -> None:
        """What the decoder's boxes rest on must be what the network is given."""
        if not output_options.postprocess:
            decoder: Decoder = registry.find(registry.DECODERS, output_options.decode)
            options = decoder.Options.model_validate(output_options.options)
            decoder.check_input(options, input_options)
            if input_options.resize == TILES:
                _check_decoder(decoder, options, output_options)

    def alternatives(
        self, input_options: Any, output_options: Any
    ) -> Iterator[tuple[str, Any, Any]]:
        """Other units and formats of boxes, other decoders, and other ways to prepare pixels."""
        from pytest_perfgate.tasks.detection.doubts import other_decoders
        from pytest_perfgate.tasks.pixels.other_inputs import other_inputs

        if not output_options.postprocess:
            for text, output in other_decoders(output_options):
                yield text, input_options, output
        for text, pixels in other_inputs(input_options):
            yield text, pixels, output_options

    def pack(self, predictions: Sequence[Prediction]) -> dict[str, Any]:
        """Predictions as arrays, to be kept."""
        from pytest_perfgate.tasks.detection.agreement import pack

        return pack(predictions)

    def compare(self, ours: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        """`agreement` and `score_shift` of two packed predictions: numerator and denominator per
        image.
        """
        from pytest_perfgate.tasks.detection.agreement import compare, unpack

        return compare(unpack(ours), unpack(other))

    def worse(
        self, data: DetectionData, ours: Mapping[str, Any], other: Mapping[str, Any], most: int
    ) -> list[WorseImage] | None:
        """The images whose objects lost most of their scores."""
        from pytest_perfgate.tasks.detection.agreement import unpack
        from pytest_perfgate.tasks.detection.losses import LOSSES, truth

        if not data.annotated:
            return None
        names = data.instances.categories
        return LOSSES.worse_images(truth(data), unpack(ours), unpack(other), names, most)

    def objects(self, data: DetectionData, index: int) -> tuple[str, tuple[SeenBox, ...]]:
        """The file name of an image, and its annotated boxes."""
        from pytest_perfgate.tasks.detection.losses import LOSSES, truth

        instances = data.instances
        return instances.files[index], LOSSES.objects(truth(data)[index], instances.categories)


class DetectionPipeline(Pipeline):
    """Pre-process and post-process as declared."""

    def __init__(self, options: Input, wanted: Output) -> None:
        self._pixels = Preprocessing(options, placed=not wanted.postprocess)
        self._wanted = wanted
        self.in_tiles = options.resize == TILES
        self.decoder: Decoder = registry.find(registry.DECODERS, wanted.decode)
        self._decoder_options = self.decoder.Options.model_validate(wanted.options)
        self._own = (
            OwnPredictions(wanted.postprocess, as_prediction) if wanted.postprocess else None
        )
        self._units = self.decoder.units(self._decoder_options)

    def preprocess(self, images: Sequence[Any]) -> tuple[Inputs, Any]:
        """See `tasks.preprocessing`."""
        return self._pixels.read(images)

    def postprocess(self, outputs: tuple[Any, ...], meta: Any) -> list[Prediction]:
        """The network's outputs to one prediction per image, in pixels of the original image."""
        if self._own is not None:
            return self._own.read(outputs, meta)
        import numpy as np

        from pytest_perfgate.tasks.decoders.selection import selected, within
        from pytest_perfgate.tasks.detection.data import Prediction

        wanted = self._wanted
        try:
            decoded = self.decoder.decode(
                outputs, wanted.score_threshold, self._decoder_options, meta
            )
        except DataError as error:
            from pytest_perfgate.tasks.detection.decoder_doubts import explained

            raise explained(error, outputs, meta, wanted) from None
        predictions = []
        for (boxes, scores, categories), where in zip(decoded, meta, strict=True):
            groups = np.zeros_like(categories) if wanted.class_agnostic else categories
            kept, mapped = selected(
                boxes,
                scores,
                groups,
                where,
                wanted,
                units=self._units,
                suppresses=self.decoder.suppresses,
            )
            mapped = within(mapped, where)
            whole = (mapped[:, 2:] > mapped[:, :2]).all(axis=1)  # an empty box is no box
            kept = kept[whole]
            predictions.append(Prediction(mapped[whole], scores[kept], categories[kept]))
        if not self.in_tiles:
            return predictions
        from pytest_perfgate.tasks.detection.merging import merged

        return merged(predictions, meta, wanted)


def _check_decoder(decoder: Decoder, options: Any, output: Output) -> None:
    """Check that a decoder can read outputs of tiles.

    Raises:
        RecipeError: its boxes are of the whole picture, or it has no row for each tile.
    """
    if decoder.units(options) == "original":
        raise RecipeError(
            f"boxes of {output.decode!r} are in pixels of the whole picture, and the network sees "
            "tiles",
            where="suite.output.options.units",
            valid='"network" or "fractions", of a tile',
        )
    if not decoder.rows_of_images:
        raise RecipeError(
            f"outputs of {output.decode!r} have no row for each tile",
            where="suite.output.decode",
            valid="a decoder of outputs that begin with N",
        )
