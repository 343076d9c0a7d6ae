"""What the recipes of a session are measured beside: a commit, other packages, or both."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from pytest_perfgate.measure.base_checkout import Commit, checked_out, find
from pytest_perfgate.measure.base_environment import OPTION, base_environment
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.session.suite_at import BaseTree
from pytest_perfgate.session.working_tree import WorkingTree


class BaseCode:
    """The base of a session. Refs and packages are checked at once, the checkout is written when
    it is first needed; a `tree` is one already.

    Attributes:
        commit: what is compared with, None: nothing.

    Raises:
        PerfgateError: there is no such ref, or the packages cannot be had.
    """

    def __init__(self, settings: Settings, show: Progress, tree: BaseTree | None = None) -> None:
        self._settings = settings
        self._tree = tree
        spec = settings.base_env
        self._env = base_environment(spec, settings.root, settings.cache, show) if spec else None
        self.commit = self._find()

    def _find(self) -> Commit | None:
        settings, env = self._settings, self._env
        if self._tree is not None:
            return self._tree.commit
        if settings.base:
            commit = find(settings.root, settings.base, tip=settings.base_tip)
            return replace(commit, label=f"{commit.name} {env.name}") if env else commit
        if env is None:
            return None
        head = WorkingTree(settings.root).state().commit
        return Commit("", head, settings.root, "", option=OPTION, label=f"this code {env.name}")

    def tree(self, opened: contextlib.ExitStack) -> BaseTree | None:
        """The code and its interpreter; a checkout is closed with `opened`.

        Raises:
            PerfgateError: git cannot write it, or the project was not there yet.
        """
        if self.commit is not None and self._tree is None:
            root = self._settings.root
            if self._settings.base:
                root = opened.enter_context(checked_out(self.commit, self._settings.cache))
            self._tree = BaseTree(
                self.commit,
                root,
                python=self._env.python if self._env else "",
                packages=self._env.packages if self._env else (),
                is_working=not self._settings.base,
            )
        return self._tree
