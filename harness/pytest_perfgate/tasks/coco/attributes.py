"""Attributes of images in COCO files: fields of their entries and of their annotations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_perfgate.tasks.coco.ids import Ids
from pytest_perfgate.tasks.coco.instances import lists

if TYPE_CHECKING:
    from pytest_perfgate.tasks.coco.instances import Instances

_NESTED = "attributes"
"""The table in which annotation tools put fields of their own."""

_NO_ATTRIBUTES = {"id", "file_name", "image_id", "category_id", "num_keypoints"}


def attributes_of(
    coco: Mapping[str, Any], instances: Instances
) -> dict[str, list[tuple[Any, ...]]]:
    """The values of each image by attribute: `objects`, how many it has to find; `object_size`, the
    median of the square root of their areas, in pixels; fields of its entry; and fields of its
    annotations, each value once. A field of both is that of the entry.
    """
    import numpy as np

    images, annotations, _ = lists(coco)
    count = len(images)
    found: dict[str, list[dict[Any, None]]] = {}
    rows = Ids("image", images).rows_of("image_id", annotations).tolist()
    for row, entry in zip(rows, annotations, strict=True):
        for name, value in _fields(entry):
            found.setdefault(name, [{} for _ in range(count)])[row][value] = None
    own: dict[str, list[tuple[Any, ...]]] = {}
    for row, entry in enumerate(images):
        for name, value in _fields(entry):
            own.setdefault(name, [() for _ in range(count)])[row] = (value,)
    sizes: list[list[float]] = [[] for _ in range(count)]
    for image, area, crowd in zip(
        instances.image.tolist(), instances.areas.tolist(), instances.crowd.tolist(), strict=True
    ):
        if not crowd:
            sizes[image].append(float(area) ** 0.5)
    computed: dict[str, list[tuple[Any, ...]]] = {
        "objects": [(len(of_image),) for of_image in sizes],
        "object_size": [(float(np.median(of_image)),) if of_image else () for of_image in sizes],
    }
    of_annotations = {name: [tuple(values) for values in column] for name, column in found.items()}
    return {**computed, **of_annotations, **own}


def _fields(entry: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields of an image or annotation that have one plain value, nested ones too."""
    nested = entry.get(_NESTED)
    tables: Sequence[Mapping[str, Any]] = (
        (entry, nested) if isinstance(nested, Mapping) else (entry,)
    )
    for table in tables:
        for name, value in table.items():
            if isinstance(value, (str, int, float)) and name not in _NO_ATTRIBUTES:
                yield str(name), value
