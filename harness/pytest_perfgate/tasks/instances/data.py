"""Instance segmentation: images with the mask of each object, and what is predicted of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.coco.instances import Instances, as_text, read_instances
from pytest_perfgate.tasks.detection.data import DetectionData, Prediction, as_prediction

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pytest_perfgate.tasks.masks.runs import Masks
    from pytest_perfgate.tasks.masks.segmentations import Outlined


@dataclass(frozen=True)
class InstanceData(DetectionData):
    """Images and their COCO annotations with masks: polygons, or run-length encodings.

    Attributes:
        images: uint8 (H, W, 3) RGB each, in the order of `coco["images"]`.
        coco: instances as COCO writes them: images, annotations, categories. An annotation without
            a box or an area has those of its mask.
        annotated: whether the objects in the images are known; False: nothing is said of them.

    Raises:
        DataError: the two do not fit together; names the entry.
    """

    @cached_property
    def _outlined(self) -> Outlined:
        from pytest_perfgate.tasks.masks.segmentations import outlined

        def decoded_size(row: int) -> tuple[int, int]:
            height, width = self.images[row].shape[:2]
            return height, width

        return outlined(self.coco, decoded_size)

    @cached_property
    @override
    def instances(self) -> Instances:
        """The annotations, checked, as rows and arrays."""
        return read_instances(
            self._outlined.coco if self.annotated else self.coco, len(self.images)
        )

    @cached_property
    @override
    def digest(self) -> str:
        """One text for all images and annotations, equal only when all of them are; of outlines the
        pixels count.
        """
        if not self.annotated:
            return super().digest
        known = [
            {key: value for key, value in entry.items() if key != "segmentation"}
            for entry in self.coco["annotations"]
        ]
        tables = as_text({**self.coco, "annotations": known})
        total = hashlib.sha256("\n".join((*self.digests, tables)).encode())
        for text in self._outlined.texts:
            total.update(text + b"\n")
        return total.hexdigest()

    def masks(self, objects: npt.NDArray[np.int64], image: int) -> Masks:
        """The masks of some objects of one image, by their rows in `instances`."""
        from pytest_perfgate.tasks.masks.runs import Masks

        texts = self._outlined.texts
        rows = self.instances.rows[objects].tolist()
        return Masks(self._outlined.sizes[image], tuple(texts[row] for row in rows))

    def size(self, image: int) -> tuple[int, int]:
        """Height and width of an image."""
        return self._outlined.sizes[image]

    @override
    def overlaps(
        self,
        prediction: Prediction,
        rows: npt.NDArray[np.int64],
        objects: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float64]:
        """Intersection over union of masks, (D, O); over the detection's own area for a crowd."""
        import numpy as np

        instances = self.instances
        if not isinstance(prediction, MaskPrediction) or not len(objects):
            return np.zeros((len(rows), len(objects)))
        masks = self.masks(objects, int(instances.image[objects[0]]))
        return prediction.masks.of(rows).overlaps(masks, instances.crowd[objects])


@dataclass(frozen=True)
class MaskPrediction(Prediction):
    """What was found in one image: boxes, scores and categories as of `Prediction`, and the mask of
    each, run-length encoded.
    """

    masks: Masks

    @override
    def areas(self) -> npt.NDArray[np.int64]:
        """Pixels of each mask, (M,)."""
        return self.masks.areas()

    @override
    def content(self) -> bytes:
        """All of it as bytes, equal only for equal predictions."""
        return super().content() + b"\0".join(self.masks.texts)


def as_masks(value: Any) -> MaskPrediction:
    """What a project's own post-processing returned for one image: a `MaskPrediction`, or a tuple
    of masks (M, H, W), true where a pixel of the original image is of the object, scores (M,) and
    categories (M,), in any order of scores. Objects without a pixel are left out.

    Raises:
        DataError: it is neither, or holds something else.
    """
    import numpy as np

    from pytest_perfgate.tasks.masks.runs import Masks, encoded

    if isinstance(value, MaskPrediction):
        checked = as_prediction(Prediction(value.boxes, value.scores, value.categories))
        if len(value.masks) != len(value.scores):
            raise DataError(f"there are {len(value.masks)} masks", valid=_VALID)
        order = np.argsort(-np.asarray(value.scores), kind="stable")
        masks = value.masks.of(order)
        return MaskPrediction(checked.boxes, checked.scores, checked.categories, masks)
    if not isinstance(value, tuple) or len(value) != 3:
        raise DataError(f"the prediction is {type(value).__name__}", valid=_VALID)
    pixels, scores, categories = (np.asarray(part) for part in value)
    if pixels.ndim != 3 or pixels.dtype.kind not in "biu" or len(pixels) != len(scores):
        raise DataError(
            f"the masks are {pixels.dtype.name} {pixels.shape}, and there are {len(scores)} scores",
            valid=_VALID,
        )
    size = (pixels.shape[1], pixels.shape[2])
    masks = Masks(size, tuple(encoded(one > 0, 0, 0, size) for one in pixels))
    checked = as_prediction((corners_of(masks), scores, categories))
    order = np.argsort(-scores, kind="stable")
    return without_empty(
        MaskPrediction(checked.boxes, checked.scores, checked.categories, masks.of(order))
    )


_VALID = (
    "masks (M, H, W), bool, of pixels of the original image, scores (M,), and categories (M,), "
    "0 or more"
)


def corners_of(masks: Masks) -> npt.NDArray[np.float32]:
    """The smallest box around each mask as corners, float32 (M, 4)."""
    import numpy as np

    corners = masks.boxes()
    corners[:, 2:] += corners[:, :2]
    return corners.astype(np.float32)


def without_empty(prediction: MaskPrediction) -> MaskPrediction:
    """The same without objects that have no pixel."""
    import numpy as np

    rows = np.flatnonzero(prediction.masks.areas())
    if len(rows) == len(prediction.scores):
        return prediction
    return MaskPrediction(
        prediction.boxes[rows],
        prediction.scores[rows],
        prediction.categories[rows],
        prediction.masks.of(rows),
    )


def refuse_other_sizes(data: InstanceData, predictions: Sequence[MaskPrediction]) -> None:
    """Check that masks are of the size of their image, where there are annotations.

    Raises:
        DataError: names the image and both sizes.
    """
    if not data.annotated:
        return
    for index, prediction in enumerate(predictions):
        (height, width), (tall, wide) = prediction.masks.size, data.size(index)
        if (height, width) != (tall, wide):
            raise DataError(
                f"the prediction of image {index} ({data.instances.files[index]!r}) has masks of "
                f"{width} x {height} pixels, and the image has {wide} x {tall}",
                where="suite.output",
                valid="masks of the size of the original image",
            )
