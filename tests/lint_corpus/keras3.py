"""Models of Keras 3. A process has one Keras, so another makes these: python -m tests.lint_corpus.keras3 FOLDER."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, Tuple

from tests.lint_corpus.case import Build, Case, Clean

ROOT = Path(__file__).resolve().parents[2]


def made(name: str) -> Build:
    """A copy of a model that the other process has made."""

    def build(folder: Path) -> None:
        shutil.copytree(_all() / name, folder)

    return build


@functools.lru_cache
def _all() -> Path:
    """The folder of all of them; they are made once."""
    folder = Path(tempfile.mkdtemp(prefix="keras3-models-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "0", "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-m", "tests.lint_corpus.keras3", str(folder)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    if run.returncode:
        raise RuntimeError(f"the models of Keras 3 were not made: {run.stderr[-2000:]}")
    return folder


def main(root: Path) -> None:
    """Saves every model below root. Runs under Keras 3."""
    import keras  # type: ignore[import-untyped,unused-ignore]
    import tensorflow as tf

    assert keras.__version__.startswith("3"), keras.__version__

    def export(name: str, training: bool) -> None:
        """A price and a history through both normalisations, dropout and a GRU."""
        layers = [keras.layers.LayerNormalization(), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
        gru, dense, embedding = keras.layers.GRU(4), keras.layers.Dense(1), keras.layers.Embedding(9, 4)

        @tf.function
        def score(price: Any, history: Any) -> Dict[str, Any]:
            hidden = layers[1](layers[0](price), training=training)
            return {"score": dense(tf.concat([layers[2](hidden, training=training), gru(embedding(history))], axis=1))}

        module = tf.Module()
        # Lists are tracked by tf.Module, and the generator of a dropout layer is in none of its attributes.
        module.parts = [*layers, gru, dense, embedding, layers[2].seed_generator.state]
        specs = [tf.TensorSpec([None, 3], tf.float32, "price"), tf.TensorSpec([None, 5], tf.int64, "history")]
        tf.saved_model.save(module, str(root / name), signatures=score.get_concrete_function(*specs))

    def functional(name: str, masked: bool) -> None:
        """`keras.Model.export`, with the mask as a second input or made from the first."""
        logits = keras.Input([3], name="price")
        mask = keras.Input([3], name="mask") if masked else keras.ops.cast(logits > 0, "float32")
        inputs = {"price": logits, **({"mask": mask} if masked else {})}
        score = keras.ops.sum(keras.layers.Dense(3)(logits) * mask, axis=1, keepdims=True)
        model = keras.Model(inputs, {"score": score})
        model.export(str(root / name), verbose=False)

    export("training_mode", training=True)
    export("inference_mode", training=False)
    functional("masked", masked=True)
    functional("padding", masked=False)


CASES: Tuple[Case, ...] = (
    Case("SIG101", "functional model of Keras 3", made("masked"), "'mask' changes output 'score' at Mul"),
    Case("SIG202", "dropout of Keras 3", made("training_mode"), "Random", also=("SIG203", "SIG207")),
    Case("SIG207", "layer of Keras 3", made("training_mode"), "", also=("SIG202", "SIG203")),
)

CLEAN: Tuple[Clean, ...] = (
    Clean("layers of Keras 3", made("inference_mode"), ("SIG202", "SIG203", "SIG207", "SIG109")),
    Clean("functional model of Keras 3", made("padding"), ("SIG101", "SIG104", "SIG106")),
)

if __name__ == "__main__":
    main(Path(sys.argv[1]))
