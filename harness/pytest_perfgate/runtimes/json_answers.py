"""Arrays in the JSON that a service answers: the suite declares which field is which output.

There is no language of expressions: a place is a list of names, and the rest are tables.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

from pydantic import BeforeValidator, Field, model_validator

from pytest_perfgate.artifact import OptionsModel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.generic]

_QUOTED = 1 << 20
"""Characters of an answer that go into an error, whose reader hides credentials and cuts it to far
fewer: a cut at fewer here could leave a part of a credential."""


def _names(value: Any) -> Any:
    """A place as its names: "result.boxes" is ["result", "boxes"], and "" is []."""
    return tuple(value.split(".") if value else ()) if isinstance(value, str) else value


Place = Annotated[tuple[str, ...], BeforeValidator(_names)]
"""Names of fields, from the outer one to the inner one."""


class OutputField(OptionsModel):
    """A field of an answer that is an output of the network."""

    field: Place = Field(
        description='name of the field; `"result.boxes"` is the field `boxes` in `result`, '
        '`["a.b"]` a name with a dot'
    )
    keys: tuple[str, ...] = Field(
        (),
        description="names of the numbers where they are an object: "
        '`["xmin", "ymin", "xmax", "ymax"]`',
    )
    labels: tuple[str, ...] = Field(
        (),
        description="texts in the field, each of which stands for its place in this list, from 0",
    )
    dtype: Literal["float32", "int64"] | None = Field(
        None, description="type of the array; default: float32, with `labels` int64"
    )
    shape: tuple[int, ...] | None = Field(
        None,
        description="shape of the array of one image, -1 for any length; default: with `rows` one "
        "number a row, or as many as `keys` are; else that of the answer",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> OutputField:
        """Numbers by names, or texts."""
        if self.keys and self.labels:
            raise ValueError("keys are names of numbers, and labels are texts; set one of them")
        if len(set(self.labels)) != len(self.labels) or len(set(self.keys)) != len(self.keys):
            raise ValueError("a name is there twice")
        if self.labels and self.dtype == "float32":
            raise ValueError("labels give whole numbers; leave dtype out")
        if self.shape is not None and any(length < -1 for length in self.shape):
            raise ValueError("a length is below 0; -1 is any length")
        return self

    @property
    def kind(self) -> str:
        """The type of the array, by numpy's name."""
        return self.dtype or ("int64" if self.labels else "float32")

    def lengths(self, *, rows: bool) -> tuple[int, ...] | None:
        """The shape of one image, -1 for any length; None: that of the answer."""
        if self.shape is not None:
            return self.shape
        if self.keys:
            return (-1, len(self.keys))
        return (-1,) if rows or self.labels else None


class AnswerError(ValueError):
    """An answer that is not as the suite declares it.

    Attributes:
        next_step: what to do.
    """

    next_step = "set runtime.outputs, runtime.rows and runtime.images to what the service answers"


def read_answer(
    body: bytes,
    outputs: Sequence[OutputField],
    images: Place | None,
    rows: Place | None,
    count: int | None,
) -> tuple[Array, ...]:
    """The outputs in an answer, each of which begins with the axis of images.

    Args:
        body: JSON, in UTF-8.
        outputs: the fields, in the network's order.
        images: the list with an entry for each image; None: there is none.
        rows: in the answer of an image, the list with an object for each box or the like.
        count: images of the request; None: the one image of a service that takes no batches.

    Raises:
        AnswerError: it is no JSON, a field is missing, or holds something else.
    """
    answer = _parsed(body)
    if images is None and count is not None:
        return tuple(
            _array(_at(answer, output.field, "the answer"), output, "the answer", count)
            for output in outputs
        )
    listed = [answer] if images is None else _list(_at(answer, images, "the answer"), images)
    if len(listed) != (count or 1):
        _refuse(f"the answer is of {len(listed)} images, and the request has {count or 1}")
    arrays = [_of_image(entry, outputs, rows) for entry in listed]
    return tuple(stacked(one) for one in zip(*arrays, strict=True))


