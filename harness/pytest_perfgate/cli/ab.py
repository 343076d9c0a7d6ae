"""`pytest-perfgate ab A B`: whether one endpoint is slower than another, without a commit."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_perfgate.cli import options
from pytest_perfgate.errors import PerfgateError

if TYPE_CHECKING:
    from pytest_perfgate.cli.ab_run import Outcome, Terms
    from pytest_perfgate.records.recipe import Recipe, Suite

_ABOUT = """\
Sends the same requests at the same times to two endpoints, in short turns whose
order is drawn, and ends when it is proven that B is slower than the budget allows, or
that it is not. A and B are addresses, or model files, for each of which the recipe's
server is started on the same cores. Requests are validation images of the suite.

The chance of a wrong answer is 1 % for each, however long it takes.

exit code: 0 B is proven to be within the budget
           1 B is proven to be slower
           2 wrong usage
           10 neither was proven in time, or an endpoint cannot be used"""

_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_METRICS = tuple(f"request_latency_{name}" for name in _SHARES)
_ALPHA = 0.01
_BEHIND = 10  # requests behind a percentile in a turn


def add_command(commands: Any) -> None:
    """Adds the command to the subparsers of `pytest-perfgate`."""
    ab = commands.add_parser(
        "ab",
        help="compare two running endpoints, or two files behind a server",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    ab.add_argument("first", metavar="A", help="address or file of what is there")
    ab.add_argument("second", metavar="B", help="address or file of what may take its place")
    ab.add_argument(
        "--suite",
        type=Path,
        default=Path("suites"),
        metavar="DIR",
        help="folder of the suite (default: suites)",
    )
    ab.add_argument(
        "--recipe",
        default="",
        metavar="NAME",
        help="recipe that says how an endpoint is spoken to (default: the only one at an endpoint)",
    )
    ab.add_argument(
        "--metric", choices=_METRICS, default=_METRICS[0], help=f"default: {_METRICS[0]}"
    )
    ab.add_argument(
        "--budget", default="2%", metavar="P", help="by how much B may be slower (default: 2%%)"
    )
    ab.add_argument(
        "--rate",
        type=options.number("requests per second, such as 50"),
        default=0.0,
        metavar="R",
        help="requests per second (default: that of the recipe's workload)",
    )
    ab.add_argument(
        "--turn",
        type=options.seconds,
        default=0.5,
        metavar="S",
        help="time of a turn (default: 0.5); longer where it had too few requests for the metric",
    )
    options.add_seconds(ab, default=90.0, more="it ends earlier when something is proven")
    options.add_wait(ab)
    ab.add_argument(
        "--seed",
        type=int,
        default=None,
        metavar="N",
        help="of arrivals and of the order of turns (default: drawn)",
    )
    ab.add_argument("--json", action="store_true", help="print the result as JSON")
    ab.set_defaults(run=_run, problem_code=options.UNMEASURED)


def _run(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.cli.ab_run import is_url

    if is_url(arguments.first) and is_url(arguments.second):
        return _measured(arguments)
    return _under_keeper(lambda: _measured(arguments))


def _measured(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.cli.ab_run import NAMES, Interrupted, artifact_of, compare, options_for
    from pytest_perfgate.cli.ab_sides import notes, refuse_same
    from pytest_perfgate.machine.held_folders import held_folder
    from pytest_perfgate.machine.locks import exclusive
    from pytest_perfgate.report.progress import ProgressLine

    root, suite, recipe = _recipe(arguments)
    targets = (arguments.first, arguments.second)
    for target, name in zip(targets, NAMES, strict=True):  # before any long work
        options_for(recipe, target, name)
        artifact_of(target, name)
    terms = _terms(arguments, recipe)
    refuse_same(targets)
    remarks = tuple(notes(targets))
    progress = ProgressLine()
    interrupted = False
    try:
        with (
            exclusive(None, arguments.wait, progress, option="--wait SECONDS"),
            held_folder(_cache(root) / "ab") as folder,
        ):
            outcome = compare(suite, recipe, targets, terms, folder, progress)
    except Interrupted as interruption:
        outcome, interrupted = interruption.outcome, True
    except KeyboardInterrupt:
        print("interrupted before a pair was measured", file=sys.stderr)
        return 130
    finally:
        progress.end()
    if arguments.json:
        print(json.dumps(_as_json(arguments, terms, outcome, remarks), indent=1))
    else:
        print("\n".join(_lines(arguments, terms, outcome, remarks)))
    if interrupted:
        print("interrupted", file=sys.stderr)
        return 130
    return {"PASS": 0, "FAIL": 1}.get(outcome.decision.status, options.UNMEASURED)


def _recipe(arguments: argparse.Namespace) -> tuple[Path, Suite, Recipe]:
    """The recipe that says how the endpoints are spoken to.

    Raises:
        RecipeError: there is none, several, or a package is missing.
    """
    from pytest_perfgate import registry
    from pytest_perfgate.cli.project import root_of
    from pytest_perfgate.errors import RecipeError
    from pytest_perfgate.suite.lookup import find, suite_files
    from pytest_perfgate.suite.reading import read
    from pytest_perfgate.suite.requirements import lacking

    folder = arguments.suite.resolve()
    root = root_of(folder)
    name = arguments.recipe
    if not name:
        at_endpoints = [
            f"{suite.name}/{recipe.name}"
            for suite in (read(file, root).suite for file in suite_files(folder))
            if suite is not None
            for recipe in suite.recipes.values()
            if registry.find(registry.RUNTIMES, recipe.runtime.name).endpoint
        ]
        if len(at_endpoints) != 1:
            raise RecipeError(
                f"{len(at_endpoints) or 'no'} recipes are at an endpoint",
                where=str(arguments.suite),
                valid=", ".join(at_endpoints) or 'a recipe with the runtime "kserve" or "http"',
                next_step="name one: --recipe NAME" if at_endpoints else "",
            )
        name = at_endpoints[0]
    suite, recipe = find(name, root, folder, command="pytest-perfgate ab A B --recipe")
    failure = lacking(suite, recipe)
    if failure is not None:
        raise RecipeError(f"{recipe.name}: {failure.problem}", next_step=failure.next_step)
    return root, suite, recipe


def _terms(arguments: argparse.Namespace, recipe: Recipe) -> Terms:
    from pytest_perfgate.cli.ab_run import Terms
    from pytest_perfgate.errors import RecipeError
    from pytest_perfgate.units import Unit, parse
    from pytest_perfgate.workloads.serving_options import ServingOptions, requests_of_turn

    budget = parse(arguments.budget, Unit.RATIO)
    if not (arguments.budget.rstrip().endswith("%") and 0 <= budget <= 10):
        raise PerfgateError(
            f"{arguments.budget!r} is no percentage", where="--budget", valid="2%, up to 1000%"
        )
    given = dict(recipe.workload.options) if recipe.workload.name == "serving" else {}
    workload = ServingOptions.model_validate(given)
    rate = arguments.rate or workload.offered_rate
    if not rate:
        raise RecipeError(
            "the recipe's workload has no rate",
            where=f"recipe {recipe.name!r}: workload",
            next_step="--rate R, in requests per second",
        )
    share = _SHARES[arguments.metric.rpartition("_")[2]]
    behind = 0 if share == _SHARES["p50"] else round(_BEHIND / (1 - share))
    return Terms(
        options=workload,
        rate=rate,
        requests=requests_of_turn(rate, arguments.turn, behind),
        share=share,
        budget=budget,
        seconds=arguments.seconds,
        alpha=_ALPHA,
        seed=secrets.randbelow(2**31) if arguments.seed is None else abs(arguments.seed),
    )


def _cache(root: Path) -> Path:
    from pytest_perfgate.machine.cache_folders import keep_out_of_git
    from pytest_perfgate.records.settings import for_command

    settings = for_command(root, "pytest-perfgate ab")
    keep_out_of_git(settings.cache)
    return settings.cache


def _lines(
    arguments: argparse.Namespace, terms: Terms, outcome: Outcome, remarks: Sequence[str]
) -> Iterator[str]:
    """The result as text."""
    from pytest_perfgate.stats.sequential import fewest
    from pytest_perfgate.units import count_of, show_percent

    decision = outcome.decision
    yield f"A: {arguments.first}"
    yield f"B: {arguments.second}"
    if decision.growth is not None:
        low, high = (
            "?" if one is None else show_percent(one) for one in (decision.low, decision.high)
        )
        yield (
            f"{decision.status}: {arguments.metric} of B is {show_percent(decision.growth)} to A's "
            f"({low} … {high}) over {count_of(len(outcome.ratios), 'pair')} of turns; "
            f"budget {show_percent(terms.budget)}"
        )
    else:
        yield f"{decision.status}: no pair of turns was measured"
    yield (
        f"{terms.rate:g} requests/s, {terms.requests} in a turn, seed {terms.seed}; chance of a "
        f"wrong answer {100 * terms.alpha:g} %"
    )
    for remark in remarks:
        yield f"note: {remark}"
    if outcome.late:
        yield f"{count_of(outcome.late, 'pair')} left out: {outcome.reason}"
    if decision.growth is None:
        yield "next: give the generator a core that no other program uses: pytest-perfgate doctor"
    elif decision.status not in {"PASS", "FAIL"}:
        needed = fewest(terms.alpha)
        few = f"; {needed} pairs are the fewest" if len(outcome.ratios) < needed else ""
        yield f"next: --seconds {max(90.0, 3 * terms.seconds):g}, or a quieter machine{few}"


def _as_json(
    arguments: argparse.Namespace, terms: Terms, outcome: Outcome, remarks: Sequence[str]
) -> dict[str, Any]:
    return {
        "a": arguments.first,
        "b": arguments.second,
        "metric": arguments.metric,
        **outcome.decision.model_dump(mode="json"),
        "budget": terms.budget,
        "alpha": terms.alpha,
        "rate": terms.rate,
        "requests": terms.requests,
        "seed": terms.seed,
        "ratios": list(outcome.ratios),
        "late": outcome.late,
        "reason": outcome.reason,
        "notes": list(remarks),
    }


def _under_keeper(work: Callable[[], int]) -> int:
    """Does the work in a process whose servers end with it, however this one ends."""
    from pytest_perfgate.machine.parent_death import fork_under_keeper

    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = options.UNMEASURED
        try:
            fork_under_keeper(parent, ())
            code = work()
        except PerfgateError as error:
            print(error, file=sys.stderr)
        except KeyboardInterrupt:
            code = 130
        except BaseException:  # noqa: BLE001 - told below, and the process ends
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    while True:
        try:
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        except KeyboardInterrupt:
            continue  # the process that measures hears it, too, and says what was proven
        return 128 - code if code < 0 else code
