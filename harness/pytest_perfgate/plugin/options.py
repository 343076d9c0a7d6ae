"""The options of `pytest --perf` in one table, which makes parser, settings and docs.

Nothing but the standard library is imported: every run of pytest loads this module.
"""

from __future__ import annotations

from dataclasses import dataclass

NOT_PROVEN = 10
"""Exit code: no budget is broken, and not all is proven. pytest's own codes end at 5."""

GROUP = (
    "performance gate for optimised vision models. Exit codes of --perf: 0: nothing is worse; "
    "1: a budget is broken (FAIL), or another test failed; 2 to 5: as of pytest; "
    f"{NOT_PROVEN}: no budget is broken, but one could not be measured (ERROR, or what "
    "--perf-strict and --perf-require refuse), or an output could not be written"
)
"""Stands above the options in `pytest --help`."""

FIXTURE = "budget"
"""The fixture that a perf test asks for."""


@dataclass(frozen=True)
class Option:
    """An option of the command line.

    Attributes:
        name: as it is typed.
        help: one phrase, without the default.
        default: its type is the option's: a switch, a number or a text.
        field: the field of `records.settings.Settings` that is read from it, "" for none.
        metavar: a word for the value.
        choices: valid values, empty for any.
        unset: what applies while the default is an empty text, "" for nothing.
    """

    name: str
    help: str
    default: bool | float | str = False
    field: str = ""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    unset: str = ""

    @property
    def is_path(self) -> bool:
        """Whether the value names a place, which is then written after `=`."""
        return self.metavar in {"DIR", "FILE", "PROGRAM", "URI"}

    @property
    def default_text(self) -> str:
        """The default in words, "" where it is to do nothing."""
        if isinstance(self.default, bool):
            return ""
        return self.unset if self.default == "" else f"{self.default:{self._format}}"

    @property
    def _format(self) -> str:
        return "g" if isinstance(self.default, float) else ""

    @property
    def arguments(self) -> dict[str, object]:
        """Keywords of `argparse.ArgumentParser.add_argument`."""
        text = f"{self.help} (default: {self.default_text})" if self.default_text else self.help
        if isinstance(self.default, bool):
            return {"action": "store_true", "help": text}
        kind = {"type": float} if isinstance(self.default, float) else {}
        shown = {"choices": self.choices} if self.choices else {"metavar": self.metavar}
        return {"default": self.default, "help": text, **kind, **shown}


