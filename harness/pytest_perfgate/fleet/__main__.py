"""The driver of the engine: `python -P -m pytest_perfgate.fleet ORDER_FD REPORT_FD PARENT_PID`.

A process of its own, so that the pytest process imports no engine, and so that the end of the
session, however it comes, is the end of all that the engine has started.
"""

from __future__ import annotations

import os
import select
import sys

from pytest_perfgate.machine.parent_death import fork_under_keeper

_LOOK = 0.2  # seconds between looks at orders, while jobs run


def main(read: int, write: int) -> None:
    """Reads orders until there are no more, and runs them."""
    from pytest_perfgate.fleet.engine import opened
    from pytest_perfgate.fleet.messages import ORDERS, REPORTS, JobOrder, Opened, Opening, Report
    from pytest_perfgate.machine.pipes import PipeReader, write_whole

    os.set_inheritable(read, False)
    os.set_inheritable(write, False)

    def send(report: Report) -> None:
        write_whole(write, REPORTS.encode(report))

    orders = PipeReader(read)
    opening = ORDERS.decode(orders.line())
    if not isinstance(opening, Opening):
        return
    os.chdir(opening.folder)  # Ray puts the folder of its driver on the path of all its processes
    sys.argv[0] = ""
    with opened(opening, send) as engine:
        if engine is None:
            return
        send(Opened())
        closed = False
        while not closed:
            if select.select([read], [], [], 0.0 if engine.busy else None)[0]:
                lines, closed = orders.receive()
                for order in map(ORDERS.decode, lines):
                    if isinstance(order, JobOrder):
                        engine.add(order)
            if engine.busy and not closed:
                engine.step(_LOOK)


if __name__ == "__main__":
    read_fd, write_fd, parent = (int(text) for text in sys.argv[1:4])
    # Before anything else is imported: the keeper stays small.
    fork_under_keeper(parent, (read_fd, write_fd))
    main(read_fd, write_fd)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # everything has been sent, and Ray has ended
