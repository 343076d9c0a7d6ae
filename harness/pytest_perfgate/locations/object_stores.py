"""Files from web servers and object stores, through obstore: continued where they ended."""

from __future__ import annotations

import contextlib
import os
import re
import time
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pytest_perfgate import registry
from pytest_perfgate.errors import FetchError
from pytest_perfgate.locations.transfer import Answer, Order
from pytest_perfgate.locations.url import GS, HTTP, LOOPBACK, S3, Location

REQUIRES = registry.from_extra("obstore", "stores")

_TRIES = 4
"""Connections in a row that may end without a byte."""
_CHUNK = 1 << 18  # a connection that ends loses less
LOGIN = {
    HTTP: "name a URL that needs no login, or one in a store: s3://, gs://, hf://",
    S3: "aws sts get-caller-identity shows who you are; AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, say who you want to be",
    GS: "gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS; for a public "
    "bucket GOOGLE_SKIP_SIGNATURE=true",
}
"""Store to how one gets access to it."""


def fetch(location: Location, order: Order) -> Answer:
    """Fetches files of a location.

    Raises:
        FetchError: one is not there, or not readable, or of another size than ordered.
    """
    files = order.files or (location.name,)
    versions = [
        _fetch_file(location, file, order.folder / file, order.sizes.get(file))
        if number
        else _fetch_file(location, "", order.folder / file, order.sizes.get(file))
        for number, file in enumerate(files)
    ]
    return Answer(files, versions[0])


def _fetch_file(location: Location, beside: str, target: Path, size: int | None) -> str:
    """Fetches one file; returns its ETag. `beside` is a path beside the location's own file."""
    if target.is_file():
        return ""  # of an earlier process: whoever ordered it compares the digest
    target.parent.mkdir(parents=True, exist_ok=True)
    store, path = opened(location, beside)
    part = target.with_name(f"{target.name}.part")
    etag = target.with_name(f"{target.name}.etag")
    name = beside or location.name
    failures = 0
    while True:
        have = part.stat().st_size if part.exists() else 0
        try:
            version = _continue(store, path, part, etag, size)
            part.replace(target)
            etag.unlink(missing_ok=True)
            return version
        except _Restart:
            part.unlink(missing_ok=True)
            etag.unlink(missing_ok=True)
            have = 0
            failures += 1
            reason = "it changed while it was fetched"
        except FetchError:
            raise
        except OSError as error:
            raise _refused(location, name, error) from error
        except Exception as error:
            if is_denied(error):
                raise _refused(location, name, error) from error
            reason = first_line(error)
        now = part.stat().st_size if part.exists() else 0
        failures = 0 if now > have else failures + 1
        if failures >= _TRIES:
            total = f" of {size:,}" if size is not None else ""
            raise FetchError(
                f"{name} could not be fetched; {now:,}{total} bytes came: {reason}",
                next_step="run it again: it continues where it ended",
            )
        time.sleep(min(0.2 * 2**failures, 5.0))


class _Restart(Exception):
    """What came before is of other content, or cannot be continued."""


def _continue(store: Any, path: str, part: Path, etag: Path, size: int | None) -> str:
    """Appends what is missing to a part; returns the file's ETag.

    Raises:
        _Restart: the part is of another content.
        FetchError: the file has another size than it must have.
    """
    import obstore
    from obstore.exceptions import NotSupportedError, PreconditionError

    have = part.stat().st_size if part.exists() else 0
    # Without a size no digest is known either, and two contents would be put together.
    if have > size if size is not None else have and not etag.exists():
        raise _Restart
    options: dict[str, Any] = {}
    if have:
        options["range"] = {"offset": max(0, have - 1)}  # a range behind the end is an error
        if etag.exists():
            options["if_match"] = etag.read_text(encoding="utf-8")
    try:
        result = obstore.get(store, path, options=options or None)  # type: ignore[arg-type] # a plain dict
    except (NotSupportedError, PreconditionError) as error:
        if have:
            raise _Restart from error
        raise
    total = result.meta["size"]
    if size is not None and total != size:
        raise FetchError(
            f"{part.name.removesuffix('.part')} has {total:,} bytes there, and {size:,} in the "
            "lock file",
            valid=f"{size:,} bytes",
            next_step="pytest-perfgate lock --upgrade, where the new content is right",
        )
    version = str(result.meta["e_tag"] or "")
    if version and not version.startswith("W/"):  # a weak one promises no equal bytes
        etag.write_text(version, encoding="utf-8")
    with part.open("r+b" if have else "wb") as out:
        out.seek(max(0, have - 1))
        for chunk in result.stream(min_chunk_size=_CHUNK):
            if out.tell() + len(chunk) > total:
                raise FetchError(f"the server sent more than the {total:,} bytes that it promised")
            out.write(chunk)
    if part.stat().st_size < total:
        raise ConnectionError(f"the server ended it at {part.stat().st_size:,} of {total:,} bytes")
    return version.strip('"')


