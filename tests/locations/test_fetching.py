"""Fetching from a web server: once, continued, whole, and with the content of the lock file."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_perfgate.building import cache_contents
from pytest_perfgate.errors import FetchError
from pytest_perfgate.locations import cache, child, client, fetching, object_stores
from pytest_perfgate.locations.client import Place
from pytest_perfgate.locations.fetching import fetched, lock
from pytest_perfgate.locations.transfer import Answer, Order
from pytest_perfgate.locations.url import parse
from pytest_perfgate.records.location import Fetched, Locked, LockedFile

from tests.locations.web_server import Web, serving

pytest.importorskip("obstore", reason="python -m pip install 'pytest-perfgate[stores]'")

CONTENT = hashlib.shake_128(b"weights").digest(3_000_000)


@pytest.fixture
def web() -> Iterator[Web]:
    """A server with one file."""
    with serving(Web(files={"/det.onnx": CONTENT})) as server:
        yield server


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other without a pause."""
    monkeypatch.setattr(object_stores.time, "sleep", lambda _: None)


def locked(web: Web, content: bytes = CONTENT, path: str = "/det.onnx") -> Locked:
    """What a lock file says of a file of the server."""
    name = path.rpartition("/")[2]
    file = LockedFile(name, len(content), hashlib.sha256(content).hexdigest())
    return Locked(web.url + path, (file,))


def here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fetches in this process: what it does is the same, and no interpreter starts."""
    monkeypatch.setattr(fetching, "carried_out", lambda order, *_: raised(child.carry_out(order)))


def raised(answer: Answer) -> Answer:
    """An answer, or its error."""
    if answer.problem:
        raise FetchError(answer.problem, valid=answer.valid, next_step=answer.next_step)
    return answer


def get(web: Web, tmp_path: Path, entry: Locked | None = None, **more: object) -> Fetched:
    """Fetches the server's file into a cache."""
    entry = entry or locked(web)
    place = replace(Place(tmp_path / "cache", "demo", tmp_path), **more)
    return fetched(parse(entry.url), entry, place)


def test_a_file_is_fetched_once_and_found_again_offline(web: Web, tmp_path: Path) -> None:
    """By a process of its own, with lines of progress; the second time without the server. What was
    damaged is fetched again, and `cache verify` and `cache gc` know it.
    """
    shown: list[str] = []
    first = get(web, tmp_path, progress=shown.append)
    assert first.place.read_bytes() == CONTENT
    assert any(f"fetching {web.url}/det.onnx" in line for line in shown)
    count = len(web.requests)
    assert get(web, tmp_path) == first
    assert len(web.requests) == count
    root = tmp_path / "cache"
    first.place.write_bytes(CONTENT[:-1] + b"x")
    verified = cache_contents.verify(root)
    (damage,) = verified.damages
    assert (verified.compared, damage.item.kind) == (1, "fetched")
    assert damage.file == "content/det.onnx"
    with pytest.raises(FetchError, match="changed in the cache"):
        cache.refuse_changed(first)
    assert get(web, tmp_path).place.read_bytes() == CONTENT
    verified = cache_contents.verify(root)
    assert (verified.compared, verified.damages) == (1, ())
    going, _ = cache_contents.removable(root, older=0.0)
    assert [(item.kind, item.about) for item in going] == [("fetched", f"{web.url}/det.onnx")]
    assert cache_contents.collect(root, going) == []
    assert list((root / "fetched").iterdir()) == []


