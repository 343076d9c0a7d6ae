"""A process that trains with others: `python -m pytest_perfgate.building.rank_process`.

It applies the same step to the same artifact as the process that started it, up to the end of the
training, and writes nothing: rank 0 has the model, the checkpoints and the progress.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace

from pytest_perfgate import registry
from pytest_perfgate.building.artifact_cache import ArtifactStore
from pytest_perfgate.building.builder import load
from pytest_perfgate.building.fold_data import FoldData
from pytest_perfgate.building.import_path import enter
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.building.step_context import StepSetting
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.building.training_ranks import ANSWERS, ORDERS, RankFailed, RankOrder, Ready
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.machine.parent_death import die_with
from pytest_perfgate.machine.pipes import write_whole
from pytest_perfgate.machine.processes import problem_of
from pytest_perfgate.steps import Step
from pytest_perfgate.steps.training_checkpoints import Checkpoints
from pytest_perfgate.steps.training_peers import Peers
from pytest_perfgate.steps.training_processes import RankDone


def main() -> None:
    """Reads an order from standard input; answers go to standard output."""
    die_with(os.getppid())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.dup(1)
    os.dup2(2, 1)  # what a trainer prints is no answer

    def say(answer: Ready | RankFailed) -> None:
        write_whole(answers, ANSWERS.encode(answer))

    code = 1
    try:
        order = ORDERS.decode(sys.stdin.buffer.readline())
        enter(order.suite)
        _train(order, lambda: say(Ready()))
    except RankDone:
        code = 0
    except PerfgateError as error:
        say(RankFailed(error.problem, error.where, error.valid, error.next_step))
    except Exception as error:  # noqa: BLE001 - whatever a trainer raises ends this process only
        say(RankFailed(problem_of(error)[0]))
        traceback.print_exc()
    sys.stdout.flush()
    # Frameworks' threads have hung here; everything has been said.
    os._exit(code)


def _train(order: RankOrder, ready: Callable[[], None]) -> None:
    """Applies the step of an order.

    Raises:
        RankDone: the training is finished.
    """
    suite, store = order.suite, ArtifactStore(order.cache)
    watch = Watch(suite.root, order.cache)
    data = SuiteData(suite)
    if order.fold is not None:
        split, kept, held_out = order.fold
        data = FoldData(suite, data, split, (kept, held_out), lambda *_: None)
    step: Step = registry.find(registry.STEPS, order.step.name)
    options = step.Options.model_validate(dict(order.step.options))
    checkpoints = Checkpoints(order.checkpoints, dict, watch.unchanged)
    setting = StepSetting(suite, store, data, lambda *_: None)
    folder = order.rendezvous.parent / str(order.rank)  # which rank 0 removes
    folder.mkdir()
    before = load(order.before)
    context = setting.context(step, options, lambda: before, folder, checkpoints)
    peers = Peers(order.rank, order.size, order.rendezvous, ready, lambda: None)
    step.apply(before, options, replace(context, peers=peers))


if __name__ == "__main__":
    main()