OPTIONS = (
    Option("--perf", "build, measure and judge the recipes of the suites"),
    Option(
        "--perf-strict",
        "for merge gates: fail on INCONCLUSIVE, NO BASELINE, NO MACHINE and SKIPPED too, and when "
        "no budget was measured",
        field="strict",
    ),
    Option(
        "--perf-allow-skip",
        "with --perf-strict: budgets that this machine may skip, as patterns of RECIPE-METRIC, "
        "such as trt-*,*-energy",
        default="",
        field="allow_skip",
        metavar="LIST",
        unset="none",
    ),
    Option(
        "--perf-require",
        "fail unless a budget was measured of each of these: suites, runtimes, steps, workloads, "
        "`gpu`, and features of the CPU, such as gpu,tensorrt,avx512_vnni",
        default="",
        field="require",
        metavar="LIST",
        unset="nothing",
    ),
    Option(
        "--perf-update",
        "write the proposed baselines at the end (refused in CI)",
        field="update",
    ),
    Option(
        "--perf-reason",
        "reason for accepting a worse baseline, stored with it",
        default="",
        field="reason",
        metavar="TEXT",
    ),
    Option(
        "--perf-search",
        "search values for recipes with ranges, resuming an interrupted search; without this "
        "option only finished searches are used",
        field="search",
    ),
    Option(
        "--perf-seconds",
        "time for measuring one suite: no launch begins later; builds, scores and profiles do not "
        "count",
        default=120.0,
        field="seconds",
        metavar="SECONDS",
    ),
    Option(
        "--perf-alpha",
        "probability that any budget of an unchanged session fails",
        default=0.01,
        field="alpha",
        metavar="P",
    ),
    Option(
        "--perf-base",
        "measure the code of the merge base of this git ref and HEAD in the same launches, and "
        "judge `regression` budgets against it",
        default="",
        field="base",
        metavar="REF",
    ),
    Option(
        "--perf-base-tip",
        "measure the ref of --perf-base itself, not its merge base with HEAD",
        field="base_tip",
    ),
    Option(
        "--perf-affected",
        "with --perf-base: do not measure recipes whose model, data, code, packages and settings "
        "are what they were in a stored session of the base on this machine",
        field="affected",
    ),
    Option(
        "--perf-base-env",
        "packages of the base: requirements such as onnxruntime==1.30.0, a requirements file, or "
        "an interpreter; without --perf-base the base is this code under those packages",
        default="",
        field="base_env",
        metavar="WHAT",
    ),
    Option(
        "--perf-timeout",
        "a worker that sends nothing for this time counts as hung",
        default=300.0,
        field="timeout",
        metavar="SECONDS",
    ),
    Option(
        "--perf-wait",
        "how long to wait for another session that measures on this machine; 0 refuses at once",
        default=0.0,
        field="wait",
        metavar="SECONDS",
    ),
    Option(
        "--perf-cores",
        "measure on these cores only, such as 0-7; other sessions may measure on the rest",
        default="",
        field="share",
        metavar="LIST",
        unset="the whole host",
    ),
    Option(
        "--perf-gpus",
        "measure on these GPUs only, by number or UUID, or `none`; without --perf-cores also on "
        "their part of the cores",
        default="",
        field="share",
        metavar="LIST",
        unset="all",
    ),
    Option(
        "--perf-spread",
        "with pytest-xdist: spread suites over its workers, each on its own share of the host's "
        "cores and GPUs",
        field="share",
    ),
    Option(
        "--perf-labels",
        "labels of this machine, such as a100,calm: it is the target that perfgate.toml names by "
        "one of them",
        default="",
        field="labels",
        metavar="LIST",
        unset="none",
    ),
    Option(
        "--perf-fleet",
        "build and evaluate recipes by Ray: local starts it on this host, "
        "ray://HOST:10001 joins a cluster; measuring stays on this host",
        default="",
        field="fleet",
        metavar="ADDRESS",
        unset="processes of this host",
    ),
    Option(
        "--perf-profile",
        "which recipes to profile after measuring: those that fail a time budget, all, or none",
        default="failed",
        field="profile",
        choices=("failed", "all", "none"),
    ),
    Option(
        "--perf-reports", "folder of the reports", default="reports", field="reports", metavar="DIR"
    ),
    Option(
        "--perf-markdown",
        "write the summary as Markdown too, for a comment on a pull request",
        default="",
        field="markdown",
        metavar="FILE",
    ),
    Option(
        "--perf-picture",
        "draw the broken budgets and the operators that are slower into a PNG file; the Markdown "
        "shows it",
        default="",
        field="picture",
        metavar="FILE",
    ),
    Option(
        "--perf-picture-url",
        "address under which the job publishes the picture, for the Markdown",
        default="",
        field="picture_url",
        metavar="URL",
        unset="the picture's path",
    ),
    Option(
        "--perf-step-summary",
        "append the Markdown to the file that $GITHUB_STEP_SUMMARY names, when it is set",
        default="auto",
        field="step_summary",
        choices=("auto", "never"),
    ),
    Option(
        "--perf-openmetrics",
        "write an OpenMetrics file (*.prom) too, for the textfile folder of a node exporter",
        default="",
        field="openmetrics",
        metavar="FILE",
    ),
    Option(
        "--perf-ctrf",
        "write a CTRF file (JSON of the Common Test Report Format) too, a test per budget",
        default="",
        field="ctrf",
        metavar="FILE",
    ),
    Option(
        "--perf-annotations",
        "print broken budgets as annotations of the job, when $GITHUB_ACTIONS is true",
        default="auto",
        field="annotations",
        choices=("auto", "never"),
    ),
    Option(
        "--perf-mlflow",
        "log the session to this MLflow tracking store, such as sqlite:///mlflow.db",
        default="",
        field="mlflow",
        metavar="URI",
    ),
    Option(
        "--perf-webhook",
        "post the session to this address as JSON, signed with $PERFGATE_WEBHOOK_SECRET",
        default="",
        field="webhook",
        metavar="URL",
    ),
    Option(
        "--perf-history",
        "store that every session is added to, a folder, s3://bucket/folder or "
        "postgresql://host/database/folder, or `off`; needs "
        "duckdb",
        default="",
        field="history",
        metavar="PLACE",
        unset="history in the folder of the reports",
    ),
    Option(
        "--perf-confirm",
        "measure the steps that the history found in this machine's last sessions again, both "
        "commits in the same launches",
        field="confirm",
    ),
    Option(
        "--perf-baselines",
        "folder of the baselines",
        default="baselines",
        field="baselines",
        metavar="DIR",
    ),
    Option(
        "--perf-cache",
        "folder of built artifacts and searches",
        default=".perfgate",
        field="cache",
        metavar="DIR",
    ),
)
