"""The options of one session, as one frozen object made at the edge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.machine.host_share import Share

SUITE_FILE = "recipes.toml"
"""Beside the test module of a suite."""

OFF = "off"
"""In place of a folder: none."""


@dataclass(frozen=True)
class Settings:
    """The options of a session, checked.

    Attributes:
        root: the project's root.
        alpha: the chance that any budget of an unchanged session turns red.
        seconds: wall time for measuring one suite, after which no launch begins; builds, scores and
            profiles do not count.
        strict: INCONCLUSIVE, NO BASELINE, NO MACHINE and SKIPPED fail too, and so does a session in
            which no budget was measured.
        allow_skip: patterns of "recipe-metric" that may be SKIPPED all the same.
        labels: of this machine, for targets that are named by a label.
        require: suites, runtimes, steps, workloads, "gpu" and CPU features of which a budget must
            be measured.
        update: write the proposed baselines at the end.
        reason: why a baseline may be loosened, "" for none.
        reports, baselines, cache: folders.
        timeout: seconds of a worker's silence after which it counts as hung.
        wait: seconds to wait while another session measures on this machine.
        ci: whether this is a continuous integration run.
        rounds: timed turns of an arm beside those it is compared with, per launch, at most.
        base: the git ref that `--perf-base` names, "" for none.
        affected: do not measure recipes that the change since `base` cannot touch.
        base_tip: measure the ref's own commit, not its merge base with HEAD.
        import_path: folders that pytest's `pythonpath` names.
        share: of the host, what the session has for itself; None for all of it.
        history: the folder of the history store, None for none.
        history_url: of the folder in an object store that `history` is a copy of, "" for none.
        confirm: measure the steps that the history found again, at the end.
        base_env: packages of the base's arms: requirements, a file of them, or an interpreter; ""
            for this session's.
        markdown, openmetrics, ctrf: files that the session is written into too, None for none.
        annotations: print broken budgets as annotations of a GitHub job.
        mlflow: the MLflow tracking store that the session is logged to, "" for none.
        webhook: the address that the session is posted to, "" for none.
        picture: the PNG file of the session's picture, None for none.
        picture_url: where the Markdown shows the picture from, "" for its path.
        step_summary: the summary of the CI job's step, None for none.
        profile: which recipes to profile after measuring: "failed" (a time budget is broken),
            "all", or "none".
        search: search values for recipes with ranges, resuming an interrupted search.
        fleet: where builds and evaluations run: "" for processes of this host, "local" for an
            engine on it, or the address of a cluster.
    """

    root: Path
    alpha: float
    seconds: float
    strict: bool
    update: bool
    reason: str
    reports: Path
    baselines: Path
    cache: Path
    timeout: float
    wait: float
    ci: bool
    command: str
    rounds: int = 32
    base: str = ""
    base_env: str = ""
    affected: bool = False
    base_tip: bool = False
    import_path: tuple[Path, ...] = ()
    markdown: Path | None = None
    openmetrics: Path | None = None
    ctrf: Path | None = None
    annotations: bool = False
    step_summary: Path | None = None
    profile: str = "failed"
    mlflow: str = ""
    webhook: str = ""
    picture: Path | None = None
    picture_url: str = ""
    search: bool = False
    history: Path | None = None
    history_url: str = ""
    confirm: bool = False
    share: Share | None = None
    fleet: str = ""
    allow_skip: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


def for_command(
    root: Path,
    command: str,
    *,
    cache: Path | None = None,
    seconds: float = 60.0,
    wait: float = 0.0,
) -> Settings:
    """Settings of a command that is no run of pytest: nothing is written but the cache."""
    return Settings(
        root=root,
        alpha=0.01,
        seconds=seconds,
        strict=False,
        update=False,
        reason="",
        reports=root / "reports",
        baselines=root / "baselines",
        cache=cache or root / ".perfgate",
        timeout=600.0,
        wait=wait,
        ci=False,
        command=command,
    )
