"""The maps of features that a network makes on its way, for detectors with several levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pytest_perfgate.errors import BuildError

_SIDE = 64  # pixels of an image to probe with; what is a map has twice the sides for twice as many

Run = Callable[[Any, Any], Sequence[Any]]
"""What a network makes of images (N, 3, H, W) on its way, in order."""


def in_order(network: Any, images: Any) -> list[Any]:
    """What the layers of a `torch.nn.Sequential` give, one after the other."""
    given = []
    for layer in network:
        images = layer(images)
        given.append(images)
    return given


def pyramid_of(network: Any, run: Run, name: str) -> Any:
    """A module that gives a tuple of maps (N, C, h, w), the largest first: of those that `run`
    gets out of a network the last of each size.

    Raises:
        BuildError: they are no maps, or of one size only.
    """
    import torch

    class Pyramid(torch.nn.Module):
        def __init__(self, taken: Sequence[int]) -> None:
            super().__init__()
            self.network = network
            self.taken = tuple(taken)

        def forward(self, images: torch.Tensor) -> tuple[Any, ...]:
            given = run(self.network, images)
            return tuple(given[index] for index in self.taken)

    def shapes(side: int) -> list[tuple[int, ...]]:
        try:
            with torch.inference_mode():
                return [tuple(value.shape) for value in run(network, torch.zeros(1, 3, side, side))]
        except (RuntimeError, ValueError, AttributeError, IndexError, TypeError) as error:
            raise _no_maps(name, str(error).partition("\n")[0]) from error

    def last(wanted: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], int]:
        """The last map of each size, of those whose shapes are as `wanted`."""
        sizes: dict[tuple[int, ...], int] = {
            shape[2:]: index
            for index, (shape, same) in enumerate(zip(given, wanted, strict=True))
            if len(shape) == 4 and shape == same
        }
        if len(sizes) < 2:
            shown = ", ".join(str(list(shape)) for shape in given) or "nothing"
            raise _no_maps(name, f"of an image of {_SIDE} x {_SIDE} it makes {shown}")
        return sizes

    network = network.eval()
    given = shapes(_SIDE)
    last(given)
    halved = [(*shape[:2], *(side // 2 for side in shape[2:])) for shape in shapes(2 * _SIDE)]
    sizes = last(halved)
    return Pyramid([sizes[size] for size in sorted(sizes, reverse=True)]).eval()


def _no_maps(name: str, why: str) -> BuildError:
    return BuildError(
        f"{name} has no maps of features of several sizes: {why}",
        where="step backbone",
        valid="networks of convolutions, such as resnet, mobilenet, efficientnet, convnext, regnet",
    )
