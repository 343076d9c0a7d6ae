"""Decoders of instances: a network's output arrays to boxes, scores, categories and masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import NoOptions, OptionsModel
from pytest_perfgate.tasks.decoders import BoxOptions, Units

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pytest_perfgate.tasks.masks.painting import Planes
    from pytest_perfgate.tasks.pixels.geometry import Placed


@dataclass(frozen=True)
class MaskedBoxes:
    """What a network gives of one image.

    Attributes:
        boxes: float32 (M, 4), corners.
        scores: float32 (M,).
        categories: int64 (M,), indices of the data's categories.
        planes: the values that masks are painted from, in rows.
        rows: int64 (M,), the row of each box in `planes`.
        boxed: whether the network gives boxes; False: an object's box is that of its mask.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    categories: npt.NDArray[np.int64]
    planes: Planes
    rows: npt.NDArray[np.int64]
    boxed: bool = True


class MaskDecoder(registry.Extension, ABC):
    """An output convention of networks that segment instances.

    Example:
        The decoder `one_class`: two outputs, rows (N, M, 5) of corners in network pixels and score,
        and mask scores (N, M, h, w) over the network's input.

            import numpy as np
            from pytest_perfgate.tasks.mask_decoders import MaskDecoder, MaskedBoxes
            from pytest_perfgate.tasks.masks.painting import Planes


            class OneClass(MaskDecoder):
                def decode(self, outputs, floor, options, images):
                    decoded = []
                    for table, masks in zip(outputs[0], outputs[1], strict=True):
                        rows = np.flatnonzero(table[:, 4] >= floor)
                        decoded.append(
                            MaskedBoxes(
                                boxes=table[rows, :4].astype(np.float32),
                                scores=table[rows, 4].astype(np.float32),
                                categories=np.zeros(len(rows), np.int64),
                                planes=Planes(masks, over="input", logits=False),
                                rows=rows,
                            )
                        )
                    return decoded

    Attributes:
        Options: its options, `[suite.output] options`. Default: none.
        suppresses: whether overlapping boxes are suppressed afterwards. Default: yes.
    """

    group = registry.MASK_DECODERS

    suppresses: bool = True

    Options: type[OptionsModel] = NoOptions

    @abstractmethod
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[MaskedBoxes]:
        """What the network gives of each image in the batch, with scores of at least `floor`.
        `images` has an entry for each image: `network` is the height and width of the network's
        input, `original` those of the picture.

        Raises:
            DataError: the outputs do not have the shapes of this convention.
        """

    def units(self, options: Any) -> Units:
        """Units of the boxes, as of `Decoder.units`."""
        return options.units if isinstance(options, BoxOptions) else "network"
