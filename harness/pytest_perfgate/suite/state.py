"""Reads `[suite.state]`: outputs of a recurrent network that are inputs of its next frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_perfgate import registry
from pytest_perfgate.errors import suggestion
from pytest_perfgate.inputs import Tensor
from pytest_perfgate.locations.url import is_location
from pytest_perfgate.records.recipe import ModelSpec
from pytest_perfgate.sources import Fence
from pytest_perfgate.sources.naming import source_of
from pytest_perfgate.state import BATCH, Feedback
from pytest_perfgate.suite.tables import Place, StateTable, SuiteTable
from pytest_perfgate.tasks import Task

_KEY = "suite.state"
_DTYPES = ("float32", "float16", "int64", "int32")


def in_order(task: str) -> bool:
    """Whether images of a task are frames of sequences, taken in order."""
    kind: Task = registry.find(registry.TASKS, task)
    return kind.in_order


def check_state(place: Place, table: SuiteTable) -> None:
    """Check that the task has sequences, and that no input is declared twice.

    Raises:
        RecipeError: names the key.
    """
    if not table.state:
        return
    if not in_order(table.task):
        ordered = [name for name in registry.names(registry.TASKS) if in_order(name)]
        raise place.error(
            f"the task {table.task!r} takes images in any order, and a state goes from a frame to "
            "the next",
            _KEY,
            valid=f"a task of sequences: {', '.join(ordered)}",
        )
    owners: dict[str, str] = {}
    for output, loop in table.state.items():
        if loop.input in owners:
            raise place.error(
                f"the input {loop.input!r} is fed by {owners[loop.input]!r} too",
                f"{_KEY}.{output}",
            )
        others = table.input.get("others")
        if isinstance(others, Mapping) and loop.input in others:
            raise place.error(
                f"the input {loop.input!r} is in [suite.input.others] too",
                f"{_KEY}.{output}",
                next_step="leave it out there: it is zeros at the first frame, or `value`",
            )
        owners[loop.input] = output


def read_state(
    place: Place, state: Mapping[str, StateTable], model: ModelSpec, fence: Fence
) -> tuple[Feedback, ...]:
    """The outputs that are fed back, in the order of the table, with what the model's file says of
    them: where it says nothing, they are the last outputs.

    Raises:
        RecipeError: the file has no such input or output, or another shape or type; names both.
    """
    if not state:
        return ()
    source, name = source_of(model.name)
    options = source.Options.model_validate(dict(model.options))
    taken = given = None
    if not is_location(model.name) or model.name in fence.fetched:
        taken = source.inputs(name, options, fence)
        given = source.outputs(name, options, fence)
    loops = []
    for number, (output, loop) in enumerate(state.items()):
        key = f"{_KEY}.{output}"
        tensor = _named(place, loop.input, taken, key, "input")
        _named(place, output, given, key, "output")
        position = number - len(state)
        if given is not None:
            position = [one.name for one in given].index(output)
        shape, dtype = _shape(place, loop, tensor, key), _dtype(place, loop, tensor, key)
        loops.append(Feedback(output, loop.input, position, shape, loop.value, dtype))
    return tuple(loops)


def written_state(loops: Sequence[Feedback]) -> dict[str, StateTable]:
    """The table that says the same, to be read again with the model's file."""
    return {
        loop.output: StateTable.model_validate(
            {
                "input": loop.input,
                "shape": list(loop.shape),
                "value": loop.value,
                "dtype": loop.dtype,
            }
        )
        for loop in loops
    }


def _named(
    place: Place, name: str, tensors: Sequence[Tensor] | None, key: str, kind: str
) -> Tensor | None:
    """The tensor of that name; None where the file says nothing."""
    if tensors is None:
        return None
    for tensor in tensors:
        if tensor.name == name:
            return tensor
    raise place.error(
        f"the network has no {kind} {name!r}",
        key,
        valid=suggestion(name, (tensor.name for tensor in tensors)),
    )


def _shape(
    place: Place, loop: StateTable, tensor: Tensor | None, key: str
) -> tuple[int | str, ...]:
    """The declared shape, or the file's, its first length `BATCH` where that is open."""
    declared = None if loop.shape is None else tuple(loop.shape)
    if declared is not None and any(isinstance(length, str) for length in declared[1:]):
        raise place.error(
            f"the shape is {list(declared)}",
            f"{key}.shape",
            valid=f'lengths, and "{BATCH}" as the first one for a state of each sequence of a '
            "batch; transpose the state inside the network where the batch is another axis",
        )
    known = None if tensor is None or tensor.shape is None else tuple(tensor.shape)
    if known is None:
        if declared is None:
            raise place.error(
                f"the shape of the state {loop.input!r} is not known: no file says it",
                key,
                next_step=f'write {{ input = "{loop.input}", shape = ["{BATCH}", 64] }}',
            )
        return declared
    first = (BATCH,) if known and isinstance(known[0], str) else known[:1]
    whole = (*first, *known[1:])
    if declared is None and any(isinstance(length, str) for length in whole[1:]):
        raise place.error(
            f"the file takes {tensor}, and leaves a length open",
            key,
            next_step=f'write {{ input = "{loop.input}", shape = ["{BATCH}", 64] }}',
        )
    if declared is None:
        return whole
    fits = len(declared) == len(known) and all(
        isinstance(theirs, str) or ours == theirs
        for ours, theirs in zip(declared, known, strict=True)
    )
    if not fits:
        raise place.error(
            f"shape = {list(declared)} is declared, and the file takes {tensor}",
            f"{key}.shape",
            next_step="leave it out: the file's is taken",
        )
    return declared


def _dtype(place: Place, loop: StateTable, tensor: Tensor | None, key: str) -> str:
    if tensor is None:
        return loop.dtype or "float32"
    if tensor.kind not in _DTYPES:
        raise place.error(f"the network takes {tensor}", key, valid=", ".join(_DTYPES))
    if loop.dtype not in {None, tensor.kind}:
        raise place.error(
            f"dtype = {loop.dtype!r} is declared, and the file takes {tensor}",
            f"{key}.dtype",
            next_step="leave it out: the file's is taken",
        )
    return tensor.kind