def opened(location: Location, beside: str) -> tuple[Any, str]:
    """The store of a location, and the path of a file in it, or of the folder that it names.

    Raises:
        FetchError: credentials cannot be read.
        MissingPackage: obstore is not installed.
    """
    registry.require((REQUIRES,), f"the location {location.url}")
    from obstore import store

    common: dict[str, Any] = {
        # The whole transfer; a silent one is ended by whoever started this process.
        "client_options": {"connect_timeout": timedelta(seconds=15), "timeout": timedelta(days=1)},
        "retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=20)},
    }
    if location.store == HTTP:
        parts = urlsplit(location.url)
        if parts.scheme == "http":  # a server of this machine; https never leads to http
            common["client_options"]["allow_http"] = True
        if beside:
            folder = PurePosixPath(parts.path).parent
            parts = parts._replace(path=str(folder / beside))
        return store.HTTPStore.from_url(urlunsplit(parts), **common), ""
    bucket, _, key = location.url.partition("://")[2].partition("/")
    if beside:
        key = str(PurePosixPath(key).parent / beside)
    if location.store == GS:
        if _is_here(os.environ.get("GOOGLE_BASE_URL", "")):
            common["client_options"]["allow_http"] = True
        return store.GCSStore(bucket, **common), key
    if _is_plain_endpoint():
        common["client_options"]["allow_http"] = True
    return store.S3Store(bucket, **_aws(), **common), key


def _is_here(url: str) -> bool:
    """Whether a URL is of a server of this machine without TLS."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in LOOPBACK


def _is_plain_endpoint() -> bool:
    """Whether a server of the S3 protocol without TLS is asked for: one of this machine, or where
    the environment says so.
    """
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    endpoint = next((os.environ[name] for name in names if os.environ.get(name)), "")
    allowed = os.environ.get("AWS_ALLOW_HTTP", "").lower() in {"1", "true"}
    return _is_here(endpoint) or (allowed and urlsplit(endpoint).scheme == "http")


def _aws() -> dict[str, Any]:
    """Who asks for files of S3: the environment says so; else boto3, which reads `~/.aws`, roles
    and single sign-on; without anybody the request is anonymous, as public buckets allow.
    """
    if "AWS_ACCESS_KEY_ID" in os.environ:
        return {}
    with contextlib.suppress(ImportError):
        import boto3
        from botocore.exceptions import BotoCoreError
        from obstore.auth.boto3 import Boto3CredentialProvider

        try:
            session = boto3.Session()
            if session.get_credentials() is None:
                return {"skip_signature": True, "region": session.region_name or "us-east-1"}
            return {"credential_provider": Boto3CredentialProvider(session)}
        except BotoCoreError as error:
            raise FetchError(
                f"the credentials of AWS cannot be read: {error}", next_step=LOGIN[S3]
            ) from error
    return {}


def is_denied(error: Exception) -> bool:
    """Whether a store refuses whoever asks, or wants to know who that is."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    # Without credentials the client asks the metadata service of a cloud's machines; and whoever
    # may not list has a general error, with the status in its words.
    return isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or bool(
        re.search(r"169\.254\.169\.254|status code: (401|403)\b", str(error))
    )


def _refused(location: Location, name: str, error: Exception) -> FetchError:
    """An error of a store, in words."""
    if isinstance(error, FileNotFoundError) and not error.filename:
        return FetchError(
            f"there is no file {name} at {location.url}",
            next_step="correct the URL in recipes.toml",
        )
    if isinstance(error, OSError) and error.errno is not None:
        return FetchError(
            f"{name} cannot be written: {error.strerror}",
            where=str(error.filename or ""),
            next_step="pytest-perfgate cache gc, or a cache on another disk: --perf-cache=DIR",
        )
    return FetchError(
        f"access to {location.url} is refused: {first_line(error)}",
        next_step=LOGIN[location.store],
    )


def first_line(error: BaseException) -> str:
    """What an error says, or its kind where it says nothing."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
