"""The forms of a location: which store it is in, and what it calls the file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import parse_qsl, unquote, urlsplit

from pytest_perfgate.errors import RecipeError, suggestion

HTTP, S3, GS, HF, MLFLOW, DVC = "https", "s3", "gs", "hf", "mlflow", "dvc"
POSTGRESQL = "postgresql"
"""A store of folders alone: no model is in one."""

EXAMPLES = {
    HTTP: "https://host/detector.onnx",
    S3: "s3://bucket/detector.onnx",
    GS: "gs://bucket/detector.onnx",
    HF: "hf://owner/name@revision/detector.onnx",
    MLFLOW: "mlflow:models:/detector/1",
    DVC: "dvc:detector.onnx",
}
"""Store to a location in it, for messages."""

_DATABASE = f"{POSTGRESQL}://host/database/folder"
_SCHEME = re.compile(r"(https?|s3|gs|hf)://|(mlflow|dvc):")
_PLAIN = re.compile(r"[^\s\x00-\x1f\x7f\\\"'<>`{}|^]+(?: +[^\s\x00-\x1f\x7f\\\"'<>`{}|^]+)*")
_LONGEST = 2_000
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
"""Hosts that are this machine."""
_QUERY = {"download", "raw", "dl", "ref", "alt", "versionId", "version", "generation", "format"}
"""Parameters that name content. Any other may be a signature or a token."""
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[^/].*")
_HUB = re.compile(
    r"(?P<type>(?:datasets|spaces)/)?(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+?))?"
    r"/(?P<path>.+)"
)
_REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)/(?P<version>[0-9]+)(?:/(?P<path>.+))?")


@dataclass(frozen=True)
class Location:
    """A file in a store.

    Attributes:
        text: as the suite names it.
        store: one of the constants above.
        url: `text` without the part inside an archive or folder.
        inner: that part, behind the `#`, "" for none.
        name: the file's name.
    """

    text: str
    store: str
    url: str
    inner: str
    name: str

    @property
    def file(self) -> str:
        """The name of the file that the suite means."""
        return PurePosixPath(self.inner or self.name).name


def is_location(text: str) -> bool:
    """Whether a text names a file in a store, rightly or not."""
    return _SCHEME.match(text) is not None


def parse(text: str) -> Location:
    """The location that a text names.

    Raises:
        RecipeError: it has not the form of its store, or may carry a credential.
    """
    scheme = _SCHEME.match(text)
    if scheme is None:
        raise RecipeError(f"{text!r} is no location", valid=", ".join(EXAMPLES.values()))
    store = {"http": HTTP}.get(name := (scheme[1] or scheme[2]), name)
    # Keys of stores are as they are; in the URL of a server a space is written as %20.
    spaced = " " in text and store in {HTTP, HF}
    if len(text) > _LONGEST or spaced or not _PLAIN.fullmatch(text):
        raise RecipeError(
            "the location has white space, quotes or backslashes, or is too long",
            valid=EXAMPLES[store],
            next_step="write such characters percent-encoded",
        )
    url, _, inner = text.partition("#")
    if inner and ".." in PurePosixPath(inner).parts:
        raise RecipeError(f"the path {inner!r} leaves the archive", valid="a path inside it")
    rest = url[scheme.end() :]
    if store == HTTP:
        path = _web_path(url)
    elif store in {S3, GS}:
        _refuse_credentials(url, rest)
        path = _matched(_BUCKET, rest, store)
    elif store == HF:
        _matched(_HUB, rest, store)
        path = hub_parts(url)["path"] or ""
    elif store == MLFLOW:
        _matched(_REGISTERED, rest, store)
        path = registered_parts(url)["path"] or "model.onnx"  # as MLflow's ONNX flavour calls it
    else:
        path = _inside_project(rest)
    name = PurePosixPath(unquote(path) if store == HTTP else path).name
    if not name or name in {".", ".."} or path.endswith("/"):
        raise RecipeError(
            f"{text!r} names a folder",
            valid=EXAMPLES[store],
            next_step="name a file; for data pack the folder into an archive (.zip, .tar.gz)",
        )
    return Location(text, store, url, inner.strip("/"), name)


def parse_folder(text: str) -> Location:
    """The folder in a store that a text names; its `name` is the path in the bucket or database,
    its `inner` the name of the database.

    Raises:
        RecipeError: it has not the form of its store, or may carry a credential.
    """
    if text.startswith(f"{POSTGRESQL}://"):
        return _in_database(text)
    scheme = _SCHEME.match(text)
    store = (scheme[1] or scheme[2]) if scheme else ""
    if store not in {S3, GS} or len(text) > _LONGEST or " " in text or not _PLAIN.fullmatch(text):
        raise RecipeError(
            f"{text!r} is no folder in a store", valid=f"{S3}://bucket/folder, {_DATABASE}"
        )
    rest = text[len(store) + 3 :]
    _refuse_credentials(text, rest)
    bucket, _, path = rest.partition("/")
    parts = path.strip("/").split("/") if path.strip("/") else []
    if not _BUCKET.fullmatch(f"{bucket}/x") or {"", ".", ".."}.intersection(parts):
        raise RecipeError(f"{rest!r} names no folder in {store}", valid=f"{store}://bucket/folder")
    return Location(text, store, text.rstrip("/"), "", "/".join(parts))


def _in_database(text: str) -> Location:
    """A folder in a database of PostgreSQL: `postgresql://host:port/database/folder`; without a
    host that of libpq's environment.
    """
    rest = text.removeprefix(f"{POSTGRESQL}://")
    _refuse_credentials(text, rest)
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise RecipeError(f"{text!r} is no URL: {error}", valid=_DATABASE) from error
    database, *folder = parts.path.strip("/").split("/")
    plain = _PLAIN.fullmatch(text) and " " not in text and "%" not in text and "#" not in text
    if not plain or len(text) > _LONGEST or not database or {"", ".", ".."}.intersection(folder):
        raise RecipeError(f"{rest!r} names no folder in {POSTGRESQL}", valid=_DATABASE)
    return Location(text, POSTGRESQL, text.rstrip("/"), database, "/".join(folder))


def hub_parts(url: str) -> dict[str, str | None]:
    """`type`, `repository`, `revision` and `path` of a location on the Hugging Face hub."""
    matched = _HUB.fullmatch(url.removeprefix("hf://"))
    return matched.groupdict() if matched else {}


def registered_parts(url: str) -> dict[str, str | None]:
    """`name`, `version` and `path` of a model in MLflow's registry."""
    matched = _REGISTERED.fullmatch(url.removeprefix("mlflow:"))
    return matched.groupdict() if matched else {}


