"""Images of a data set: files decoded when asked for, and what tells one image from another."""

from __future__ import annotations

import hashlib
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.alpha import Alpha
from pytest_perfgate.tasks.first_read import FirstRead
from pytest_perfgate.tasks.image_decoding import decode
from pytest_perfgate.tasks.kept_digests import Known, forget, known_of
from pytest_perfgate.tasks.kept_pixels import VARIABLE, KeptPixels, digest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Digested:
    """The digests of a data set's images. Whoever listens hears how many were read: 50,000 images
    on a slow disk take longer than a worker may be silent.
    """

    images: Sequence[Any]

    def listen(self, heard: Callable[[int, int], None]) -> None:
        """Calls `heard(done, total)` after each image that is read from now on, by `digests` or by
        an evaluation (`report`).
        """
        self.__dict__["_heard"] = heard  # the data are frozen

    def report(self, done: int, total: int) -> None:
        """Tells whoever listens how many images were read."""
        self.__dict__.get("_heard", lambda *_: None)(done, total)

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """One text per image, equal only for equal pixels.

        Raises:
            DataError: an image does not fit what is declared of it.
        """
        import numpy as np

        total = len(self.images)
        texts = []
        known = self.images.known(self.report) if isinstance(self.images, ImageFiles) else None
        if known is not None:
            for index, one in enumerate(known):
                # What is declared of an image is its size: an array of it takes no memory.
                self._check(index, np.broadcast_to(np.uint8(0), one.shape))
                texts.append(one.digest)
                self.report(index + 1, total)
            return tuple(texts)
        for index in range(total):
            image = self.images[index]
            self._check(index, image)
            texts.append(digest(image))
            self.report(index + 1, total)
        return tuple(texts)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in their order; none where the data name none."""
        return tuple(map(str, getattr(self, "classes", ())))  # most data have such a field

    @property
    def file_names(self) -> tuple[str, ...]:
        """The file of each image, with forward slashes; none where the images are no files."""
        if not isinstance(self.images, ImageFiles):
            return ()
        return tuple(self.images.file(index).as_posix() for index in range(len(self.images)))

    def image_attributes(self) -> Mapping[str, Sequence[Sequence[Any]]]:
        """The values of each image by attribute: none, one, or several of its annotations. Default:
        no attributes are known.
        """
        return {}

    def _check(self, index: int, image: npt.NDArray[np.uint8]) -> None:
        """Check an image against what is declared of it. Default: nothing is."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out or assumed of the images, one sentence each."""
        copies = self._copies()  # decodes every image once
        notes: tuple[str, ...] = getattr(self.images, "notes", ())  # of files, and of cuts of them
        return (*notes, *copies)

    def _copies(self) -> tuple[str, ...]:
        """Says how many images have the pixels of an earlier one: intervals take images to be
        independent, and copies say nothing more.
        """
        count = len(self.digests) - len(set(self.digests))
        if not count:
            return ()
        return (
            f"{count} of {len(self.digests)} images have the pixels of another one: copies prove "
            "nothing more, and intervals are too narrow",
        )


def refuse_other_size(
    what: str, index: int, shape: tuple[int, ...], image: tuple[int, ...], where: str
) -> None:
    """Check that a picture of labels, a `what` of shape (H, W), is as large as its image (H, W, 3).

    Raises:
        DataError: it is not; names both sizes and the likely cause.
    """
    (height, width), (tall, wide) = shape, image[:2]
    if (height, width) == (tall, wide):
        return
    raise DataError(
        f"{what} {index} has {width} x {height} pixels, and its image has {wide} x {tall}",
        where=where,
        valid=f"one size for an image and its {what}",
        next_step=f"the {what} lies on its side: images are turned by their EXIF orientation, "
        f"and so must {what}s be"
        if (height, width) == (wide, tall)
        else f"resize the {what} to the image by nearest neighbour",
    )


