"""Fetching from the Hugging Face hub, MLflow's registry and DVC, through their own clients."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_perfgate.errors import FetchError
from pytest_perfgate.locations import child
from pytest_perfgate.locations.client import Place
from pytest_perfgate.locations.fetching import fetched, lock
from pytest_perfgate.locations.transfer import Order
from pytest_perfgate.locations.url import parse

from tests.blackbox.test_base import git
from tests.locations.test_fetching import here
from tests.locations.web_server import Web, serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_file_of_the_hub_is_that_of_one_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`main` moves; the lock file has the commit, and that is what is fetched. A repository that
    this user may not see, and a file that is not in it, are named. Tokens are in no message.
    """
    pytest.importorskip("huggingface_hub", reason="pip install 'pytest-perfgate[huggingface]'")
    for name, value in {"HF_HUB_OFFLINE": "0", "HF_TOKEN": "hunter2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    location = parse("hf://owner/name/onnx/det.onnx")
    place = Place(tmp_path / "cache", "demo", tmp_path)
    web = Web()
    for revision in ("main", COMMIT):
        path = f"/owner/name/resolve/{revision}/onnx/det.onnx"
        web.files[path] = b"graph"
        web.headers[path] = {"X-Repo-Commit": COMMIT}
    with serving(web):
        monkeypatch.setenv("HF_ENDPOINT", web.url)
        entry = lock(location, place, lambda _: ())
        assert entry.version == COMMIT
        shutil.rmtree(tmp_path / "cache")
        web.requests.clear()
        assert fetched(location, entry, place).place.read_bytes() == b"graph"
        assert all(COMMIT in path for path, _ in web.requests)
        web.headers["/owner/name/resolve/main/none.onnx"] = {"X-Error-Code": "EntryNotFound"}
        web.headers["/other/name/resolve/main/x.onnx"] = {"X-Error-Code": "RepoNotFound"}
        for text, said in {
            "hf://owner/name/none.onnx": "the hub has no file none.onnx at main of owner/name",
            "hf://other/name/x.onnx": "the hub shows no repository other/name to this user",
        }.items():
            with pytest.raises(FetchError, match=said) as caught:
                lock(parse(text), place, lambda _: ())
            assert "hunter2" not in str(caught.value)


@pytest.mark.slow
def test_a_version_of_a_registered_model(
    mlflow_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its one graph with the files of its weights, and none of MLflow's own; a version that is not
    there, and one with several graphs, are named.
    """
    client = pytest.importorskip("mlflow.tracking", reason="pip install 'pytest-perfgate[mlflow]'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    monkeypatch.chdir(tmp_path)  # MLflow puts artifacts below the working folder
    here(monkeypatch)
    store = client.MlflowClient(tracking_uri=mlflow_store, registry_uri=mlflow_store)
    store.create_registered_model("det")
    for number, names in enumerate((("model.onnx", "w.bin"), ("a.onnx", "b.onnx"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in ("MLmodel", *names):
            (folder / name).write_text(f"content of {name}")
        store.create_model_version("det", source=folder.as_uri())
    location = parse("mlflow:models:/det/1")
    place = Place(tmp_path / "cache", "demo", tmp_path)
    entry = lock(location, place, lambda _: ("w.bin",))
    assert [file.path for file in entry.files] == ["model.onnx", "w.bin"]
    files = fetched(location, entry, place)
    assert files.place.read_text() == "content of model.onnx"
    assert sorted(path.name for path in files.folder.iterdir()) == ["model.onnx", "w.bin"]
    for text, said in {
        "mlflow:models:/det/2": "models:/det/2 holds 2 ONNX files",
        "mlflow:models:/det/9": "MLflow's registry gives no models:/det/9",
        "mlflow:models:/det/1/x.onnx": "there is no file x.onnx",
    }.items():
        order = Order(text, tmp_path / "order")
        order.folder.mkdir(exist_ok=True)
        answer = child.carry_out(order)
        assert said in answer.problem
        assert answer.valid or answer.next_step


DVC = """\
#!{python}
import sys
folder, name, target = sys.argv[2], sys.argv[3], sys.argv[5]
if name != "w/det.onnx":
    sys.exit("ERROR: unexpected error - no such file")
open(target, "w").write(" ".join(sys.argv[1:4] + sys.argv[7:]))
"""


def test_what_dvc_is_told_and_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repository's folder, the path in it, and the commit of the base; without the program, its
    command; without a repository, the folder.
    """
    suite = tmp_path / "project" / "suites" / "demo"
    suite.mkdir(parents=True)
    order = Order("dvc:../../w/det.onnx", tmp_path / "order", repository=suite, revision="abc")
    order.folder.mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert child.carry_out(order).next_step.startswith("pipx install")
    program = tmp_path / "dvc"
    program.write_text(DVC.format(python=sys.executable))
    program.chmod(0o755)
    assert "no folder above '../../w/det.onnx' has a .dvc folder" in child.carry_out(order).problem
    (tmp_path / "project" / ".dvc").mkdir()
    assert child.carry_out(order).files == ("det.onnx",)
    told = (order.folder / "det.onnx").read_text()
    assert told == f"get {tmp_path / 'project'} w/det.onnx --rev abc"
    other = Order("dvc:../../w/x.onnx", tmp_path / "order", repository=suite)
    answer = child.carry_out(other)
    assert "DVC gives no w/x.onnx: ERROR: unexpected error - no such file" in answer.problem
    assert "dvc pull" in answer.next_step


def test_a_file_of_dvc_comes_from_its_remote(tmp_path: Path) -> None:
    """With the program itself, where it is installed."""
    if shutil.which("dvc") is None:
        pytest.skip("pipx install dvc: its packages exclude those of others")
    root, remote = tmp_path / "project", tmp_path / "remote"
    (root / "w").mkdir(parents=True)
    (root / "w" / "det.onnx").write_bytes(b"graph")
    git(root, "init", "--quiet")
    for command in ("init -q", "add -q w/det.onnx", f"remote add -q -d r {remote}", "push -q"):
        subprocess.run(["dvc", *command.split()], cwd=root, check=True, env=os.environ)
    (root / "w" / "det.onnx").unlink()
    shutil.rmtree(root / ".dvc" / "cache")
    order = Order("dvc:w/det.onnx", tmp_path / "order", repository=root)
    order.folder.mkdir()
    assert child.carry_out(order).files == ("det.onnx",)
    assert (order.folder / "det.onnx").read_bytes() == b"graph"
