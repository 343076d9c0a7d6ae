"""Digests of a suite's data now, by a worker: nothing is built or measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_perfgate.machine.held_folders import held_folder
from pytest_perfgate.measure.preparation import Jobs, Progress
from pytest_perfgate.measure.prepared_arm import Arm
from pytest_perfgate.measure.worker_pool import Pool
from pytest_perfgate.records.input_messages import DataKeys, DataKeysJob
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.records.settings import Settings


def data_keys_now(
    suite: Suite, splits: Iterable[str], settings: Settings, show: Progress
) -> Mapping[str, str] | None:
    """`building.keys.data_keys` of the data as they are; None: they cannot be read."""
    recipe = next(iter(suite.recipes.values()))
    arm = Arm("data", suite, recipe)
    show(f"{suite.name}: comparing the data with the base's")
    keys = None
    with held_folder(settings.cache / "logs") as logs:
        job = Jobs([arm], settings, logs).job("data", DataKeysJob(suite, tuple(splits)), arm)
        with Pool(1, logs / "data") as pool:
            for _, event in pool.run([job]):
                if isinstance(event, DataKeys):
                    keys = event.keys
    return keys
