"""Masks in PNG files: class ids, or colours of a palette."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_perfgate.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

IGNORED = 65_535
"""The id of pixels that do not count, in masks that were read from files."""

_IDS = 256  # of 8 bits
_SHOWN = 6  # ids or colours that a message has


@dataclass(frozen=True)
class MaskCode:
    """How pixels of a file say which class they are of.

    Attributes:
        classes: their names.
        ids: the id of each class.
        ignored: ids of pixels that do not count.
        colours: the colour of each class, where files are read by colour; else none.
        ignored_colours: colours of pixels that do not count.
    """

    classes: Sequence[str]
    ids: Sequence[int]
    ignored: Sequence[int]
    colours: Sequence[tuple[int, int, int]] = ()
    ignored_colours: Sequence[tuple[int, int, int]] = ()

    @cached_property
    def _by_id(self) -> npt.NDArray[np.int32]:
        """(256,): the index of the class of each id, `IGNORED`, or -1 for an id of no class."""
        import numpy as np

        table = np.full(_IDS, -1, dtype=np.int32)
        table[list(self.ignored)] = IGNORED
        table[list(self.ids)] = np.arange(len(self.ids))
        return table

    @cached_property
    def _by_colour(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Colours as numbers, sorted, and the index of the class of each."""
        import numpy as np

        known = dict.fromkeys(map(_number, self.ignored_colours), IGNORED)
        known |= {_number(colour): index for index, colour in enumerate(self.colours)}
        order = sorted(known)
        return np.array(order, np.int32), np.array([known[one] for one in order], np.int32)

    def read(self, file: Path) -> npt.NDArray[np.uint16]:
        """A mask, uint16 (H, W): the index of each pixel's class, or `IGNORED`.

        Raises:
            DataError: it is no PNG of 8 bits, or a pixel is of no class; names file and value.
        """
        import numpy as np
        from PIL import Image, ImageOps

        try:
            with Image.open(file) as stored:
                if stored.format != "PNG":
                    raise DataError(
                        f"the mask is a file of the format {stored.format}",
                        where=str(file),
                        valid="PNG, which keeps ids as they are",
                    )
                picture = ImageOps.exif_transpose(stored)
                classes = self._classes_of(picture, file)
        except DataError:
            raise
        except Exception as error:
            # Pillow's plugins raise any type on a broken file, SyntaxError and struct.error too.
            raise DataError(f"the mask cannot be decoded: {error}", where=str(file)) from error
        return classes.astype(np.uint16)

    def _classes_of(self, picture: Image, file: Path) -> npt.NDArray[np.int32]:
        import numpy as np

        if picture.mode.startswith("I"):
            raise DataError(
                "the mask has 16 bits a pixel",
                where=str(file),
                valid="a PNG of 8 bits a pixel",
                next_step="save the class ids with 8 bits; maps of instances are no masks of "
                "classes",
            )
        if self.colours:
            return self._classes_of_colours(np.asarray(picture.convert("RGB")), file)
        if picture.mode not in {"L", "P", "1"}:
            raise DataError(
                f"the mask has the mode {picture.mode!r}, and no palette is declared",
                where=str(file),
                valid="a PNG of ids: grey, or with a palette of its own",
                next_step="declare the colour of each class: palette = [[128, 64, 128], ...]",
            )
        ids = np.asarray(picture).astype(np.uint8)
        classes = self._by_id[ids]
        if (classes < 0).any():
            wrong, counts = np.unique(ids[classes < 0], return_counts=True)
            shown = ", ".join(map(str, wrong[:_SHOWN])) + (", ..." if len(wrong) > _SHOWN else "")
            raise DataError(
                f"the mask has the {'id' if len(wrong) == 1 else 'ids'} {shown} in {counts.sum()} "
                f"of {ids.size} pixels",
                where=str(file),
                valid=f"{_ranges(self.ids)} for the {len(self.ids)} classes, and ignore_index = "
                f"{', '.join(map(str, self.ignored)) or 'none'}",
                next_step="add the class to classes, or the id to ignore_index",
            )
        return classes

    def _classes_of_colours(
        self, pixels: npt.NDArray[np.uint8], file: Path
    ) -> npt.NDArray[np.int32]:
        import numpy as np

        wide = pixels.astype(np.int32)
        numbers = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
        known, indices = self._by_colour
        at = np.searchsorted(known, numbers).clip(max=len(known) - 1)
        wrong = known[at] != numbers
        if wrong.any():
            colours, counts = np.unique(numbers[wrong], return_counts=True)
            most = int(colours[counts.argmax()])
            colour = [most >> 16, most >> 8 & 255, most & 255]
            raise DataError(
                f"the mask has {len(colours)} colours of no class in {wrong.sum()} of "
                f"{wrong.size} pixels, most often {colour}",
                where=str(file),
                valid=f"the {len(self.colours)} colours of palette, and those of ignore_palette",
                next_step="colours between those of two classes come from a mask that was resized "
                "or saved as JPEG"
                if len(colours) > len(self.colours)
                else f"ignore_palette = [{colour}] leaves its pixels out",
            )
        classes: npt.NDArray[np.int32] = indices[at]
        return classes


class MaskFiles(Sequence[Any]):
    """Masks in files, uint16 (H, W), decoded when asked for."""

    def __init__(self, files: Sequence[Path], code: MaskCode) -> None:
        self._files = files
        self._code = code

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: Any) -> Any:
        return self._code.read(self._files[index])

    def file(self, index: int) -> Path:
        """Where a mask is."""
        return self._files[index]


def _number(colour: Sequence[int]) -> int:
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def _ranges(ids: Sequence[int]) -> str:
    """Ids in words: "0 to 10", or one by one."""
    if list(ids) == list(range(ids[0], ids[0] + len(ids))):
        return f"{ids[0]} to {ids[-1]}"
    return ", ".join(map(str, ids[:_SHOWN])) + (", ..." if len(ids) > _SHOWN else "")
