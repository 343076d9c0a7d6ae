"""Whole numbers and floats as the bytes of a file beside a baseline, the lowest byte of all first,
which compresses best.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_perfgate.records.accuracy import STEP

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_KINDS = (("ones", 1.0), ("steps", STEP))
_MOVED = "moved-"


def planes(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Whole numbers from 0 on as bytes (B, N), the lowest first."""
    import numpy as np

    width = max(1, (int(values.max(initial=0)).bit_length() + 7) // 8)
    return values.astype("<u8").view(np.uint8).reshape(-1, 8).T[:width].copy()


def whole(arrays: Mapping[str, Any], name: str) -> npt.NDArray[np.int64]:
    """What `planes` made of whole numbers (N,).

    Raises:
        ValueError: there is no such array, or it is of another shape or type.
    """
    import numpy as np

    stored = arrays.get(name)
    if stored is None:
        raise ValueError(f"it has no array {name!r}")
    if stored.dtype != np.uint8 or stored.ndim != 2 or not 1 <= len(stored) <= 7:
        raise ValueError(f"an array has the shape {stored.shape} and is {stored.dtype}")
    wide = np.zeros((stored.shape[1], 8), np.uint8)
    wide[:, : len(stored)] = stored.T
    values: npt.NDArray[np.int64] = wide.view("<i8").ravel()
    return values


def unsigned(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Numbers from 0 on, small for small ones: even ones stand for those from 0 on, odd ones for
    negative ones.
    """
    import numpy as np

    return np.where(values < 0, -2 * values - 1, 2 * values)


def signed(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """What `unsigned` was made of."""
    import numpy as np

    return np.where(values % 2, -(values + 1) // 2, values // 2)


def of_floats(
    name: str, values: npt.NDArray[Any], basis: npt.NDArray[Any] | None = None
) -> dict[str, npt.NDArray[np.uint8]]:
    """Values as whole numbers, of ones or of steps, where they are such; else as they are. Whole
    numbers that are nearer to those of a `basis` than to zero are stored as what they differ by,
    and others as the bits that differ where most of them are the same.
    """
    import numpy as np

    for kind, step in _KINDS:
        numbers = _numbers(values, step)
        if numbers is None:
            continue
        before = None if basis is None or len(basis) != len(values) else _numbers(basis, step)
        if before is not None and np.abs(numbers - before).sum() < np.abs(numbers).sum():
            return {f"{name} {_MOVED}{kind}": planes(unsigned(numbers - before))}
        return {f"{name} {kind}": planes(unsigned(numbers))}
    if basis is None or len(basis) != len(values) or 2 * (basis == values).sum() < len(values):
        return {f"{name} floats": _bytes(values)}
    return {f"{name} {_MOVED}floats": _bytes(values) ^ _bytes(basis)}


def floats(
    arrays: Mapping[str, Any], name: str, basis: npt.NDArray[Any] | None = None
) -> npt.NDArray[np.float64]:
    """What `of_floats` stored, with the same `basis`.

    Raises:
        ValueError: there is no such array, or it is of other values than the basis.
    """
    import numpy as np

    for kind, step in _KINDS:
        if f"{name} {kind}" in arrays:
            return signed(whole(arrays, f"{name} {kind}")) * np.float64(step)
        if f"{name} {_MOVED}{kind}" in arrays:
            moved = signed(whole(arrays, f"{name} {_MOVED}{kind}"))
            before = None if basis is None else _numbers(basis, step)
            if before is None or len(before) != len(moved):
                raise ValueError(f"the array {name!r} is of other values than its basis")
            return (before + moved) * np.float64(step)
    kind = f"{_MOVED}floats" if f"{name} {_MOVED}floats" in arrays else "floats"
    stored = arrays.get(f"{name} {kind}")
    if stored is None or stored.dtype != np.uint8 or stored.ndim != 2 or len(stored) != 8:
        raise ValueError(f"it has no array {name!r}")
    if kind != "floats":
        if basis is None or len(basis) != stored.shape[1]:
            raise ValueError(f"the array {name!r} is of other values than its basis")
        stored = stored ^ _bytes(basis)
    values: npt.NDArray[np.float64] = stored.T.copy().view("<f8").ravel()
    return values


def _bytes(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The bytes of floats (8, N), the lowest first."""
    import numpy as np

    return values.astype("<f8").view(np.uint8).reshape(-1, 8).T.copy()


def _numbers(values: npt.NDArray[Any], step: float) -> npt.NDArray[np.int64] | None:
    """Values as whole multiples of a step, below 2^31 in size; None where they are none."""
    import numpy as np

    numbers = np.rint(values / step)
    if (np.abs(numbers) < 2**31).all() and (numbers * step == values).all():
        return numbers.astype(np.int64)
    return None
