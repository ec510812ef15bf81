"""MultiInference: several classify and regress signatures over the same examples, in one run."""

from __future__ import annotations

import pytest

from tests.conformance.asking import Stubs, refusal
from tests.conformance.asking_examples import CLASSIFY, REGRESS, classes, example, multi, numbers


def test_multi_inference(stubs: Stubs) -> None:
    tasks = (("regress", REGRESS), ("classify", CLASSIFY), ("id_alone", REGRESS))
    given = multi(*tasks, examples=[example(x=1.0, id=4), example()])
    first, second, third = stubs.prediction.MultiInference(given, timeout=60).results
    assert numbers(first.regression_result) == [2.5, 2.0]
    assert classes(second.classification_result) == [[("no", -1.0), ("yes", 5.0)], [("no", 0.0), ("yes", -1.0)]]
    assert numbers(third.regression_result) == [4.0, -1.0]
    assert [each.model_spec.signature_name for each in (first, second, third)] == ["regress", "classify", "id_alone"]
    assert {each.model_spec.version.value for each in (first, second, third)} == {1}


BAD_TASKS = {
    "no task": ((), "examples", "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    "unknown model": ((("regress", REGRESS),), "nope", "NOT_FOUND", "Servable not found for request: Latest(nope)"),
    "unknown signature": (
        (("nope", REGRESS),), "examples", "INVALID_ARGUMENT", "Requested signature not found in model graph: nope",
    ),
    "twice": (
        (("regress", REGRESS), ("regress", REGRESS)), "examples", "INVALID_ARGUMENT",
        "Duplicate evaluation of signature: regress",
    ),
    "predict": (
        (("regress", "tensorflow/serving/predict"),), "examples", "UNIMPLEMENTED",
        "Unsupported signature method_name: tensorflow/serving/predict",
    ),
    "no example": ((("regress", REGRESS),), "examples", "INVALID_ARGUMENT", "Input is empty."),
    "wrong kind": ((("classify", REGRESS),), "examples", "INVALID_ARGUMENT", "Expected one output Tensor."),
}


@pytest.mark.parametrize("row", BAD_TASKS)
def test_bad_multi_inference(stubs: Stubs, row: str) -> None:
    tasks, model, code, text = BAD_TASKS[row]
    given = multi(*tasks, examples=[] if row == "no example" else [example()], model=model)
    assert refusal(stubs.prediction.MultiInference, given) == (code, text)


def test_tasks_of_two_models(stubs: Stubs) -> None:
    given = multi(("regress", REGRESS), ("classify", CLASSIFY), examples=[example()])
    given.tasks[1].model_spec.name = "sum"
    assert refusal(stubs.prediction.MultiInference, given) == (
        "INVALID_ARGUMENT", "All ModelSpecs in a MultiInferenceRequest must access the same model name."
    )
    given.tasks[1].model_spec.name = ""
    assert refusal(stubs.prediction.MultiInference, given) == (
        "INVALID_ARGUMENT", "Found ModelSpec with an empty model name."
    )
