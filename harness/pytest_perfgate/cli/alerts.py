"""`pytest-perfgate alerts`: lists alerts, and closes those that are meant to be so."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_perfgate.cli import options
from pytest_perfgate.cli.history import folder_option
from pytest_perfgate.errors import HistoryError, suggestion

if TYPE_CHECKING:
    from pytest_perfgate.history.alert_life import Standing


def add_command(commands: Any) -> None:
    """Adds the command and its actions to the subparsers of `pytest-perfgate`."""
    alerts = commands.add_parser("alerts", help="list alerts, and close those that are expected")
    actions = alerts.add_subparsers(title="actions", metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="list the open alerts with their age")
    listed.add_argument("--all", action="store_true", help="list the closed ones too")
    listed.set_defaults(run=_list)
    expect = actions.add_parser(
        "expect", help="close alerts that are meant to be so; the file is reviewed in git"
    )
    expect.add_argument(
        "name", help="a recipe, suite/recipe; of a silence also a suite or a machine"
    )
    expect.add_argument("metric", nargs="?", default="", help="one metric (default: all)")
    expect.add_argument("--reason", required=True, metavar="TEXT", help="why it is expected")
    expect.add_argument(
        "--by", default="", metavar="NAME", help="who says so (default: git's user)"
    )
    expect.set_defaults(run=_expect)
    for action in (listed, expect):
        folder_option(action, "--history")
        options.add_baselines(action)


def _list(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.history.alert_rows import age, alert_lines

    now = datetime.now(UTC)
    standings = _standings(arguments)
    shown = [one for one in standings if one.alert.worse and (arguments.all or one.alert.is_open)]
    for standing, line in zip(shown, alert_lines(shown), strict=True):
        print(f"{line}, {age(standing, now)} old")
    if not shown:
        print("no open alerts")
    return 0


def _expect(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.history.alert_rows import alert_lines
    from pytest_perfgate.history.alerts import AlertStore, Expected, key_of, replaced

    reason, by = arguments.reason.strip(), (arguments.by or _git_user()).strip()
    if not reason or not by:
        raise HistoryError(
            "an expected alert has a reason and somebody who gave it",
            next_step='pytest-perfgate alerts expect NAME --reason "why" --by "who"',
        )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    expected = Expected(date=now, by=by, reason=reason)
    store = AlertStore(arguments.baselines)
    chosen = _matching(_standings(arguments), arguments.name, arguments.metric)
    for machine in dict.fromkeys(one.machine for one in chosen):
        changed = {
            key_of(one.alert): one.alert.model_copy(update={"expected": expected})
            for one in chosen
            if one.machine == machine
        }
        file = store.write(machine, replaced(store.read(machine), changed))
        print(f"{file}: commit it, so that it is reviewed")
    for line in alert_lines(chosen):
        print(f"expected: {line}")
    return 0


def _standings(arguments: argparse.Namespace) -> list[Standing]:
    """Every alert, of the history and of the files; where there is no history, of the files."""
    from pytest_perfgate.history.alert_life import Standing
    from pytest_perfgate.history.alerts import AlertStore
    from pytest_perfgate.history.watch import look

    stored = AlertStore(arguments.baselines).read_all()
    arguments.history.exchange()
    folder = arguments.history.folder
    if folder.is_dir():
        _, watch = look(folder, stored, Path.cwd())
        return [*watch.silences, *watch.standings]
    return [
        Standing(machine, alert, alert, ())
        for machine, alerts in stored.items()
        for alert in alerts
    ]


def _matching(standings: Iterable[Standing], name: str, metric: str) -> Sequence[Standing]:
    """The open alerts of a name.

    Raises:
        HistoryError: there is none, or recipes of several suites have the name: what is expected of
            one says nothing of the others.
    """
    candidates = [one for one in standings if one.alert.worse and one.alert.is_open]
    chosen = []
    for standing in candidates:
        alert = standing.alert
        names = {alert.recipe or alert.suite, f"{alert.suite}/{alert.recipe}"}
        if not alert.suite:
            names = {standing.machine}
        if name in names and metric in {"", alert.metric}:
            chosen.append(standing)
    if not chosen:
        known = {one.name for one in candidates}
        raise HistoryError(
            f"there is no open alert {f'{name} {metric}'.strip()!r}",
            valid=suggestion(f"{name} {metric}".strip(), known) if known else "",
            next_step="pytest-perfgate alerts list",
        )
    suites = sorted({one.alert.suite for one in chosen if one.alert.recipe == name})
    if len(suites) > 1:
        raise HistoryError(
            f"recipes {name!r} of {len(suites)} suites have open alerts",
            valid=", ".join(f"{suite}/{name}" for suite in suites),
            next_step="name one: pytest-perfgate alerts expect SUITE/RECIPE",
        )
    return chosen


def _git_user() -> str:
    from pytest_perfgate.machine import git

    return git.answer(Path.cwd(), "config", "user.name") or ""
