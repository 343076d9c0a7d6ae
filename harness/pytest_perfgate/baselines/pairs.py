"""What a paired comparison with a baseline needs, as compressed files beside it.

Of matches it is their ranking, without scores: average precision under every draw of images is that
of the matches themselves. Of ratios it is both parts of each image. Each further set of images has
a file of its own, so that one whose images change replaces no other. The file is what `numpy.savez`
writes, compressed by xz; its arrays are the bytes of whole numbers, the lowest byte of all first,
which compresses best.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from pytest_perfgate.frozen import Frozen
from pytest_perfgate.records.accuracy import LARGEST, STEP, Accuracy, Matches, Packed, Ratio
from pytest_perfgate.records.calibration import ECE, calibration_parts
from pytest_perfgate.records.ranking import Ranking, ranking_of
from pytest_perfgate.records.stored_arrays import stored_arrays

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_SUFFIX = ".npz.xz"
_NAME = re.compile(r"(?P<recipe>[^/\\\0]+)\.[0-9a-f]{32}\.npz\.xz")
_LARGEST_DICTIONARY = 2**24
_MEMORY = 2**28  # bytes that unpacking may take beside its result


class Pairs(Frozen):
    """The file beside a baseline.

    Attributes:
        file: its name, which ends in the digest of its bytes.
        size: bytes when unpacked.
        thresholds, recalls, categories: of the matches, as in `Matches`; None without matches.
    """

    file: str
    size: int = Field(gt=0, le=LARGEST)
    thresholds: tuple[float, ...] | None = None
    recalls: str = "coco"
    categories: tuple[str, ...] = ()


def split(accuracy: Accuracy, recipe: str) -> tuple[Accuracy, Pairs | None, bytes]:
    """An accuracy without what a paired comparison needs, and the file that holds it; None where
    it has nothing of that. Its sets are left as they are.
    """
    matches, ratios = accuracy.matches, dict(accuracy.ratios)
    if matches is not None and ECE in accuracy.values and ECE not in ratios:
        ratios[ECE] = calibration_parts(matches)  # it depends on scores, which a ranking has not
    arrays: dict[str, npt.NDArray[np.uint8]] = {}
    if matches is not None:
        arrays |= _of_ranking(ranking_of(matches))
        if matches.order is not None:
            arrays["order"] = _planes(matches.order.array())
    for name, ratio in ratios.items():
        arrays |= _of_floats(f"numerator {name}", ratio.numerator.array())
        arrays |= _of_floats(f"denominator {name}", ratio.denominator.array())
    if not arrays:
        return accuracy, None, b""
    plain = _npz(arrays)
    packed = _packed(plain)
    pairs = Pairs(
        file=f"{recipe}.{_digest(packed)}{_SUFFIX}",
        size=len(plain),
        thresholds=matches.thresholds if matches else None,
        recalls=matches.recalls if matches else "coco",
        categories=matches.categories if matches else (),
    )
    return accuracy.model_copy(update={"matches": None, "ratios": {}}), pairs, packed


def joined(accuracy: Accuracy, pairs: Pairs, folder: Path) -> Accuracy:
    """The accuracy with what its file in `folder` holds.

    Raises:
        ValueError: the file is not there or not as it was written; says what is wrong with it.
    """
    if not _NAME.fullmatch(pairs.file):
        raise ValueError("its name is not RECIPE.DIGEST.npz.xz")
    try:
        with (folder / pairs.file).open("rb") as file:
            packed = file.read(LARGEST + 1)
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from error
    if f".{_digest(packed)}{_SUFFIX}" != pairs.file[-(33 + len(_SUFFIX)) :]:
        raise ValueError("its content has another digest than its name says")
    arrays = stored_arrays(io.BytesIO(_unpacked(packed, pairs.size)))
    matches = _matches(arrays, pairs) if pairs.thresholds is not None else None
    ratios = {}
    for key in arrays:
        what, _, name = key.partition(" ")
        if what == "numerator":
            name = name.rpartition(" ")[0]
            ratios[name] = Ratio(
                numerator=Packed.of(_floats(arrays, f"numerator {name}")),
                denominator=Packed.of(_floats(arrays, f"denominator {name}")),
            )
    return accuracy.model_copy(update={"matches": matches, "ratios": ratios})


def beside(file: Path) -> list[Path]:
    """The files with pairs of the baseline `file`, those of earlier ones included."""
    return sorted(
        other
        for other in file.parent.glob(f"*{_SUFFIX}")
        if (match := _NAME.fullmatch(other.name)) and match["recipe"] == file.stem
    )


def _digest(packed: bytes) -> str:
    return hashlib.sha256(packed).hexdigest()[:32]


def _packed(plain: bytes) -> bytes:
    # Bytes of numbers are not aligned to each other (pb = 0) and much like the one before (lc = 4).
    # A dictionary beyond the content would only take time to be made.
    size = min(max(len(plain), 4096), _LARGEST_DICTIONARY)
    best = {"preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "pb": 0, "dict_size": size}
    return lzma.compress(plain, check=lzma.CHECK_CRC32, filters=[{"id": lzma.FILTER_LZMA2, **best}])


def _unpacked(packed: bytes, size: int) -> bytes:
    """What is packed, and never more than `size`."""
    try:
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
        plain = decompressor.decompress(packed, max_length=size + 1)
    except lzma.LZMAError as error:
        raise ValueError(f"it does not unpack: {error}") from error
    if len(plain) != size or not decompressor.eof:
        raise ValueError(f"it does not unpack to the {size:,} bytes that the baseline names")
    return plain


def _npz(arrays: Mapping[str, Any]) -> bytes:
    """As `numpy.savez`, without the time, so that equal arrays are equal bytes."""
    import numpy as np

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            part = io.BytesIO()
            np.lib.format.write_array(part, arrays[name], allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), part.getvalue())
    return out.getvalue()


def _of_ranking(ranking: Ranking) -> dict[str, npt.NDArray[np.uint8]]:
    """The ranking's columns as few and small numbers.

    Images of a category are counted anew, those with an object of it first: most detections lie
    there. Between two hits their numbers rise, so differences are stored.
    """
    import numpy as np

    number = np.zeros_like(ranking.image)
    for category in np.unique(ranking.category).tolist():
        rows = ranking.category == category
        number[rows] = _numbers(ranking.truth[:, category])[ranking.image[rows]]
    is_hit = ranking.hits != 0
    order = np.lexsort((ranking.ignored, number, is_hit, ranking.run))
    number, ignored = number[order], ranking.ignored[order]
    misses, runs = number[~is_hit], ranking.run[~is_hit]  # hits stay where they are
    steps = misses.copy()
    steps[1:] -= np.where(runs[1:] == runs[:-1], misses[:-1], 0)
    place = np.flatnonzero(is_hit)
    image, category = np.nonzero(ranking.truth)
    cells = category * len(ranking.truth) + image
    by_cell = np.argsort(cells)
    return {
        "shape": _planes(np.array(ranking.truth.shape)),
        "categories": _planes(np.bincount(ranking.category, minlength=ranking.truth.shape[1])),
        "hit images": _planes(number[is_hit]),
        "hits": _planes(ranking.hits[is_hit]),
        "misses before": _planes(np.diff(place, prepend=-1) - 1),
        "miss images": _planes(steps),
        "ignored": _planes(ignored),
        "cells": _planes(np.diff(cells[by_cell], prepend=0)),
        "objects": _planes(ranking.truth[image, category][by_cell]),
    }


def _matches(arrays: Mapping[str, Any], pairs: Pairs) -> Matches:
    """Matches of the stored ranking; scores fall by one from each detection to the next."""
    import numpy as np

    names = ("shape", "categories", "hit images", "hits", "misses before", "miss images")
    missing = sorted({*names, "ignored", "cells", "objects"} - arrays.keys())
    if missing:
        raise ValueError(f"it has no array {missing[0]!r}")
    images, categories = _whole(arrays["shape"]).tolist()
    if categories != len(pairs.categories) or 4 * images * categories > LARGEST:
        raise ValueError(f"it is of {images} images and {categories} categories")
    cells, counts = np.cumsum(_whole(arrays["cells"])), _whole(arrays["objects"])
    if len(cells) != len(counts) or cells.max(initial=-1) >= images * categories:
        raise ValueError("its objects are not of its images")
    truth = np.zeros((images, categories), np.int32)
    truth[cells % images, cells // images] = counts
    ignored, before = _whole(arrays["ignored"]), _whole(arrays["misses before"])
    sizes = _whole(arrays["categories"])
    if len(sizes) != categories or sizes.sum() != len(ignored):
        raise ValueError("its categories have other detections than its rows")
    category = np.repeat(np.arange(categories), sizes)
    place = np.cumsum(before + 1) - 1
    hit_images, hits = _whole(arrays["hit images"]), _whole(arrays["hits"])
    steps = _whole(arrays["miss images"])
    if not len(place) == len(hits) == len(hit_images) or before.sum() != len(steps):
        raise ValueError("its hits and misses are not those of its rows")
    if len(place) + len(steps) != len(ignored):
        raise ValueError("its hits and misses are not those of its rows")
    total = np.cumsum(steps)
    starts = np.cumsum(before) - before  # of each run among the misses
    some = before > 0
    offsets = np.where(starts[some] > 0, total[starts[some] - 1], 0)
    number, of_row = np.zeros((2, len(ignored)), np.int64)
    is_hit = np.zeros(len(ignored), bool)
    is_hit[place] = True
    number[is_hit], of_row[is_hit] = hit_images, hits
    number[~is_hit] = total - np.repeat(offsets, before[some])
    if number.max(initial=0) >= images:
        raise ValueError("its detections are not of its images")
    image = np.zeros_like(number)
    for index in np.flatnonzero(sizes).tolist():
        rows = category == index
        image[rows] = np.argsort(_numbers(truth[:, index]))[number[rows]]
    order = None
    if "order" in arrays:
        order = _whole(arrays["order"])
        if not np.array_equal(np.sort(order), np.arange(images)):
            raise ValueError("its order is not one of its images")
    behind = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(ignored))
    return Matches(
        thresholds=pairs.thresholds or (),
        categories=pairs.categories,
        image=Packed.of(image.astype(np.int32), level=1),
        category=Packed.of(category.astype(np.int16), level=1),
        score=Packed.of(behind.astype(np.float32), level=1),
        hits=Packed.of(of_row.astype(np.uint16), level=1),
        ignored=Packed.of(ignored.astype(np.uint16), level=1),
        truth=Packed.of(truth, level=1),
        recalls="all" if pairs.recalls == "all" else "coco",
        order=None if order is None else Packed.of(order.astype(np.int32), level=1),
    )


def _numbers(objects: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The number of each image (images,) when those with objects come first."""
    import numpy as np

    numbers = np.empty(len(objects), np.int64)
    numbers[np.argsort(objects == 0, kind="stable")] = np.arange(len(objects))
    return numbers


