"""The demonstration, from prepared rows to ten titles over both transports, on the tiny data set."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import httpx
import pytest

from pipeline import demo, entry
from pipeline.places import Places
from pipeline.prepared import Prepared
from pipeline.recommend import met_items, recommend, user_row
from serving.client.grpc_transport import GrpcTransport
from signatures import manifest as manifests
from signatures.errors import UsageError
from tests.fixtures_serving import free_port


@pytest.mark.slow
def test_the_demo_ends_with_ten_films_of_both_transports(
    tiny_prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    quick = ["training.epochs=2", "gates.minimum=0.0", "gates.above_popularity=false"]
    settings = [word for key in quick for word in ("--set", key)]
    monkeypatch.setattr(sys, "argv", ["signet", "demo", "--dataset", str(tiny_prepared.folder), *settings])
    with pytest.raises(SystemExit) as end:
        entry.main()
    shown, told = capsys.readouterr()
    assert end.value.code == 0, shown + told
    places = re.findall(r"^│ +(\d+) +│ (.+?) +│ +(-?[\d.]+) +│ +([\d.]+) +│ +([\d.]+) +│$", shown, re.MULTILINE)
    assert [int(place[0]) for place in places] == list(range(1, 11)), shown
    assert all(over_grpc == over_rest for *_, over_grpc, over_rest in places)
    scores = [float(place[3]) for place in places]
    assert scores == sorted(scores, reverse=True)
    for model in demo.MODELS:
        found = manifests.read(tmp_path / "exports" / model / "1")
        assert found is not None and all(gate.passed for gate in found.gates)
    assert (tmp_path / "runs" / tiny_prepared.folder.name / "evaluation_test.html").is_file()
    assert not list((tmp_path / "exports").glob(".work-*"))


def test_what_a_user_has_met_is_the_whole_past(tiny_prepared: Prepared) -> None:
    row = user_row(tiny_prepared, demo.someone(tiny_prepared))
    met = met_items(tiny_prepared, row)
    assert set(row["history"]) <= set(met) and len(met) == len(set(met))


def test_an_unknown_user_is_named(tiny_prepared: Prepared, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'999999' is not in.*give one such as"):
        recommend(GrpcTransport("127.0.0.1", free_port()), tiny_prepared, tmp_path, "999999", 10)


def test_without_data_the_synthetic_set_is_announced_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from rich.console import Console

    from pipeline.sources import locate

    def unreachable(url: str) -> bytes:
        raise httpx.ConnectError("no network")

    monkeypatch.setattr(locate, "_fetch", unreachable)
    monkeypatch.delenv("SIGNET_DATA_DIR", raising=False)
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "cache"))
    places = Places(tmp_path / "data", tmp_path / "runs", tmp_path / "exports")
    assert places.dataset_name(Console(stderr=True)) == "synthetic"
    assert "SYNTHETIC DATA" in capsys.readouterr().err
    with pytest.raises(UsageError, match="ml-100k"):
        places.prepared("ml-100k", Console(stderr=True))
