"""How pictures are drawn: Vega-Lite specifications as SVG, labels in the page's own colours.

What a mark says for itself stands in its row under "words"; `DESCRIBED` hands it to the renderer.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# Okabe & Ito's palette: told apart by the colour-blind, and readable on light and dark.
BLUE, ORANGE, GREEN, PURPLE, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"
GREY = "#8a929c"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY, "#e69f00", "#b8a800", GREY)

_CONFIG: dict[str, Any] = {
    "background": "transparent",
    "padding": {"left": 16, "right": 16, "top": 6, "bottom": 6},
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "domainColor": "currentColor",
        "tickColor": "currentColor",
        "gridColor": "currentColor",
        "gridOpacity": 0.12,
        "domainOpacity": 0.4,
        "tickOpacity": 0.4,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 10,  # browsers have wider letters than the renderer takes them for
        "labelLimit": 180,
    },
    "legend": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "text": {"color": "currentColor", "fontSize": 12},
}

WIDTH = 640


def svg(spec: Mapping[str, Any]) -> str:
    """A specification drawn as an SVG element; text in it is escaped by the renderer."""
    import vl_convert

    drawable = json.dumps(_drawable({"config": _CONFIG, **spec}), ensure_ascii=False)
    try:
        text: str = vl_convert.vegalite_to_svg(drawable)
    except ValueError:
        # A label that is too long may be cut between the two halves of such a character.
        plain = _BEYOND.sub("\N{WHITE SQUARE}", drawable)
        if plain == drawable:
            raise
        text = vl_convert.vegalite_to_svg(plain)
    return _finished(text, f"pic{hashlib.sha256(drawable.encode()).hexdigest()[:12]}")


def png(spec: Mapping[str, Any]) -> bytes:
    """A specification drawn as PNG for places without the page's colours: dark on white."""
    import vl_convert

    drawable = json.dumps(_drawable({"config": {**_CONFIG, "background": "white"}, **spec}))
    image: bytes = vl_convert.vegalite_to_png(
        drawable.replace('"currentColor"', '"#24292f"'), scale=2
    )
    return image


_BEYOND = re.compile("[\U00010000-\U0010ffff]")
"""Characters that JavaScript keeps in two halves."""


_REACHED = 80  # marks of a picture that the keyboard visits one by one, at most
_SMALL = 480.0  # pixels: a narrower picture is not enlarged to the width of its card
_SVG = "http://www.w3.org/2000/svg"
_MARK = "words: "  # in front of a mark's words, to know them from the renderer's default


def _finished(text: str, name: str) -> str:
    """The renderer's picture as it stands in a page; its ids begin with `name`."""
    from xml.etree import ElementTree

    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(text)  # noqa: S314 - what the renderer has just written
    small = float(root.get("width") or _SMALL) < _SMALL
    root.set("data-size", "small" if small else "large")
    _rename_ids(root, name)
    _add_titles(root)
    return ElementTree.tostring(root, encoding="unicode")


def _rename_ids(root: Element, name: str) -> None:
    """Numbers the picture's ids from 0 behind `name`, and what refers to them.

    The renderer counts gradients over all pictures of a process: the same data would give another
    page, and pictures of two processes the same ids.
    """
    holders = [element for element in root.iter() if "id" in element.attrib]
    names = {holder.attrib["id"]: f"{name}-{index}" for index, holder in enumerate(holders)}
    for holder in holders:
        holder.set("id", names[holder.attrib["id"]])
    for element in root.iter():
        for key, value in element.attrib.items():
            reference = _REFERENCE.fullmatch(value)
            if reference and reference[1] in names:
                element.set(key, f"url(#{names[reference[1]]})")


_REFERENCE = re.compile(r"url\(#(.+)\)")


def _add_titles(root: Element) -> None:
    """Gives marks tooltips that need no script: what a mark is described by is its title too.

    Where there are few marks, the keyboard reaches each; more would be in the way of whoever wants
    to get past the picture.
    """
    from xml.etree import ElementTree

    described = []
    for mark in root.iter():
        if mark.get("role") != "graphics-symbol":
            continue
        label = mark.get("aria-label", "")
        for name in ("aria-label", "aria-roledescription", "role"):
            mark.attrib.pop(name, None)
        if label.startswith(_MARK) and label != _MARK:
            described.append(mark)
            title = ElementTree.SubElement(mark, f"{{{_SVG}}}title")
            title.text = label.removeprefix(_MARK)
        else:  # a default description is a list of the data's own field names
            mark.set("aria-hidden", "true")
    if len(described) <= _REACHED:
        for mark in described:
            mark.set("role", "img")
            mark.set("aria-label", str(mark[0].text))
            mark.set("tabindex", "0")


def _drawable(data: Any) -> Any:
    """`data` without the control characters that XML cannot hold: the renderer dies of them."""
    if isinstance(data, str):
        return "".join(character if character.isprintable() else "\ufffd" for character in data)
    if isinstance(data, Mapping):
        return {
            _drawable(key): f"{_MARK}{_drawable(value)}" if key == "words" else _drawable(value)
            for key, value in data.items()
        }
    if isinstance(data, (list, tuple)):
        return [_drawable(item) for item in data]
    return data


DESCRIBED: Mapping[str, Any] = MappingProxyType({"description": {"field": "words"}})
"""The encoding by which every mark has the words of its row, as its tooltip and its label."""


def number_axis(field: str, title: str | None, **more: Any) -> dict[str, Any]:
    """The encoding of a number on an axis."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def name_axis(field: str, names: Sequence[str] | None, **more: Any) -> dict[str, Any]:
    """The encoding of names on an axis, in the order of `names`; None: that of the rows."""
    sort = None if names is None else list(names)
    return {"field": field, "type": "nominal", "sort": sort, "title": None, **more}


def by_value(field: str, marks: Mapping[Any, Any]) -> dict[str, Any]:
    """The encoding of a colour, shape or dash by the value of a field, without a legend."""
    scale = {"domain": list(marks), "range": list(marks.values())}
    return {"field": field, "scale": scale, "legend": None}


def with_legend(encoding: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The encoding with its legend above the picture."""
    return {**encoding, "legend": {"orient": "top", "title": None, **more}}


def lines_with_points(
    values: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    height: int,
) -> dict[str, Any]:
    """A line for each of `names`, the field "recipe" of its rows, with a point that tells for each
    row.
    """
    colours = by_value("recipe", dict(zip(names, PALETTE, strict=False)))
    encoding = {"x": dict(x), "y": dict(y), "color": with_legend(colours, columns=4)}
    return {
        "width": 520,
        "height": height,
        "data": {"values": list(values)},
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 1.2, "opacity": 0.5}, "encoding": encoding},
            {
                "mark": {"type": "point", "filled": True, "size": 35, "opacity": 1},
                "encoding": {**encoding, **DESCRIBED},
            },
        ],
    }


def panels(
    values: Sequence[Mapping[str, Any]], names: Sequence[str], columns: int, spec: Mapping[str, Any]
) -> dict[str, Any]:
    """One small picture for each of `names`, the field "panel" of its rows."""
    return {
        "data": {"values": list(values)},
        "facet": name_axis(
            "panel", names, header={"labelColor": "currentColor", "labelFontSize": 12}
        ),
        "columns": columns,
        "spacing": 18,
        "spec": dict(spec),
    }
