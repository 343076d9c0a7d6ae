"""What was read of a data set first, beside what is read of it later.

Keys and records name data by their digest, and images are decoded again when a recipe is
evaluated: what is decoded then must be what the digest is of.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.kept_pixels import digest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_VALID = "files that stay as they are until the session ends"
_AGAIN = "run the session again, when nothing writes these files any more"


class FirstRead:
    """The digests of a data set's parts, a `what` each, as they were read first."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._digests: dict[int, str] = {}

    def __getitem__(self, index: int) -> str:
        return self._digests[index]

    def refuse_other(self, index: int, digest: str, file: str = "") -> None:
        """Notes the digest of a part that was read; it may be no other than the first time.

        Raises:
            DataError: it is; names the part.
        """
        if self._digests.setdefault(index, digest) != digest:
            raise DataError(
                f"the {self._what}{'' if file else f' {index}'} changed while the session read it: "
                "it was other when its digest was taken",
                where=file,
                valid=_VALID,
                next_step=_AGAIN,
            )


class PartRead(FirstRead):
    """The digests of some parts of a data set, by their `rows`: those that the whole has read."""

    def __init__(self, whole: FirstRead, rows: Sequence[int]) -> None:
        self._whole, self._rows = whole, tuple(rows)

    @override
    def __getitem__(self, index: int) -> str:
        return self._whole[self._rows[index]]

    @override
    def refuse_other(self, index: int, digest: str, file: str = "") -> None:
        self._whole.refuse_other(self._rows[index], digest, file)


class SteadyImages(Sequence[Any]):
    """Images, uint8 (H, W, 3) each, that a data set's own code reads whenever one is asked for:
    each must be what it was the first time.
    """

    def __init__(self, images: Sequence[Any], split: str) -> None:
        self._images = images
        self._first = FirstRead(f"image of the {split} data")

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: Any) -> Any:
        import numpy as np

        image = self._images[index]
        with suppress(TypeError):  # a slice of images, or several
            place = range(len(self))[operator.index(index)]
            self._first.refuse_other(place, digest(np.asarray(image)))
        return image

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # before there are images, when this is copied
            raise AttributeError(name)
        return getattr(self._images, name)


def contents(array: npt.NDArray[np.integer[Any]]) -> str:
    """SHA-256 of an array's values in their order, without its shape."""
    import numpy as np

    return hashlib.sha256(np.ascontiguousarray(array).reshape(-1).data).hexdigest()
