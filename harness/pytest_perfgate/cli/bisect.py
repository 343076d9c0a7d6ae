"""`pytest-perfgate bisect RECIPE METRIC --good REF --bad REF`: the commit that moved a metric."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_perfgate.cli import options
from pytest_perfgate.errors import PerfgateError

if TYPE_CHECKING:
    from pytest_perfgate.versions.bisection import Bisection

_ABOUT = """\
Measures several commits of a range beside each other, in the same launches, until
one commit is the first with the step with a probability of 98 %. Merges are
followed into their branches. Commits that do not build are left out; where that
leaves neighbours alike, all of them are named.

The project's code and suite are those of each commit; packages are those of this
environment. Files that git does not hold are those of the working tree.

exit code: 0 the first commit with the step is named, or a few that hold it
           1 no step is proven, or an end of the range could not be measured
           2 wrong usage"""


def add_command(commands: Any) -> None:
    """Adds the command to the subparsers of `pytest-perfgate`."""
    bisect = commands.add_parser(
        "bisect",
        help="find the commit that moved a metric of a recipe",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bisect.add_argument("recipe", help="name of the recipe, or suite/recipe")
    bisect.add_argument("metric", help="name of the metric, such as latency_p50")
    bisect.add_argument("--good", required=True, metavar="REF", help="a commit without the step")
    bisect.add_argument("--bad", required=True, metavar="REF", help="a commit with the step")
    options.add_suites(bisect)
    options.add_seconds(bisect, default=300.0, more="builds do not count")
    options.add_wait(bisect)
    bisect.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.machine.locks import exclusive
    from pytest_perfgate.report.progress import ProgressLine

    progress = ProgressLine()
    try:
        bisection, wait = _bisection(arguments, progress)
        try:
            with exclusive(None, wait, progress, option="--wait SECONDS"):
                outcome = bisection.run()
        except KeyboardInterrupt:
            progress.end()
            print("interrupted; until then:", file=sys.stderr)
            print("\n".join(bisection.lines(bisection.outcome())))
            return 130
        except PerfgateError:
            progress.end()
            if bisection.outcome().launches:
                print("\n".join(bisection.lines(bisection.outcome())))
            raise
    finally:
        progress.end()
    print("\n".join(bisection.lines(outcome)))
    return 0 if outcome.culprits else 1


def _bisection(arguments: argparse.Namespace, show: Any) -> tuple[Bisection, float]:
    """All that is asked for, checked before any long work."""
    from pytest_perfgate import registry
    from pytest_perfgate.cli.project import locate
    from pytest_perfgate.errors import RecipeError, suggestion
    from pytest_perfgate.machine.cache_folders import keep_out_of_git
    from pytest_perfgate.records.settings import for_command
    from pytest_perfgate.suite.locations import with_files
    from pytest_perfgate.suite.lookup import find
    from pytest_perfgate.suite.metrics import metrics_of, metrics_of_workload, task_of
    from pytest_perfgate.suite.requirements import lacking
    from pytest_perfgate.versions.bisection import Bisection
    from pytest_perfgate.versions.commit_range import read_range
    from pytest_perfgate.versions.range_values import values_of

    root, suites = locate(Path.cwd(), arguments.suites)
    command = f"pytest-perfgate bisect {arguments.recipe} {arguments.metric}"
    settings = for_command(root, command, seconds=arguments.seconds, wait=arguments.wait)
    suite, recipe = find(arguments.recipe, root, suites, command="pytest-perfgate bisect")
    workload = registry.find(registry.WORKLOADS, recipe.workload.name)
    measured = metrics_of_workload(workload, task_of(suite.task))
    every = metrics_of(suite.task, suite.scopes)
    metrics = {name: one for name, one in every.items() if one.score_name in measured}
    if arguments.metric not in metrics:
        raise RecipeError(
            f"{recipe.name} has no metric {arguments.metric!r}",
            valid=suggestion(arguments.metric, metrics),
        )
    span = read_range(root, arguments.good, arguments.bad)
    failure = lacking(suite, recipe)
    if failure is not None:
        raise RecipeError(f"{recipe.name}: {failure.problem}", next_step=failure.next_step)
    keep_out_of_git(settings.cache)
    values = values_of(suite, recipe, settings, show)
    suite = with_files(suite, settings.cache, show)
    metric = metrics[arguments.metric]
    return Bisection(suite, recipe.name, metric, span, settings, show, values), settings.wait
