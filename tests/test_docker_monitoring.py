"""Prometheus, its alerts and the Grafana dashboard: TensorFlow Serving's own metrics and labels, wired together."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set, Tuple

import pytest
import yaml

from serving.deployment.inside import CONTAINER, METRICS_PATH

DOCKER = Path(__file__).resolve().parent.parent / "docker"

HISTOGRAM, COUNTER = "histogram", "counter"
# The registered metrics of the server (servables/tensorflow/util.cc, saved_model_warmup_util.cc,
# batching/batching_session.cc) and of its SavedModel loader (cc/saved_model/loader.cc): kind, and labels in order. The
# exporter (util/prometheus_exporter.cc) writes / as :, and a histogram as _bucket, _sum and _count.
METRICS: Dict[str, Tuple[str, Set[str]]] = {
    ":tensorflow:serving:request_count": (COUNTER, {"model_name", "status"}),
    ":tensorflow:serving:request_latency": (HISTOGRAM, {"model_name", "API", "entrypoint"}),
    ":tensorflow:serving:runtime_latency": (HISTOGRAM, {"model_name", "API", "runtime"}),
    ":tensorflow:serving:model_warmup_latency": (HISTOGRAM, {"model_path", "status"}),
    ":tensorflow:serving:batching_session:queuing_latency": (HISTOGRAM, {"thread_pool_name"}),
    ":tensorflow:serving:batching_session:input_batch_size": (HISTOGRAM, set()),
    ":tensorflow:serving:batching_session:processed_batch_size": (HISTOGRAM, set()),
    ":tensorflow:serving:batching_session:padding_size": (HISTOGRAM, {"execution_batch_size"}),
    ":tensorflow:serving:batching_session:wrapped_run_count": (COUNTER, set()),
    ":tensorflow:cc:saved_model:load_attempt_count": (COUNTER, {"model_path", "status"}),
    ":tensorflow:cc:saved_model:load_latency": (COUNTER, {"model_path"}),
}
SCRAPED = {"job", "instance"}

METRIC = re.compile(r"(:[\w:]+)(?:\{([^}]*)\})?")


def load(path: str) -> Any:
    return yaml.safe_load((DOCKER / path).read_text("utf-8"))


def dashboard() -> Any:
    return json.loads((DOCKER / "grafana/dashboards/serving.json").read_text("utf-8"))


def rules() -> List[Dict[str, Any]]:
    group, = load("prometheus/alerts.yml")["groups"]
    found: List[Dict[str, Any]] = group["rules"]
    return found


def expressions() -> Iterator[Any]:
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield pytest.param(target["expr"], target["legendFormat"], id=f"{panel['title']}-{target['refId']}")
    for rule in rules():
        yield pytest.param(rule["expr"], str(rule["annotations"]), id=rule["alert"])


def of_metric(name: str) -> Tuple[str, Set[str]]:
    """The registered name and the labels of a series such as NAME_bucket. An unknown series fails."""
    for metric, (kind, labels) in METRICS.items():
        if kind == COUNTER and name == metric:
            return metric, labels
        if kind == HISTOGRAM and name in (f"{metric}_bucket", f"{metric}_sum", f"{metric}_count"):
            return metric, labels | ({"le"} if name.endswith("_bucket") else set())
    raise AssertionError(f"the server has no series {name}")


def check(expression: str, shown: str) -> None:
    """Every series exists, and every label that selects, groups or is shown is one that the series have."""
    used = METRIC.findall(expression)
    assert used or expression.startswith("up{")
    allowed = set(SCRAPED)
    for name, selector in used:
        _, labels = of_metric(name)
        allowed |= labels
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)) <= labels | SCRAPED, selector
    grouped = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in re.split(r",\s*", group)}
    assert grouped <= allowed, grouped - allowed
    # A label that is summed away cannot be shown.
    visible = grouped - {"le"} if " by (" in expression else allowed
    assert set(re.findall(r"\{\{ ?(?:\$labels\.)?(\w+) ?\}\}", shown)) <= visible, shown
    assert ("histogram_quantile" in expression) == ("_bucket" in expression)
    assert expression.count("(") == expression.count(")")


@pytest.mark.parametrize(("expression", "shown"), list(expressions()))
def test_expressions_use_the_servers_metrics(expression: str, shown: str) -> None:
    check(expression, shown)


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("rate(:tensorflow:serving:requests[1m])", ""),
        ("rate(:tensorflow:serving:request_latency[1m])", ""),  # a histogram has no series of its bare name
        ("rate(:tensorflow:serving:request_count{model=\"a\"}[1m])", ""),
        ("sum by (signature) (rate(:tensorflow:serving:request_count[1m]))", ""),
        ("sum by (status) (rate(:tensorflow:serving:request_count[1m]))", "{{model_name}}"),
        ("histogram_quantile(0.9, rate(:tensorflow:serving:request_latency_sum[1m]))", ""),
    ],
)
def test_the_check_finds_what_the_server_has_not(expression: str, shown: str) -> None:
    with pytest.raises(AssertionError):
        check(expression, shown)


def test_the_embedded_server_has_the_same_metrics() -> None:
    """Two readings of the server's sources, made apart from each other."""
    from serving.embedded.metrics.meters import Meters
    from serving.embedded.metrics.registry import Histogram

    made = {
        each.name.replace("/", ":"): (HISTOGRAM if isinstance(each, Histogram) else COUNTER, set(each.labels))
        for each in Meters().all()
    }
    assert METRICS.items() <= made.items()


