"""How every page is made of its template: all values are escaped, a missing one is an error."""

from __future__ import annotations

import functools
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pytest_perfgate.records.verdict import Status

if TYPE_CHECKING:
    import jinja2

SHAPES: Mapping[Status, str] = MappingProxyType(
    {
        Status.ERROR: "✖",
        Status.FAIL: "✖",
        Status.INCONCLUSIVE: "?",
        Status.NO_BASELINE: "∅",
        Status.NO_MACHINE: "⌀",
        Status.SKIPPED: "·",
        Status.UNAFFECTED: "=",
        Status.PASS: "✔",
    }
)
"""A sign beside the word of a verdict, for whoever does not tell colours apart."""


@dataclass(frozen=True)
class Script:
    """A script of our own that a page holds.

    Attributes:
        digest: by which the page's policy allows this one and no other (CSP 2, "hash-source").
    """

    text: str
    digest: str


def script(name: str) -> Script:
    """The script of this file among the templates."""
    text = resources.files("pytest_perfgate.report").joinpath("templates", name).read_text("utf-8")
    return Script(text, f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}")


def environment() -> jinja2.Environment:
    """A new environment over the templates; a page may add filters of its own."""
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("pytest_perfgate.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals["shape"] = SHAPES
    return templates


def page(name: str, **values: Any) -> str:
    """A page from its template."""
    return _templates().get_template(name).render(**values)


@functools.cache
def _templates() -> jinja2.Environment:
    """The environment of pages without filters of their own: a template is compiled once."""
    return environment()
