"""What data with COCO's annotations have in common, whatever else a task reads of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from typing_extensions import override

from pytest_perfgate.tasks.coco.attributes import attributes_of
from pytest_perfgate.tasks.coco.instances import Instances, read_instances
from pytest_perfgate.tasks.image_files import Digested


class CocoData(Digested):
    """Images and their COCO annotations.

    Attributes:
        coco: as COCO writes them: images, annotations, categories.
    """

    coco: dict[str, Any]

    @cached_property
    def instances(self) -> Instances:
        """The annotations, checked, as rows and arrays."""
        return read_instances(self.coco, len(self.images))

    def entries_of(self, rows: Sequence[int]) -> dict[str, Any]:
        """COCO's entries of some images alone, with all categories that count. Ids of images stay:
        they rank equal scores as those of the whole do.
        """
        whole, kept = self.instances, set(rows)
        objects = zip(
            whole.rows.tolist(), whole.image.tolist(), whole.category.tolist(), strict=True
        )
        return {
            "images": [self.coco["images"][row] for row in rows],
            "annotations": [
                {**self.coco["annotations"][index], "category_id": category + 1}
                for index, row, category in objects
                if row in kept
            ],
            "categories": [
                {"id": index + 1, "name": name} for index, name in enumerate(whole.categories)
            ],
        }

    @property
    @override
    def class_names(self) -> tuple[str, ...]:
        return self.instances.categories

    @property
    @override
    def file_names(self) -> tuple[str, ...]:
        return self.instances.files

    @override
    def image_attributes(self) -> Mapping[str, Sequence[Sequence[Any]]]:
        """The fields of the file's images and annotations."""
        return attributes_of(self.coco, self.instances)