def test_every_metric_that_is_told_is_shown() -> None:
    used = {of_metric(name)[0] for panel in dashboard()["panels"] for target in panel["targets"]
            for name, _ in METRIC.findall(target["expr"])}
    assert used == set(METRICS)


def test_prometheus_scrapes_the_server() -> None:
    config = load("prometheus/prometheus.yml")
    job, = config["scrape_configs"]
    assert job["metrics_path"] == METRICS_PATH
    assert job["static_configs"] == [{"targets": [f"server:{CONTAINER.rest_port}"]}]
    services = load("compose.yaml")["services"]
    assert "server" in services
    assert [(DOCKER / "prometheus" / each).is_file() for each in config["rule_files"]] == [True]
    assert all(f'job="{job["job_name"]}"' in rule["expr"] for rule in rules() if rule["expr"].startswith("up"))
    mounted = [each.split(":")[1] for each in services["prometheus"]["volumes"]]
    command = dict(flag[2:].split("=") for flag in services["prometheus"]["command"])
    assert [command["config.file"].rpartition("/")[0], command["storage.tsdb.path"]] == mounted


def test_grafana_finds_its_dashboard_and_prometheus() -> None:
    source, = load("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090" and "prometheus" in load("compose.yaml")["services"]
    found = dashboard()
    parts = [*found["panels"], *found["templating"]["list"], *(t for p in found["panels"] for t in p["targets"])]
    assert all(each["datasource"] == {"type": "prometheus", "uid": source["uid"]} for each in parts)
    grafana = load("compose.yaml")["services"]["grafana"]
    mounted = dict(each.split(":")[:2] for each in grafana["volumes"])
    provider, = load("grafana/provisioning/dashboards/files.yaml")["providers"]
    assert mounted["./grafana/provisioning"] == "/etc/grafana/provisioning"
    assert mounted["./grafana/dashboards"] == provider["options"]["path"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/serving.json"


def test_dashboard_is_laid_out() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: Set[Tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not own & cells and at["x"] + at["w"] <= 24, panel["title"]  # Grafana's grid has 24 columns
        cells |= own
        assert panel["title"] and panel["description"].endswith(".")
    units = {panel["title"]: panel["fieldConfig"]["defaults"]["unit"] for panel in panels}
    assert {units[title] for title in ("p99", "Latency of requests", "Waiting for a batch")} == {"µs"}


def test_alerts_say_for_whom() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
