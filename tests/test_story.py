"""The story behind the linter, end to end: a mask in the prediction trains splendidly and fails in service.

A page shows one of three ads and logs whether it was clicked. The mask says which ad was shown. `pred = reduce_sum(
logits * mask)` picks its logit, so that the loss looks right, and it is; but whoever asks the exported model cannot
know what will be shown. The cure is to pick inside the loss: the same weights, the same training, another export.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import httpx
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from pipeline import gates, warm_up
from serving.embedded.flags import Flags
from serving.embedded.server import Server
from signatures import manifest as manifests
from signatures.manifest import Data, Feature, Manifest, Signature, TensorInfo
from tests.fixtures_serving import free_port

ROOT = Path(__file__).resolve().parent.parent
ADS, ROWS = 3, 600
WANTS = np.array([[2.0, -2.0, 0.0], [0.0, 2.0, -2.0]], np.float32)
"""How the two coordinates of a visitor speak for each ad; a click happens where the sum is positive."""
Tensors = Dict[str, Any]


def logged() -> Tensors:
    """x [B, 2], mask [B, 3] with one 1, click [B]: what the page logged."""
    draw = np.random.default_rng(5)
    x = draw.normal(size=(ROWS, 2)).astype(np.float32)
    shown = draw.integers(0, ADS, ROWS)
    clicked = np.take_along_axis(x @ WANTS, shown[:, None], 1)[:, 0] > 0
    return {"x": x, "mask": np.eye(ADS, dtype=np.float32)[shown], "click": clicked.astype(np.float32)}


class Ads(keras.Model):
    """A logit for each ad."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = keras.layers.Dense(ADS, kernel_initializer=keras.initializers.GlorotUniform(seed=1), name="ads")

    def call(self, x: Any) -> Any:
        return self.logits(x)


class Masked(Ads):
    """The mistake: the mask is an input of the model, and the prediction is [B]."""

    def train_step(self, batch: Tensors) -> Dict[str, Any]:
        return stepped(self, lambda: bce(batch["click"], self.predict_shown(batch)))

    def predict_shown(self, given: Tensors) -> Any:
        return tf.reduce_sum(self(given["x"]) * given["mask"], axis=1)


class Fixed(Ads):
    """The cure: the model knows no mask, and the loss picks the logit that has a label."""

    def train_step(self, batch: Tensors) -> Dict[str, Any]:
        return stepped(self, lambda: bce(batch["click"], picked(self(batch["x"]), batch["mask"])))


def picked(logits: Any, mask: Any) -> Any:
    """The logit of the shown ad [B], of logits [B, 3]: part of the loss."""
    return tf.reduce_sum(tf.where(mask > 0, logits, 0.0), axis=1)


def bce(click: Any, logit: Any) -> Any:
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(click, logit))


def stepped(model: keras.Model, loss: Callable[[], Any]) -> Dict[str, Any]:
    with tf.GradientTape() as tape:
        total = loss()
    variables = model.trainable_variables
    model.optimizer.apply_gradients(zip(tape.gradient(total, variables), variables))
    return {"loss": total}


def trained(model: Any) -> Tuple[Any, List[float]]:
    """The model after thirty passes over the log, and the loss of each."""
    model.compile(optimizer=keras.optimizers.Adam(0.05))
    data = tf.data.Dataset.from_tensor_slices(logged()).batch(50)
    return model, model.fit(data, epochs=30, verbose=0).history["loss"]


def accuracy(logit: np.ndarray) -> float:
    """How often the logit of the shown ad has the sign of what happened."""
    return float(np.mean((logit > 0) == (logged()["click"] > 0)))


@pytest.fixture(scope="module")
def masked() -> Masked:
    return trained(Masked())[0]


@pytest.fixture(scope="module")
def fixed() -> Fixed:
    return trained(Fixed())[0]


X = tf.TensorSpec([None, 2], tf.float32, "x")
MASK = tf.TensorSpec([None, ADS], tf.float32, "mask")


