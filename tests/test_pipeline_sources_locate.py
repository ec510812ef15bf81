"""Where a data set comes from: the folder that is named, the cache, the publisher, or clearly not at all."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any, Callable, List

import httpx
import pytest
from rich.console import Console

from pipeline.sources import locate
from pipeline.sources.source import Source
from pipeline.sources.synthetic import Size
from signatures.errors import UsageError

FILES = {
    "u.data": "1\t2\t4\t893286638\n",
    "u.user": "1|24|M|writer|85711\n",
    "u.item": f"2|Film (1995)|01-Jan-1995|||{'|'.join(['0'] * 19)}\n",
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no data folder, and no network."""
    monkeypatch.delenv("SIGNET_DATA_DIR", raising=False)
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "cache"))

    def offline(url: str, **_: Any) -> httpx.Response:
        raise httpx.ConnectError("no network in tests")

    monkeypatch.setattr(httpx, "get", offline)
    return tmp_path / "cache"


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Callable[[bytes], List[str]]:
    """Answers each request with this content; returns the list of the addresses that were asked."""

    def serve(content: bytes) -> List[str]:
        asked: List[str] = []

        def get(url: str, **_: Any) -> httpx.Response:
            asked.append(url)
            return httpx.Response(200, content=content, request=httpx.Request("GET", url))

        monkeypatch.setattr(httpx, "get", get)
        return asked

    return serve


def put(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, text in {**FILES, "README": "read me"}.items():
            file.writestr(f"ml-100k/{name}", text)
    return content.getvalue()


def find(name: Any, console: Any = None) -> Source:
    return locate.find(name, Size(users=20, items=20), 0, console or Console(quiet=True))


def test_the_folder_that_is_named_comes_first(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(cache / "ml-100k")
    put(tmp_path / "own" / "ml-100k")
    monkeypatch.setenv("SIGNET_DATA_DIR", str(tmp_path / "own"))
    assert locate.folder("ml-100k", Console(quiet=True)) == tmp_path / "own" / "ml-100k"
    monkeypatch.setenv("SIGNET_DATA_DIR", str(tmp_path / "elsewhere"))
    assert locate.folder("ml-100k", Console(quiet=True)) == cache / "ml-100k"


def test_a_download_is_checked_and_kept(online: Any, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = archive()
    asked = online(content)
    monkeypatch.setitem(locate._CHECKSUMS, "ml-100k", hashlib.md5(content).hexdigest())
    assert find("ml-100k").dataset == "ml-100k"
    assert find("ml-100k").rows == 1
    assert asked == ["https://files.grouplens.org/datasets/movielens/ml-100k.zip"]
    assert sorted(path.name for path in (cache / "ml-100k").iterdir()) == sorted(FILES)
    assert [path.name for path in cache.iterdir()] == ["ml-100k"]


def test_a_download_with_another_checksum_is_refused(online: Any, cache: Path) -> None:
    online(archive())
    with pytest.raises(UsageError, match="has MD5 [0-9a-f]{32} instead of 0e33842e24a9c977be4e0107933c0723"):
        find("ml-100k")
    assert not cache.exists()


def test_what_is_named_and_cannot_be_had_is_an_error(cache: Path) -> None:
    with pytest.raises(UsageError, match=f"ml-100k is not in {cache}.*cannot be fetched .ConnectError.; unpack the ar"):
        find("ml-100k")


def test_without_a_name_the_synthetic_set_is_announced_loudly(cache: Path) -> None:
    console = Console(record=True, width=300)
    assert find(None, console).synthetic
    said = console.export_text()
    assert "SYNTHETIC DATA: data set ml-100k is not in" in said and "made up" in said


def test_without_a_name_the_real_set_is_taken_where_it_is(cache: Path) -> None:
    put(cache / "ml-100k")
    assert not find(None).synthetic


def test_an_unknown_name_is_an_error(cache: Path) -> None:
    with pytest.raises(UsageError, match="data set 'ml-100m' is unknown; known are ml-100k, ml-1m, synthetic"):
        find("ml-100m")
