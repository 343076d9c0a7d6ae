"""Pairs of made-up sessions: the later one with times and sizes moved by a known factor."""

from __future__ import annotations

from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SessionRecord

from tests.report import sessions


def calm(launches: int = 8, seed: int = 1) -> SessionRecord:
    """A session whose launches agree well, so that two of them can tell a difference."""
    base = sessions.healthy()
    suite = base.suites[0]
    records = tuple(
        record.model_copy(
            update={
                "launches": tuple(_launch(index, 0.03 / (place + 1)) for index in range(launches))
            }
        )
        for place, record in enumerate(suite.recipes)
    )
    yardstick = tuple(_launch(index, 0.003) for index in range(launches))
    suite = suite.model_copy(
        update={"task": "detection", "recipes": records, "yardstick": yardstick, "conditions": ()}
    )
    return base.model_copy(update={"suites": (suite,), "id": f"20261123-15013{seed}"})


def moved(session: SessionRecord, factors: dict[str, float], machine: float = 1.0) -> SessionRecord:
    """The session with some recipes' times longer by a factor, and everything by the machine's."""
    suite = session.suites[0]
    records = tuple(
        _times(record, factors.get(record.name, 1.0) * machine) for record in suite.recipes
    )
    yardstick = tuple(_longer(launch, machine) for launch in suite.yardstick)
    suite = suite.model_copy(update={"recipes": records, "yardstick": yardstick})
    return session.model_copy(update={"suites": (suite,), "id": "20261124-150139"})


def _times(record: RecipeRecord, factor: float) -> RecipeRecord:
    launches = tuple(_longer(launch, factor) for launch in record.launches)
    return record.model_copy(update={"launches": launches})


def _longer(launch: Launch, factor: float) -> Launch:
    return launch.model_copy(
        update={
            "inference": tuple(seconds * factor for seconds in launch.inference),
            "preprocess": tuple(seconds * factor for seconds in launch.preprocess),
            "postprocess": tuple(seconds * factor for seconds in launch.postprocess),
            "batches": tuple(batch * factor for batch in launch.batches),
            "load_time": launch.load_time * factor,
        }
    )


def _launch(index: int, seconds: float) -> Launch:
    wobble = 1 + 0.002 * ((index * 7) % 5 - 2)
    return Launch(
        index=index,
        core=0,
        started=float(index),
        load_time=0.05 * wobble,
        preprocess=(0.0005 * wobble,) * 5,
        inference=(seconds * wobble,) * 5,
        postprocess=(0.0008 * wobble,) * 5,
        batches=(4 * seconds * wobble,) * 3,
        batch_size=4,
        peak_memory=int(180e6 * wobble),
    )
