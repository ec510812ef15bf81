"""The Kubernetes manifests: the checked-in ones are what is written, and all fit the API's schemas and each other."""

from __future__ import annotations

import configparser
import importlib.util
from pathlib import Path
from typing import Any, Dict, List

import pytest
import yaml

from serving.deployment.images import GPU_IMAGE, SCANN_IMAGE
from serving.deployment.inside import CONTAINER, METRICS_PATH
from serving.deployment.kubernetes import CORES
from serving.deployment.served import Served
from serving.deployment.server_files import flags, gpu_flags
from serving.deployment.write import files
from serving.embedded.flags import parse
from serving.launch import IMAGE

ROOT = Path(__file__).resolve().parent.parent
VALIDATOR = "kubernetes_validate"


def manifests(*models: Served) -> Dict[str, str]:
    """By path below kubernetes/."""
    found = files(models, CONTAINER)
    return {path.partition("/")[2]: text for path, text in found.items() if path.startswith("kubernetes/")}


def parts(text: str) -> Dict[str, Any]:
    """The objects of one file by kind; the second Service, of the pods, as Pods."""
    found: Dict[str, Any] = {}
    for each in yaml.safe_load_all(text):
        found[each["kind"] if each["kind"] not in found else "Pods"] = each
    return found


@pytest.fixture(params=["cpu", "gpu"])
def model(request: pytest.FixtureRequest) -> Dict[str, Any]:
    return parts(manifests(Served("two_tower"))[f"{request.param}/two-tower.yaml"])


