"""A worker's side: `python -P -m pytest_perfgate.worker JOB_FD MESSAGE_FD PARENT_PID KEPT`.

`KEPT` is 1 for a worker with a keeper, and 0 for one whose launch has one.
"""

from __future__ import annotations

import gc
import io
import sys

from pytest_perfgate.machine.parent_death import die_with, fork_under_keeper

if __name__ == "__main__":
    gc.disable()  # until all is imported, see `dispatch`
    # What the project's code prints is the last word of a worker that is killed.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    job_fd, message_fd, parent, kept = (int(text) for text in sys.argv[1:5])
    # Before anything is imported: the keeper stays small, and no framework has threads yet, which
    # would not live on in the child.
    if kept:
        fork_under_keeper(parent, (job_fd, message_fd))
    else:
        die_with(parent)

    from pytest_perfgate.worker.dispatch import main

    main(job_fd, message_fd)
