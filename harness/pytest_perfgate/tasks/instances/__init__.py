"""Instance segmentation: a mask for each object, held to COCO's mean average precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.corruptions import STILL
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.metric import Metric, by_name
from pytest_perfgate.tasks import Pipeline, Task
from pytest_perfgate.tasks.class_names import with_decoder_indices
from pytest_perfgate.tasks.instances.data import InstanceData, as_masks
from pytest_perfgate.tasks.instances.output import Output
from pytest_perfgate.tasks.pixels.filters import required
from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.tasks.pixels.own_functions import OwnPredictions
from pytest_perfgate.tasks.pixels.preprocessing import Preprocessing
from pytest_perfgate.tasks.score_metrics import at_operating_point, by_size, score_shift

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Accuracy, Doubt
    from pytest_perfgate.records.image_losses import SeenBox, WorseImage
    from pytest_perfgate.tasks.instances.data import MaskPrediction
    from pytest_perfgate.tasks.mask_decoders import MaskDecoder


_IOU = "intersection over union (IoU)"

METRICS = by_name(
    Metric.score(
        "mask_map",
        "COCO mean average precision of masks over all validation images: mean over categories and "
        f"{_IOU} of masks from 0.50 to 0.95, at most 100 detections per image.",
        by_class=True,
    ),
    Metric.score("mask_map50", "mask_map at an IoU of 0.50.", by_class=True),
    Metric.score("mask_map75", "mask_map at an IoU of 0.75.", by_class=True),
    *by_size("mask_map", "small", "medium", "large"),
    *at_operating_point("mask_map", "mask"),
    Metric.score(
        "agreement",
        "Share of masks that recipe and reference have in common: twice the number of matched "
        "pairs, divided by all detections of both with a score of at least 0.3. Two detections "
        "match when they have the same category and an IoU of masks of at least 0.5. No "
        "annotations are used.",
        against_reference=True,
    ),
    score_shift("mask_map", "mask"),
)


class Instances(Task):
    """The task `instances`."""

    name = "instances"
    metrics = METRICS
    Data = InstanceData
    class_score = "average precision"
    corruptions = STILL
    decoders = registry.MASK_DECODERS
    Input = Input
    Output = Output
    requires = (
        registry.from_extra("faster_coco_eval", "detection"),
        registry.from_extra("PIL", "detection"),
    )

    def read(self, declared: Mapping[str, Any], folder: Path, root: Path) -> InstanceData:
        """`{ images = "folder", annotations = "instances.json" }`: COCO's instances with masks;
        or with `labels` and `classes` YOLO's outlines. Without either the images alone.
        """
        from pytest_perfgate.tasks.coco.files import read_coco

        return read_coco(declared, folder, root, InstanceData, kind="outlines")

    @override
    def requires_with(self, input_options: Any) -> tuple[registry.Requirement, ...]:
        """Also the package that resizes pictures."""
        return (*self.requires, *required(input_options))

    @override
    def fit_output(self, output_options: Any, data: Callable[[], InstanceData]) -> Any:
        """Names of the network's classes become indices."""
        return with_decoder_indices(
            output_options, lambda: data().instances.categories if data().annotated else None
        )

    def pipeline(self, input_options: Any, output_options: Any) -> InstancesPipeline:
        """The stages around inference."""
        return InstancesPipeline(input_options, output_options)

    def evaluate(self, data: InstanceData, predictions: Sequence[MaskPrediction]) -> Accuracy:
        """COCO metrics of one prediction per image."""
        from pytest_perfgate.tasks.detection.coco_scores import evaluate
        from pytest_perfgate.tasks.instances.data import refuse_other_sizes

        refuse_other_sizes(data, predictions)
        return evaluate(data, predictions, prefix="mask_")

    @override
    def score_at(
        self, data: InstanceData, predictions: Sequence[MaskPrediction], output_options: Any
    ) -> Mapping[str, tuple[Any, Any]]:
        """Precision, recall, F1 and confidence at the declared operating point."""
        if output_options.operating_point is None or not data.annotated:
            return {}
        from pytest_perfgate.tasks.detection.operating_point import ratios_at

        return ratios_at(data, predictions, output_options.operating_point)

    def doubt(
        self,
        data: InstanceData,
        predictions: Sequence[MaskPrediction],
        accuracy: Accuracy,
        output_options: Any,
    ) -> Doubt | None:
        """See `instances.doubts.doubt_instances`."""
        from pytest_perfgate.tasks.instances.doubts import doubt_instances

        declared = output_options.options.get("classes", ())
        return doubt_instances(data, predictions, accuracy, declared)

    def alternatives(
        self, input_options: Any, output_options: Any
    ) -> Iterator[tuple[str, Any, Any]]:
        """Other ways to prepare pixels."""
        from pytest_perfgate.tasks.pixels.other_inputs import other_inputs

        for text, pixels in other_inputs(input_options):
            yield text, pixels, output_options

    @override
    def part(self, data: InstanceData, rows: Sequence[int]) -> InstanceData:
        """Some images and their annotations."""
        return data.part(rows)

    def pack(self, predictions: Sequence[MaskPrediction]) -> dict[str, Any]:
        """Predictions as arrays, to be kept."""
        from pytest_perfgate.tasks.instances.agreement import pack

        return pack(predictions)

    def compare(self, ours: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        """`agreement` and `score_shift` of two packed predictions: numerator and denominator per
        image.
        """
        from pytest_perfgate.tasks.instances.agreement import pairs, unpack
        from pytest_perfgate.tasks.pairing import compare_pairs

        return compare_pairs(unpack(ours), unpack(other), pairs)

    def worse(
        self, data: InstanceData, ours: Mapping[str, Any], other: Mapping[str, Any], most: int
    ) -> list[WorseImage] | None:
        """The images whose objects lost most of their scores and masks."""
        from pytest_perfgate.tasks.instances.agreement import LOSSES, truth, unpack

        if not data.annotated:
            return None
        names = data.instances.categories
        return LOSSES.worse_images(truth(data), unpack(ours), unpack(other), names, most)

    def objects(self, data: InstanceData, index: int) -> tuple[str, tuple[SeenBox, ...]]:
        """The file name of an image, and the boxes around its masks."""
        from pytest_perfgate.tasks.instances.agreement import LOSSES, truth

        instances = data.instances
        return instances.files[index], LOSSES.objects(truth(data)[index], instances.categories)


class InstancesPipeline(Pipeline):
    """Pre-process and post-process as declared."""

    def __init__(self, options: Input, wanted: Output) -> None:
        self._pixels = Preprocessing(options, placed=not wanted.postprocess)
        self._wanted = wanted
        self.decoder: MaskDecoder = registry.find(registry.MASK_DECODERS, wanted.decode)
        self._decoder_options = self.decoder.Options.model_validate(wanted.options)
        self._units = self.decoder.units(self._decoder_options)
        self._own = OwnPredictions(wanted.postprocess, as_masks) if wanted.postprocess else None

    def preprocess(self, images: Sequence[Any]) -> tuple[Inputs, Any]:
        """See `tasks.preprocessing`."""
        return self._pixels.read(images)

    def postprocess(self, outputs: tuple[Any, ...], meta: Any) -> list[MaskPrediction]:
        """The network's outputs to one prediction per image, in pixels of the original image.
        Objects without a pixel are left out.
        """
        if self._own is not None:
            return self._own.read(outputs, meta)
        from pytest_perfgate.tasks.decoders.selection import selected, within
        from pytest_perfgate.tasks.instances.data import (
            MaskPrediction,
            corners_of,
            without_empty,
        )
        from pytest_perfgate.tasks.masks.painting import Painter

        wanted = self._wanted
        decoded = self.decoder.decode(outputs, wanted.score_threshold, self._decoder_options, meta)
        predictions = []
        for image, where in zip(decoded, meta, strict=True):
            kept, mapped = selected(
                image.boxes,
                image.scores,
                image.categories,
                where,
                wanted,
                units=self._units,
                suppresses=self.decoder.suppresses,
            )
            masks = Painter(image.planes, where).masks(image.rows[kept], mapped)
            boxes = within(mapped, where) if image.boxed else corners_of(masks)
            predictions.append(
                without_empty(
                    MaskPrediction(boxes, image.scores[kept], image.categories[kept], masks)
                )
            )
        return predictions
