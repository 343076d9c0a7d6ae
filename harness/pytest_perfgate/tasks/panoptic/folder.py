"""A declared data set of panoptic segmentation: images, and COCO's JSON with a folder of maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.coco.files import picture_files, pictures_alone, read_instances_file
from pytest_perfgate.tasks.coco.ids import Ids, place, short
from pytest_perfgate.tasks.coco.instances import lists, of_images
from pytest_perfgate.tasks.image_files import ImageFiles, declared_path, listed_file
from pytest_perfgate.tasks.image_folder import declared_folder, listed_names, refuse_other_keys
from pytest_perfgate.tasks.panoptic.data import Located, PanopticData, Segment


def read_folder(source: Mapping[str, Any], folder: Path, root: Path) -> PanopticData:
    """A declared data set: `{ images = "folder", annotations = "panoptic.json", maps = "folder" }`;
    without `annotations` the images alone. `maps` is the folder beside the JSON with its name,
    unless it is declared, as COCO has it.

    Raises:
        DataError: names the file, the entry and what is wrong with it.
    """
    refuse_other_keys(source, ("images", "annotations", "maps", "list"))
    pictures = declared_folder(source, folder, root)
    names = listed_names(source, folder, root)
    if "annotations" not in source:
        return PanopticData(pictures_alone(pictures, names)[0])
    file = declared_path(folder, str(source["annotations"]), root)
    maps = (
        declared_path(folder, str(source["maps"]), root)
        if "maps" in source
        else file.with_suffix("")
    )
    coco = read_instances_file(file)
    if not maps.is_dir():
        raise DataError(
            "there is no such folder",
            where=str(maps),
            valid='maps = "folder", with a PNG for each image',
        )
    try:
        if names is not None:
            coco = of_images(coco, names)
        return _data(coco, ImageFiles(picture_files(coco["images"], pictures)), maps)
    except DataError as error:
        raise error.at(str(file)) from None


def _data(coco: dict[str, Any], images: ImageFiles, maps: Path) -> PanopticData:
    entries, annotations, categories = lists(coco)
    _refuse_other_tasks(annotations)
    owners = Ids("image", entries).rows_of("image_id", annotations).tolist()
    rows: dict[int, int] = {}
    for index, owner in enumerate(owners):
        if owner in rows:
            raise DataError(
                f"{place(rows[owner], annotations[rows[owner]])} and annotations[{index}] are of "
                "one image",
                valid="one annotation for each image",
            )
        rows[owner] = index
    missing = [row for row in range(len(entries)) if row not in rows]
    if missing:
        name = short(entries[missing[0]].get("file_name"))
        raise DataError(
            f"{len(missing)} of {len(entries)} images have no annotation; the first is {name}",
            valid="one annotation for each image",
            next_step='list the images that have one: list = "annotated.txt"',
        )
    known = Ids("category", categories)
    names = [str(entry.get("name")) for entry in categories]
    kinds = {entry["id"]: row for row, entry in enumerate(categories)}
    order = [rows[row] for row in range(len(entries))]
    return PanopticData(
        images,
        MapFiles([_map_file(maps, index, annotations[index]) for index in order]),
        [_segments(index, annotations[index], kinds, names) for index in order],
        names,
        [_is_thing(row, entry) for row, entry in enumerate(categories)] if known else [],
    )


def _refuse_other_tasks(annotations: Sequence[Mapping[str, Any]]) -> None:
    if annotations and not any("segments_info" in entry for entry in annotations):
        masks = any(entry.get("segmentation") for entry in annotations)
        raise DataError(
            f"none of the {len(annotations)} annotations has segments_info: these are "
            f"{'instances' if masks else 'no panoptic segments'}",
            valid='annotations of an image each: {"image_id", "file_name", "segments_info"}',
            next_step='set task = "instances"' if masks else "name the file of panoptic segments",
        )


def _is_thing(row: int, entry: Mapping[str, Any]) -> bool:
    value = entry.get("isthing")
    if value not in (0, 1):
        raise DataError(
            f"categories[{row}] ({short(entry.get('name'))}) has isthing {short(value)}",
            valid="1 for things, 0 for stuff",
        )
    return bool(value)


def _segments(
    index: int, entry: Mapping[str, Any], kinds: Mapping[Any, int], names: Sequence[str]
) -> list[Segment]:
    listed = entry.get("segments_info")
    if not isinstance(listed, (list, tuple)):
        raise DataError(
            f"{place(index, entry)} has segments_info {short(listed)}",
            valid='a list of {"id", "category_id", "iscrowd"}',
        )
    segments = []
    for row, one in enumerate(listed):
        number, kind = (
            (one.get("id"), one.get("category_id")) if isinstance(one, Mapping) else (0, 0)
        )
        where = f"segments_info[{row}] of {place(index, entry)}"
        if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 1 << 24:
            raise DataError(f"{where} has the id {short(number)}", valid="1 to 16777215")
        if kind not in kinds:
            raise DataError(
                f"{where} has the category_id {short(kind)}, which is not there",
                valid=", ".join(f"{key} ({names[value]})" for key, value in list(kinds.items())[:6])
                + (", ..." if len(kinds) > 6 else ""),
            )
        if one.get("iscrowd", 0) not in (0, 1):
            raise DataError(f"{where} has iscrowd {short(one['iscrowd'])}", valid="0 or 1")
        segments.append(Segment(number, kinds[kind], bool(one.get("iscrowd", 0))))
    return segments


def _map_file(maps: Path, index: int, entry: Mapping[str, Any]) -> Path:
    name = entry.get("file_name")
    if not isinstance(name, str) or not name:
        raise DataError(f"{place(index, entry)} has the file_name {short(name)}", valid="a path")
    file = listed_file(maps, name)
    if file is None:
        raise DataError(
            f"the map {short(name)} of {place(index, entry)} is not there",
            where=str(maps),
            valid='maps = "folder", with a PNG for each image',
        )
    return file


class MapFiles(Located):
    """Maps in files, int64 (H, W), decoded when asked for."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: Any) -> Any:
        return read_map(self._files[index])

    @override
    def where(self, index: int) -> str:
        """The file of a map."""
        return str(self._files[index])


def read_map(file: Path) -> Any:
    """The ids of a PNG, int64 (H, W): red + 256 * green + 65,536 * blue.

    Raises:
        DataError: it is no PNG of 24 bits.
    """
    import numpy as np
    from PIL import Image

    try:
        with Image.open(file) as stored:
            form, mode = stored.format, stored.mode
            pixels = np.asarray(stored, dtype=np.int64)
    except Exception as error:
        # Pillow's plugins raise any type on a broken file, SyntaxError and struct.error too.
        raise DataError(f"the map cannot be decoded: {error}", where=str(file)) from error
    if form != "PNG" or mode not in {"RGB", "RGBA"}:
        raise DataError(
            f"the map is a file of the format {form} and the mode {mode}",
            where=str(file),
            valid="a PNG of 24 bits: the id of a segment is red + 256 * green + 65536 * blue",
            next_step='class ids are masks: task = "segmentation"' if mode in {"L", "P"} else "",
        )
    return pixels[..., 0] + 256 * pixels[..., 1] + 65_536 * pixels[..., 2]
