"""Near-duplicates between a suite's splits, in a worker: thumbnails and comparisons are kept in the
cache by the content of the images, so that they are made once for all recipes and sessions.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from pytest_perfgate.building.artifact_cache import ArtifactStore, Entry, Stored
from pytest_perfgate.building.implementation_code import digest_module
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.building.suite_data import DigestProgress, SuiteData
from pytest_perfgate.errors import DataError
from pytest_perfgate.files import digest_of, short_path
from pytest_perfgate.records.near_duplicates import LISTED, NearDuplicates, NearPair
from pytest_perfgate.records.recipe import REFUSE, VALIDATION, Suite
from pytest_perfgate.stats import likeness
from pytest_perfgate.tasks.image_files import ImageFiles

_THUMBNAILS = "thumbnails.npy"
_PAIRS = "near_duplicates.json"
_KEPT = TypeAdapter(likeness.NearDuplicates)
_NEXT_STEP = (
    'take these images out of one of the two splits; near_duplicates = "warn" in [suite] lists the '
    "pairs in the session's JSON"
)


class Likeness:
    """Compares splits of one suite with its validation images and those of its sets; `progress` is
    that of `SuiteData`.
    """

    def __init__(
        self,
        suite: Suite,
        data: SuiteData,
        store: ArtifactStore,
        watch: Watch,
        progress: DigestProgress,
    ) -> None:
        self._suite, self._data = suite, data
        self._store, self._watch, self._progress = store, watch, progress

    def compare(self, split: str, against: str = VALIDATION) -> NearDuplicates:
        """The near-duplicates between `split` and the validation images, or those of a set.

        Raises:
            DataError: there are some, and the suite says `near_duplicates = "error"`.
        """
        images, others = (self._data.split(name).digests for name in (against, split))
        key = digest_of({"what": "near-duplicates", "code": _code(), "of": [images, others]})

        def made(folder: Path) -> None:
            (folder / _PAIRS).write_bytes(_KEPT.dump_json(self._compared(split, against)))

        entry = self._entry(key, _PAIRS, f"{split} beside {against} images", made)
        # Files may have been renamed since: names are those of today.
        near = _KEPT.validate_json((entry.folder / _PAIRS).read_bytes())
        pairs = (
            NearPair(
                image=self._name(against, pair.ours),
                other=self._name(split, pair.other),
                likeness=min(1.0, pair.likeness),
            )
            for pair in near.pairs[:LISTED]
        )
        result = NearDuplicates(
            split=split,
            against=against,
            compared=len(images),
            others=len(others),
            images=len(near.pairs),
            limit=round(near.limit, 4),
            pairs=tuple(pairs),
        )
        if result.images and self._suite.near_duplicates == REFUSE:
            raise DataError(str(result), where=f"suite.data.{split}", next_step=_NEXT_STEP)
        return result

    def _compared(self, split: str, against: str) -> likeness.NearDuplicates:
        note = f"comparing {split} with {against} images by likeness"
        return likeness.near_duplicates(
            self._thumbnails(against),
            self._thumbnails(split),
            lambda done, total: self._progress(done, total, note),
        )

    def _thumbnails(self, split: str) -> Any:
        """Thumbnails of a split's images, uint8 (N, SIDE, SIDE, 3)."""
        data = self._data.split(split)
        key = digest_of({"what": "thumbnails", "code": _code(), "of": data.digests})

        def made(folder: Path) -> None:
            rows = []
            for index in range(len(data.images)):
                rows.append(likeness.thumbnail(np.asarray(data.images[index])))
                note = f"making thumbnails of {split} images"
                self._progress(index + 1, len(data.images), note)
            _save(folder / _THUMBNAILS, np.stack(rows))

        entry = self._entry(key, _THUMBNAILS, f"thumbnails of {split} images", made)
        return np.load(entry.folder / _THUMBNAILS, allow_pickle=False)

    def _entry(self, key: str, file: str, about: str, make: Callable[[Path], None]) -> Entry:
        """The entry of `key` in the store; `make` writes its file into a folder where it is not."""
        with self._store.lock(key):
            entry = self._store.find(key, self._watch)
            if entry is not None:
                return entry
            start = time.perf_counter()
            with self._store.scratch() as folder:
                make(folder)
                stored = Stored(
                    kind="likeness",
                    file=file,
                    effect={},
                    structures=(),
                    seconds=time.perf_counter() - start,
                    files={},  # the key has all of it
                )
                return self._store.add(key, folder, stored, about=f"{self._suite.name}: {about}")

    def _name(self, split: str, index: int) -> str:
        """An image in words: its file, or its number in the split."""
        data = self._data.split(split)
        if isinstance(data.images, ImageFiles):
            return short_path(data.images.file(index), self._suite.root)
        file, _ = self._data.task.objects(data, index)
        return f"{split} image {index}" + (f" ({file})" if file else "")


def _code() -> str:
    """Digest of the code that thumbnails and comparisons rest on."""
    return digest_module(Path(likeness.__file__))


def _save(file: Path, array: Any) -> None:
    # Not into the file at once: NumPy's error of a full disk has no number, and says nothing.
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    file.write_bytes(content.getbuffer())
