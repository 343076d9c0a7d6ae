"""The start-up files of docs/fleet: what they name exists, and a cluster asks for its token."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from pytest_perfgate.fleet.address import checked

yaml = pytest.importorskip("yaml", reason="python -m pip install pyyaml")

FOLDER = Path(__file__).parents[2] / "docs" / "fleet"
SLURM, KUBERAY = FOLDER / "slurm.sh", FOLDER / "kuberay.yml"


def test_bash_reads_the_job_of_slurm():
    """The script is bash, asks Slurm for its hosts in its head, and ends at the first failure."""
    subprocess.run(["bash", "-n", SLURM], check=True)
    lines = SLURM.read_text(encoding="utf-8").splitlines()
    first_command = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    assert lines[first_command] == "set -euo pipefail"
    assert any(line.startswith("#SBATCH --nodes=") for line in lines[:first_command])


def test_slurm_starts_the_session_with_the_port_of_its_head():
    """The session's address is the client port at which the head listens; a token is made before
    that, by a mask that keeps other users out, and removed in the end.
    """
    text = SLURM.read_text(encoding="utf-8")
    (port,) = {
        word.split("=")[1] for word in shlex.split(text, comments=True) if "server-port" in word
    }
    assert f'pytest --perf --perf-strict --perf-fleet="ray://$head:{port}"' in text
    assert text.index("umask 077") < text.index('> "$RAY_AUTH_TOKEN_PATH"') < text.index("--head")
    assert "trap 'rm -f \"$RAY_AUTH_TOKEN_PATH\"' EXIT" in text


def test_kuberay_has_a_cluster_and_the_job_that_measures(monkeypatch):
    """The job's address is the service that KubeRay makes for the head of this cluster; all pods
    have the same volume at the same path, and the token of one secret.
    """
    secret, cluster, job = yaml.safe_load_all(KUBERAY.read_text(encoding="utf-8"))
    head = cluster["spec"]["headGroupSpec"]
    (workers,) = cluster["spec"]["workerGroupSpecs"]
    pods = [part["template"]["spec"] for part in (head, workers, job["spec"])]
    (measure,) = pods[-1]["containers"]
    (option,) = [word for word in measure["command"] if word.startswith("--perf-fleet=")]
    address = option.partition("=")[2]
    monkeypatch.setattr(
        "pytest_perfgate.fleet.address._reach", lambda *_: None
    )  # no such host here
    assert checked(address) == address
    assert address == f"ray://{cluster['metadata']['name']}-head-svc:10001"
    assert head["rayStartParams"]["num-cpus"] == "0"
    for pod in pods:
        (container,) = pod["containers"]
        env = {entry["name"]: entry["value"] for entry in container["env"]}
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert env["RAY_AUTH_MODE"] == "token"
        assert Path(env["RAY_AUTH_TOKEN_PATH"]).parent == Path(mounts["token"])
        assert container["workingDir"].startswith(mounts["work"])
        sources = {volume["name"]: volume for volume in pod["volumes"]}
        assert sources["token"]["secret"]["secretName"] == secret["metadata"]["name"]
        assert sources["work"]["persistentVolumeClaim"] == {"claimName": "perfgate"}
        assert container["resources"]["requests"] == container["resources"]["limits"]
