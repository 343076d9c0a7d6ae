"""Where the suites of a session are measured: on this machine, on a host of ssh, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pytest_perfgate.errors import PerfgateError, RecipeError
from pytest_perfgate.files import short_path
from pytest_perfgate.machine.fingerprint import Machine
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.suite.reading import SuiteFile
from pytest_perfgate.suite.targets_file import FILE, FINGERPRINT, LABEL, SSH, Target, Targets


class Places:
    """The targets of a project, as this session reaches them.

    Args:
        machine: gives the fingerprint of this machine.
        own: the target that this machine is to a session of another one, "" for none.
    """

    def __init__(self, settings: Settings, machine: Callable[[], Machine], own: str = "") -> None:
        self._settings = settings
        self._own = own
        self._machine = machine
        self._targets = Targets(settings.root)

    def checked(self, read: SuiteFile) -> SuiteFile:
        """The suite file, refused where it names targets that the project has not."""
        if read.suite is None or not read.suite.targets:
            return read
        place = short_path(read.file, self._settings.root)
        try:
            self._targets.check(read.suite.targets, f"{place}: suite.targets")
        except RecipeError as error:
            return replace(read, suite=None, suite_problems=(error,))
        return read

    def is_here(self, name: str) -> bool:
        """Whether a target is this machine; "" always is."""
        if not name or name == self._own:
            return True
        target = self._targets[name]
        if target.form == LABEL:
            return target.value in self._settings.labels
        return target.form == FINGERPRINT and target.value == self._machine().id

    def over_ssh(self, name: str) -> Target | None:
        """A target that is a host of ssh; None for another."""
        target = self._targets[name]
        return target if target.form == SSH else None

    def missing(self, name: str) -> PerfgateError:
        """Why this session has no machine for a target, and what to do."""
        target = self._targets[name]
        return PerfgateError(
            f"the target {name} is {self._words(target)}",
            where=f"{FILE}: targets.{name}",
            next_step=_STEPS[target.form].format(value=target.value),
        )

    def _words(self, target: Target) -> str:
        if target.form == LABEL:
            own = ", ".join(self._settings.labels) or "no label"
            return f"a machine with the label {target.value}, and this one has {own}"
        return f"the machine {target.value}, and this one is {self._machine().id}"


_STEPS = {
    LABEL: "run the session on such a machine: pytest --perf --perf-labels={value}",
    FINGERPRINT: "run the session there; after a change of that machine: name the one that "
    "pytest --perf shows in its header",
}
