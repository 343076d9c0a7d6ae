"""Whether a target over ssh says what this machine says: sessions of one suite on both, by a server
of OpenSSH on loopback (root, openssh-server). Each session measures the same recipes twice, here
and through ssh.

`python -m benchmarks.ssh_target --rounds 40` prints a line for each session and exits with 1 where
verdicts differ, artifacts or scores. The model is the tests' own, small; limits are far from what
it measures, so that four launches decide them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pytest_perfgate.records.session import SessionRecord, SuiteRecord

from benchmarks.fleet import statements
from tests.squares import HEAD, coco_folder, squares_model
from tests.ssh_server import SshServer

_RECIPES = """
[[recipe]]
name    = "plain"
runtime = "onnxruntime"
[recipe.budgets]
map           = { min = 0.5 }
latency_p50   = { max = "2 s" }
artifact_size = { max = "1 kB" }

[[recipe]]
name    = "basic"
from    = "plain"
runtime = { name = "onnxruntime", graph_optimization = "basic" }
[recipe.budgets]
map         = { drop = 0.02 }
latency_p50 = { max = "1 us" }
"""

_TEST = '''\
def test_budget(budget):
    """Every recipe keeps every one of its budgets."""
    budget.check()
'''


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the sessions and prints a line for each; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="sessions (default: 40)")
    parser.add_argument("--quick", action="store_true", help="one session: under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args(arguments)
    rounds, same, said = 1 if options.quick else options.rounds, 0, Counter[str]()
    if rounds < 1:
        parser.error(f"--rounds {rounds}: valid: 1 or more")
    seconds: list[float] = []
    with tempfile.TemporaryDirectory(prefix="perfgate-ssh-") as folder:
        root = Path(folder)
        keys = root / "ssh"
        keys.mkdir(mode=0o700)
        server = SshServer(keys)
        _write(root / "project", root / "cache")
        with server.running():
            for number in range(1, rounds + 1):
                start = time.monotonic()
                here, there = _session(root / "project", server.bin, number)
                seconds.append(time.monotonic() - start)
                ours, theirs = dict(statements(here)), dict(statements(there))
                same += ours == theirs
                said.update(verdict.status.value for verdict in here.verdicts)
                words = "the same" if ours == theirs else f"{ours}\n  and {theirs}"
                print(f"session {number}: {words}; so far {same}", flush=True)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{same} of {rounds} the same; verdicts here: {dict(said)}; load at the end: {load}")
    if options.json:
        figures = {"same": same, "sessions": seconds, "verdicts_here": said, "load": load}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return int(same != rounds)


def _write(root: Path, cache: Path) -> None:
    suite = root / "suites" / "squares"
    suite.mkdir(parents=True)
    squares_model(suite / "squares.onnx")
    coco_folder(suite, "calibration", 12, seed=1)
    coco_folder(suite, "validation", 40, seed=2)
    head = HEAD.replace("batch = 4", 'targets = ["here", "desk"]\nbatch = 4')
    (suite / "recipes.toml").write_text(head + _RECIPES)
    (suite / "test_squares.py").write_text(_TEST)
    (root / "pytest.ini").write_text("[pytest]\n")
    (root / "perfgate.toml").write_text(
        '[targets.here]\nmachine = "label:here"\n'
        f'[targets.desk]\nmachine = "ssh:desk"\npython = "{sys.executable}"\ncache = "{cache}"\n'
    )


def _session(root: Path, client: Path, number: int) -> tuple[SuiteRecord, SuiteRecord]:
    """What both targets measured in a session."""
    quiet = ("--perf-history=off", "--perf-profile=none", "-q", "-p", "no:cacheprovider")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--perf", "--perf-labels=here", "--perf-wait=3600"),
            *("--perf-alpha=0.4", "--perf-seconds=120", f"--perf-reports=reports{number}", *quiet),
        ],
        cwd=root,
        env=os.environ | {"PATH": f"{client}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    files = sorted((root / f"reports{number}").glob("[0-9]*.json"))
    if not files:
        raise SystemExit(f"the session has no record:\n{done.stdout}{done.stderr}")
    here, there = SessionRecord.model_validate_json(files[-1].read_bytes()).suites
    return here, there


if __name__ == "__main__":
    raise SystemExit(main())