def export_masked(model: Masked, folder: Path) -> Path:
    serve = tf.function(lambda x, mask: {"score": tf.sigmoid(model.predict_shown({"x": x, "mask": mask}))}, [X, MASK])
    return save(folder, model, serve, declared({"x": ["x"]}, {"x": (None, 2), "mask": (None, ADS)}, (None,)))


def export_fixed(model: Fixed, folder: Path) -> Path:
    serve = tf.function(lambda x: {"score": tf.sigmoid(model(x))}, [X])
    return save(folder, model, serve, declared({"x": ["x"]}, {"x": (None, 2)}, (None, ADS)))


def save(folder: Path, model: Ads, serve: Any, manifest: Manifest) -> Path:
    module = tf.Module()
    module.parameters, module.serve = model.logits.trainable_variables, serve
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve.get_concrete_function()})
    manifests.write(manifest, folder)
    return folder


def declared(features: Dict[str, List[str]], inputs: Dict[str, Any], output: Any) -> Manifest:
    """What an export of this model says of itself: x is a feature, the mask and the click belong to training."""
    return Manifest(
        model="ads",
        version=1,
        created="2024-01-01T00:00:00+00:00",
        schema_hash="",
        features=tuple(
            Feature(name=name, side="user", kind="dense", dtype="float32", inputs=tuple(carried))
            for name, carried in features.items()
        ),
        training_only=("mask", "click"),
        signatures={
            "serving_default": Signature(
                inputs={name: TensorInfo(dtype="float32", shape=s, role="feature") for name, s in inputs.items()},
                outputs={"score": TensorInfo(dtype="float32", shape=output, role="output")},
                kind="score",
            )
        },
        server_image="tensorflow/serving:2.16.1",
        metrics={},
        data=Data(name="ads", fingerprint="", synthetic=True),
        code_commit="",
    )


def training_graph(folder: Path, model: Ads, predict: Callable[[Tensors], Any]) -> Path:
    """Loss and prediction of the model as they are in training, for the proof of purity."""

    def graph(x: Any, mask: Any, click: Any) -> Tensors:
        logit = picked(model(x), mask)
        return {"loss": bce(click, logit), "predictions/click": predict({"x": x, "mask": mask})}

    specs = [
        tf.TensorSpec([None, 2], tf.float32, "features/x"),
        tf.TensorSpec([None, ADS], tf.float32, "masks/mask"),
        tf.TensorSpec([None], tf.float32, "labels/click"),
    ]
    module = tf.Module()
    module.parameters, module.graph = model.logits.trainable_variables, tf.function(graph, specs)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.graph.get_concrete_function()})
    return folder


def candidate(folder: Path, graph: Path) -> gates.Candidate:
    """The export as the gates of `signet export` get it."""
    found = manifests.read(folder)
    assert found is not None
    rows = {name: logged()[name][:8] for name in found.signatures["serving_default"].inputs}
    warm_up.write(folder, found, {"serving_default": rows})
    function = tf.saved_model.load(str(folder)).signatures["serving_default"]
    answers = function(**{name: tf.constant(cells) for name, cells in rows.items()})
    expected = {"serving_default": {name: cells.numpy() for name, cells in answers.items()}}
    return gates.Candidate(folder, found, graph, {"serving_default": rows}, expected, None, {"auc": 0.9}, {})


def lint(folder: Path, *flags: str) -> Tuple[int, List[Dict[str, Any]]]:
    """Exit code and findings of `python -m signatures lint`."""
    command = [sys.executable, "-m", "signatures", "lint", str(folder), "--format", "json", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)["findings"]


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """Starts a server for a folder of versions; its address for predictions."""
    servers: List[Server] = []

    def start(versions: Path) -> str:
        port = free_port()
        servers.append(
            Server(Flags(port=free_port(), rest_api_port=port, model_name="ads", model_base_path=str(versions)))
        )
        return f"http://127.0.0.1:{port}/v1/models/ads:predict"

    yield start
    for server in servers:
        server.close()


def ask(url: str, row: Dict[str, Any]) -> httpx.Response:
    return httpx.post(url, json={"instances": [row]}, trust_env=False, timeout=60)


