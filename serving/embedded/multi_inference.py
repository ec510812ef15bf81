"""MultiInference, apart from any transport: several classify and regress signatures, one run over the same examples."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Set

import numpy as np
from tensorflow_serving.apis import inference_pb2

from serving.embedded import classify, examples, regress
from serving.embedded.errors import StatusError, invalid_argument
from serving.embedded.predict import DEFAULT_SIGNATURE
from serving.embedded.servable import Servable

_KINDS = {classify.METHOD: classify, regress.METHOD: regress}


def infer(servable: Servable, request: inference_pb2.MultiInferenceRequest, timeout_ms: int = 0) -> List[Any]:
    """The result of each task, as `classify` or `regress` gives it. Raises StatusError as the real server answers."""
    names = [task.model_spec.signature_name or DEFAULT_SIGNATURE for task in request.tasks]
    wanted = _checked(servable, request.tasks, names)
    signatures = [servable.signatures[name] for name in names]
    feeds = sorted({declared.inputs[examples.INPUTS].name for declared in signatures})
    fetches = sorted({declared.outputs[alias].name for declared, kept in zip(signatures, wanted) for alias in kept})
    array = examples.serialized(request.input)
    for declared in signatures:
        examples.check_type(declared)
    # One run, so that what the signatures share is computed once.
    values = servable.fetch(feeds, [array] * len(feeds), fetches, timeout_ms, "MultiInference")
    found: Dict[str, np.ndarray] = dict(zip(fetches, values))
    results: List[Any] = []
    for task, declared, kept in zip(request.tasks, signatures, wanted):
        outputs = {alias: found[declared.outputs[alias].name] for alias in kept}
        results.append(_KINDS[task.method_name].result(len(array), outputs))
    return results


def _checked(
    servable: Servable, tasks: Sequence[inference_pb2.InferenceTask], names: Sequence[str]
) -> List[List[str]]:
    """The outputs that each task needs, by alias. Raises StatusError for the first task that cannot be done."""
    wanted: List[List[str]] = []
    seen: Set[str] = set()
    for task, name in zip(tasks, names):
        if not task.model_spec.name:
            raise invalid_argument("Found ModelSpec with an empty model name.")
        if task.model_spec.name != tasks[0].model_spec.name:
            raise invalid_argument("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        if name in seen:
            raise invalid_argument(f"Duplicate evaluation of signature: {name}")
        seen.add(name)
        if name not in servable.signatures:
            raise invalid_argument(f"Requested signature not found in model graph: {name}")
        kind = _KINDS.get(task.method_name)
        if kind is None:
            raise StatusError("UNIMPLEMENTED", f"Unsupported signature method_name: {task.method_name}")
        wanted.append(kind.outputs(servable.signatures[name], servable.checks_method_names))
    return wanted
