"""What crosses from pre-processing to inference: an array for each input of a network."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from pytest_perfgate.errors import InputError


@dataclass(frozen=True)
class Tensor:
    """What a model's file says of an input or output.

    Attributes:
        kind: type of the elements, by numpy's name ("float32", "uint8", ...).
        shape: a length, a name for any length, or "?" in each place; None: of any rank.
        codes: scale and zero point of 8-bit elements, number = scale * (code - zero_point); None:
            the file has none.
        takes_floats: whether the runtime makes such codes of floats.
    """

    name: str
    kind: str
    shape: tuple[int | str, ...] | None
    codes: tuple[float, int] | None = None
    takes_floats: bool = False

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.name} {self.kind} of any shape"
        return f"{self.name} {self.kind} ({', '.join(map(str, self.shape))})"


@dataclass(frozen=True, eq=False)
class Inputs:
    """The inputs of one inference: `Inputs(batch)` for a network that takes images alone.

    Attributes:
        images: the batch of images, an array (N, C, H, W), or (N, H, W, C) where `layout` says so.
        others: the arrays of further inputs by the network's names for them, in the order that a
            torch module takes them in, behind the images.
        constants: names of `others` whose arrays are the same for any number of images. The first
            dimension of all others is N.
        layout: "NCHW" or "NHWC".
    """

    images: Any
    others: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    constants: frozenset[str] = frozenset()
    layout: str = "NCHW"

    def __len__(self) -> int:
        """The number of images."""
        return len(self.images)

    @property
    def arrays(self) -> tuple[Any, ...]:
        """The images, then the others."""
        return (self.images, *self.others.values())

    @property
    def channels(self) -> int:
        """The axis of the channels."""
        return 1 if self.layout == "NCHW" else 3

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        first = 2 if self.layout == "NCHW" else 1
        height, width = self.images.shape[first : first + 2]
        return height, width

    def map(self, function: Callable[[Any], Any]) -> Inputs:
        """The same with the result of `function` for each array."""
        others = {name: function(array) for name, array in self.others.items()}
        return replace(self, images=function(self.images), others=others)

    def take(self, rows: Sequence[int]) -> Inputs:
        """The inputs of some of the images."""
        chosen = list(rows)
        others = {
            name: array if name in self.constants else array[chosen]
            for name, array in self.others.items()
        }
        return replace(self, images=self.images[chosen], others=others)

    def repeated(self, count: int) -> Inputs:
        """The inputs of `count` images: these, again and again."""
        return self.take([row % len(self) for row in range(count)])

    def showing(self, images: Any) -> Inputs:
        """Inputs with other images, and with what these have besides, again and again."""
        return replace(self.repeated(len(images)), images=images)

    def feed(self, taken: Mapping[str, str]) -> dict[str, Any]:
        """The arrays by the network's names, each in the type that it takes. The images go to the
        one input that is not among `others`; 16 and 32-bit floats are converted to each other.

        Args:
            taken: names of the network's inputs, each with the name of its numpy dtype.

        Raises:
            InputError: the network has other inputs, or an array is of another type.
        """
        free = [name for name in taken if name not in self.others]
        if len(free) != 1 or len(taken) != 1 + len(self.others):
            listed = ", ".join(self.others)
            raise InputError(
                f"the network takes {', '.join(taken) or 'nothing'}; it is given images"
                + (f", {listed}" if listed else " alone"),
                next_step="declare each further input in [suite.input.others]",
            )
        arrays = {free[0]: self.images, **self.others}
        return {
            name: arrays[name]
            if _name(arrays[name].dtype) == dtype  # this is timed: no text is made for nothing
            else as_dtype(arrays[name], dtype, f"the input {name!r} takes")
            for name, dtype in taken.items()
        }

    def only_images(self, who: str, dtype: str = "float32") -> Any:
        """The images in a numpy dtype, for `who` runs networks of one input.

        Raises:
            InputError: there are other inputs, or pixels of another type; names `who`.
        """
        if self.others:
            raise InputError(
                f"{who} takes one input; the network has {len(self.others)} more: "
                f"{', '.join(self.others)}",
                next_step="choose a runtime for networks of several inputs: onnxruntime, openvino",
            )
        return as_dtype(self.images, dtype, f"{who} takes")


@functools.cache
def _name(dtype: Any) -> str:
    """Numpy's name of a dtype, which numpy puts together anew at every question."""
    return str(dtype.name)


def as_dtype(array: Any, dtype: str, subject: str) -> Any:
    """`array` in a numpy dtype. Between floating-point types it is converted, since a step may
    make a network one of 16 bits; anything else would change the values.

    Raises:
        InputError: the array is of another kind; begins with `subject`, "the input 'x' takes".
    """
    given = array.dtype
    if _name(given) == dtype:
        return array
    if given.kind == "f" and dtype in {"float16", "float32", "float64"}:
        return array.astype(dtype)
    raise InputError(
        f"{subject} {dtype}; it is given {given.name}",
        next_step="set the dtype of the network in [suite.input]",
    )


def joined(parts: Sequence[Inputs]) -> Inputs:
    """Inputs of one size as one batch; `constants` are those of the first."""
    import numpy as np

    first = parts[0]
    others = {
        name: array
        if name in first.constants
        else np.concatenate([part.others[name] for part in parts])
        for name, array in first.others.items()
    }
    return replace(first, images=np.concatenate([part.images for part in parts]), others=others)
