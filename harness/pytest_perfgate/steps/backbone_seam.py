"""Where a backbone lies in the chain's model: what the model reads of it, and the adapters by which
another network's maps fit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_perfgate.errors import BuildError, suggestion
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.steps.output_check import tensors

_ONE, _TUPLE, _LIST, _DICT = "tensor", "tuple", "list", "dict"


@dataclass(frozen=True)
class Seam:
    """What a module of the chain's model takes and gives, for one image.

    Attributes:
        takes: shape of its input, (1, 3, H, W).
        gives: shapes of its outputs: (1, C, h, w) each, or one of (1, C).
        form: what holds the outputs, "tensor" for one alone, "tuple", "list" or "dict".
        names: of the outputs, in a dict.
    """

    takes: tuple[int, ...]
    gives: tuple[tuple[int, ...], ...]
    form: str = _ONE
    names: tuple[str, ...] = ()

    @property
    def several(self) -> bool:
        """Whether the model reads a pyramid of maps."""
        return self.form != _ONE


def named(module: Any, at: str) -> Any:
    """The part of a model that is called `at`.

    Raises:
        BuildError: there is none.
    """
    parts = dict(module.named_modules())
    if not at or at not in parts:
        top = [name for name, _ in module.named_children()]
        raise BuildError(
            f"the model has no module {at!r}",
            where="step backbone: at",
            valid=suggestion(at, top) if "." not in at else suggestion(at, parts),
        )
    return parts[at]


def seam(module: Any, at: str, example: Inputs) -> Seam:
    """How the part that is called `at` lies in the model.

    Raises:
        BuildError: it does not make a tensor of features, or several maps, of a batch of images.
    """
    import torch

    uses: list[tuple[Any, Any]] = []
    hook = named(module, at).register_forward_hook(
        lambda _, inputs, output: uses.append((inputs, output))
    )
    try:
        with torch.inference_mode():
            module(*tensors(example))
    finally:
        hook.remove()
    where = f"step backbone: at {at!r}"
    if len(uses) != 1:
        raise BuildError(f"the model uses it {len(uses)} times an image", where=where, valid="once")
    inputs, output = uses[0]
    form, maps = _taken_apart(output)
    dims = {2, 4} if form == _ONE else {4}
    tensors_only = all(isinstance(value, torch.Tensor) and value.dim() in dims for value in maps)
    if len(inputs) != 1 or not maps or not tensors_only:
        raise BuildError(
            f"it takes {len(inputs)} inputs and gives {_shown(output)}",
            where=where,
            valid="one input, and one feature map (N, C, h, w) or vector (N, C), or several maps "
            "in a tuple, list or dict",
        )
    if inputs[0].dim() != 4 or inputs[0].shape[1] != 3:
        raise BuildError(
            f"it reads {list(inputs[0].shape)}, and a backbone reads images",
            where=where,
            valid="the module that reads the model's input",
        )
    names = tuple(output) if form == _DICT else ()
    return Seam(tuple(inputs[0].shape), tuple(tuple(value.shape) for value in maps), form, names)


def _taken_apart(output: Any) -> tuple[str, list[Any]]:
    if isinstance(output, Mapping):
        return _DICT, list(output.values())
    if isinstance(output, tuple):
        return _TUPLE, list(output)
    if isinstance(output, list):
        return _LIST, output
    return _ONE, [output]


def _shown(output: Any) -> str:
    shapes = [
        str(list(value.shape)) if hasattr(value, "shape") else type(value).__name__
        for value in _taken_apart(output)[1]
    ]
    return ", ".join(shapes) or "nothing"


def fit_of(features: Any, wanted: Seam, chosen: Sequence[int] = ()) -> dict[str, Any]:
    """What has to lie between new features and what reads them, as plain data: for each map that is
    read, which of the new ones it is made of, channels, and how often each row and column is
    repeated, or how many become one.

    Args:
        features: the new network: it gives a map, or a tuple of maps where several are read.
        wanted: what the model reads.
        chosen: numbers of the network's maps, one for each that is read; default: those of the
            same size, else of the nearest.

    Raises:
        BuildError: the new network gives no maps, or one is no multiple of the other.
    """
    import torch

    batch, channels, *sides = wanted.takes
    with torch.inference_mode():
        output = features(torch.zeros(wanted.takes))
        larger = features(torch.zeros(batch, channels, *(2 * side for side in sides)))
    maps = list(output) if wanted.several else [output]
    twice = list(larger) if wanted.several else [larger]
    for value, other in zip(maps, twice, strict=True):
        if (
            not isinstance(value, torch.Tensor)
            or value.dim() != 4
            or len(value[0]) != len(other[0])
        ):
            raise BuildError(
                f"the new backbone gives {_shown(value)}, not a feature map",
                valid="channels first, (N, C, h, w)",
            )
    shapes = [tuple(value.shape) for value in maps]
    if chosen and (len(chosen) != len(wanted.gives) or max(chosen) >= len(maps)):
        raise BuildError(
            f"maps = {list(chosen)} does not fit: the model reads {len(wanted.gives)} maps, and "
            f"the new backbone has {len(maps)}",
            where="step backbone: maps",
            valid=f"{len(wanted.gives)} numbers of 0 to {len(maps) - 1}",
        )
    numbers = chosen or [_nearest(shapes, gives) for gives in wanted.gives]
    return {
        "form": wanted.form,
        "names": list(wanted.names),
        "maps": [
            {"number": number, **_adapter(shapes[number], gives, wanted.takes[2])}
            for number, gives in zip(numbers, wanted.gives, strict=True)
        ],
    }


def _nearest(shapes: Sequence[tuple[int, ...]], gives: tuple[int, ...]) -> int:
    """The map whose size is nearest to that of one that is read; of two the larger, which comes
    first.
    """
    if len(gives) == 2:
        return len(shapes) - 1
    return min(range(len(shapes)), key=lambda number: abs(math.log(shapes[number][2] / gives[2])))


def _adapter(shape: tuple[int, ...], gives: tuple[int, ...], side: int) -> dict[str, int]:
    fit = {
        "stride": side // shape[2],
        "channels": int(shape[1]),
        "wanted": int(gives[1]),
        "repeat": 1,
        "pool": 1,
    }
    if len(gives) == 2:
        return {**fit, "pool": 0}
    (high, wide), (new_high, new_wide) = gives[2:], shape[2:]
    if high % new_high == 0 and high // new_high * new_wide == wide:
        return {**fit, "repeat": high // new_high}
    if new_high % high == 0 and new_high // high * wide == new_wide:
        return {**fit, "pool": new_high // high}
    raise BuildError(
        f"the new backbone gives maps of {new_high} x {new_wide} where the model reads "
        f"{high} x {wide}, and neither is a multiple of the other",
        next_step="give the network images whose sides are multiples of 32",
    )


def adapters(fit: Mapping[str, Any]) -> list[str]:
    """The adapters in words, one for each map that is read."""
    lines = []
    for one in fit["maps"]:
        parts = [f"map {one['number']} of stride {one['stride']}"]
        if one["pool"] != 1:
            parts.append(
                "mean of all" if one["pool"] == 0 else f"mean of {one['pool']} x {one['pool']}"
            )
        if one["channels"] != one["wanted"]:
            parts.append(f"{one['channels']} to {one['wanted']} channels")
        if one["repeat"] > 1:
            parts.append(f"repeated {one['repeat']} x {one['repeat']}")
        lines.append(", ".join(parts))
    return lines


def fitted(features: Any, origin: str, fit: Mapping[str, Any]) -> Any:
    """New features, and behind them the adapters."""
    import torch

    nn = torch.nn
    layers = [nn.Sequential(*_layers(one)) for one in fit["maps"]]

    class Fitted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.origin = origin
            self.features = features
            self.fit = layers[0] if fit["form"] == _ONE else nn.ModuleList(layers)

        def forward(self, images: torch.Tensor) -> Any:
            if fit["form"] == _ONE:
                return self.fit(self.features(images))
            maps = self.features(images)
            made = [
                adapter(maps[one["number"]])
                for adapter, one in zip(self.fit, fit["maps"], strict=True)
            ]
            if fit["form"] == _DICT:
                return dict(zip(fit["names"], made, strict=True))
            return made if fit["form"] == _LIST else tuple(made)

    return Fitted()


def _layers(fit: Mapping[str, int]) -> list[Any]:
    from torch import nn

    channels, wanted = fit["channels"], fit["wanted"]
    if fit["pool"] == 0:  # a vector is read
        linear = [nn.Linear(channels, wanted)] if channels != wanted else []
        return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), *linear]
    layers: list[Any] = [nn.AvgPool2d(fit["pool"])] if fit["pool"] > 1 else []
    layers += [nn.Conv2d(channels, wanted, 1)] if channels != wanted else []
    return [*layers, *([nn.Upsample(scale_factor=fit["repeat"])] if fit["repeat"] > 1 else [])]


def there(module: Any, at: str, fresh: Any) -> str:
    """The name of the backbone that a model really has: of a fitted one, when its layers are those
    of `fresh`, a new one of that name.
    """
    replaced: Any = dict(module.named_modules()).get(at)
    features = getattr(replaced, "features", None)
    if features is None or not hasattr(replaced, "origin"):
        return "none" if replaced is None else type(replaced).__name__
    return str(replaced.origin) if _shapes(features) == _shapes(fresh) else "another network"


def _shapes(module: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}
