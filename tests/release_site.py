"""A model folder behind an embedded server, for the tests of promotion, rollback and canary."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import pytest

from serving.client.client import Client
from serving.client.grpc_transport import GrpcTransport
from serving.launch import model_config
from serving.releases import config as configs
from serving.releases import log
from serving.releases.config import ConfigFile, State
from serving.releases.releasing import Place
from serving.releases.server import Server
from tests.running_server import ROW, publish, running, states


class Site:
    """An exports folder with `sum/1` behind a server, and `echo` beside it."""

    def __init__(self, folder: Path, server: Any, other: Path) -> None:
        self.folder, self.server, self.other = folder, server, other
        self.file = ConfigFile(folder / "models.config")
        self.told: List[str] = []
        self.transport = GrpcTransport("127.0.0.1", server.flags.port)

    def place(self, free_bytes: Optional[int] = 2**40, load_seconds: float = 20) -> Place:
        server = Server(self.transport, load_seconds=load_seconds)
        return Place(self.folder, self.file, server, free_bytes, self.told.append)

    def add(self, version: int, golden: Optional[float] = None, **changes: Any) -> Path:
        """Publishes a version that scores 106 for ROW, and 6 where it is odd; with a golden request when told."""
        export = self.folder / "sum" / str(version)
        publish(self.folder / "sum" / "1" if version % 2 else self.other, export)
        shutil.rmtree(export / "golden", ignore_errors=True)
        if golden is not None:
            (export / "golden").mkdir()
            document = {"signature": "serving_default", "inputs": ROW, "outputs": {"score": [golden]}}
            (export / "golden" / "serving_default.json").write_text(json.dumps(document))
        return export

    def score(self, label: Optional[str] = None) -> float:
        with Client(GrpcTransport("127.0.0.1", self.server.flags.port)) as client:
            return float(client.predict("sum", ROW, label=label).outputs["score"][0])

    def state(self) -> State:
        return configs.state(self.file.read(), "sum")

    def loaded(self) -> List[int]:
        return [number for number, state in states(self.server) if state == "AVAILABLE"]

    def log(self) -> List[Dict[str, Any]]:
        return log.read(self.folder / log.NAME)

    def steps(self) -> List[tuple]:
        last = self.log()[-1]["release"]
        return [(line["step"], line["outcome"]) for line in self.log() if line["release"] == last]


@pytest.fixture
def site(tmp_path: Path, model_folder: Path, other_sum: Path) -> Iterator[Site]:
    shutil.copytree(model_folder / "sum" / "3", tmp_path / "sum" / "1")
    shutil.copytree(model_folder / "echo", tmp_path / "echo")
    paths = {name: tmp_path / name for name in ("sum", "echo")}
    (tmp_path / "models.config").write_text("# Ours.\n" + model_config(paths), encoding="utf-8")
    with running(model_config_file=str(tmp_path / "models.config")) as server:
        found = Site(tmp_path, server, other_sum)
        try:
            yield found
        finally:
            found.transport.close()
