"""`pytest-perfgate canary`: whether a new version may take the place of the old one."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_perfgate.cli import options
from pytest_perfgate.errors import LogError, PerfgateError

if TYPE_CHECKING:
    from pytest_perfgate.live.canary import Canary, Check
    from pytest_perfgate.live.canary_limits import Limits

_ABOUT = """\
Compares the logs of two versions that serve at the same time: a quantile of the latency,
the error rate, and the mean of the best score. Prints `promote` when every limit is proven
to be kept, `roll back` when one is proven to be broken, else `hold`.

The command may be run as often as you like: the chance that any of its bounds is ever
wrong is at most --alpha. Limits are those of the options; with --record, limits that no
option names are the budgets of the recipe: `regression` of a latency as a ratio to the old
version, `max` of request_latency_* and of error_rate.

exit code: 0 promote
           1 roll back
           2 wrong usage
           10 hold, or a file cannot be used"""
_POLL = 10.0  # seconds between two looks of --wait
CODES = {"promote": 0, "roll back": 1, "hold": options.UNMEASURED}


def add_command(commands: Any) -> None:
    """Adds the command to the subparsers of `pytest-perfgate`."""
    canary = commands.add_parser(
        "canary",
        help="promote, hold or roll back a new version, by the logs of two monitors",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    canary.add_argument("old", type=Path, metavar="OLD_LOGS", help="log of the old version")
    canary.add_argument("new", type=Path, metavar="NEW_LOGS", help="log of the new version")
    share = options.number("a number, such as 0.95")
    canary.add_argument(
        "--quantile", type=share, metavar="Q", help="of the latency (default: 0.95)"
    )
    canary.add_argument(
        "--latency-ratio", type=share, metavar="R", help="new to old, at most (default: 1.1)"
    )
    canary.add_argument(
        "--error-rate", type=share, metavar="E", help="of the new version (default: 0.01)"
    )
    canary.add_argument(
        "--score-drop",
        type=share,
        metavar="D",
        help="by how much the mean of the best score may be lower (default: 0.02)",
    )
    canary.add_argument(
        "--record", type=Path, metavar="SESSION.json", help="session whose budgets are limits"
    )
    canary.add_argument(
        "--recipe",
        default="",
        metavar="NAME",
        help="recipe of --record, NAME or SUITE/NAME (default: that of NEW_LOGS)",
    )
    options.add_alpha(canary, 0.05, "chance of error")
    canary.add_argument(
        "--wait",
        type=options.seconds,
        default=0.0,
        metavar="S",
        help="time to wait while the verdict is hold, or a log is not there yet (default: 0)",
    )
    options.add_apart(canary)
    canary.add_argument("--json", action="store_true", help="print the verdict as JSON")
    canary.add_argument(
        "--serve",
        type=_address,
        metavar="[HOST:]PORT",
        help="answer over HTTP until interrupted, host 127.0.0.1 by default: /verdict with the "
        "JSON; 200 or 409 at /confirm-promotion, /rollback and /rollout",
    )
    canary.set_defaults(run=_canary, problem_code=options.UNMEASURED)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port, such as 8080 or 0.0.0.0:8080")
    return host or "127.0.0.1", int(port)


def _canary(arguments: argparse.Namespace) -> int:
    if arguments.serve:
        return _serve(arguments)
    result = _waited(arguments)
    if arguments.json:
        print(result.model_dump_json(indent=1))
    else:
        for line in lines(result):
            print(line)
    return CODES[result.verdict]


def _waited(arguments: argparse.Namespace) -> Canary:
    """The verdict, which is read anew while it is hold and there is time."""
    end = time.monotonic() + arguments.wait
    while True:
        left = end - time.monotonic()
        try:
            result = _judged(arguments)
        except LogError:
            if left <= 0:
                raise
        else:
            if result.verdict != "hold" or left <= 0:
                return result
        time.sleep(min(_POLL, max(left, 0.0)))


def _judged(arguments: argparse.Namespace) -> Canary:
    from pytest_perfgate.live.canary import judge
    from pytest_perfgate.live.logs import read_logs

    old, new = (
        read_logs([place]).thinned(arguments.apart) for place in (arguments.old, arguments.new)
    )
    return judge(old, new, _limits(arguments, new.name), arguments.alpha)


def _limits(arguments: argparse.Namespace, name: str) -> Limits:
    from pytest_perfgate.live.canary_limits import limits_of
    from pytest_perfgate.live.gate_record import read_record

    record = read_record(arguments.record, arguments.recipe or name) if arguments.record else None
    return limits_of(
        record,
        quantile=arguments.quantile,
        ratio=arguments.latency_ratio,
        error_rate=arguments.error_rate,
        score_drop=arguments.score_drop,
    )


def _serve(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.live.canary import held
    from pytest_perfgate.live.canary_server import VerdictServer

    # Options and the record are at fault before the first question; logs may come later.
    if arguments.recipe or not arguments.record:
        _limits(arguments, arguments.recipe)

    def verdict() -> Canary:
        try:
            return _judged(arguments)
        except PerfgateError as error:
            return held(str(error), arguments.alpha)

    host, port = arguments.serve
    try:
        server = VerdictServer((host, port), verdict)
    except OSError as error:
        raise PerfgateError(
            f"{host}:{port} cannot be listened at: {error.strerror or error}",
            next_step="name another port: --serve=PORT",
        ) from error
    with server:
        print(f"listening at http://{host}:{server.server_address[1]}/verdict", file=sys.stderr)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 130
    return 0


def lines(result: Canary) -> Iterator[str]:
    """The verdict as text."""
    yield f"{result.verdict}: {result.reason}"
    for title, side in (("old", result.old), ("new", result.new)):
        if side is not None:
            yield (
                f"{title}  {side.suite}/{side.recipe}: {side.requests:,} requests, "
                f"{side.errors:,} errors, {side.rows:,} rows from {side.first} to {side.last}"
            )
    for note in result.notes:
        yield f"note: {note}"
    for check in result.checks:
        yield f"{check.status:<7}{check.name:<28}{_words(check)}"


def _words(check: Check) -> str:
    limit = f"limit {check.limit:.4g}"
    if check.value is None:
        return f"{limit}: {check.problem or 'no requests'}"
    low, high = ("?" if end is None else f"{end:.4g}" for end in (check.low, check.high))
    return f"{limit}: {check.value:.4g} ({low} to {high}) {check.unit}"