@pytest.mark.usefixtures("at_once")
def test_a_connection_that_ends_is_continued(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it ended, again and again, as long as bytes come."""
    here(monkeypatch)
    web.cuts["/det.onnx"] = 8
    assert get(web, tmp_path).place.read_bytes() == CONTENT
    starts = [int(span[6:].split("-")[0]) for _, span in web.requests if span]
    assert len(starts) > 3
    assert starts[0] > 0
    assert starts[-1] > len(CONTENT) // 2


def test_a_later_process_continues_what_an_interrupted_one_left(web: Web, tmp_path: Path) -> None:
    """Ctrl-C leaves a part that nobody takes for the whole, and no process."""
    web.stalls.add("/det.onnx")
    program = (
        "import signal, sys, pathlib\n"
        # A shell's job in the background ignores Ctrl-C, and so would whatever it starts.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pytest_perfgate.locations.fetching import Place, fetched\n"
        "from pytest_perfgate.locations.url import parse\n"
        "from pytest_perfgate.records.location import Locked, LockedFile\n"
        "url, size, digest, root = sys.argv[1:]\n"
        "entry = Locked(url, (LockedFile('det.onnx', int(size), digest),))\n"
        "fetched(parse(url), entry, Place(pathlib.Path(root), 'demo', pathlib.Path(root)))\n"
    )
    entry, root = locked(web), tmp_path / "cache"
    arguments = [entry.url, str(entry.size), entry.files[0].sha256, str(root)]
    session = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while not any(file.stat().st_size for file in root.rglob("*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    session.send_signal(signal.SIGINT)
    assert session.wait(20) != 0
    assert not [one for one in (root / "fetched").iterdir() if not one.name.startswith(".")]
    web.stalls.clear()
    web.requests.clear()
    assert get(web, tmp_path).place.read_bytes() == CONTENT
    assert web.requests[0][1].startswith("bytes=")
    assert not [one for one in (root / "fetched").iterdir() if one.name.startswith(".")]


@pytest.mark.usefixtures("at_once")
def test_a_server_without_ranges_begins_anew(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a file that changed meanwhile is not put together of two contents."""
    here(monkeypatch)
    web.whole.add("/det.onnx")
    web.cuts["/det.onnx"] = 1
    assert get(web, tmp_path).place.read_bytes() == CONTENT
    order = Order(f"{web.url}/new.onnx", tmp_path / "order")
    order.folder.mkdir()
    (order.folder / "new.onnx.part").write_bytes(b"old" * 100)
    (order.folder / "new.onnx.etag").write_text('"old"')
    web.files["/new.onnx"] = CONTENT[:1000]
    assert child.carry_out(order).files == ("new.onnx",)
    assert (order.folder / "new.onnx").read_bytes() == CONTENT[:1000]


def test_two_at_once_fetch_once(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits, says so, and finds what the first has fetched."""
    here(monkeypatch)
    shown: list[str] = []
    entry = locked(web)
    cache.make_folders(tmp_path / "cache")
    with fetching._alone(tmp_path / "cache", entry.digest, parse(entry.url), print):
        other = threading.Thread(
            target=get, args=(web, tmp_path), kwargs={"progress": shown.append}
        )
        other.start()
        while not shown:
            time.sleep(0.01)
        assert web.requests == []
    other.join(20)
    assert "waiting for another process" in shown[0]
    assert get(web, tmp_path).place.read_bytes() == CONTENT
    assert len(web.requests) == 1


def wrong(web: Web, what: str) -> Locked:
    """Makes something go wrong with the server's file; what the lock file says of it."""
    entry = locked(web)
    if what in {"404", "403", "401"}:
        web.status["/det.onnx"] = int(what)
    elif what == "other content":
        web.files["/det.onnx"] = CONTENT[::-1]
    elif what == "other size":
        web.files["/det.onnx"] = CONTENT + b"more"
    elif what == "truncated":
        web.files["/det.onnx"] = CONTENT[:10]
        web.cuts["/det.onnx"] = 1000
        entry = locked(web, CONTENT[:10])
        web.whole.add("/det.onnx")
    return entry


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("what", "said", "next_step"),
    [
        ("404", "there is no file det.onnx at", "correct the URL"),
        ("403", "access to", "needs no login"),
        ("401", "access to", "needs no login"),
        ("other content", hashlib.sha256(CONTENT[::-1]).hexdigest(), "lock demo --upgrade"),
        ("other content", hashlib.sha256(CONTENT).hexdigest(), "lock demo --upgrade"),
        ("other size", "3,000,004 bytes there, and 3,000,000 in the lock file", "--upgrade"),
        ("truncated", "could not be fetched", "continues where it ended"),
    ],
)
def test_what_goes_wrong_is_one_error(
    web: Web,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    said: str,
    next_step: str,
) -> None:
    """With what to do next, and nothing in the cache that would be taken for the file."""
    here(monkeypatch)
    entry = wrong(web, what)
    with pytest.raises(FetchError) as caught:
        get(web, tmp_path, entry)
    assert said in str(caught.value)
    assert next_step in caught.value.next_step
    assert cache.find(tmp_path / "cache", entry) is None


def test_a_full_disk_is_known_before_and_said_while_it_fills(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that makes room. /dev/full is a full disk."""
    here(monkeypatch)
    monkeypatch.setattr(fetching.cache, "free_space", lambda _: 1000)
    with pytest.raises(FetchError, match=r"needs 3\.00 MB, .* 1\.00 kB left") as caught:
        get(web, tmp_path)
    assert "cache gc" in caught.value.next_step
    order = Order(f"{web.url}/det.onnx", tmp_path / "order")
    order.folder.mkdir()
    (order.folder / "det.onnx.part").symlink_to("/dev/full")
    answer = child.carry_out(order)
    assert "No space left on device" in answer.problem
    assert "cache gc" in answer.next_step


def test_whatever_a_client_raises_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the location, what was raised, and what to do; without what a message says of tokens."""

    def fails(*_: object) -> None:
        raise RuntimeError("no answer from https://user:hunter2@host/x?sig=hunter2\n  at line 1")

    monkeypatch.setitem(child.hubs.CLIENTS, "hf", fails)
    answer = child.carry_out(Order("hf://owner/name/x.onnx", tmp_path))
    assert "hf://owner/name/x.onnx could not be fetched: RuntimeError: no answer" in answer.problem
    assert answer.next_step
    assert "hunter2" not in str(answer)


def test_a_silent_server_and_one_that_sends_too_much_are_ended(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that fetches is ended with them."""
    web.stalls.add("/det.onnx")
    with pytest.raises(FetchError, match=r"no byte of http://\S+ came for 1 s"):
        get(web, tmp_path, silence=1.0)
    web.stalls.clear()
    monkeypatch.setattr(client, "_SLACK", -len(CONTENT))
    web.cuts["/det.onnx"] = 1000
    with pytest.raises(FetchError, match="more than the 3,000,000 bytes"):
        get(web, tmp_path)


def test_a_new_lock_says_what_the_server_has(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the files that belong to the first; they are in the cache then, and a location of the
    same content shares them. What the server has by now counts, whatever is in the cache.
    """
    here(monkeypatch)
    web.files |= {"/a/m.onnx": b"graph", "/a/w/m.bin": b"weights"}
    place = Place(tmp_path / "cache", "demo", tmp_path)
    location = parse(f"{web.url}/a/m.onnx")
    entry = lock(location, place, lambda file: ("w/m.bin",) if file.name == "m.onnx" else ())
    assert [(file.path, file.size) for file in entry.files] == [("m.onnx", 5), ("w/m.bin", 7)]
    assert entry.version == hashlib.md5(b"graph", usedforsecurity=False).hexdigest()
    count = len(web.requests)
    files = fetched(location, entry, place)
    assert (files.folder / "w" / "m.bin").read_bytes() == b"weights"
    assert len(web.requests) == count
    web.files["/a/m.onnx"] = b"other"
    now = lock(location, place, lambda _: ()).files[0]
    assert now.sha256 == hashlib.sha256(b"other").hexdigest()
    with pytest.raises(FetchError, match="not below its folder"):
        lock(location, place, lambda _: ("../../../m.bin",))
    del web.files["/a/w/m.bin"]
    with pytest.raises(FetchError, match=r"there is no file w/m\.bin"):
        lock(location, place, lambda _: ("w/m.bin",))


def test_an_archive_is_unpacked_once_and_again_when_it_was_changed(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part behind `#` is a folder in it; one that is not there is named with those that are."""
    here(monkeypatch)
    (tmp_path / "data" / "val" / "cats").mkdir(parents=True)
    (tmp_path / "data" / "val" / "cats" / "1.png").write_bytes(b"pixels")
    web.files["/d.zip"] = Path(
        shutil.make_archive(str(tmp_path / "d"), "zip", tmp_path / "data")
    ).read_bytes()
    entry = locked(web, web.files["/d.zip"], "/d.zip")
    place = Place(tmp_path / "cache", "demo", tmp_path)
    folder = fetched(parse(f"{entry.url}#val"), entry, place).place
    image = folder / "cats" / "1.png"
    assert image.read_bytes() == b"pixels"
    written = image.stat().st_mtime_ns
    fetched(parse(f"{entry.url}#val"), entry, place)
    assert image.stat().st_mtime_ns == written
    image.write_bytes(b"changed")
    (damage,) = cache_contents.verify(tmp_path / "cache").damages
    assert damage.file == "unpacked/tree/val/cats/1.png"
    fetched(parse(f"{entry.url}#val"), entry, place)
    assert image.read_bytes() == b"pixels"
    with pytest.raises(FetchError, match="has no 'vall'") as caught:
        fetched(parse(f"{entry.url}#vall"), entry, place)
    assert caught.value.valid == "val"


@pytest.mark.usefixtures("at_once")
def test_https_leads_to_https_alone(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may send on to another, and never to one whose answers anybody can replace."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("apt-get install openssl: it makes the server's certificate")
    certificate = tmp_path / "server.pem"
    command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    more = ["-subj", "/CN=localhost"]
    for extension in ("subjectAltName=DNS:localhost", "basicConstraints=critical,CA:FALSE"):
        more += ["-addext", extension]
    subprocess.run(
        [*command.split(), *more, "-keyout", certificate, "-out", tmp_path / "ca.pem"],
        check=True,
        capture_output=True,
    )
    certificate.write_bytes(certificate.read_bytes() + (tmp_path / "ca.pem").read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    secure = Web(files={"/there.onnx": CONTENT})
    with serving(secure, certificate):
        secure.redirects = {"/a.onnx": "/there.onnx", "/b.onnx": f"{web.url}/det.onnx"}
        (tmp_path / "a").mkdir()
        assert child.carry_out(Order(f"{secure.url}/a.onnx", tmp_path / "a")).problem == ""
        answer = child.carry_out(Order(f"{secure.url}/b.onnx", tmp_path / "a"))
    assert "could not be fetched" in answer.problem
    assert web.requests == []
