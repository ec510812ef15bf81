"""Signet's side of the training comparisons: what `signet train` builds, fitted on batches in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
import tensorflow as tf

from pipeline import experiment as experiments
from pipeline import schema as schemas
from pipeline.batches import TrainingBatch
from pipeline.builder import Built, build
from pipeline.prepared import Facts, Prepared
from tests.benchmarks.peers import counting, data, tfrs_side
from tests.benchmarks.peers.work import Settings, Work

TASK: Dict[str, Any] = {"labels": [{"name": "click"}], "tasks": [{"name": "click", "label": "click"}]}


def train_deepfm(settings: Settings) -> Work:
    """Lazy updates."""
    features = hashed({f"id_{f}": settings["rows"] // data.ID_FIELDS + 1 for f in range(data.ID_FIELDS)}, "item")
    for place in range(data.NUMBER_FIELDS):
        features.append({"name": f"number_{place}", "side": "user", "kind": "numeric", "transform": "none"})
    built = made("deepfm", features, deepfm_parameters(settings))
    columns, clicks = data.criteo(settings["rows"], settings["batch"], settings["signet_steps"])
    # A number is a field, its vector times its value: the first layer needs one product with the value itself.
    widths = [data.ID_FIELDS * settings["width"] + data.NUMBER_FIELDS, *settings["hidden"], 1]
    gigaflop = counting.dense(settings["batch"], widths, counting.TRAINING)
    touched = np.mean([sum(len(np.unique(cells[step])) for name, cells in columns.items() if name.startswith("id_"))
                       for step in range(settings["signet_steps"])])
    # Weight and two moments of a row, its linear weight among them, are read and written.
    gigabytes = 2 * 3 * 4e-9 * float(touched) * (settings["width"] + 1)
    return fitted(built, columns, clicks, {"gigaflop": gigaflop, "gigabytes": gigabytes})


def train_din(settings: Settings) -> Work:
    """Lazy updates; Dice with the statistics of the batch in the attention."""
    tables = {"item_id": settings["items"] + 1, "category_id": settings["categories"] + 1}
    built = made("din", [*hashed(tables, "item"), history()], din_parameters(settings))
    found, clicks = data.histories(
        settings["items"], settings["categories"], settings["batch"], settings["signet_steps"]
    )
    columns = {("hist_item_id_length" if name == "hist_length" else name): cells for name, cells in found.items()}
    pairs, width = settings["batch"] * data.HISTORY, 2 * settings["width"]
    # The first layer of the attention is two products of a quarter of its width each, and one a row for the query.
    first, *rest = settings["attention"]
    gigaflop = counting.dense(2 * pairs + settings["batch"], [width, first], counting.TRAINING)
    gigaflop += counting.dense(pairs, [first, *rest, 1], counting.TRAINING)
    gigaflop += counting.dense(settings["batch"], [2 * width, *settings["hidden"], 1], counting.TRAINING)
    return fitted(built, columns, clicks, {"gigaflop": gigaflop})


def train_two_tower(settings: Settings) -> Work:
    """The same towers and the same loss, TFRS's; no correction of the sampling, as TFRS has none by default."""
    user = hashed({"user_id": settings["users"] + 1, "occupation": 22}, "user")
    item = hashed({"item_id": settings["items"] + 1, "year": 72}, "item")
    parameters = {
        "embedding_width": settings["width"], "hidden_units": settings["hidden"], "output_width": settings["output"],
        "dropout": 0.0, "temperature": tfrs_side.TEMPERATURE, "correct_sampling": False,
    }
    built = made("two_tower", [*user, *item], parameters)
    films = data.films(settings["users"], settings["items"], settings["batch"], settings["signet_steps"])
    rewards = np.ones((settings["signet_steps"], settings["batch"]), np.float32)
    return fitted(built, films, rewards, {"gigaflop": tfrs_side.two_towers(settings)})


def deepfm_parameters(settings: Settings) -> Dict[str, Any]:
    return {"embedding_width": settings["width"], "hidden_units": settings["hidden"], "dropout": 0.0}


def din_parameters(settings: Settings) -> Dict[str, Any]:
    """As DeepCTR has it by default: Dice in the attention, ReLU in the MLP, which does not see v_U * v_A."""
    return {
        "embedding_width": settings["width"], "attention_units": settings["attention"], "attention_activation": "dice",
        "hidden_units": settings["hidden"], "activation": "relu", "dropout": 0.0, "interaction": False,
    }


def hashed(rows: Dict[str, int], side: str) -> List[Dict[str, Any]]:
    """Features of so many embedding rows each; no vocabulary is needed where ids come encoded."""
    return [{"name": n, "side": side, "kind": "categorical", "hash_buckets": r} for n, r in rows.items()]


def history() -> Dict[str, Any]:
    """Items with their categories, newest last."""
    return {
        "name": "hist_item_id", "side": "user", "kind": "sequence", "shares": "item_id",
        "maximum_length": data.HISTORY, "side_sequences": [{"name": "hist_category_id", "shares": "category_id"}],
    }


def made(
    model: str, features: List[Dict[str, Any]], parameters: Dict[str, Any],
    vocabularies: Optional[Dict[str, int]] = None, folder: Path = Path(),
) -> Built:
    """The builder's products for these features. A feature with a vocabulary of n has the ids from 1 to n, in a file
    below `folder`."""
    content = {"name": "peers", "features": features, "roles": {"item": "item_id"} if model == "two_tower" else {}}
    facts = Facts(
        dataset="peers", synthetic=True, fingerprint="", rows={}, statistics={}, positives_only=False,
        vocabulary_sizes=vocabularies or {},
    )
    prepared = Prepared(folder, schemas.parse({**content, **TASK}, "benchmark"), facts)
    for name, size in facts.vocabulary_sizes.items():
        prepared.vocabulary(name).parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{each}\n" for each in range(1, size + 1))
        prepared.vocabulary(name).write_text(lines, encoding="utf-8")
    experiment = {
        "model": model, "tasks": ["click"], "parameters": parameters, "training": {"embedding_updates": "lazy"},
    }
    return build(experiments.parse(experiment, "benchmark"), prepared)


def fitted(built: Built, columns: data.Arrays, labels: np.ndarray, facts: Dict[str, Any]) -> Work:
    """`fit` over batches in memory, as encoded features [batches, batch, ...]."""
    batches = tf.data.Dataset.from_tensor_slices(TrainingBatch(columns, {"click": labels}, {}, {}))
    built.graph.prepare(next(iter(batches)))

    def run() -> float:
        return float(built.graph.fit(batches, verbose=0).history["loss"][-1])

    return Work(run, len(labels), {**facts, "parameters": built.model.count_params()})
