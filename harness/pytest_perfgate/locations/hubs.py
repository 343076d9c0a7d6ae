"""Files from the Hugging Face hub, MLflow's registry and DVC, each through its own client."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.errors import FetchError
from pytest_perfgate.locations.transfer import Answer, Order
from pytest_perfgate.locations.url import DVC, HF, MLFLOW, Location, hub_parts, registered_parts

HUB = registry.from_extra("huggingface_hub", "huggingface")
REGISTRY = registry.from_extra("mlflow", "mlflow")

_DOWN = "download"
"""The folder that a client writes into, below the order's."""
_HUB_ENVIRONMENT = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
_MLFLOW_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def fetch_from_hub(location: Location, order: Order) -> Answer:
    """Fetches files of one commit of a repository on the Hugging Face hub.

    Raises:
        FetchError: one is not there, or not readable, or of another size than ordered.
    """
    registry.require((HUB,), f"the location {location.url}")
    for name, value in _HUB_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import huggingface_hub as hub
    from huggingface_hub import errors

    parts = hub_parts(location.url)
    path, revision = Path(parts["path"] or ""), order.version or parts["revision"]
    where: dict[str, Any] = {
        "repo_id": parts["repository"],
        "repo_type": {"datasets/": "dataset", "spaces/": "space"}.get(parts["type"] or ""),
    }
    files = order.files or (path.name,)
    commit = ""
    try:
        for file in files:
            name = (path.parent / file).as_posix()
            url = hub.hf_hub_url(filename=name, revision=revision, **where)
            about = hub.get_hf_file_metadata(url)
            commit = commit or about.commit_hash or ""
            _refuse_size(file, about.size, order)
            came = hub.hf_hub_download(
                filename=name,
                revision=about.commit_hash or revision,
                local_dir=order.folder / _DOWN,
                **where,
            )
            _move(Path(came), order.folder / file)
    except (errors.GatedRepoError, errors.RepositoryNotFoundError) as error:
        raise FetchError(
            f"the hub shows no repository {parts['repository']} to this user",
            next_step="correct the name in recipes.toml; for a private or gated one: hf auth "
            "login, or HF_TOKEN",
        ) from error
    except (errors.EntryNotFoundError, errors.RevisionNotFoundError) as error:
        raise FetchError(
            f"the hub has no file {path} at {revision or 'main'} of {parts['repository']}",
            next_step="correct the location in recipes.toml",
        ) from error
    except errors.HfHubHTTPError as error:
        raise FetchError(f"the hub refuses: {_line(error)}", next_step="hf auth login") from error
    return Answer(files, commit)


def fetch_from_registry(location: Location, order: Order) -> Answer:
    """Fetches a version of a model in MLflow's registry: of a model without a path in it, its one
    ONNX file.

    Raises:
        FetchError: the registry has no such version, or not the file.
    """
    registry.require((REGISTRY,), f"the location {location.url}")
    for name, value in _MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    parts = registered_parts(location.url)
    down = order.folder / _DOWN
    down.mkdir(parents=True, exist_ok=True)
    uri = f"models:/{parts['name']}/{parts['version']}"
    try:
        model = Path(download_artifacts(artifact_uri=uri, dst_path=str(down)))
    except (MlflowException, OSError) as error:
        raise FetchError(
            f"MLflow's registry gives no {uri}: {_line(error)}",
            next_step="MLFLOW_TRACKING_URI or MLFLOW_REGISTRY_URI name the server; MLFLOW_TRACKING_"
            "TOKEN, or _USERNAME and _PASSWORD, who asks",
        ) from error
    main = model / (parts["path"] or _only_graph(model, uri))
    files = order.files or (main.name,)
    for file in files:
        source = main.parent / file
        if not source.is_file():
            raise FetchError(f"there is no file {file} in {uri}", valid=_listed(model))
        _refuse_size(file, source.stat().st_size, order)
        _move(source, order.folder / file)
    return Answer(files, f"version {parts['version']}")


def _only_graph(model: Path, uri: str) -> str:
    graphs = sorted(path.relative_to(model).as_posix() for path in model.rglob("*.onnx"))
    if len(graphs) != 1:
        raise FetchError(
            f"{uri} holds {len(graphs)} ONNX files",
            valid=_listed(model),
            next_step="name one: mlflow:models:/NAME/VERSION/path/in/it.onnx",
        )
    return graphs[0]


def _listed(folder: Path) -> str:
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return ", ".join(names[:20])


def fetch_from_dvc(location: Location, order: Order) -> Answer:
    """Fetches files that DVC tracks in the project's own repository, by the program `dvc`, which
    may be installed anywhere: its packages exclude those of others.

    Raises:
        FetchError: there is no such program, or DVC has no such file.
    """
    program = shutil.which("dvc")
    if program is None:
        raise FetchError(
            "the program dvc is not installed",
            next_step="pipx install 'dvc[s3]' (or [gs], [azure], [ssh], as its remote needs)",
        )
    path = location.url.partition(":")[2]
    tracked = (order.repository / path).resolve()
    top = next((one for one in tracked.parents if (one / ".dvc").is_dir()), None)
    if top is None:
        raise FetchError(
            f"no folder above {path!r} has a .dvc folder: DVC is not set up here",
            where=str(order.repository),
            next_step="dvc init, or name the file by its path",
        )
    files = order.files or (location.name,)
    for file in files:
        if (order.folder / file).is_file():
            continue
        down = order.folder / _DOWN
        down.mkdir(parents=True, exist_ok=True)
        name = (tracked.parent / file).relative_to(top).as_posix()
        command = [program, "get", str(top), name, "--out", str(down / "file"), "--force"]
        if order.revision:
            command += ["--rev", order.revision]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not (down / "file").is_file():
            words = [line for line in done.stderr.splitlines() if line.strip()]
            raise FetchError(
                f"DVC gives no {name}: {words[0] if words else f'exit code {done.returncode}'}",
                where=str(top),
                next_step=f"dvc pull {name} shows more; dvc push puts it into the remote",
            )
        _refuse_size(file, (down / "file").stat().st_size, order)
        _move(down / "file", order.folder / file)
    return Answer(files)


CLIENTS = {HF: fetch_from_hub, MLFLOW: fetch_from_registry, DVC: fetch_from_dvc}


def _refuse_size(file: str, size: int | None, order: Order) -> None:
    expected = order.sizes.get(file)
    if size is not None and expected is not None and size != expected:
        raise FetchError(
            f"{file} has {size:,} bytes there, and {expected:,} in the lock file",
            valid=f"{expected:,} bytes",
            next_step="pytest-perfgate lock --upgrade, where the new content is right",
        )


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)


def _line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "")[:500] or type(error).__name__
