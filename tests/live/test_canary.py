"""The verdict on a canary, its limits, its answers over HTTP and the manifests that ask for it."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml
from pytest_perfgate.cli import main as command
from pytest_perfgate.cli.canary import CODES, lines
from pytest_perfgate.errors import LogError, PerfgateError
from pytest_perfgate.live.canary import Canary, held, judge
from pytest_perfgate.live.canary_limits import LatencyLimit, Limits, limits_of
from pytest_perfgate.live.canary_server import VERDICT, YES, VerdictServer
from pytest_perfgate.live.logs import read_logs

from tests.live import gate

LIMITS = Limits(latency=(LatencyLimit(0.95, ratio=1.2),), score_drop=0.05)
"""So wide that 1,500 requests prove them to be kept."""
MANIFESTS = Path(__file__).parents[2] / "docs" / "canary"


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The log of the old version."""
    return gate.log(tmp_path_factory.mktemp("old"), 1_500, seed=1)


def verdict(old, folder, rows=1_500, limits=None, **changes):
    """The verdict on a new version that differs from the old one as asked."""
    new = read_logs([gate.log(folder / "new", rows, seed=2, **changes)])
    return judge(read_logs([old]), new, limits or LIMITS, 0.05)


def statuses(result):
    """Each limit's status by its name."""
    return {check.name: check.status for check in result.checks}


def test_a_version_like_the_old_one_is_promoted(old, tmp_path):
    """Each limit is proven to be kept, with its evidence."""
    result = verdict(old, tmp_path)
    assert result.verdict == "promote"
    assert statuses(result) == dict.fromkeys(
        ("latency_p95, new to old", "error_rate", "score_drop"), "kept"
    )
    (latency, *_) = result.checks
    assert 1 / 1.2 < latency.low < latency.value < latency.high <= 1.2
    assert (result.new.requests, result.new.errors, result.new.rows) == (1_500, 0, 1_500)


@pytest.mark.parametrize(
    ("broken", "changes"),
    [
        ("latency_p95, new to old", {"slower": 1.4}),
        ("error_rate", {"errors": 0.06}),
        ("score_drop", {"score_drop": 0.15}),
    ],
)
def test_a_worse_version_is_rolled_back(old, tmp_path, broken, changes):
    """The limit that is broken is named, and no other is broken."""
    result = verdict(old, tmp_path, **changes)
    assert result.verdict == "roll back"
    assert [name for name, status in statuses(result).items() if status == "broken"] == [broken]
    assert result.reason == f"the limit is broken: {broken}"


def test_few_requests_prove_nothing(old, tmp_path):
    """Neither promoted nor rolled back: the same version, and one that is slower by half."""
    for name, changes in (("same", {}), ("slow", {"slower": 1.5})):
        (tmp_path / name).mkdir()
        result = verdict(old, tmp_path / name, rows=12, **changes)
        assert result.verdict == "hold"
        assert "latency_p95, new to old" in result.reason
        assert result.checks[0].high is None


def test_a_version_without_answers_or_scores_is_not_promoted(old, tmp_path):
    """Where all requests fail there is no latency; where scores are lost there is no score."""
    result = verdict(old, tmp_path, rows=50, errors=1.0)
    assert result.verdict == "roll back"
    latency, errors, scores = result.checks
    assert "50 and 0 requests were answered" in latency.problem
    assert errors.value == 1.0
    assert "has scores" in scores.problem
    assert {latency.status, scores.status} == {"open"}


def test_answers_that_cannot_be_read_are_no_good_answers(old, tmp_path):
    """Scores that are no numbers, or no result at all, in a third of the answers: the others alone
    say that nothing is worse.
    """
    result = verdict(old, tmp_path, lost={"scores": 1 / 3})
    assert result.reason == "the limit is broken: score_drop"
    assert "499 answers of the new version have no scores that could be read" in result.notes[1]


def test_versions_are_compared_at_the_same_time(old, tmp_path):
    """The old version's rows of another time do not count, and without others nothing is decided:
    by night both are faster.
    """
    result = verdict(old, tmp_path, rows=300, later=600)
    assert (result.old.rows, result.old.requests) == (300, 300)
    assert result.old.first == "2026-11-30T00:10:00Z"
    for later, problem in (
        (40_000, "no request of the old version is of the time of the new one"),
        (1_000, "the old version has requests in 499 of the 1499 s of the new one"),
    ):
        result = verdict(old, tmp_path / str(later), later=later)
        assert result.verdict == "hold"
        assert {check.problem for check in result.checks} == {problem, ""}
        assert statuses(result)["error_rate"] == "kept"


def test_rows_of_an_earlier_version_are_refused(old, tmp_path):
    """In one folder with those of the new version they would speak for it."""
    folder = gate.log(tmp_path / "new", 20, seed=2)
    gate.log(folder, 20, seed=3, artifact="b" * 64)
    with pytest.raises(LogError, match="rows are of 2 artifacts: aaaaaaaaaaaa, bbbbbbbbbbbb"):
        judge(read_logs([old]), read_logs([folder]), LIMITS, 0.05)