def _of_floats(name: str, values: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.uint8]]:
    """Values as whole numbers, of ones or of steps, where they are such; else as they are."""
    import numpy as np

    for kind, step in (("ones", 1.0), ("steps", STEP)):
        whole = np.rint(values / step)
        if (np.abs(whole) < 2**31).all() and (whole * step == values).all():
            # Even numbers are those from 0 on, odd ones the negative: both are small.
            signed = whole.astype(np.int64)
            return {f"{name} {kind}": _planes(np.where(signed < 0, -2 * signed - 1, 2 * signed))}
    return {f"{name} floats": values.astype("<f8").view(np.uint8).reshape(-1, 8).T.copy()}


def _floats(arrays: Mapping[str, Any], name: str) -> npt.NDArray[np.float64]:
    import numpy as np

    for kind, step in (("ones", 1.0), ("steps", STEP)):
        if (planes := arrays.get(f"{name} {kind}")) is not None:
            whole = _whole(planes)
            return np.where(whole % 2, -(whole + 1) // 2, whole // 2) * step
    planes = arrays.get(f"{name} floats")
    if planes is None or planes.dtype != np.uint8 or planes.ndim != 2 or len(planes) != 8:
        raise ValueError(f"it has no array {name!r}")
    values: npt.NDArray[np.float64] = planes.T.copy().view("<f8").ravel()
    return values


def _planes(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Whole numbers from 0 on as bytes (B, N), the lowest first."""
    import numpy as np

    width = max(1, (int(values.max(initial=0)).bit_length() + 7) // 8)
    return values.astype("<u8").view(np.uint8).reshape(-1, 8).T[:width].copy()


def _whole(planes: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    import numpy as np

    if planes.dtype != np.uint8 or planes.ndim != 2 or not 1 <= len(planes) <= 7:
        raise ValueError(f"an array has the shape {planes.shape} and is {planes.dtype}")
    wide = np.zeros((planes.shape[1], 8), np.uint8)
    wide[:, : len(planes)] = planes.T
    values: npt.NDArray[np.int64] = wide.view("<i8").ravel()
    return values
