"""docker/compose*.yaml against what `signet serve --write-config` writes: paths, ports, flags, variables, images."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path, PurePosixPath
from typing import Dict, Set

import pytest

from serving import launch
from serving.deployment.compose import Here, environment
from serving.deployment.images import GPU_IMAGE, SCANN_IMAGE
from serving.deployment.inside import CONTAINER
from serving.deployment.served import Served
from serving.deployment.server_files import gpu_flags
from serving.deployment.write import files
from serving.embedded.flags import parse
from tests.compose_files import VARIABLE, Compose, Volume, env_file, read

DOCKER = Path(__file__).resolve().parent.parent / "docker"
CPU, GPU = DOCKER / "compose.yaml", DOCKER / "compose.gpu.yaml"
HERE = Here(Path("/srv/exports"), Path("/srv/config/server"), "1000:1000")


def variables(**changes: str) -> Dict[str, str]:
    return env_file(environment([Served("din", **changes)], HERE))  # type: ignore[arg-type]


@pytest.fixture
def cpu() -> Compose:
    return read([CPU], variables())


@pytest.fixture
def gpu() -> Compose:
    return read([CPU, GPU], variables())


def names(path: Path, kind: str) -> Set[str]:
    """The variables of a file: with a default (-), or required (?)."""
    found = {(name, each) for _, name, each, _ in VARIABLE.findall(path.read_text("utf-8"))}
    assert {each for _, each in found} <= {"-", "?"}, "a variable without a default would silently be empty"
    return {name for name, each in found if each == kind}


def test_the_env_file_holds_exactly_what_is_required() -> None:
    assert names(CPU, "?") | names(GPU, "?") == set(variables())
    assert not (names(CPU, "-") | names(GPU, "-")) & set(variables())
    # A model for a server without a GPU variant: the CPU's file works, and the other one refuses.
    read([CPU], variables(image=SCANN_IMAGE))
    with pytest.raises(AssertionError, match="no GPU variant"):
        read([CPU, GPU], variables(image=SCANN_IMAGE))


def test_server_reads_what_was_written(cpu: Compose) -> None:
    server = cpu.services["server"]
    mounts = {each.target: each for each in server.volumes if isinstance(each, Volume)}
    assert {target: each.source for target, each in mounts.items()} == {
        CONTAINER.models: "/srv/exports", CONTAINER.config: "/srv/config/server"
    }
    # Docker would make a missing folder, owned by root, and the server would wait for a model in it.
    assert all(each.read_only and not each.bind.create_host_path for each in mounts.values())
    written = files([Served("din")], CONTAINER)
    assert server.healthcheck is not None
    for script in (server.entrypoint[-1], server.healthcheck.test[-1]):
        assert f"server/{PurePosixPath(script).relative_to(CONTAINER.config)}" in written
    assert server.image == launch.IMAGE and server.user == "1000:1000"
    assert server.deploy is not None and server.deploy.resources.limits.memory == "1280m"


def test_server_writes_nothing_and_stops_when_told(cpu: Compose) -> None:
    server = cpu.services["server"]
    assert server.init and server.read_only and server.cap_drop == ["ALL"]
    assert server.security_opt == ["no-new-privileges:true"]


def test_ports_are_the_servers_and_open_to_this_machine_alone(cpu: Compose) -> None:
    ports = {name: [each.rsplit(":", 2) for each in service.ports] for name, service in cpu.services.items()}
    assert {host for each in ports.values() for host, _, _ in each} == {"127.0.0.1"}
    assert [int(inner) for _, _, inner in ports["server"]] == [CONTAINER.port, CONTAINER.rest_port]
    published = [outer for each in ports.values() for _, outer, _ in each]
    assert published == ["8500", "8501", "9090", "3000"]


def test_gpu_adds_to_the_flags_and_replaces_none(gpu: Compose) -> None:
    server = gpu.services["server"]
    assert server.image == GPU_IMAGE
    assert server.entrypoint == ["/bin/bash", f"{CONTAINER.config}/start.sh"]
    assert server.command == list(gpu_flags(CONTAINER))
    start = files([Served("din")], CONTAINER)["server/start.sh"]
    common = re.findall(r"(--\S+) \\", start)
    assert start.endswith('"$@"\n') and not {each.partition("=")[0] for each in common} & {
        each.partition("=")[0] for each in server.command
    }
    parse([*common, *server.command])
    assert server.deploy is not None and server.deploy.resources.reservations is not None
    device, = server.deploy.resources.reservations.devices
    assert (device.driver, device.count, device.capabilities) == ("nvidia", 1, ["gpu"])
    assert server.deploy.resources.limits.memory == "4352m"
    # The file system cannot be written but for this.
    assert server.environment["CUDA_CACHE_PATH"] == "/tmp/cuda" and server.tmpfs == ["/tmp"]
    fraction = read([CPU, GPU], {**variables(), "SIGNET_GPU_MEMORY_FRACTION": "0.5"}).services["server"].command[0]
    assert fraction == gpu_flags(CONTAINER, "0.5")[0]


def test_mounts_of_the_repository_exist(cpu: Compose) -> None:
    mounted = [each for name in ("prometheus", "grafana") for each in cpu.services[name].volumes]
    sources = [str(each).split(":")[0] for each in mounted]
    folders = [source for source in sources if source.startswith("./")]
    assert len(folders) == 3 and all((DOCKER / source).is_dir() for source in folders)
    assert set(sources) - set(folders) == set(cpu.volumes)
    assert all(str(each).endswith(":ro") for each in mounted if str(each).startswith("./"))


@pytest.mark.docker
@pytest.mark.parametrize("paths", [(CPU,), (CPU, GPU)], ids=["cpu", "gpu"])
def test_compose_itself_reads_them(paths: tuple[Path, ...], tmp_path: Path) -> None:
    """`docker compose config` needs the plug-in, and no engine."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode != 0:
        pytest.skip("there is no docker compose")
    (tmp_path / "compose.env").write_text(environment([Served("din")], HERE), "utf-8")
    chosen = [word for path in paths for word in ("-f", str(path))]
    command = [docker, "compose", "--env-file", str(tmp_path / "compose.env"), *chosen, "config", "--quiet"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
