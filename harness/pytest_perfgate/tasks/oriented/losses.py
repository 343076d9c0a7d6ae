"""What an oriented detector loses: the scores of its objects' boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_perfgate.records.image_losses import SeenBox
from pytest_perfgate.tasks.losses import Losses, rounded
from pytest_perfgate.tasks.oriented.agreement import pairs
from pytest_perfgate.tasks.oriented.data import Oriented
from pytest_perfgate.tasks.polygons import bounds

if TYPE_CHECKING:
    from pytest_perfgate.tasks.oriented.data import OrientedData


def truth(data: OrientedData) -> list[Oriented]:
    """The objects of every image that are to be found, in the order of images."""
    return [
        Oriented(one.corners[~hard], one.scores[~hard], one.categories[~hard])
        for one, hard in zip(data.objects, data.ignored, strict=True)
    ]


def _score(_objects: Oriented, detections: Oriented, _row: int, column: int) -> float:
    """An object's value is the score of the detection that it is paired with."""
    return float(detections.scores[column])


def _drawn(side: Oriented, index: int, category: str) -> SeenBox:
    corners = side.corners[index].astype(float)
    return SeenBox(
        box=rounded(bounds(corners[None])[0].tolist()),
        category=category,
        outline=tuple((round(x, 1), round(y, 1)) for x, y in corners.tolist()),
    )


LOSSES = Losses(pairs, _score, _drawn)
