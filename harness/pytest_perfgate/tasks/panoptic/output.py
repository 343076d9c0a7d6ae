"""A panoptic network's outputs: maps of segments, of classes, or queries, enlarged to the original
image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.output_options import OutputOptions
from pytest_perfgate.tasks.panoptic.data import Panoptic, panoptic
from pytest_perfgate.tasks.panoptic.semantic import from_labels
from pytest_perfgate.tasks.segmentation.output import Labelling
from pytest_perfgate.tasks.segmentation.output import Output as SegmentationOutput

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pytest_perfgate.tasks.pixels.geometry import Placed

_WHERE = "suite.output"
_MOST = 65_535  # segments of an image


class Output(OutputOptions):
    """How the network's outputs become a segment for each pixel: `[suite.output]`."""

    format: Literal["segments", "encoded", "queries", "semantic"] = Field(
        "segments",
        description="the network's outputs. segments: ids (N, h, w) and a table (N, S, 2 or 3) of "
        "id, class and, if there is one, score; encoded: one map (N, h, w) of class * divisor + "
        "instance; queries: class logits (N, Q, C), the last of them no object, and mask logits "
        "(N, Q, h, w); semantic: a class for each pixel, of which connected regions are things",
    )
    divisor: int = Field(1000, ge=2, description="encoded: what a class is multiplied by")
    classes: tuple[int, ...] = Field(
        (),
        description="index of each of the data's classes among the network's; pixels of others are "
        "of no segment. Default: the same order",
    )
    stuff: tuple[int, ...] = Field(
        (),
        description="queries, semantic: the data's classes that are stuff, whose masks become one "
        "segment",
    )
    semantic: SegmentationOutput = Field(
        default_factory=SegmentationOutput,
        description="semantic: what the first output is, a table of `[suite.output]` of the task "
        "`segmentation`, without its `classes`",
    )
    min_area: int = Field(
        1,
        ge=1,
        description="semantic: fewest pixels of the original image in a region of things; those of "
        "smaller ones are of no segment",
    )
    score_threshold: float = Field(
        0.5, ge=0, le=1, description="queries: lowest score of a segment's class"
    )
    overlap_threshold: float = Field(
        0.8,
        ge=0,
        le=1,
        description="queries: least share of a mask that no better one covers",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if any(index < 0 for index in self.classes) or len({*self.classes}) != len(self.classes):
            raise ValueError("classes are different indices from 0 on")
        if self.format not in {"queries", "semantic"} and self.stuff:
            raise ValueError('stuff is an option of format = "queries" and "semantic"')
        for name in ("semantic", "min_area"):
            if self.format != "semantic" and name in self.model_fields_set:
                raise ValueError(f'{name} is an option of format = "semantic"')
        for name in ("classes", "postprocess"):
            if getattr(self.semantic, name):
                raise ValueError(f"semantic has no {name}: {name} stands beside it")
        if self.format != "encoded" and "divisor" in self.model_fields_set:
            raise ValueError('divisor is an option of format = "encoded"')
        return self


class Reading:
    """From the network's outputs to `Panoptic`, as `[suite.output]` declares."""

    def __init__(self, wanted: Output) -> None:
        self._wanted = wanted

    def read(self, outputs: Sequence[Any], placed: Sequence[Placed]) -> list[Panoptic]:
        """What was predicted of each image.

        Raises:
            DataError: the outputs cannot be what is declared; names their shapes.
        """
        import numpy as np

        if self._wanted.format == "semantic":
            wanted = self._wanted
            return [
                from_labels(one.labels, self._of_labels, wanted.stuff, wanted.min_area)
                for one in Labelling(wanted.semantic).read(outputs, placed)
            ]
        arrays = [np.asarray(output) for output in outputs]
        read: Callable[[list[Any], int, Placed], Panoptic] = {
            "segments": self._of_segments,
            "encoded": self._of_codes,
            "queries": self._of_queries,
        }[self._wanted.format]
        self._check(arrays, len(placed))
        return [read(arrays, row, where) for row, where in enumerate(placed)]

    def _check(self, arrays: list[Any], count: int) -> None:
        form = self._wanted.format
        fits, valid = False, "ids (N, h, w) and a table (N, S, 2 or 3)"
        if form == "segments" and len(arrays) > 1:
            ids, table = arrays[:2]
            fits = ids.ndim == 3 and table.ndim == 3 and table.shape[2] in {2, 3}
        elif form == "encoded":
            fits, valid = arrays[0].ndim == 3, "one map (N, h, w)"
        elif form == "queries" and len(arrays) > 1:
            logits, masks = arrays[:2]
            fits = logits.ndim == 3 and masks.ndim == 4 and logits.shape[:2] == masks.shape[:2]
        if form == "queries":
            valid = "class logits (N, Q, C) and mask logits (N, Q, h, w)"
        if not fits or any(
            len(array) != count for array in arrays[: 1 if form == "encoded" else 2]
        ):
            raise DataError(
                f"the outputs have shapes {[tuple(array.shape) for array in arrays]}",
                where=f"{_WHERE}.format = {form!r}",
                valid=f"{valid}, and N = {count}",
                next_step="name the form of these outputs: segments, encoded, queries, semantic",
            )

    def _class_of(self, kinds: npt.NDArray[Any], where: str) -> npt.NDArray[np.int64]:
        """The network's classes (S,) as the data's; -1 for those that the data has not."""
        import numpy as np

        whole = kinds.astype(np.int64)
        if (whole != kinds).any():
            raise DataError(
                f"{kinds[whole != kinds][0]:.4g} stands where a class should be",
                where=where,
                valid="whole numbers",
            )
        if not self._wanted.classes:
            return whole
        place = {label: index for index, label in enumerate(self._wanted.classes)}
        return np.array([place.get(int(kind), -1) for kind in whole], dtype=np.int64)

    def _of_labels(self, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return self._class_of(labels, _WHERE)

    def _of_segments(self, arrays: list[Any], row: int, where: Placed) -> Panoptic:
        import numpy as np

        ids = _enlarged(arrays[0][row], where)
        table = arrays[1][row]
        table = table[(table[:, 0] > 0) & (table[:, 1] >= 0)]
        scores = table[:, 2].astype(np.float32) if table.shape[1] == 3 else None
        return _numbered(
            ids, table[:, 0].astype(np.int64), self._class_of(table[:, 1], _WHERE), scores
        )

    def _of_codes(self, arrays: list[Any], row: int, where: Placed) -> Panoptic:
        import numpy as np

        codes = _enlarged(arrays[0][row], where) + 1  # 0 stays free for pixels of nothing
        present = np.unique(codes[codes > 0])
        kinds = self._class_of((present - 1) // self._wanted.divisor, _WHERE)
        return _numbered(codes, present, kinds, None)

    def _of_queries(self, arrays: list[Any], row: int, where: Placed) -> Panoptic:
        """Each pixel goes to the query whose class score times mask score is highest there (Cheng
        et al. 2021, "Per-Pixel Classification is Not All You Need").
        """
        import numpy as np
        from scipy.special import expit, softmax

        from pytest_perfgate.tasks.pixels.enlarging import between, lines

        wanted = self._wanted
        chances = softmax(arrays[0][row].astype(np.float32), axis=1)
        kinds = chances.argmax(axis=1)
        scores = chances.max(axis=1)
        classes = self._class_of(kinds, _WHERE)
        kept = (kinds < chances.shape[1] - 1) & (classes >= 0) & (scores >= wanted.score_threshold)
        masks = arrays[1][row]
        down, across = lines(where, masks.shape[1:])
        best = np.zeros(where.original, dtype=np.float32)
        owner = np.zeros(where.original, dtype=np.int64)
        sizes = {}
        for query in np.flatnonzero(kept).tolist():  # all masks at once are gigabytes
            plane = masks[query].astype(np.float32, copy=False)
            mask = expit(between(between(plane, down, 0), across, 1))
            sizes[query] = int((mask >= 0.5).sum())
            better = mask * scores[query] > best
            best[better] = (mask * scores[query])[better]
            # Where a mask is the best of weak ones, the pixel is of nothing.
            owner[better] = np.where(mask >= 0.5, query + 1, 0)[better]
        areas = np.bincount(owner.reshape(-1), minlength=len(masks) + 1)
        place = np.zeros(len(masks) + 1, dtype=np.int64)
        named: list[int] = []
        sure: list[float] = []
        shared: dict[int, int] = {}
        for query, size in sizes.items():
            area = int(areas[query + 1])
            if not area or area < wanted.overlap_threshold * size:
                continue
            kind = int(classes[query])
            if kind in shared:
                place[query + 1] = shared[kind]
                sure[shared[kind] - 1] = max(sure[shared[kind] - 1], float(scores[query]))
                continue
            named.append(kind)
            sure.append(float(scores[query]))
            place[query + 1] = len(named)
            if kind in wanted.stuff:
                shared[kind] = len(named)
        return panoptic(place[owner], np.array(named, np.int64), np.array(sure, np.float32))


def _enlarged(ids: npt.NDArray[Any], where: Placed) -> npt.NDArray[np.int64]:
    """Ids (h, w) over the network's input, as the original picture (H, W), by nearest neighbour.

    Raises:
        DataError: they are no whole numbers.
    """
    import numpy as np

    from pytest_perfgate.tasks.pixels.enlarging import lines, nearest

    whole = ids.astype(np.int64)
    if ids.dtype.kind == "f" and (whole != ids).any():
        raise DataError(
            f"the map has the value {ids[whole != ids][0]:.4g}",
            where=f"{_WHERE}.format",
            valid="whole numbers, the ids of segments",
        )
    down, across = lines(where, (ids.shape[0], ids.shape[1]))
    large: npt.NDArray[np.int64] = whole.take(nearest(down), axis=0).take(nearest(across), axis=1)
    return large


def _numbered(
    ids: npt.NDArray[np.int64],
    known: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32] | None,
) -> Panoptic:
    """A map of ids (H, W) with the ids (S,) of its segments, their classes and scores (S,). Pixels
    of other ids, and of classes that are negative, are of no segment.

    Raises:
        DataError: an id is there twice.
    """
    import numpy as np

    kept = np.flatnonzero(kinds >= 0)
    order = kept[np.argsort(known[kept], kind="stable")]
    sorted_ids = known[order]
    if (sorted_ids[1:] == sorted_ids[:-1]).any() or len(order) > _MOST:
        raise DataError(
            f"the table has {len(order)} segments and {len({*sorted_ids.tolist()})} ids",
            where=f"{_WHERE}.format",
            valid=f"an id of its own for each segment, at most {_MOST:,}",
        )
    numbers = np.zeros(ids.shape, dtype=np.int64)
    if len(order):
        at = np.searchsorted(sorted_ids, ids).clip(max=len(order) - 1)
        numbers = np.where(sorted_ids[at] == ids, at + 1, 0)
    return panoptic(numbers, kinds[order], None if scores is None else scores[order])