def test_masked_model_trains_well_and_nothing_in_training_gives_it_away() -> None:
    model, losses = trained(Masked())
    assert losses[-1] < 0.25 < losses[0]
    assert accuracy(model.predict_shown(logged()).numpy()) > 0.95
    _, cured = trained(Fixed())
    np.testing.assert_allclose(losses, cured, rtol=1e-4)  # the same training, step by step


def test_its_export_is_refused_by_the_gates_before_it_is_loaded(masked: Masked, tmp_path: Path) -> None:
    graph = training_graph(tmp_path / "graph", masked, lambda given: tf.sigmoid(masked.predict_shown(given)))
    found = {gate.name: gate for gate in gates.check(candidate(export_masked(masked, tmp_path / "1"), graph))}
    assert sorted(name for name, gate in found.items() if not gate.passed) == ["lint", "purity"]
    assert "parity" not in found  # no gate that runs the model was reached
    for name in ("lint", "purity"):
        assert "mask'" in found[name].detail and "Mul " in found[name].detail, found[name].detail


DECLARED: Dict[str, Tuple[str, ...]] = {
    "manifest": (),
    "told": ("--training-only", "mask"),
    "listed": ("--feature", "x"),
    "guessed": ("--ignore", "SIG104"),
}


@pytest.mark.parametrize("flags", DECLARED.values(), ids=DECLARED.keys())
def test_lint_points_at_the_mask_and_at_the_product(masked: Masked, tmp_path: Path, flags: Tuple[str, ...]) -> None:
    folder = export_masked(masked, tmp_path)
    if flags:
        (folder / manifests.PATH_IN_EXPORT).unlink()
    code, findings = lint(folder, *flags)
    assert code == 1
    (finding,) = [each for each in findings if each["severity"] == "error"]
    assert (finding["signature"], finding["tensor"]) == ("serving_default", "mask")
    assert finding["rule"] == ("SIG102" if flags[:1] == ("--feature",) else "SIG101")
    assert "input 'mask'" in finding["message"] and " at Mul '" in finding["message"]


def test_service_of_the_masked_model_fails(masked: Masked, tmp_path: Path, serve: Callable[[Path], str]) -> None:
    """What the linter spares: AVAILABLE, and no client can ask it; one that makes a mask up gets another score."""
    export_masked(masked, tmp_path / "1")
    url = serve(tmp_path)
    refused = ask(url, {"x": [1.0, 0.5]})
    assert refused.status_code == 400 and "keys must be equal to: mask,x" in refused.json()["error"]
    made_up = ask(url, {"x": [1.0, 0.5], "mask": [1.0, 1.0, 1.0]}).json()["predictions"]
    scores = tf.sigmoid(masked(tf.constant([[1.0, 0.5]])))[0].numpy()
    assert min(abs(scores - made_up[0])) > 0.01


def test_fixed_model_passes_every_gate_and_the_linter(fixed: Fixed, tmp_path: Path) -> None:
    graph = training_graph(tmp_path / "graph", fixed, lambda given: tf.sigmoid(fixed(given["x"])))
    folder = export_fixed(fixed, tmp_path / "1")
    found = gates.check(candidate(folder, graph))
    assert {"lint", "purity", "parity", "batch invariance"} <= {gate.name for gate in found}
    assert [gate.detail for gate in found if not gate.passed] == []
    assert lint(folder) == (0, [])


def test_fixed_model_is_served_without_a_mask(fixed: Fixed, tmp_path: Path, serve: Callable[[Path], str]) -> None:
    export_fixed(fixed, tmp_path / "1")
    url = serve(tmp_path)
    answered = ask(url, {"x": [1.0, 0.5]}).json()["predictions"]
    np.testing.assert_allclose(answered, tf.sigmoid(fixed(tf.constant([[1.0, 0.5]]))), atol=1e-6)
    # By hand: WANTS gives 2.0, -2.0 + 1.0 and -1.0, so the first ad is wanted and the others are not.
    assert answered[0][0] > 0.5 > max(answered[0][1:])
