"""Stored data of earlier programs, carried up to the version that this program writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.records.accuracy import Packed, in_steps

Migration = Callable[[dict[str, Any]], dict[str, Any]]
"""Makes the data of one version into the next version's; it may change what it is given."""


def carried_up(
    data: dict[str, Any],
    latest: int,
    migrations: Mapping[int, Migration],
    error: type[PerfgateError],
    *,
    what: str,
    where: Path,
    next_step: str = "",
) -> dict[str, Any]:
    """`data`, whose key `version` is a whole number, as version `latest` has it; `what` is named
    in messages ("the baseline"), and `where` is its file.

    Raises:
        PerfgateError: of the type `error`: a newer version, or one that no program wrote.
    """
    version = data["version"]
    if version > latest:
        raise error(
            f"{what} is of version {version}, and this program reads up to version {latest}",
            where=str(where),
            next_step="python -m pip install --upgrade pytest-perfgate",
        )
    while version < latest:  # a migration's own version goes up, so this ends
        if version not in migrations:
            raise error(
                f"there never was a version {version}", where=str(where), next_step=next_step
            )
        data = migrations[version](data)
        version = data["version"]
    return data


def add_ignored(accuracy: Any) -> None:
    """Adds `ignored` to the matches of an accuracy that was written before there was such a column:
    detections on objects to ignore were left out then, so none of those that are there is ignored.
    """
    matches = accuracy.get("matches") if isinstance(accuracy, dict) else None
    if not isinstance(matches, dict) or "ignored" in matches:
        return
    import numpy as np

    try:
        hits = Packed.model_validate(matches.get("hits")).array()
    except (ValidationError, ValueError):
        return  # reading the data itself says what is wrong
    matches["ignored"] = Packed.of(np.zeros(hits.shape, dtype=np.uint16)).model_dump(mode="json")


def round_ratios(accuracy: Any) -> None:
    """Rounds the numerators of an accuracy's ratios as they are since: see `in_steps`."""
    ratios = accuracy.get("ratios") if isinstance(accuracy, dict) else None
    for ratio in ratios.values() if isinstance(ratios, dict) else ():
        try:
            sums = Packed.model_validate(ratio["numerator"]).array()
            ratio["numerator"] = Packed.of(in_steps(sums)).model_dump(mode="json")
        except (KeyError, TypeError, ValidationError, ValueError):
            continue  # reading the data itself says what is wrong
