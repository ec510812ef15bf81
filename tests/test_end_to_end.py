"""From prepared rows through export, a server and both transports: what is served is what was trained."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Dict, Iterator, List

import numpy as np
import pytest
import tensorflow as tf

from pipeline import inference, requests, wire
from pipeline.builder import Built
from pipeline.dataset import training_batches
from pipeline.export import Figures, export
from pipeline.gates import TOLERANCE, tile
from pipeline.items import load as load_items
from pipeline.models import registry
from pipeline.preparation.options import Options
from pipeline.preparation.prepare import prepare
from pipeline.prepared import Prepared
from serving.client.client import Client
from serving.client.grpc_transport import GrpcTransport
from serving.client.rest_transport import RestTransport
from serving.embedded.flags import Flags
from serving.embedded.server import Server
from serving.exports import manifests
from serving.launch import model_config
from tests import built_models
from tests.fixtures_serving import Address, free_port

ROWS = 1000


@pytest.fixture(scope="module")
def ml_100k(tmp_path_factory: pytest.TempPathFactory, data_dir_or_none: Path) -> Prepared:
    """Real rows where they are, the tiny synthetic ones elsewhere."""
    name = "ml-100k" if (data_dir_or_none / "ml-100k").is_dir() else "synthetic"
    return prepare(name, tmp_path_factory.mktemp("end") / name, Options())


@pytest.fixture(scope="module")
def data_dir_or_none() -> Path:
    return Path(os.environ.get("SIGNET_DATA_DIR", "nowhere"))


@pytest.fixture(scope="module")
def trained(ml_100k: Prepared) -> Dict[str, Built]:
    """Every model after twenty steps: far enough from its initial values for scores to differ."""
    found = {}
    for name in registry.NAMES:
        made = built_models.built(name, ml_100k)
        plan = made.experiment.data
        data = training_batches(ml_100k, made.encoder, made.schema, made.spec.rows, plan, seed=1, epoch=0)
        made.graph.fit(data.take(20), verbose=0)
        found[name] = made
    return found


@pytest.fixture(scope="module")
def exported(trained: Dict[str, Built], ml_100k: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    for made in trained.values():
        outcome = export(made, ml_100k, Figures({"auc": 1.0}, {}), folder)
        assert outcome.version is not None, outcome.gates
    return folder


@pytest.fixture(scope="module")
def address(exported: Path) -> Iterator[Address]:
    config = exported / "models.config"
    config.write_text(model_config({name: exported / name for name in registry.NAMES}), encoding="utf-8")
    found = Address(free_port(), free_port())
    server = Server(Flags(port=found.port, rest_api_port=found.rest_port, model_config_file=str(config)))
    yield found
    server.close()


@pytest.fixture(scope="module", params=["grpc", "rest"])
def client(request: pytest.FixtureRequest, address: Address, exported: Path) -> Iterator[Client]:
    over = GrpcTransport("127.0.0.1", address.port)
    transport = over if request.param == "grpc" else RestTransport("127.0.0.1", address.rest_port)
    with Client(transport, manifests(exported, registry.NAMES), deadline_seconds=120) as made:
        yield made


def real_rows(made: Built, prepared: Prepared) -> Dict[str, np.ndarray]:
    """1,000 rows of the parts, newest first; fewer where there are not so many."""
    return requests.sample(made, prepared, ROWS, part="train")


@pytest.mark.parametrize("model", registry.NAMES)
def test_served_scores_are_the_training_graphs_predictions(
    model: str, trained: Dict[str, Built], ml_100k: Prepared, client: Client
) -> None:
    made = trained[model]
    rows = real_rows(made, ml_100k)
    columns = inference.inputs_of(made.schema.columns())
    encoded = made.encoder(wire.tensors(columns, rows))
    expected = inference.answers(made, made.graph(encoded, training=False))
    assert len(next(iter(rows.values()))) == ROWS
    for start in range(0, ROWS, 250):
        part = slice(start, start + 250)
        asked = {name: rows[name][part] for name in columns}
        found = client.predict(model, asked).outputs
        for name, scores in expected.items():
            np.testing.assert_allclose(found[name], scores.numpy()[part], atol=TOLERANCE)
            assert np.std(found[name]) > 1e-4  # scores that are all the same would agree with anything


@pytest.mark.parametrize("model", registry.NAMES)
def test_served_rank_is_served_pointwise_on_tiled_rows(
    model: str, trained: Dict[str, Built], ml_100k: Prepared, client: Client
) -> None:
    made, items = trained[model], load_items(ml_100k)
    by_name = {s.name: s for s in inference.signatures(made, items)}
    rows = requests.request(by_name["rank"], made, requests.sample(made, ml_100k, 3), items, candidates=40)
    ranked = client.predict(model, rows, "rank").outputs
    flat = tile(rows, by_name["rank"].described(), by_name["serving_default"].described())
    pointwise = client.predict(model, flat).outputs
    for name, scores in ranked.items():
        np.testing.assert_allclose(scores, pointwise[name].reshape(scores.shape), atol=TOLERANCE)


@pytest.mark.parametrize("model", [n for n in registry.NAMES if len(registry.load(n).signatures) > 2])
def test_retrieval_answers_what_was_asked(
    model: str, trained: Dict[str, Built], ml_100k: Prepared, client: Client
) -> None:
    made, items = trained[model], load_items(ml_100k)
    signature = next(s for s in inference.signatures(made, items) if s.kind == "retrieve")
    rows = requests.request(signature, made, requests.sample(made, ml_100k, 20), items)
    answer = client.predict(model, rows, signature.name).outputs
    expected = wire.call(signature.trace(), signature.inputs, rows)
    for name, cells in expected.items():
        if cells.dtype.kind == "f":
            np.testing.assert_allclose(answer[name], cells, rtol=TOLERANCE, atol=TOLERANCE)
        else:
            np.testing.assert_array_equal(answer[name], cells)
    barred: List[set] = [set(ids[:n].tolist()) for ids, n in zip(rows["exclude"], rows["exclude_length"])]
    ids = next(cells for cells in answer.values() if cells.dtype.kind != "f")
    assert not [1 for found, out in zip(ids.tolist(), barred) if out & set(found)]


@pytest.mark.parametrize("model", registry.NAMES)
def test_golden_requests_are_answered_as_stored(model: str, exported: Path) -> None:
    folder = exported / model / "1"
    loaded = tf.saved_model.load(str(folder))
    for name, signature in manifests(exported, [model])[model].signatures.items():
        golden = wire.load_json(folder / "golden" / f"{name}.json", signature.inputs)
        answers = wire.call(loaded.signatures[name], signature.inputs, golden["inputs"])
        assert answers.keys() == golden["outputs"].keys()
        for output, stored in golden["outputs"].items():
            assert answers[output].shape == stored.shape, f"{name} {output}"
            if answers[output].dtype.kind == "f":
                np.testing.assert_allclose(answers[output], stored, atol=TOLERANCE, rtol=TOLERANCE)
            else:
                np.testing.assert_array_equal(answers[output], stored)


@pytest.mark.parametrize("model", registry.NAMES)
def test_saved_model_cli_reads_and_runs_the_export(model: str, exported: Path, tmp_path: Path) -> None:
    folder = exported / model / "1"
    shown = cli("show", "--all", "--dir", str(folder))
    assert "signature_def['serving_default']" in shown
    assert "args_0" not in shown and "output_0" not in shown
    manifest = manifests(exported, [model])[model]
    golden = wire.load_json(folder / "golden" / "rank.json", manifest.signatures["rank"].inputs)
    files = []
    for name, array in golden["inputs"].items():
        np.save(tmp_path / f"{name}.npy", array.astype(str) if array.dtype == object else array)
        files.append(f"{name}={tmp_path / name}.npy")
    out = tmp_path / "out"
    cli(
        "run",
        "--dir",
        str(folder),
        "--tag_set",
        "serve",
        "--signature_def",
        "rank",
        "--inputs",
        ";".join(files),
        "--outdir",
        str(out),
    )
    for name, scores in golden["outputs"].items():
        np.testing.assert_allclose(np.load(out / f"{name}.npy"), scores, atol=TOLERANCE)


def cli(*arguments: str) -> str:
    """Runs TensorFlow's own tool, in a process of its own as a person would."""
    import sys

    from tensorflow.python.tools import saved_model_cli

    command = [sys.executable, saved_model_cli.__file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_every_function_of_tensorflow_used_here_is_stock(exported: Path) -> None:
    from signatures.lint import lint

    for model in registry.NAMES:
        assert not [f for f in lint(exported / model) if f.severity != "info"], model
    assert tf.__version__.startswith("2.16")
