"""Pictures cut around one object each, for top-down networks: they see an object at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from pytest_perfgate.artifact import OptionsModel
from pytest_perfgate.tasks.image_files import ImageFiles
from pytest_perfgate.tasks.pose.data import PoseData
from pytest_perfgate.tasks.pose.scores import ignored_objects

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Window = tuple[int, int, int, int]
"""Left, top, width and height in pixels; it may reach out of the picture."""


class Crop(OptionsModel):
    """How much of a picture is cut out around an object's box."""

    padding: float = Field(
        1.25, ge=1, le=4, description="sides of the cut, as multiples of the box's"
    )
    aspect: float = Field(
        0.75,
        gt=0.1,
        lt=10,
        description="width of the cut over its height; the box is enlarged to it",
    )


class Crops(Sequence[Any]):
    """Cuts of images, uint8 (h, w, 3) RGB, black outside of the picture."""

    def __init__(self, images: Sequence[Any], cuts: Sequence[tuple[int, Window]]) -> None:
        self._images = images
        self._cuts = cuts
        self._decoded: tuple[int, Any] = (-1, None)  # objects of one image follow each other

    def __len__(self) -> int:
        return len(self._cuts)

    def __getitem__(self, index: Any) -> Any:
        import numpy as np

        row, (left, top, width, height) = self._cuts[index]
        if self._decoded[0] != row:
            self._decoded = (row, self._images[row])
        image = self._decoded[1]
        cut = np.zeros((height, width, 3), np.uint8)
        rows = slice(max(0, -top), min(height, image.shape[0] - top))
        columns = slice(max(0, -left), min(width, image.shape[1] - left))
        cut[rows, columns] = image[
            rows.start + top : rows.stop + top, columns.start + left : columns.stop + left
        ]
        return cut

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of the images."""
        return self._images.notes if isinstance(self._images, ImageFiles) else ()


def window(box: npt.NDArray[np.float64], crop: Crop) -> Window:
    """The cut around a box (4,), x, y, width and height."""
    x, y, width, height = box.tolist()
    middle_x, middle_y = x + width / 2, y + height / 2
    width, height = max(width, height * crop.aspect), max(height, width / crop.aspect)
    width, height = max(1, round(width * crop.padding)), max(1, round(height * crop.padding))
    return round(middle_x - width / 2), round(middle_y - height / 2), width, height


def one_object_each(data: PoseData, crop: Crop | None = None) -> PoseData:
    """An image for each object of `data` that is to be found, cut around its annotated box, with
    this object alone.
    """
    crop = crop or Crop()
    instances = data.instances
    images, annotations, cuts = [], [], []
    entries = data.coco["annotations"]
    rows = (~ignored_objects(data)).nonzero()[0]
    for number, row in enumerate(sorted(rows.tolist(), key=lambda one: instances.image[one]), 1):
        cut = window(instances.boxes[row], crop)
        left, top, width, height = cut
        image = int(instances.image[row])
        entry: Mapping[str, Any] = entries[instances.rows[row]]
        images.append(
            {
                "id": number,
                "file_name": f"{instances.files[image] or image} #{entry.get('id', row)}",
                "width": width,
                "height": height,
            }
        )
        x, y, *size = instances.boxes[row].tolist()
        annotations.append(
            {
                **entry,
                "id": number,
                "image_id": number,
                "bbox": [x - left, y - top, *size],
                "area": float(instances.areas[row]),
                "keypoints": _moved(data, row, left, top),
            }
        )
        cuts.append((image, cut))
    coco = {"images": images, "annotations": annotations, "categories": data.coco["categories"]}
    return PoseData(Crops(data.images, cuts), coco, data.sigmas)


def _moved(data: PoseData, row: int, left: int, top: int) -> list[float]:
    """The keypoints of an object, x, y and visibility, in pixels of its cut."""
    keypoints = data.keypoints
    triples: list[float] = []
    for (x, y), labelled in zip(
        keypoints.points[row].tolist(), keypoints.labelled[row].tolist(), strict=True
    ):
        triples += [x - left, y - top, 2] if labelled else [0.0, 0.0, 0]
    return triples