class ImageFiles(Sequence[Any]):
    """Images in files, uint8 (H, W, 3) RGB, upright, decoded when asked for; uint8 (H, W, 4) RGBA
    where `alpha` is "keep". Images of known digests are read from what the session keeps, where
    another process has decoded them.

    Raises:
        DataError: by an index, as `decode`; or an image is not what it was when it was read first.
    """

    def __init__(self, files: Sequence[Path], notes: Sequence[str] = ()) -> None:
        self._files = files
        self._notes = tuple(notes)
        self._remarks: dict[int, list[str]] = {}
        self._known: dict[Alpha, list[Known]] = {}
        self._first: dict[Alpha, FirstRead] = {}
        folder = os.environ.get(VARIABLE)
        self._kept = KeptPixels(Path(folder)) if folder else None
        self.alpha: Alpha = "drop"

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: Any) -> Any:
        if self._kept is not None and (digests := self._known.get(self.alpha)):
            known = digests[index]
            kept = self._kept.get(known.digest, known.shape)
            if kept is not None:
                # Whoever notes which files are read notes this one too.
                sys.audit("open", os.fspath(self._files[index]), "rb", 0)
                return kept
        pixels, remarks = decode(self._files[index], self.alpha)
        self._remarks[index] = remarks
        name = digest(pixels)
        self._refuse_other(range(len(self))[index], name)
        if self._kept is not None:
            self._kept.add(name, pixels)
        return pixels

    def _refuse_other(self, index: int, name: str) -> None:
        """Check that an image has the digest that it had; a wrong one is read again next time."""
        try:
            first = self._first.setdefault(self.alpha, FirstRead("image"))
            first.refuse_other(index, name, str(self._files[index]))
        except DataError:
            if cache := os.environ.get("PERFGATE_CACHE"):
                forget(self._files, Path(cache), _decoder(self.alpha), index)
            raise

    def known(self, heard: Callable[[int, int], None]) -> list[Known] | None:
        """What is known of each image, from the cache where that has it; None without a cache."""
        cache = os.environ.get("PERFGATE_CACHE")
        if not cache:
            return None

        def read(index: int) -> Known:
            pixels, remarks = decode(self._files[index], self.alpha)
            name = digest(pixels)
            if self._kept is not None:
                self._kept.add(name, pixels)
            return Known(name, pixels.shape, tuple(remarks))

        known = known_of(self._files, read, Path(cache), _decoder(self.alpha), heard)
        self._remarks = {index: list(one.remarks) for index, one in enumerate(known)}
        for index, one in enumerate(known):
            self._refuse_other(index, one.digest)
        self._known[self.alpha] = known
        return known

    def file(self, index: int) -> Path:
        """Where an image is."""
        return self._files[index]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out of the folder, and how the images decoded until now were read."""
        counts = Counter(remark for remarks in self._remarks.values() for remark in remarks)
        read = (
            f"{count} of {len(self)} images {remark}" for remark, count in sorted(counts.items())
        )
        return (*self._notes, *read)


def _decoder(alpha: Alpha) -> str:
    """All that pixels depend on besides their file: code that decodes, Pillow, its libraries."""
    import PIL
    from PIL import features

    libraries = ("libjpeg_turbo", "jpg", "zlib", "libtiff", "webp")
    versions = [PIL.__version__, *(str(features.version(name)) for name in libraries)]
    own = hashlib.sha256(Path(__file__).with_name("image_decoding.py").read_bytes()).hexdigest()
    return " ".join([own, str(alpha), *versions])


class SomeImages(Sequence[Any]):
    """Some images of others, decoded when asked for."""

    def __init__(self, images: Sequence[Any], rows: Sequence[int]) -> None:
        self._images = images
        self._rows = tuple(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._images[self._rows[index]]


def declared_path(folder: Path, name: str, root: Path) -> Path:
    """A path that a suite file names: relative to `folder` and inside `root`, or absolute, for data
    on a mount. Links are followed wherever they lead.

    Raises:
        DataError: it is relative and leads out of `root`.
    """
    path = Path(os.path.normpath(folder / name))
    if not Path(name).is_absolute() and not path.is_relative_to(os.path.normpath(root)):
        raise DataError(
            f"the path {name!r} leaves {root}",
            where=str(folder),
            next_step="add allow_outside = true to [suite], or name it by its absolute path",
        )
    return path


def listed_file(folder: Path, name: str) -> Path | None:
    """The file that a data set's own list names, in `folder`; None when it is not there.

    A name that is written with backslashes, or in the other Unicode form, is taken as well. Links
    are followed wherever they lead; the name itself may not lead out of `folder`.

    Raises:
        DataError: it leads out of `folder`.
    """
    forms = (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))
    for form in dict.fromkeys((*forms, name.replace("\\", "/"))):
        if "\0" in form:
            return None
        # Names in JSON are UTF-8 whatever the locale says.
        path = Path(os.path.normpath(folder / os.fsdecode(form.encode("utf-8", "surrogatepass"))))
        if not path.is_relative_to(folder):
            raise DataError(
                f"the path {name!r} leaves {folder}",
                where=str(folder),
                valid="a path relative to the folder of images",
                next_step=_near(folder, name),
            )
        try:
            if path.is_file():
                return path
        except OSError:  # longer than names may be
            return None
    return None


def hint(folder: Path, name: str) -> str:
    """What to do about a file name that is not in `folder`."""
    if "://" in name:
        return "download it: the name is an address, and images are read from the folder"
    return _near(folder, name)


def _near(folder: Path, name: str) -> str:
    last = name.replace("\\", "/").rpartition("/")[2]
    for candidate in dict.fromkeys((last, unquote(last))):
        if candidate in ("", ".", ".."):
            continue
        try:
            present = {entry.name.casefold(): entry.name for entry in folder.iterdir()}
        except OSError:
            return ""
        if there := present.get(candidate.casefold()):
            return f"write {there!r} as file_name: the folder has that file"
    return ""
