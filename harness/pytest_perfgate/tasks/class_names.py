"""Classes by their names: which of the network's are the data's."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import Field

from pytest_perfgate.artifact import OptionsModel
from pytest_perfgate.errors import DataError, suggestion

_SYNSET = re.compile(r"(n\d{8})\b[\s:,]*(.*)")
_BACKGROUND = {"background", "__background__", "bg", "dummy"}
_SHOWN = 5

_Options = TypeVar("_Options", bound="ClassOptions")


class ClassOptions(OptionsModel):
    """Which of the network's classes are the data's."""

    classes: tuple[int, ...] | tuple[str, ...] | str = Field(
        (),
        description="index of each of the data's classes among the network's; or the names of the "
        'network\'s classes: a text file with a name in each line, or "metadata" for those that an '
        "ONNX file holds. Further classes of the network are dropped. Default: the same order",
    )
    background: int | None = Field(
        None,
        ge=0,
        description="index of the background among the network's classes, which is no class of the "
        "data. Default: none",
    )
    class_count: int | None = Field(
        None, ge=1, description="number of the network's classes, to be checked. Default: any"
    )

    @property
    def indices(self) -> tuple[int, ...]:
        """`classes` as indices among the network's classes, () for all in their order.

        Raises:
            DataError: they are names, which only the data turns into indices (`matched`).
        """
        indices = tuple(one for one in self.classes if isinstance(one, int))
        if len(indices) != len(self.classes):
            raise DataError(
                "the names of the classes are not compared with the data's yet",
                where="suite.output",
            )
        return indices

    def network_classes(self, count: int) -> list[int] | None:
        """Indices of the data's classes among the `count` classes of the network; None: all of
        them, in their order.

        Raises:
            DataError: the network has no such class, or another number of classes than is declared.
        """
        if self.class_count not in {None, count}:
            raise DataError(
                f"the network gives {count} classes, and {self.class_count} are named",
                where="suite.output",
                next_step="background = 0 leaves out the background of a network that has one more"
                if count - 1 == self.class_count and self.background is None
                else "name the classes of this network",
            )
        indices = self.indices
        extra = () if self.background is None else (self.background,)
        for label in (*indices, *extra):
            if not 0 <= label < count:
                raise DataError(
                    f"the network has {count} classes, and no class {label}",
                    where="suite.output",
                    valid=f"0 to {count - 1}",
                )
        if indices:
            return list(indices)
        if self.background is None:
            return None
        return [label for label in range(count) if label != self.background]


def matched(
    network: Sequence[str], data: Sequence[str], background: int | None
) -> tuple[tuple[int, ...], int]:
    """Index of each of the data's classes among the network's, and the number of these, by names.

    Names are the same whatever their case, with "-" or "_" for a space. A line of ImageNet's, such
    as "n01440764 tench, Tinca tinca", is found by its synset and by each of its words between
    commas. A background that is not among the names is counted in at its place.

    Raises:
        DataError: a class of the data is not among the network's, or two of the network's have its
            name.
    """
    places: dict[str, set[int]] = {}
    whole: dict[str, set[int]] = {}
    for index, name in enumerate(network):
        whole.setdefault(_plain(name), set()).add(index)
        for alias in _aliases(name):
            places.setdefault(alias, set()).add(index)
    order = []
    missing = []
    for name in data:
        fits = whole.get(_plain(name)) or places.get(_plain(name), set())
        if len(fits) > 1:
            raise DataError(
                f"the network has {len(fits)} classes that are called {name!r}: "
                f"{', '.join(map(str, sorted(fits)))}",
                where="suite.output",
                next_step="give the indices: classes = [3, 0, 7]",
            )
        if fits:
            order.append(next(iter(fits)))
        else:
            missing.append(name)
    if missing:
        shown = ", ".join(map(str, missing[:_SHOWN])) + (", ..." if len(missing) > _SHOWN else "")
        close = suggestion(str(missing[0]), network).partition("; did you mean")
        first = ", ".join(network[:_SHOWN]) + (", ..." if len(network) > _SHOWN else "")
        raise DataError(
            f"{len(missing)} of the data's {len(data)} classes are not among the network's "
            f"{len(network)}: {shown}",
            where="suite.output",
            valid=f"{first}{close[1]}{close[2]}",
            next_step="compare the names of both; indices are taken too: classes = [3, 0, 7]",
        )
    named = background is not None and (
        background < len(network) and _plain(network[background]) in _BACKGROUND
    )
    if background is None or named:
        return tuple(order), len(network)
    return tuple(index + (index >= background) for index in order), len(network) + 1


def with_indices(options: _Options, known: Callable[[], Sequence[str]]) -> _Options:
    """The options with indices in place of names; `known` gives the names of the data's classes,
    none for data without labels.
    """
    names = [name for name in options.classes if isinstance(name, str)]
    if not names:
        return options
    classes = known()
    indices, count = matched(names, classes, options.background) if classes else ((), None)
    return options.model_copy(update={"classes": indices, "class_count": count})


def with_decoder_indices(output: Any, known: Callable[[], Sequence[str] | None]) -> Any:
    """`[suite.output]` of a task with decoders, with indices in place of names among the decoder's
    options; `known` gives the names of the data's classes, None for data without annotations.
    """
    names = output.options.get("classes", ())
    if not names or not isinstance(names[0], str):
        return output
    options = {key: value for key, value in output.options.items() if key != "classes"}
    classes = known()
    if classes is not None:
        indices, count = matched(names, classes, options.get("background"))
        options |= {"classes": indices, "class_count": count}
    return output.model_copy(update={"options": options})


def _aliases(name: str) -> set[str]:
    synset = _SYNSET.fullmatch(name)
    words = synset[2] if synset else name
    parts = {words, *words.split(",")} | ({synset[1]} if synset else set())
    return {_plain(part) for part in parts if part.strip()}


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", str(name)).strip().casefold()
