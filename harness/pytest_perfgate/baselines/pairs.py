"""What a paired comparison with a baseline needs, as compressed files beside it.

Of matches it is their ranking, without scores: average precision under every draw of images is that
of the matches themselves. Of ratios it is both parts of each image. Each further set of images has
a file of its own, so that one whose images change replaces no other. The file of a recipe is what
it differs by from the whole file of its reference, its basis, where that is smaller. A file is what
`numpy.savez` writes, compressed by xz; its arrays are the bytes of whole numbers.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from pytest_perfgate.baselines.columns import floats, of_floats, planes, whole
from pytest_perfgate.baselines.ranking_columns import columns_of, ranking_in
from pytest_perfgate.baselines.ranking_differences import differences, ranking_from
from pytest_perfgate.frozen import Frozen
from pytest_perfgate.records.accuracy import LARGEST, Accuracy, Matches, Packed, Ratio
from pytest_perfgate.records.calibration import ECE, calibration_parts
from pytest_perfgate.records.ranking import Ranking, ranking_of
from pytest_perfgate.records.stored_arrays import stored_arrays

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_SUFFIX = ".npz.xz"
_NAME = re.compile(r"[^/\\\0]+\.[0-9a-f]{32}\.npz\.xz")
_IN_JSON = re.compile(rb'"(?:[^"\\\n]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))+\.[0-9a-f]{32}\.npz\.xz"')
_PARTS = ("numerator", "denominator")
_LARGEST_DICTIONARY = 2**24
_MEMORY = 2**28  # bytes that unpacking may take beside its result


class Pairs(Frozen):
    """The file beside a baseline.

    Attributes:
        file: its name, which ends in the digest of its bytes.
        size: bytes when unpacked.
        thresholds, recalls, categories: of the matches, as in `Matches`; None without matches.
        basis: name of the whole file that it is the differences to, "" for none.
        basis_size: bytes of that one when unpacked.
    """

    file: str
    size: int = Field(gt=0, le=LARGEST)
    thresholds: tuple[float, ...] | None = None
    recalls: str = "coco"
    categories: tuple[str, ...] = ()
    basis: str = ""
    basis_size: int = Field(default=0, ge=0, le=LARGEST)


@dataclass(frozen=True)
class Basis:
    """A whole file beside the baseline of a reference, and what it holds."""

    pairs: Pairs
    accuracy: Accuracy


def split(
    accuracy: Accuracy, recipe: str, basis: Basis | None = None
) -> tuple[Accuracy, Pairs | None, bytes]:
    """An accuracy without what a paired comparison needs, and the file that holds it; None where
    it has nothing of that. Its sets are left as they are. With a `basis` the file is the smaller
    one of the differences to it and of a whole file.
    """
    matches, ratios = accuracy.matches, _ratios_of(accuracy)
    if matches is None and not ratios:
        return accuracy, None, b""
    bare = accuracy.model_copy(update={"matches": None, "ratios": {}})
    pairs, packed = _file(matches, ratios, recipe)
    if basis is not None and not basis.pairs.basis and _are_alike(matches, basis.accuracy.matches):
        less = _file(matches, ratios, recipe, basis)
        if len(less[1]) < len(packed):
            pairs, packed = less
    return bare, pairs, packed


def _ratios_of(accuracy: Accuracy) -> dict[str, Ratio]:
    matches, ratios = accuracy.matches, dict(accuracy.ratios)
    if matches is not None and ECE in accuracy.values and ECE not in ratios:
        ratios[ECE] = calibration_parts(matches)  # it depends on scores, which a ranking has not
    return ratios


def _are_alike(one: Matches | None, other: Matches | None) -> bool:
    """Whether both are of the same objects and images, in the same order, at the same thresholds,
    or there are none.
    """
    if one is None or other is None:
        return one is other
    names = ("thresholds", "recalls", "categories")
    return (
        all(getattr(one, name) == getattr(other, name) for name in names)
        and _is_same(one.truth, other.truth)
        and _is_same(one.order, other.order)
    )


def _is_same(one: Packed | None, other: Packed | None) -> bool:
    import numpy as np

    if one is None or other is None:
        return one is other
    return np.array_equal(one.array(), other.array())


def _file(
    matches: Matches | None, ratios: Mapping[str, Ratio], recipe: str, basis: Basis | None = None
) -> tuple[Pairs, bytes]:
    """The file with these, whole or as differences to a basis."""
    arrays: dict[str, npt.NDArray[np.uint8]] = {}
    theirs = {} if basis is None else _ratios_of(basis.accuracy)
    if matches is not None and basis is not None and basis.accuracy.matches is not None:
        arrays |= differences(ranking_of(matches), ranking_of(basis.accuracy.matches))
    elif matches is not None:
        arrays |= columns_of(ranking_of(matches))
        if matches.order is not None:
            arrays["order"] = planes(matches.order.array())
    for name, ratio in ratios.items():
        for part in _PARTS:
            before = getattr(theirs[name], part).array() if name in theirs else None
            arrays |= of_floats(f"{part} {name}", getattr(ratio, part).array(), before)
    plain = _npz(arrays)
    packed = _packed(plain)
    pairs = Pairs(
        file=f"{recipe}.{_digest(packed)}{_SUFFIX}",
        size=len(plain),
        thresholds=matches.thresholds if matches else None,
        recalls=matches.recalls if matches else "coco",
        categories=matches.categories if matches else (),
        basis=basis.pairs.file if basis else "",
        basis_size=basis.pairs.size if basis else 0,
    )
    return pairs, packed


def joined(accuracy: Accuracy, pairs: Pairs, folder: Path) -> Accuracy:
    """The accuracy with what its file in `folder` holds.

    Raises:
        ValueError: the file, or its basis, is not there or not as it was written; says what is
            wrong with it.
    """
    arrays = _read(folder, pairs.file, pairs.size)
    if pairs.basis:
        try:
            ranking, order, theirs = _held(_read(folder, pairs.basis, pairs.basis_size), pairs)
        except ValueError as error:
            raise ValueError(f"its basis {pairs.basis} beside it: {error}") from error
        ratios = _ratios(arrays, theirs)
        if ranking is not None:
            ranking = ranking_from(arrays, ranking)
    else:
        ranking, order, ratios = _held(arrays, pairs)
    matches = None if ranking is None else _matches_of(ranking, pairs, order)
    return accuracy.model_copy(update={"matches": matches, "ratios": ratios})


def _read(folder: Path, name: str, size: int) -> dict[str, Any]:
    """The arrays of a file of `size` bytes when unpacked."""
    if not _NAME.fullmatch(name):
        raise ValueError("its name is not RECIPE.DIGEST.npz.xz")
    try:
        with (folder / name).open("rb") as file:
            packed = file.read(LARGEST + 1)
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from error
    if f".{_digest(packed)}{_SUFFIX}" != name[-(33 + len(_SUFFIX)) :]:
        raise ValueError("its content has another digest than its name says")
    return stored_arrays(io.BytesIO(_unpacked(packed, size)))


def _held(
    arrays: Mapping[str, Any], pairs: Pairs
) -> tuple[Ranking | None, Packed | None, dict[str, Ratio]]:
    """What a whole file holds: the ranking, the order of the images, and ratios."""
    import numpy as np

    ratios = _ratios(arrays, {})
    if pairs.thresholds is None:
        return None, None, ratios
    ranking = ranking_in(arrays, len(pairs.categories))
    if "order" not in arrays:
        return ranking, None, ratios
    places = whole(arrays, "order")
    if not np.array_equal(np.sort(places), np.arange(len(ranking.truth))):
        raise ValueError("its order is not one of its images")
    return ranking, Packed.of(places.astype(np.int32), level=1), ratios


def _ratios(arrays: Mapping[str, Any], basis: Mapping[str, Ratio]) -> dict[str, Ratio]:
    ratios = {}
    for key in arrays:
        what, _, name = key.partition(" ")
        if what == _PARTS[0]:
            name = name.rpartition(" ")[0]
            parts = {
                part: Packed.of(
                    floats(
                        arrays,
                        f"{part} {name}",
                        getattr(basis[name], part).array() if name in basis else None,
                    )
                )
                for part in _PARTS
            }
            ratios[name] = Ratio(**parts)
    return ratios


def beside(folder: Path) -> list[Path]:
    """The files with pairs in a folder of baselines, whatever they are beside."""
    return [file for file in folder.glob(f"*{_SUFFIX}") if _NAME.fullmatch(file.name)]


def names_in(content: bytes) -> set[str]:
    """The names of all files with pairs that a baseline's JSON has, which may be damaged."""
    return {json.loads(name) for name in _IN_JSON.findall(content)}


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


def _matches_of(ranking: Ranking, pairs: Pairs, order: Packed | None) -> Matches:
    """Matches of a ranking; scores fall by one from each detection to the next."""
    import numpy as np

    category = ranking.category
    ends = np.cumsum(np.bincount(category, minlength=len(pairs.categories)))
    behind = ends[category] - np.arange(len(category))
    return Matches(
        thresholds=pairs.thresholds or (),
        categories=pairs.categories,
        image=Packed.of(ranking.image.astype(np.int32), level=1),
        category=Packed.of(category.astype(np.int16), level=1),
        score=Packed.of(behind.astype(np.float32), level=1),
        hits=Packed.of(ranking.hits.astype(np.uint16), level=1),
        ignored=Packed.of(ranking.ignored.astype(np.uint16), level=1),
        truth=Packed.of(ranking.truth, level=1),
        recalls="all" if pairs.recalls == "all" else "coco",
        order=order,
    )
