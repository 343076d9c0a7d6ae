"""What of an evaluation's matches its average precision depends on, however images are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_perfgate.records.accuracy import Matches

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Ranking:
    """Detections by category, best first, without their scores.

    Precision is read at hits: how many detections stand before one matters, not their order. So
    detections between two hits are sorted by image, and those behind the last hit of a category are
    left out, and those that count at no threshold. Two evaluations with equal rankings have equal
    average precision under every draw of images.

    Attributes:
        image, category, hits, ignored: int64 (D,) as in `Matches`.
        run: int64 (D,), how many hits stand before a detection, in all categories.
        truth: objects to find (images, categories).
    """

    image: npt.NDArray[np.int64]
    category: npt.NDArray[np.int64]
    hits: npt.NDArray[np.int64]
    ignored: npt.NDArray[np.int64]
    run: npt.NDArray[np.int64]
    truth: npt.NDArray[np.int32]

    def equals(self, other: Ranking) -> bool:
        """Whether all of it is the same."""
        import numpy as np

        names = ("image", "category", "hits", "ignored", "truth")
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)

    def sorted(self) -> Ranking:
        """The same with detections between two hits in the order of their images."""
        import numpy as np

        order = np.lexsort((self.ignored, self.image, self.hits != 0, self.run))
        return Ranking(
            self.image[order],
            self.category[order],
            self.hits[order],
            self.ignored[order],
            self.run[order],
            self.truth,
        )


def ranking_of(matches: Matches) -> Ranking:
    """The ranking of an evaluation's detections. Equal scores rank by image, as COCO has them."""
    import numpy as np

    image, category = matches.image.array(), matches.category.array()
    score = matches.score.array().astype(np.float64)
    columns = [
        column.astype(np.int64)
        for column in (image, category, matches.hits.array(), matches.ignored.array())
    ]

    def kept(rows: npt.NDArray[np.int64 | np.bool_]) -> list[npt.NDArray[np.int64]]:
        return [column[rows] for column in columns]

    columns = kept(np.lexsort((image, -score, category)))
    every = (1 << len(matches.thresholds)) - 1
    columns = kept((columns[2] != 0) | (columns[3] != every))
    truth = matches.truth.array()
    is_hit = columns[2] != 0
    last = np.full(truth.shape[1], -1)
    np.maximum.at(last, columns[1][is_hit], np.flatnonzero(is_hit))
    columns = kept(np.arange(len(is_hit)) <= last[columns[1]])
    is_hit = columns[2] != 0
    run = np.cumsum(is_hit) - is_hit
    image, category, hits, ignored = columns
    return Ranking(image, category, hits, ignored, run, truth).sorted()


def numbers_of(objects: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """The number of each image (images,) when those with objects of a category (images,) come
    first: most of its detections lie there.
    """
    import numpy as np

    numbers = np.empty(len(objects), np.int64)
    numbers[np.argsort(objects == 0, kind="stable")] = np.arange(len(objects))
    return numbers
