"""Windows and macOS: plain pytest is unharmed, `--perf` says that it is for Linux only."""

from __future__ import annotations

import pytest

WINDOWS = """\
import platform
import sys
sys.modules["fcntl"] = None
platform.system = lambda: "Windows"
"""
MAC = """\
import os
import platform
for name in ("sched_getaffinity", "sched_setaffinity"):
    delattr(os, name)
platform.system = lambda: "Darwin"
"""


@pytest.mark.parametrize("system", [WINDOWS, MAC], ids=["Windows", "Darwin"])
def test_linux_only(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    """A usage error of one line with `--perf`; the ordinary tests run without it."""
    pytester.makepyfile(sitecustomize=system)
    pytester.makepyfile(
        test_it="def test_own():\n    pass\n\n\ndef test_budget(budget):\n    pass\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "test_it.py")
    result.assert_outcomes(passed=1, skipped=1)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--perf", "test_it.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--perf: Linux only, and this is *"])
    result.stderr.no_fnmatch_line("*Traceback*")