def stacked(arrays: Sequence[Array]) -> Array:
    """Arrays of images, as one that begins with the axis of images.

    Raises:
        AnswerError: their shapes differ.
    """
    import numpy as np

    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        listed = ", ".join(str(list(shape)) for shape in sorted(shapes))
        error = AnswerError(f"outputs of images in one batch have different shapes: {listed}")
        error.next_step = "set suite.batch = 1 and, in the runtime, leave batch out"
        raise error
    return np.stack(arrays)


def _of_image(entry: Any, outputs: Sequence[OutputField], rows: Place | None) -> list[Array]:
    if rows is None:
        who = "the answer"
        return [_array(_at(entry, output.field, who), output, who) for output in outputs]
    listed = _list(_at(entry, rows, "the answer"), rows)
    return [
        _array(
            [_at(row, output.field, f"row {number}") for number, row in enumerate(listed)],
            output,
            "a row",
            rows=True,
        )
        for output in outputs
    ]


def _array(
    value: Any, output: OutputField, who: str, count: int | None = None, *, rows: bool = False
) -> Array:
    """A field's value as the array that is declared; with a `count`, of so many images."""
    import numpy as np

    name = _shown(output.field)
    if output.keys or output.labels:
        value = _converted(value, output, name)
    lengths = output.lengths(rows=rows)
    if lengths is not None and count is not None:
        lengths = (count, *lengths)
    try:
        array = np.array(value)
    except ValueError:
        _refuse(f"lists in {name} of {who} have different lengths")
    if array.dtype.kind not in "iuf" or (array.size == 0 and lengths is None):
        _refuse(f"{name} of {who} holds something else than numbers: {_json(value)}")
    if lengths is None:
        lengths = array.shape if count is None else (count, *array.shape[1:])
    array = _with_empty_rows(array, lengths)
    fits = array.ndim == len(lengths) and all(
        wanted in {-1, length} for wanted, length in zip(lengths, array.shape, strict=True)
    )
    if not fits:
        _refuse(f"{name} has the shape {list(array.shape)}, and {list(lengths)} is declared")
    with np.errstate(over="ignore", invalid="ignore"):
        typed: Array = array.astype(output.kind)
    if not np.isfinite(typed).all() or (output.kind == "int64" and (typed != array).any()):
        _refuse(f"{name} of {who} holds numbers that are no {output.kind}: {_json(value)}")
    return typed


def _with_empty_rows(array: Any, lengths: Sequence[int]) -> Any:
    """An empty list says nothing of its rows: its array with the lengths that are declared."""
    if array.size or array.ndim >= len(lengths):
        return array
    return array.reshape(*array.shape, *(max(length, 0) for length in lengths[array.ndim :]))


def _converted(value: Any, output: OutputField, name: str) -> Any:
    """Numbers in place of objects and of texts: of one, or of each in a list."""
    if isinstance(value, list):
        return [_converted(entry, output, name) for entry in value]
    if output.keys:
        return [_at(value, (key,), name) for key in output.keys]
    if not isinstance(value, str) or value not in output.labels:
        _refuse(f"{name} has {_json(value)}, which is none of runtime.outputs' labels")
    return output.labels.index(value)


def _parsed(body: bytes) -> Any:
    try:
        # NaN and Infinity are no JSON: Python alone reads them.
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        text = body[:_QUOTED].decode("utf-8", "replace")
        raise AnswerError(f"the answer is no JSON: {text or 'it is empty'}") from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _at(value: Any, place: Place, who: str) -> Any:
    """What stands at a place of JSON."""
    for depth, name in enumerate(place):
        if not isinstance(value, dict) or name not in value:
            kind = ", ".join(value) if isinstance(value, dict) else _json(value)
            _refuse(f"{who} has no field {_shown(place[: depth + 1])}; it is: {kind}")
        value = value[name]
    return value


def _list(value: Any, place: Place) -> list[Any]:
    if not isinstance(value, list):
        _refuse(f"{_shown(place)} is no list: {_json(value)}")
    return value


def _shown(place: Place) -> str:
    return f"'{'.'.join(place)}'" if place else "the answer"


def _json(value: Any) -> str:
    """As the service wrote it; no `repr`, whose backslashes would hide a credential from `hide`."""
    return (value if isinstance(value, str) else json.dumps(value))[:_QUOTED]


def _refuse(problem: str) -> NoReturn:
    raise AnswerError(problem)