def server(model: Dict[str, Any]) -> Dict[str, Any]:
    found: Dict[str, Any] = model["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    return found


def on_gpu(model: Dict[str, Any]) -> bool:
    return "nvidia.com/gpu" in server(model)["resources"]["limits"]


def test_checked_in_manifests_are_what_is_written() -> None:
    folder = ROOT / "docker" / "kubernetes"
    there = {str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*.yaml")}
    cure = "signet serve --model din --write-config build/serving && cp -r build/serving/kubernetes docker/"
    assert there == manifests(Served("din")), f"write them again: {cure}"


@pytest.mark.parametrize("version", ["1.25", "1.28", "1.31"])
@pytest.mark.parametrize("path", ["volume.yaml", "cpu/din.yaml", "gpu/din.yaml", "cpu/scann.yaml"])
def test_manifests_fit_the_schemas(path: str, version: str) -> None:
    validator = schema_validator()
    found = list(yaml.safe_load_all(manifests(Served("din")).get(path) or manifests(_scann())[path]))
    assert len(found) == (1 if path == "volume.yaml" else 6)
    for each in found:
        validator.validate(each, version, strict=True)


@pytest.mark.parametrize(("key", "value"), [("replica", 2), ("replicas", "two")])
def test_schemas_refuse_a_wrong_field(key: str, value: Any) -> None:
    validator = schema_validator()
    deployment = parts(manifests(Served("din"))["cpu/din.yaml"])["Deployment"]
    deployment["spec"][key] = value
    with pytest.raises(validator.ValidationError):
        validator.validate(deployment, "1.31", strict=True)


def schema_validator() -> Any:
    """The package with the schemas; missing is a failure where setup.cfg asks for it."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    asked = "kubernetes-validate" in setup["options.extras_require"]["dev"]
    if importlib.util.find_spec(VALIDATOR) is None and not asked:
        pytest.skip("kubernetes-validate is not installed")
    return importlib.import_module(VALIDATOR)


def _scann() -> Served:
    return Served("scann", image=SCANN_IMAGE, xla=True, tuned=True)


def test_selectors_find_the_pods(model: Dict[str, Any]) -> None:
    deployment = model["Deployment"]["spec"]
    labels = deployment["template"]["metadata"]["labels"].items()
    spread = deployment["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]
    selectors = [
        deployment["selector"]["matchLabels"], spread, model["Service"]["spec"]["selector"],
        model["Pods"]["spec"]["selector"], model["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector and selector.items() <= labels for selector in selectors)
    target = model["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", model["Deployment"]["metadata"]["name"])
    # The autoscaler decides how many; two at least, so that one may go.
    assert "replicas" not in deployment
    scale = model["HorizontalPodAutoscaler"]["spec"]
    assert 2 <= scale["minReplicas"] < scale["maxReplicas"]


def test_flags_are_the_servers_and_their_files_are_there(model: Dict[str, Any]) -> None:
    container, gpu = server(model), on_gpu(model)
    expected = flags([Served("two_tower")], CONTAINER, CORES) + (gpu_flags(CONTAINER) if gpu else ())
    assert container["args"] == list(expected) and container["command"] == ["tensorflow_model_server"]
    parse(container["args"])
    assert container["image"] == (GPU_IMAGE if gpu else IMAGE)
    named = {each.partition(f"={CONTAINER.config}/")[2] for each in container["args"]} - {""}
    assert named == set(model["ConfigMap"]["data"])
    assert 'base_path: "/models/two_tower"' in model["ConfigMap"]["data"]["models.config"]
    assert model["ConfigMap"]["data"]["models.config"].count("base_path") == 1


def test_mounts_have_volumes(model: Dict[str, Any]) -> None:
    container, pod = server(model), model["Deployment"]["spec"]["template"]["spec"]
    mounts = {each["name"]: each for each in container["volumeMounts"]}
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert set(mounts) == set(volumes)
    paths = {name: each["mountPath"] for name, each in mounts.items()}
    assert paths == {"exports": CONTAINER.models, "config": CONTAINER.config, "scratch": "/tmp"}
    assert mounts["exports"]["readOnly"] and mounts["config"]["readOnly"]
    # With a subPath the file would stay as it is when the ConfigMap changes, and releases would not arrive.
    assert not any("subPath" in each for each in mounts.values())
    claim = yaml.safe_load(manifests(Served("din"))["volume.yaml"])
    assert volumes["exports"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert volumes["config"]["configMap"]["name"] == model["ConfigMap"]["metadata"]["name"]


def test_ports_are_the_servers(model: Dict[str, Any]) -> None:
    ports = {each["name"]: each["containerPort"] for each in server(model)["ports"]}
    assert ports == {"grpc": CONTAINER.port, "rest": CONTAINER.rest_port}
    services: List[Dict[str, Any]] = [*model["Service"]["spec"]["ports"], *model["Pods"]["spec"]["ports"]]
    assert all(ports[each["targetPort"]] == each["port"] and each["name"] == each["targetPort"] for each in services)
    # Headless: a gRPC client resolves the pods' own addresses.
    assert model["Pods"]["spec"]["clusterIP"] == "None" and "clusterIP" not in model["Service"]["spec"]
    notes = model["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert (notes["prometheus.io/port"], notes["prometheus.io/path"]) == (str(CONTAINER.rest_port), METRICS_PATH)


def test_readiness_asks_the_model_and_liveness_does_not(model: Dict[str, Any]) -> None:
    container = server(model)
    # The model's name, not the object's: two_tower is two-tower to Kubernetes. Why the metadata: ready.sh's test.
    asked = {"path": "/v1/models/two_tower/metadata", "port": "rest"}
    assert container["readinessProbe"]["httpGet"] == container["startupProbe"]["httpGet"] == asked
    assert container["livenessProbe"]["tcpSocket"] == {"port": "grpc"}
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 600


def test_pods_drain_before_they_stop(model: Dict[str, Any]) -> None:
    pod = model["Deployment"]["spec"]["template"]["spec"]
    program, seconds = server(model)["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep" and 0 < int(seconds) < pod["terminationGracePeriodSeconds"]
    assert pod["shareProcessNamespace"] is True
    rolling = model["Deployment"]["spec"]["strategy"]["rollingUpdate"]
    # One of the two must be above zero, or nothing can ever be replaced.
    assert (rolling["maxSurge"], rolling["maxUnavailable"]) == ((0, 1) if on_gpu(model) else (1, 0))


def test_pods_have_no_rights(model: Dict[str, Any]) -> None:
    pod, container = model["Deployment"]["spec"]["template"]["spec"], server(model)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }


def test_resources_are_guaranteed_and_threads_fit_them(model: Dict[str, Any]) -> None:
    container = server(model)
    resources = container["resources"]
    assert resources["requests"] == resources["limits"]
    assert resources["limits"]["cpu"] == str(CORES)
    for name in ("intra", "inter"):
        assert f"--tensorflow_{name}_op_parallelism={CORES}" in container["args"]
    assert f"num_batch_threads {{ value: {CORES} }}" in model["ConfigMap"]["data"]["batching.config"]
    assert resources["limits"]["memory"] == ("4352Mi" if on_gpu(model) else "1280Mi")
    if on_gpu(model):
        assert resources["limits"]["nvidia.com/gpu"] == 1
        caches = {each["name"]: each["value"] for each in container["env"]}
        assert caches["CUDA_CACHE_PATH"].startswith("/tmp/")


def test_a_change_of_the_config_replaces_the_pods() -> None:
    def digest(served: Served) -> str:
        spec = parts(manifests(served)["cpu/din.yaml"])["Deployment"]["spec"]
        found: str = spec["template"]["metadata"]["annotations"]["signet/config"]
        return found

    assert digest(Served("din")) == digest(Served("din", mebibytes=2))
    assert digest(Served("din")) != digest(Served("din", ragged=False))
