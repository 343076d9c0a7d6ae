"""Files cut into pieces with a checksum each, and put together again; nothing half is left."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

PIECE_BYTES = 60_000_000
"""The largest piece."""

MANIFEST = "pieces.json"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Piece:
    """A part of a file: its path in the folder of pieces, bytes, and SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Whole:
    """A file that is carried: what it is for, its bytes and SHA-256, and its pieces in order."""

    name: str
    group: str
    size: int
    sha256: str
    pieces: tuple[Piece, ...]


class DamagedPiece(Exception):
    """A piece or a file is not what the manifest says; the message names it and the next step."""


class Loads:
    """A folder of pieces, sorted into sub-folders of at most `most` bytes: one for each journey."""

    def __init__(self, folder: Path, most: int = PIECE_BYTES) -> None:
        self._folder = folder
        self._most = most
        self._free: list[int] = []

    def split(self, file: Path, group: str) -> Whole:
        """Writes the pieces of `file`, each into the first load that has room for it."""
        whole = hashlib.sha256()
        pieces: list[Piece] = []
        with file.open("rb") as source:
            while block := source.read(self._most):
                name = f"{self._load(len(block))}/{file.name}.{len(pieces) + 1:03d}"
                (self._folder / name).write_bytes(block)
                whole.update(block)
                pieces.append(Piece(name, len(block), hashlib.sha256(block).hexdigest()))
        return Whole(file.name, group, file.stat().st_size, whole.hexdigest(), tuple(pieces))

    def _load(self, size: int) -> str:
        for number, free in enumerate(self._free):
            if size <= free:
                self._free[number] -= size
                return self._name(number)
        self._free.append(self._most - size)
        name = self._name(len(self._free) - 1)
        (self._folder / name).mkdir()
        return name

    @staticmethod
    def _name(number: int) -> str:
        return f"load-{number + 1:02d}"


def write_manifest(wholes: list[Whole], folder: Path) -> None:
    """Writes what is carried beside its pieces."""
    text = json.dumps([asdict(whole) for whole in wholes], indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> list[Whole]:
    """What is carried.

    Raises:
        DamagedPiece: the folder has no manifest, or it is something else.
    """
    path = folder / MANIFEST
    try:
        return [
            Whole(**{**item, "pieces": tuple(Piece(**piece) for piece in item["pieces"])})
            for item in json.loads(path.read_text(encoding="utf-8"))
        ]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DamagedPiece(
            f"{path} is no list of pieces: {error}; next: python -m benchmarks.gpu_offline collect"
        ) from error


def join(folder: Path, target: Path) -> tuple[list[Path], list[Whole]]:
    """The files whose pieces are all in `folder`, written into `target`, and those that are not
    complete. A file that is there already, and whole, stays.

    Raises:
        DamagedPiece: a piece does not have its size and checksum.
    """
    target.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    waiting: list[Whole] = []
    for whole in read_manifest(folder):
        file = target / whole.name
        if file.exists() and _digest(file) == whole.sha256:
            written.append(file)
        elif all((folder / piece.name).exists() for piece in whole.pieces):
            _write(whole, folder, file)
            written.append(file)
        else:
            waiting.append(whole)
    return written, waiting


def _write(whole: Whole, folder: Path, file: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".new-", delete=False) as fresh:
        try:
            for piece in whole.pieces:
                block = (folder / piece.name).read_bytes()
                if hashlib.sha256(block).hexdigest() != piece.sha256:
                    raise DamagedPiece(
                        f"{folder / piece.name} has {len(block)} bytes and another checksum than "
                        f"its {piece.size} had; next: carry it again"
                    )
                fresh.write(block)
        except BaseException:
            Path(fresh.name).unlink()
            raise
    Path(fresh.name).replace(file)


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as source:
        while block := source.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
