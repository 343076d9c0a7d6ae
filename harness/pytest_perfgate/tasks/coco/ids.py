"""Ids of images and categories in COCO files: numbers, texts, and what they have in common."""

from __future__ import annotations

import math
import numbers
import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_perfgate.errors import DataError, suggestion

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Ids:
    """Ids of images or categories: whole numbers of any size, numbers, or text, no two the same."""

    def __init__(self, kind: str, entries: Sequence[Mapping[str, Any]]) -> None:
        self._kind = kind
        self._list = "images" if kind == "image" else "categories"
        self._ids = [entry.get("id") for entry in entries]
        self._rows: dict[Any, int] = {}
        for row, value in enumerate(self._ids):
            if not _is_id(value):
                raise DataError(
                    f"{self._list}[{row}] has the id {short(value)}", valid="a number or a text"
                )
            if value in self._rows:
                other = self._rows[value]
                title = "name" if kind == "category" else "file_name"
                raise DataError(
                    f"{self._list}[{other}] ({short(entries[other].get(title))}) and "
                    f"{self._list}[{row}] ({short(entries[row].get(title))}) have one id, "
                    f"{short(value)}",
                    valid=f"an id of its own for each {kind}",
                )
            self._rows[value] = row
        spelled = Counter(_number_of(value) for value in self._ids)
        # 7, 7.0, "7" and "0007" are one number to people: taken where no other id is that number.
        self._spelled = {
            _number_of(value): row
            for row, value in enumerate(self._ids)
            if _number_of(value) is not None and spelled[_number_of(value)] == 1
        }

    def rows_of(self, key: str, annotations: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.int64]:
        """Rows of what the field `key` of each annotation names, (K,)."""
        import numpy as np

        rows = [self._row(entry.get(key)) for entry in annotations]
        unknown = [index for index, row in enumerate(rows) if row is None]
        if unknown:
            first = unknown[0]
            value = annotations[first].get(key)
            raise DataError(
                f"{place(first, annotations[first])} names the {self._kind} {short(value)}, which "
                f"is not there ({len(unknown)} of {len(rows)} annotations name such)",
                valid=suggestion(short(value), (short(known) for known in self._ids[:50])),
                next_step=f"take these annotations out, or add their {self._list}",
            )
        return np.array(rows, dtype=np.int64)

    def _row(self, value: Any) -> int | None:
        if not _is_id(value):
            return None
        row = self._rows.get(value)
        return self._spelled.get(_number_of(value)) if row is None else row

    def order(self) -> tuple[int, ...]:
        """Rows in the order of their ids: numbers first, then texts."""
        keys = [(isinstance(value, str), value) for value in self._ids]
        return tuple(sorted(range(len(keys)), key=keys.__getitem__))

    def order_note(self, names: Sequence[str], rows: Sequence[int]) -> list[str]:
        """Says in which order classes are counted, where ids and list have two orders."""
        kept = set(rows)
        if [row for row in self.order() if row in kept] == list(rows):
            return []
        pairs = [f"{name} ({self._ids[row]})" for name, row in zip(names, rows, strict=True)]
        return [
            "categories are in the order of the file, which is not that of their ids: "
            f"{', '.join(pairs[:6])}{', ...' if len(pairs) > 6 else ''}; without classes in "
            "[suite.output] the network's classes are counted so"
        ]


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    return isinstance(value, numbers.Integral) or math.isfinite(value)


def _number_of(value: Any) -> int | None:
    """The whole number that an id stands for, however it is written."""
    if isinstance(value, str):
        text = value.strip()
        digits = text.removesuffix(".0")
        return int(digits) if digits.isascii() and digits.isdigit() and len(text) < 40 else None
    return int(value) if value == int(value) else None


def place(index: int, entry: Mapping[str, Any]) -> str:
    """Where an annotation is in the file."""
    return f"annotations[{index}] (id {short(entry.get('id'))})"


_REPR = reprlib.Repr()


_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 80


def short(value: Any) -> str:
    """A value as Python writes it, cut where it is long."""
    return _REPR.repr(value)
