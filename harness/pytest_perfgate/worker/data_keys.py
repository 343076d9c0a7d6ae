"""The "data keys" job: digests of a suite's data, without building or measuring anything."""

from __future__ import annotations

from pytest_perfgate.building.keys import data_keys as keys_of
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.records.input_messages import DataKeys, DataKeysJob
from pytest_perfgate.worker.protocol import Send
from pytest_perfgate.worker.sparse_progress import SparseProgress


def data_keys(job: DataKeysJob, send: Send) -> None:
    """Sends `WorkProgress`, then `DataKeys`."""
    send(DataKeys(keys_of(job.suite, job.splits, SuiteData(job.suite, SparseProgress(send)))))
