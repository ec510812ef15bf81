"""Gradient-boosted trees: Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NIPS 2017.

One model for each task, as many trees as the log loss on the validation part wants, and of `LEAVES` the number of
leaves a tree with which that loss is least. A test row is never seen.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Dict, Optional, Tuple

import lightgbm
import numpy as np

from pipeline.baselines import labelled
from pipeline.baselines.labelled import Examples, Logits, RowPredictor
from pipeline.baselines.tree_columns import TreeColumns
from pipeline.prepared import Prepared
from pipeline.rows import Rows
from pipeline.schema import Schema

LEAVES = (7, 15, 31)
"""Of a tree, at most."""
_TREES = 2000
_PATIENCE = 50
"""Trees without a better log loss on the validation part before no more are grown."""
_PARAMETERS: Dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "cat_smooth": 20.0,
    # The same trees on every machine, however many cores it has.
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}


def fit(prepared: Prepared) -> RowPredictor:
    """Fitted on the training part. Raises UsageError where no row is labelled or the validation part has none."""
    tasks = labelled.tasks(prepared, "gradient_boosting")
    train, validation = labelled.read(prepared, "train"), labelled.read(prepared, "validation")
    functions: Dict[str, Logits] = {}
    for task in tasks:
        learn = labelled.examples(train, task, "train")
        asked = labelled.examples(validation, task, "validation")
        columns, booster = choose(prepared.schema, learn, asked)
        functions[task.name] = partial(_logits, columns, booster)
    return RowPredictor(prepared, functions)


def choose(schema: Schema, train: Examples, validation: Examples) -> Tuple[TreeColumns, lightgbm.Booster]:
    """The columns, and the trees whose log loss on the validation rows is least."""
    columns = TreeColumns(schema, train)
    own: Dict[str, Any] = {"categorical_feature": list(columns.categorical), "free_raw_data": False}
    learn = lightgbm.Dataset(columns.of_training(), train.labels, weight=train.weights, **own)
    asked = lightgbm.Dataset(columns(validation.rows), validation.labels, reference=learn, **own)
    best: Optional[lightgbm.Booster] = None
    for leaves in LEAVES:
        stop = lightgbm.early_stopping(_PATIENCE, verbose=False)
        parameters = {**_PARAMETERS, "num_leaves": leaves}
        booster = lightgbm.train(parameters, learn, _TREES, valid_sets=[asked], valid_names=["v"], callbacks=[stop])
        if best is None or _loss(booster) < _loss(best):
            best = booster
    assert best is not None
    return columns, best


def _loss(booster: lightgbm.Booster) -> float:
    return float(booster.best_score["v"]["binary_logloss"])


def _logits(columns: TreeColumns, booster: lightgbm.Booster, rows: Rows) -> np.ndarray:
    return np.asarray(booster.predict(columns(rows), raw_score=True, num_iteration=booster.best_iteration))
