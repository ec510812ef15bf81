"""The images, as far as they can be checked without a Docker engine; with one, they are built and asked."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path
from typing import List

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from pipeline.export import SERVER_IMAGE
from serving import launch
from serving.deployment.images import GPU_IMAGE, SCANN_IMAGE
from serving.deployment.inside import CONTAINER
from serving.deployment.served import Served
from serving.deployment.server_files import gpu_flags
from serving.deployment.write import files
from tests.dockerfiles import all_of, read, the

ROOT = Path(__file__).resolve().parent.parent
DOCKER = ROOT / "docker"
SERVING = {"cpu": launch.IMAGE, "gpu": GPU_IMAGE, "scann": SCANN_IMAGE}


def pinned(name: str) -> str:
    """The version of a package in the lock file."""
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    version, = {next(iter(Requirement(line).specifier)).version for line in lines if re.match(rf"{name}\b(?!-)", line)}
    return version


def minor(version: str) -> str:
    """2.16 of 2.16.1."""
    return ".".join(version.split(".")[:2])


def setup() -> configparser.ConfigParser:
    found = configparser.ConfigParser()
    found.read(ROOT / "setup.cfg", encoding="utf-8")
    return found


def test_the_server_is_of_the_pinned_stack() -> None:
    # The protos and the server come from one release; TensorFlow's own patch releases may differ.
    assert f"tensorflow/serving:{pinned('tensorflow-serving-api')}" == launch.IMAGE == SERVER_IMAGE
    assert minor(launch.IMAGE.partition(":")[2]) == minor(pinned("tensorflow"))
    assert f"{launch.IMAGE}-gpu" == GPU_IMAGE


@pytest.mark.parametrize(("name", "image"), SERVING.items())
def test_serving_images_start_what_was_written_for_them(name: str, image: str) -> None:
    found = read(DOCKER / f"{name}.Dockerfile")
    assert the(found, "FROM").text == image
    config, model = all_of(found, "COPY")
    *copied, target = config.words
    server = {path.partition("/")[2] for path in files([Served("din")], CONTAINER) if path.startswith("server/")}
    assert config.options == {"from": "config"} and set(copied) == server and target == f"{CONTAINER.config}/"
    assert model.words == ["${MODEL}", f"{CONTAINER.models}/${{MODEL}}"]
    scripts = [the(found, each).array[-1] for each in ("ENTRYPOINT", "HEALTHCHECK")]
    assert scripts == [f"{CONTAINER.config}/start.sh", f"{CONTAINER.config}/ready.sh"]
    assert the(found, "USER").text.partition(":")[0].isdigit() and not the(found, "USER").text.startswith("0")
    flags = all_of(found, "CMD")
    assert [each.array for each in flags] == ([list(gpu_flags(CONTAINER))] if name == "gpu" else [])


def test_serving_images_differ_in_the_server_alone() -> None:
    bodies = [[each for each in read(DOCKER / f"{name}.Dockerfile")[1:] if each.name not in ("CMD", "ENV")]
              for name in SERVING]
    assert bodies[0] == bodies[1] == bodies[2]


@pytest.mark.parametrize(
    ("models", "model", "passes"),
    [(["din"], "din", True), (["din", "two_tower"], "din", False), (["din"], "two_tower", False), (["din"], "", False)],
)
def test_build_refuses_the_config_of_other_models(
    tmp_path: Path, models: List[str], model: str, passes: bool
) -> None:
    config = files([Served(each) for each in models], CONTAINER)["server/models.config"]
    (tmp_path / "models.config").write_text(config, "utf-8")
    command = the(read(DOCKER / "cpu.Dockerfile"), "RUN").text.replace(f"{CONTAINER.config}/", f"{tmp_path}/")
    run = subprocess.run(["sh", "-c", command], env={"PATH": "/usr/bin:/bin", "MODEL": model}, capture_output=True)
    assert (run.returncode == 0) == passes
    assert passes or b"write it: signet serve --model" in run.stderr


def test_training_image_holds_the_package_and_the_locked_stack() -> None:
    found = read(DOCKER / "training.Dockerfile")
    image, _, tag = the(found, "FROM").text.partition(":")
    python = tag.partition("-")[0]
    assert image == "python" and python in SpecifierSet(setup()["options"]["python_requires"])
    sources = [source for each in all_of(found, "COPY") for source in each.words[:-1]]
    assert all((ROOT / source).exists() for source in sources)
    packages = {each.rstrip("*") for each in setup()["options.packages.find"]["include"].split()}
    read_by_setup = {setup()["metadata"]["long_description"].partition(": ")[2], setup()["metadata"]["license_files"]}
    assert packages | read_by_setup | {"setup.cfg", "pyproject.toml", "requirements.lock"} == set(sources)
    ignored = (DOCKER / "training.Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert ignored[1] == "*" and {line[1:] for line in ignored if line.startswith("!")} == set(sources)
    commands = [each.text for each in all_of(found, "RUN")]
    assert any("-r requirements.lock" in each for each in commands)
    # LightGBM's wheel links libgomp.so.1, which python:*-slim does not have.
    assert any("libgomp1" in each for each in commands)
    assert the(found, "ENTRYPOINT").array == [setup()["options.entry_points"]["console_scripts"].split()[0]]
    assert the(found, "USER").text.partition(":")[0] != "0"


def test_no_image_is_taken_as_latest() -> None:
    files_of_images = [*DOCKER.glob("*.Dockerfile"), *DOCKER.glob("compose*.yaml")]
    assert len(files_of_images) == 6
    for path in files_of_images:
        for image in re.findall(r"^\s*(?:FROM|image:) +([^$\s]\S*)$", path.read_text("utf-8"), re.M):
            assert re.search(r":v?\d+\.\d+", image), f"{path.name}: {image}"


@pytest.mark.docker
def test_image_is_built_and_becomes_healthy(copy_of: object, tmp_path: Path, engine: str) -> None:
    """The CPU image, from the commands in its first lines."""
    from serving.deployment.write import write

    exports, config, tag = tmp_path, tmp_path / "config", "signet-test-image"
    assert callable(copy_of)
    copy_of("sum")
    write(exports, {"sum": exports / "sum"}, config)
    build = [engine, "build", "-f", str(DOCKER / "cpu.Dockerfile"), "--build-context", f"config={config / 'server'}"]
    subprocess.run([*build, "--build-arg", "MODEL=sum", "-t", tag, str(exports)], check=True, timeout=500)
    started = subprocess.run([engine, "run", "--detach", "--init", tag], check=True, capture_output=True, text=True)
    container = started.stdout.strip()
    try:
        ready = [engine, "exec", container, "/bin/bash", "-c", "until /bin/bash /config/ready.sh; do sleep 1; done"]
        subprocess.run(ready, check=True, timeout=120)
    finally:
        subprocess.run([engine, "rm", "--force", container], check=True, capture_output=True)


@pytest.fixture
def engine() -> str:
    """The docker client, where an engine answers."""
    docker = shutil.which("docker")
    if docker is None or not launch._engine_answers(docker):
        pytest.skip("no Docker engine answers")
    return docker