def test_limits_are_those_of_options_and_budgets():
    """Options go before budgets, budgets before the usual limits."""
    assert limits_of(None) == Limits()
    budgets = {
        "latency_p95": {"regression": "5%, stored 20%", "max": "3 ms"},
        "request_latency_p999": {"max": "50 ms"},
        "error_rate": {"max": "0.5%"},
        "accuracy": {"drop": "0.01"},
    }
    record = gate.record(20, budgets=budgets)
    assert limits_of(record) == Limits(
        latency=(LatencyLimit(0.95, ratio=1.05), LatencyLimit(0.999, seconds=0.05)),
        error_rate=0.005,
    )
    assert limits_of(record, quantile=0.5, error_rate=0.1, score_drop=0.3) == Limits(
        latency=(LatencyLimit(0.5, ratio=1.1),), error_rate=0.1, score_drop=0.3
    )
    assert [one.name for one in limits_of(record).latency] == ["latency_p95", "latency_p999"]
    for wrong in ({"quantile": 1.0}, {"ratio": 0.0}, {"error_rate": 0.0}, {"score_drop": 1.5}):
        with pytest.raises(PerfgateError, match="is") as caught:
            limits_of(None, **wrong)
        assert caught.value.valid.startswith("above 0")


def test_a_limit_in_seconds_is_that_of_the_new_version(old, tmp_path):
    """20 ms of latency keep 60 ms and break 15 ms."""
    kept, broken = (LatencyLimit(0.5, seconds=seconds) for seconds in (0.06, 0.015))
    result = verdict(old, tmp_path, rows=200, limits=Limits(latency=(kept, broken)))
    assert [check.status for check in result.checks[:2]] == ["kept", "broken"]
    assert result.checks[0].value == pytest.approx(0.02, rel=0.1)


def test_logs_that_do_not_belong_together_are_refused(old):
    """Of one folder; and an alpha that is no chance."""
    logs = read_logs([old])
    with pytest.raises(LogError, match="log of both versions"):
        judge(logs, logs, Limits(), 0.05)
    with pytest.raises(PerfgateError, match="alpha"):
        judge(logs, logs, Limits(), 1.0)


@pytest.mark.parametrize("way", ["another path", "link", "file of the folder", "hard link"])
def test_a_log_is_not_compared_with_itself(old, tmp_path, way, monkeypatch):
    """Whatever path names it, and where a folder has one file of the other beside its own."""
    (file,) = old.iterdir()
    again = tmp_path / "again"
    if way == "another path":
        monkeypatch.chdir(old)
        again = Path("..", old.name)
    elif way == "link":
        again.symlink_to(old)
    elif way == "file of the folder":
        again = file
    else:
        gate.log(again, 20, seed=2)
        (again / "same.parquet").hardlink_to(file)
    with pytest.raises(LogError, match=r"log of both versions: .*parquet is in") as caught:
        judge(read_logs([old]), read_logs([again]), LIMITS, 0.05)
    assert caught.value.next_step == "give the monitor of each version a folder of its own"


def test_one_artifact_on_both_sides_is_said(old, tmp_path):
    """The versions are the same model: in the verdict, and on the terminal."""
    result = verdict(old, tmp_path, rows=20)
    assert result.notes == (
        "both logs name the artifact aaaaaaaaaaaa: it is the same model, and the versions can "
        "differ in their servers alone",
    )
    assert f"note: {result.notes[0]}" in lines(result)
    assert verdict(old, tmp_path / "new", rows=20, artifact="b" * 64).notes == ()


