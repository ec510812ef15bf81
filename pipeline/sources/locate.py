"""Where a named data set is: SIGNET_DATA_DIR, the cache, the publisher; without a name, the synthetic set will do."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from pathlib import Path
from typing import Optional, Tuple

import httpx
from rich.console import Console

from pipeline.publishing import replacing
from pipeline.sources import census_income, movielens, movielens_labels, synthetic
from pipeline.sources.source import Source
from signatures.errors import UsageError

DEFAULT = "ml-100k"
NAMES = (*movielens.FILES, "synthetic", movielens_labels.NAME, census_income.NAME)

_CHECKSUMS = {"ml-100k": "0e33842e24a9c977be4e0107933c0723", "ml-1m": "c4d9eecfca2ab87c1945afe126590906"}
"""MD5 of the archives, as GroupLens publishes them."""
_TIMEOUT_SECONDS = 10.0


def find(dataset: Optional[str], size: synthetic.Size, seed: int, console: Console) -> Source:
    """The source of this name; without one ml-100k, or the synthetic set where that cannot be had.

    Raises UsageError for an unknown name, and for a named data set that cannot be had.
    """
    name = dataset or DEFAULT
    if name not in NAMES:
        raise UsageError(
            f"data set {name!r} is unknown; known are {', '.join(NAMES)}, and your own with a table and a schema"
        )
    if name == "synthetic":
        return synthetic.source(size, seed)
    if name == census_income.NAME:
        return census_income.read(census_income.find(_roots()))
    if name == movielens_labels.NAME:
        return movielens_labels.read(folder(movielens_labels.ORIGINAL, console))
    try:
        return movielens.read(name, folder(name, console))
    except UsageError as error:
        if dataset is not None:
            raise
        console.print(f"SYNTHETIC DATA: {error}.", style="bold yellow", markup=False)
        console.print("What follows is made up: no figure is MovieLens'.", style="bold yellow", markup=False)
        return synthetic.source(size, seed)


def folder(name: str, console: Console) -> Path:
    """The folder with the files of ml-100k or ml-1m, fetched if need be. Raises UsageError saying where to put them."""
    places = [root / name for root in _roots()]
    for place in places:
        if (place / movielens.FILES[name][0]).is_file():
            return place
    url = f"https://files.grouplens.org/datasets/movielens/{name}.zip"
    try:
        console.print(f"Fetching {url}", markup=False)
        archive = _fetch(url)
    except httpx.HTTPError as error:
        where = " or ".join(str(place) for place in places)
        raise UsageError(
            f"data set {name} is not in {where}, and {url} cannot be fetched ({type(error).__name__}); "
            "unpack the archive there"
        ) from error
    _unpack(name, archive, places[-1])
    return places[-1]


def _roots() -> Tuple[Path, ...]:
    """The folders in which a data set's own folder may be."""
    own = os.environ.get("SIGNET_DATA_DIR")
    cache = os.environ.get("SIGNET_CACHE") or "~/.cache/signet"
    return (*((Path(own).expanduser(),) if own else ()), Path(cache).expanduser())


def _fetch(url: str) -> bytes:
    response = httpx.get(url, timeout=_TIMEOUT_SECONDS, follow_redirects=True)
    response.raise_for_status()
    return response.content


def _unpack(name: str, archive: bytes, target: Path) -> None:
    found = hashlib.md5(archive, usedforsecurity=False).hexdigest()
    if found != _CHECKSUMS[name]:
        raise UsageError(
            f"{name}.zip as downloaded has MD5 {found} instead of {_CHECKSUMS[name]}; "
            f"try again, or unpack a good copy to {target}"
        )
    with replacing(target) as work:
        path = work / "archive.zip"
        path.write_bytes(archive)
        with zipfile.ZipFile(path) as file:
            for member in movielens.FILES[name]:
                with file.open(f"{name}/{member}") as packed, (work / member).open("wb") as unpacked:
                    shutil.copyfileobj(packed, unpacked)
        path.unlink()
