"""`python -P -m pytest_perfgate.device`: measures one suite for a session on another host.

Orders come by standard input, answers go to what was standard output; whatever else is printed goes
to standard error, whose end the session quotes. The end of the session, or of the link to it, is
the end of all that this process has started.
"""

from __future__ import annotations

import os
import select
import sys
import threading

from pytest_perfgate.machine.parent_death import fork_under_keeper


def main(out: int) -> None:
    """Reads the order, measures, answers."""
    from pytest_perfgate.device.measuring import measured
    from pytest_perfgate.machine.pipes import PipeReader, write_whole
    from pytest_perfgate.targets.messages import ANSWERS, ORDERS, Answer, DeviceJob

    def send(answer: Answer) -> None:
        write_whole(out, ANSWERS.encode(answer))

    job = ORDERS.decode(PipeReader(0).line())
    if isinstance(job, DeviceJob):
        threading.Thread(target=_end_with_session, daemon=True).start()
        send(measured(job, send))


def _end_with_session() -> None:
    """Ends this process when no beat comes any more; its keeper ends the others."""
    from pytest_perfgate.targets.messages import PATIENCE

    while select.select([0], [], [], PATIENCE)[0] and os.read(0, 1 << 16):
        pass
    os._exit(1)


if __name__ == "__main__":
    answers = os.dup(1)
    os.dup2(2, 1)
    fork_under_keeper(os.getppid(), ())
    main(answers)
    sys.stderr.flush()
    os._exit(0)  # all has been sent
