"""Prepared data for every test that wants some: made once a session from the synthetic set."""

from __future__ import annotations

import pytest
from rich.console import Console

from pipeline.preparation.options import Options
from pipeline.preparation.prepare import prepare
from pipeline.prepared import Prepared
from pipeline.sources.synthetic import Size

TINY = Options(size=Size(users=120, items=80, events_per_user=20), maximum_history=50)


@pytest.fixture(scope="session")
def tiny_prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The synthetic set with 120 users, 80 items and about 2,400 events; schema as ml-100k. Read only."""
    folder = tmp_path_factory.mktemp("prepared") / "tiny"
    return prepare("synthetic", folder, TINY, Console(quiet=True))
