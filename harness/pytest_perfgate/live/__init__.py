"""After the merge: what a predictor does in production, and whether that is what was measured.

    from pytest_perfgate import live

    record = live.read_record("reports/20261130-121847-3fa91c.json", "int8")
    with live.Monitor(record, "logs") as monitor:
        predict = monitor.wrap(predict)
        predict(image)
        print(monitor.openmetrics())

`pytest-perfgate drift` compares the logs with the record, `pytest-perfgate canary` the logs of two
versions. Importing this imports no framework.
"""

from pytest_perfgate.live.gate_record import GateRecord, read_record
from pytest_perfgate.live.monitor import Monitor, Request

__all__ = ["GateRecord", "Monitor", "Request", "read_record"]