def test_the_command_has_an_exit_code_and_json(old, tmp_path, capsys):
    """0, 1 and 10; a file that cannot be used is 1 with its message."""
    same = str(gate.log(tmp_path / "same", 1_500, seed=2))
    slow = str(gate.log(tmp_path / "slow", 1_000, seed=3, slower=2))
    few = str(gate.log(tmp_path / "few", 10, seed=4))
    wide = ["--latency-ratio=1.2", "--score-drop=0.05"]
    assert command.main(["canary", str(old), same, *wide]) == 0
    out = capsys.readouterr().out
    assert out.startswith("promote: all 3 limits are kept\nold  pets/int8: 1,500 requests")
    assert command.main(["canary", str(old), slow, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "roll back"
    assert command.main(["canary", str(old), few, "--wait=0.2"]) == 10
    assert command.main(["canary", str(old), str(tmp_path / "absent"), "--wait=0.2"]) == 10
    assert "no such folder" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        command.main(["canary", str(old), few, "--serve=http"])


def ask(server, path, method="GET", body=None):
    """Status and text of an answer."""
    url = f"http://127.0.0.1:{server.server_address[1]}{path}"
    request = urllib.request.Request(url, method=method, data=body)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - the same
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("decision", CODES)
def test_the_server_answers_as_controllers_ask(decision):
    """The JSON with 200 always; 200 or 409 by the verdict for webhooks; logs are read once."""
    reads = []

    def give():
        reads.append(1)
        return Canary(verdict=decision, reason="because", alpha=0.05)

    with VerdictServer(("127.0.0.1", 0), give) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        status, text = ask(server, f"{VERDICT}?service=x")
        assert (status, json.loads(text)["verdict"]) == (200, decision)
        answers = {path: ask(server, path, "POST", b'{"name": "podinfo"}') for path in YES}
        assert {path: status for path, (status, _) in answers.items()} == {
            "/confirm-promotion": 200 if decision == "promote" else 409,
            "/rollback": 200 if decision == "roll back" else 409,
            "/rollout": 409 if decision == "roll back" else 200,
        }
        assert answers["/rollout"][1] == f"{decision}: because\n"
        assert ask(server, "/other")[0] == 404
        assert ask(server, VERDICT, "POST", b" " * 70_000)[0] == 413
        assert len(reads) == 1
        server.shutdown()


def test_the_verdict_is_hold_while_logs_are_not_there():
    """A controller waits; nothing is promoted and nothing rolled back."""
    result = held("logs: there is no such folder or file", 0.05)
    assert (result.verdict, result.checks, result.new) == ("hold", (), None)


def test_the_command_serves_until_it_is_interrupted(old, tmp_path, capsys, monkeypatch):
    """A log that is not there yet is a reason to hold; a port that is taken is an error."""
    verdicts = []

    def serve_once(server):
        verdicts.append(server.latest())
        raise KeyboardInterrupt

    monkeypatch.setattr(VerdictServer, "serve_forever", serve_once)
    absent = str(tmp_path / "absent")
    assert command.main(["canary", str(old), absent, "--serve=0"]) == 130
    assert "listening at http://127.0.0.1:" in capsys.readouterr().err
    assert verdicts[0].verdict == "hold"
    assert "no such folder" in verdicts[0].reason
    with VerdictServer(("127.0.0.1", 0), lambda: verdicts[0]) as server:
        port = server.server_address[1]
        assert command.main(["canary", str(old), absent, f"--serve={port}"]) == 10
    assert f"127.0.0.1:{port} cannot be listened at" in capsys.readouterr().err
    assert command.main(["canary", str(old), absent, "--error-rate=2", "--serve=0"]) == 10
    assert "the error rate is 2" in capsys.readouterr().err


def manifests(name):
    """The documents of a manifest."""
    return list(yaml.safe_load_all((MANIFESTS / name).read_text("utf-8")))


def parsed(words):
    """What the command reads of a container's words."""
    assert words[0] == "pytest-perfgate"
    return command._parser().parse_args(words[1:])


def container(pod):
    """The one container of a pod, whose volumes are there."""
    (one,) = pod["containers"]
    mounts = {mount["name"] for mount in one["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}
    return one


def host():
    """The name of the server's service, from any namespace."""
    service = manifests("server.yml")[1]["metadata"]
    return f"{service['name']}.{service['namespace']}"


def test_the_manifest_of_the_server_starts_it():
    """Its words are read by the command, and the service leads to its port."""
    deployment, service = manifests("server.yml")
    pod = deployment["spec"]["template"]
    assert service["spec"]["selector"] == pod["metadata"]["labels"]
    one = container(pod["spec"])
    arguments = parsed(one["args"])
    assert arguments.serve == ("0.0.0.0", 8080)  # noqa: S104 - in a pod
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] == one["ports"][0]["containerPort"] == arguments.serve[1]


def test_the_manifest_of_argo_rollouts_reads_the_verdict():
    """The web analysis tells all three verdicts apart, the job waits for one."""
    web, job = manifests("argo-rollouts.yml")
    assert {one["apiVersion"] for one in (web, job)} == {"argoproj.io/v1alpha1"}
    assert {one["kind"] for one in (web, job)} == {"AnalysisTemplate"}
    (metric,) = web["spec"]["metrics"]
    provider = metric["provider"]["web"]
    assert provider["url"] == f"http://{host()}{VERDICT}"
    assert provider["jsonPath"] == "{$.verdict}"
    assert "verdict" in Canary.model_fields
    for decision in CODES:
        conditions = {
            name: any(f'result == "{decision}"' == part.strip() for part in text.split("||"))
            for name, text in metric.items()
            if name.endswith("Condition")
        }
        assert conditions == {
            "successCondition": decision != "roll back",
            "failureCondition": decision == "roll back",
        }
    (metric,) = job["spec"]["metrics"]
    pod = metric["provider"]["job"]["spec"]["template"]["spec"]
    arguments = parsed(container(pod)["command"])
    assert (arguments.wait, arguments.json, arguments.serve) == (3600.0, True, None)
    assert pod["restartPolicy"] == "Never"
    assert [CODES[word] == 0 for word in ("promote", "hold", "roll back")] == [True, False, False]


def test_the_manifest_of_flagger_asks_paths_of_the_server():
    """Each webhook asks the path of its type."""
    (canary,) = manifests("flagger.yml")
    assert (canary["apiVersion"], canary["kind"]) == ("flagger.app/v1beta1", "Canary")
    hooks = canary["spec"]["analysis"]["webhooks"]
    assert {f"/{hook['type']}" for hook in hooks} == set(YES)
    assert all(hook["url"] == f"http://{host()}/{hook['type']}" for hook in hooks)
