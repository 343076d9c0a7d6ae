"""A recipe whose server the session starts: it is scored and timed through it, and then it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.blackbox.test_workers import until
from tests.conftest import Project, hear_ctrl_c
from tests.doubles import picture_server, v2_server
from tests.squares import HEAD

for needed in ("tritonclient", "httptools", "mlperf_loadgen"):
    pytest.importorskip(needed, reason="python -m pip install 'pytest-perfgate[serving]'")

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
MARK = "SERVED_BY_A_TEST"
HIDDEN = "no-word-of-a-report"

SUITE = HEAD.replace("batch = 4", "batch = 4\nthreads = 2") + (
    f"""
[[recipe]]
name     = "served"
workload = {{ name = "serving", requests = 10 }}
[recipe.runtime]
name        = "kserve"
start       = ["{{python}}", "{v2_server.__file__}", "--port", "{{port}}", "--onnx", "{{artifact}}",
               "--authorization-from", "TOKEN_OF_A_TEST"]
environment = {{ {MARK} = "{{port}}" }}
headers_env = {{ Authorization = "TOKEN_OF_A_TEST" }}
[recipe.budgets]
map                 = {{ min = 0.5 }}
request_latency_p50 = {{ max = "5 s" }}
"""
)
POSTED = f"""
[[recipe]]
name     = "posted"
workload = {{ name = "serving", requests = 10 }}
[recipe.runtime]
name        = "http"
url         = "http://127.0.0.1:{{port}}/predict"
ready       = "/ready"
start       = ["{{python}}", "{picture_server.__file__}", "--port", "{{port}}",
               "--onnx", "{{artifact}}",
               "--authorization-from", "TOKEN_OF_A_TEST"]
environment = {{ {MARK} = "{{port}}" }}
headers_env = {{ Authorization = "TOKEN_OF_A_TEST" }}
outputs     = [{{ field = "boxes", shape = [-1, 4] }}, {{ field = "scores" }}]
[recipe.budgets]
map                 = {{ min = 0.5 }}
request_latency_p50 = {{ max = "5 s" }}
"""


def servers() -> list[int]:
    """The servers that recipes of this test started, by the variable in their environment."""
    pids = []
    for process in Path("/proc").iterdir():
        try:
            if (
                process.name.isdecimal()
                and f"{MARK}=".encode() in (process / "environ").read_bytes()
            ):
                pids.append(int(process.name))
        except OSError:
            continue
    return pids


@pytest.mark.slow
@pytest.mark.skipif(CORES < 2, reason="server and generator need a core each")
def test_a_served_recipe_is_scored_and_timed_through_its_endpoint(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the protocol or as pictures and JSON. Its credentials are in no file of the session, and
    its server has ended with it.
    """
    monkeypatch.setenv("TOKEN_OF_A_TEST", HIDDEN)
    project.write(SUITE + POSTED)
    project.run()
    verdicts = project.verdicts()
    recipes = project.sessions()[-1]["suites"][0]["recipes"]
    for name, recipe in zip(("served", "posted"), recipes, strict=True):
        assert verdicts[f"{name}-map"] == "PASS"
        assert verdicts[f"{name}-request_latency_p50"] in {"INCONCLUSIVE", "ERROR"}  # one launch
        assert recipe["failure"] is None
        (launch,) = recipe["launches"]
        assert launch["values"]["error_rate"] == [0.0] * len(launch["rounds"])
        assert launch["values"]["time_to_first_response"][0] > 0
        assert len(launch["rounds"]) == 1  # one run
        assert launch["peak_memory"] > 10e6  # of the server
    served, posted = (recipe["runtime_facts"] for recipe in recipes)
    assert served["server"] == "double 1"
    assert posted["protocol"] == "HTTP, raw"
    through_v2, through_pictures = (recipe["accuracy"]["values"]["map"] for recipe in recipes)
    assert through_v2 == pytest.approx(through_pictures, abs=1e-6)
    for file in (project.root / "reports").iterdir():
        assert HIDDEN not in file.read_text(errors="replace")
    assert not servers()


LONG = HEAD.replace("batch = 4", "batch = 4\nthreads = 2") + (
    f"""
[[recipe]]
name     = "served"
workload = {{ name = "serving", scenario = "server", rate = 100, duration = "3 s" }}
[recipe.runtime]
name  = "kserve"
start = ["{{python}}", "{v2_server.__file__}", "--port", "{{port}}", "--onnx", "{{artifact}}",
         "--leaks", "100000"]
[recipe.budgets]
soak_errors        = {{ max = 0 }}
soak_memory_growth = {{ max = "10 MB" }}
"""
)


@pytest.mark.skipif(CORES < 2, reason="server and generator need a core each")
def test_a_long_run_shows_what_the_server_leaks(project: Project) -> None:
    """100 kB of each request, at a budget of 10 kB: red, and the page has its windows."""
    project.write(LONG)
    project.run(page=True)
    assert project.verdicts() == {
        "served-soak_errors": "PASS",
        "served-soak_memory_growth": "FAIL",
    }
    (recipe,) = project.sessions()[-1]["suites"][0]["recipes"]
    sizes = [window["memory"] for window in recipe["soak"]["windows"]]
    assert len(sizes) == 24
    assert sizes[-1] - sizes[0] > 10e6
    assert not recipe["launches"]  # no budget rests on them
    (page,) = project.root.glob("reports/[0-9]*.html")
    assert "Long runs" in page.read_text()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_server_outlives_its_session(
    project: Project, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    """Ended by Ctrl-C, or killed, while the server runs."""
    monkeypatch.setenv("TOKEN_OF_A_TEST", HIDDEN)
    project.write(SUITE)
    options = ["--perf", "--perf-wait", "300", "--perf-history", "off", "-p", "no_page"]
    session = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=project.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=hear_ctrl_c,  # noqa: PLW1509 - this process has no threads by itself
    )
    try:
        until(lambda: bool(servers()), 60)
        session.send_signal(how)
        session.wait(20)
        until(lambda: not servers(), 20)
    finally:
        session.kill()
        session.wait()
