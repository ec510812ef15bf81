"""Logistic regression on one-hot columns, with an L2 penalty chosen on the validation part.

    minimise |w|^2 / 2 + C sum_i weight_i log(1 + exp(-y_i (w x_i + b))),  y in {-1, 1}          (scikit-learn's form)

One model for each task. C is the one of `PENALTIES` whose log loss on the validation part is least.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Dict, Optional, Tuple

import numpy as np
from sklearn.linear_model import LogisticRegression

from pipeline.baselines import labelled
from pipeline.baselines.labelled import Examples, Logits, RowPredictor
from pipeline.baselines.one_hot import OneHot
from pipeline.evaluation import metrics
from pipeline.prepared import Prepared
from pipeline.rows import Rows

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)
"""C: smaller is a stronger penalty."""
_ITERATIONS = 1000
_TOLERANCE = 1e-6


def fit(prepared: Prepared) -> RowPredictor:
    """Fitted on the training part. Raises UsageError where no row is labelled or the validation part has none."""
    tasks = labelled.tasks(prepared, "logistic_regression")
    train, validation = labelled.read(prepared, "train"), labelled.read(prepared, "validation")
    encode = OneHot(prepared, train)
    functions: Dict[str, Logits] = {}
    for task in tasks:
        learn = labelled.examples(train, task, "train")
        model, _ = choose(encode, learn, labelled.examples(validation, task, "validation"))
        functions[task.name] = partial(_logits, encode, model)
    return RowPredictor(prepared, functions)


def choose(encode: OneHot, train: Examples, validation: Examples) -> Tuple[LogisticRegression, float]:
    """The model whose log loss on the validation rows is least, and its C."""
    x, asked = encode(train.rows), encode(validation.rows)
    best: Optional[Tuple[float, Any, float]] = None
    for penalty in PENALTIES:
        model = LogisticRegression(C=penalty, max_iter=_ITERATIONS, tol=_TOLERANCE)
        model.fit(x, train.labels, sample_weight=train.weights)
        loss = metrics.log_loss(validation.labels, model.decision_function(asked))
        if best is None or loss < best[0]:
            best = (loss, model, penalty)
    assert best is not None
    return best[1], best[2]


def _logits(encode: OneHot, model: LogisticRegression, rows: Rows) -> np.ndarray:
    found: np.ndarray = model.decision_function(encode(rows))
    return found