def _web_path(url: str) -> str:
    parts = urlsplit(url)
    _refuse_credentials(url, parts.netloc)
    if not parts.hostname:
        raise RecipeError(f"{url!r} has no host", valid=EXAMPLES[HTTP])
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise RecipeError(
            f"{url!r} is not encrypted: whoever is on the way can replace the file",
            valid=f"{EXAMPLES[HTTP]}; http:// for this machine's own servers alone",
        )
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _QUERY:
            raise RecipeError(
                f"the parameter {name!r} of a URL may carry a signature or a token, and a suite "
                "file, its lock and reports are read by more people than may use it",
                valid=suggestion(name, _QUERY),
                next_step="name the file without it: s3://, gs:// and hf:// take credentials from "
                "the environment",
            )
    return parts.path


def _refuse_credentials(url: str, authority: str) -> None:
    """Check that a URL has neither a user nor a password, and in stores no query."""
    if "@" in authority.partition("/")[0]:
        raise RecipeError(
            f"the URL {url!r} has a user or a password in front of its host",
            valid="a URL without: stores take credentials from the environment",
            next_step="take it out, and change the password: the file may be in git already",
        )
    if not url.startswith("http") and "?" in url:
        raise RecipeError(
            f"the URL {url!r} has a query, which may carry a signature",
            valid="the bucket and the key alone; credentials come from the environment",
        )


def _matched(form: re.Pattern[str], rest: str, store: str) -> str:
    if not form.fullmatch(rest):
        raise RecipeError(f"{rest!r} names no file in {store}", valid=EXAMPLES[store])
    return rest


def _inside_project(path: str) -> str:
    if path.startswith("/"):
        raise RecipeError(f"the path {path!r} is absolute", valid=EXAMPLES[DVC])
    return path
