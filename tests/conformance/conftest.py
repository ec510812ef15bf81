"""The fixtures of the suite. Tests of a server that is not here are deselected, and the report says why."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from serving.launch import model_config
from tests.conformance import models, servers
from tests.conformance.asking import Stubs, connected
from tests.fixtures_serving import Address, save_sum

_MARKERS = {"real": "tfserving", "docker": "docker"}
_absent: List[str] = []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test that asks a server, directly or through a fixture, runs once for each kind."""
    if "kind" in metafunc.fixturenames:
        marks = {kind: [getattr(pytest.mark, name)] for kind, name in _MARKERS.items()}
        kinds = [pytest.param(kind, marks=marks.get(kind, [])) for kind in servers.KINDS]
        metafunc.parametrize("kind", kinds, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: List[pytest.Item]) -> None:
    """Takes out what cannot run here: hundreds of lines of skipped tests would hide those that matter."""
    here = Path(__file__).parent
    kinds = {item: item.callspec.params.get("kind") for item in items
             if here in item.path.parents and hasattr(item, "callspec")}
    reasons = {kind: servers.missing(kind) for kind in servers.KINDS if kind in set(kinds.values())}
    gone = {item for item, kind in kinds.items() if reasons.get(kind)}
    if gone:
        _absent[:] = [f"not tested, {kind}: {reason}" for kind, reason in reasons.items() if reason]
        items[:] = [item for item in items if item not in gone]
        config.hook.pytest_deselected(items=list(gone))


def pytest_report_collectionfinish() -> List[str]:
    """Says which servers were left out."""
    return _absent


@pytest.fixture(scope="session")
def served(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base paths of the models served; not to be changed."""
    folder = Path(shutil.copytree(model_folder, tmp_path_factory.mktemp("conformance") / "models"))
    models.save_examples(folder / "examples" / "1")
    models.save_default(folder / "default" / "1")
    models.save_odd(folder / "odd" / "1")
    models.save_shape(folder / "shape" / "1")
    models.save_echo_grpc(folder / "echo_grpc" / "1")
    return folder


@pytest.fixture(scope="session")
def server(kind: str, served: Path) -> Iterator[Address]:
    """A server of every model with the defaults of its flags."""
    config = served / "all.config"
    bases = {path.name: path for path in sorted(served.iterdir()) if path.is_dir()}
    config.write_text(model_config(bases), encoding="utf-8")
    with servers.running(kind, served, [f"--model_config_file={config}"]) as address:
        yield address


@pytest.fixture(scope="session")
def stubs(server: Address) -> Iterator[Stubs]:
    """gRPC to `server`."""
    with connected(server) as found:
        yield found


@pytest.fixture(scope="session")
def sum_100(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Another version of `sum`, which scores 100 more."""
    return save_sum(tmp_path_factory.mktemp("sum_100") / "sum", bonus=100.0)
