"""The project's own functions in place of the declared stages around inference.

`[suite.input] preprocess` and `[suite.output] postprocess` name them. They run in workers only, and
their time is that of the stage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.errors import DataError, SeveralSizes
from pytest_perfgate.tasks.pixels.geometry import Placed

_PREPROCESS = "suite.input.preprocess"
_POSTPROCESS = "suite.output.postprocess"
_TAKEN = ("float32", "uint8")


class OwnPixels:
    """Calls the project's function for every image.

    Args:
        path: "package.module:function". The function takes a uint8 (H, W, 3) RGB image that it must
            not change, and returns an array (C, h, w), float32 or uint8, and an object that
            post-processing gets.
        placed: whether that object must be a `Placed`, since a declared post-processing gets it.

    Raises:
        RecipeError: there is no such function.
    """

    def __init__(self, path: str, *, placed: bool) -> None:
        self._path = path
        self._placed = placed
        self._function = registry.resolve(path, _PREPROCESS)

    def read(self, images: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
        """Uint8 (H, W, 3) RGB images to an input (N, C, h, w), and what the function says of each.

        Raises:
            DataError: the function returned something else.
            SeveralSizes: the arrays have several sizes.
        """
        import numpy as np

        pairs = [self._one(image) for image in images]
        arrays = [array for array, _ in pairs]
        first = arrays[0]
        for array in arrays:
            if array.dtype != first.dtype or len(array) != len(first):
                raise DataError(
                    f"{self._path} returned {_kind(first)} and {_kind(array)} for images of one "
                    "batch",
                    where=_PREPROCESS,
                    valid="arrays of one type and one number of channels",
                )
        other = next((array for array in arrays if array.shape != first.shape), None)
        if other is not None:
            raise SeveralSizes(
                f"{self._path} returned {_kind(first)} and {_kind(other)} for images of one batch",
                sizes=[array.shape[1:] for array in arrays],
                where=_PREPROCESS,
                next_step="return arrays of one size, or set a batch of 1",
            )
        batch = first[None] if len(arrays) == 1 else np.stack(arrays)
        return np.ascontiguousarray(batch), tuple(info for _, info in pairs)

    def _one(self, image: Any) -> tuple[Any, Any]:
        import numpy as np

        shown = image.view()
        shown.flags.writeable = False  # arms show an image again and again
        result = self._function(shown)
        if not isinstance(result, tuple) or len(result) != 2:
            raise DataError(
                f"{self._path} returned {type(result).__name__}",
                where=_PREPROCESS,
                valid="a tuple of two: the array (C, h, w), and what post-processing needs to know",
            )
        array = np.asarray(result[0])
        if array.ndim != 3 or array.dtype.name not in _TAKEN or not array.size:
            raise DataError(
                f"{self._path} returned {_kind(array)}",
                where=_PREPROCESS,
                valid=f"an array (C, h, w) of {' or '.join(_TAKEN)}",
            )
        if self._placed and not isinstance(result[1], Placed):
            raise DataError(
                f"{self._path} returned {type(result[1]).__name__} beside the array, and results "
                "are mapped back to the image by it",
                where=_PREPROCESS,
                valid="a pytest_perfgate.tasks.pixels.geometry.Placed",
                next_step="or set postprocess in [suite.output]",
            )
        return array, result[1]


class OwnPredictions:
    """Calls the project's function for every batch of outputs.

    Args:
        path: "package.module:function". The function takes the network's outputs, a tuple of
            arrays, and for each image what pre-processing said of it; it returns a prediction for
            each.
        check: a prediction of the function to one of the task; raises `DataError` where it is none.

    Raises:
        RecipeError: there is no such function.
    """

    def __init__(self, path: str, check: Callable[[Any], Any]) -> None:
        self._path = path
        self._function = registry.resolve(path, _POSTPROCESS)
        self._check = check

    def read(self, outputs: tuple[Any, ...], infos: Sequence[Any]) -> list[Any]:
        """The network's output arrays to one prediction per image.

        Raises:
            DataError: the function returned something else.
        """
        result = self._function(outputs, infos)
        if not hasattr(result, "__len__") or len(result) != len(infos):
            count = len(result) if hasattr(result, "__len__") else type(result).__name__
            raise DataError(
                f"{self._path} returned {count}",
                where=_POSTPROCESS,
                valid=f"{len(infos)}: a prediction for each image",
            )
        try:
            return [self._check(prediction) for prediction in result]
        except DataError as error:
            raise error.at(f"{_POSTPROCESS}: {self._path}") from None


def _kind(array: Any) -> str:
    return f"{array.dtype.name} {tuple(array.shape)}"
