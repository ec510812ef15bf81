"""The linter judges the corpus: every defect is found, by the right rule and by name; what is clean is left alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Callable, Dict, List, Set

import pytest

from signatures import rules
from signatures.findings import SEVERITIES, Finding
from signatures.lint import lint
from signatures.purity import prove
from signatures.reader import read
from tests.lint_corpus import saving, training
from tests.lint_corpus.case import Case, Clean
from tests.lint_corpus.corpus import CASES, CLEAN

CODES = sorted(module.RULE.code for module in rules.load())


Shelf = Callable[[Any], Path]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Where the model of a case is; it is built when first asked for."""
    folders: Dict[int, Path] = {}

    def place(model: Any) -> Path:
        if id(model) not in folders:
            folder = tmp_path_factory.mktemp("corpus") / "model"
            model.build(folder)
            folders[id(model)] = folder
        return folders[id(model)]

    return place


def judged(model: Any, folder: Path) -> List[Finding]:
    """What the linter says of a case."""
    return lint(folder, features=model.features, training_only=model.training_only)


def loud(findings: List[Finding]) -> Set[str]:
    """The codes at warning or above."""
    return {each.rule for each in findings if each.severity != "info"}


@pytest.mark.parametrize("case", CASES, ids=[f"{each.code}-{each.disguise}" for each in CASES])
def test_defect_is_found_named_and_not_blamed_on_others(case: Case, shelf: Shelf) -> None:
    findings = judged(case, shelf(case))
    mine = [each for each in findings if each.rule == case.code]
    assert any(case.culprit in each.message for each in mine), [str(each) for each in findings]
    assert min(mine, key=lambda each: SEVERITIES.index(each.severity)).severity == case.severity
    assert loud(findings) - {case.code} == set(case.also)


@pytest.mark.parametrize("model", CLEAN, ids=[each.name for each in CLEAN])
def test_clean_model_is_left_alone(model: Clean, shelf: Shelf) -> None:
    findings = judged(model, shelf(model))
    assert not loud(findings), [str(each) for each in findings]
    assert not {each.rule for each in findings} & set(model.resembles), [str(each) for each in findings]


@pytest.mark.parametrize("case", training.CASES, ids=[f"{each.code}-{each.disguise}" for each in training.CASES])
def test_proof_says_of_a_training_graph_what_the_linter_says(case: Case, shelf: Shelf) -> None:
    findings = judged(case, shelf(case))
    assert findings and prove(shelf(case)) == findings


def test_renamed_mask_is_found_by_a_list_of_features_alone(tmp_path: Path) -> None:
    saving.serving(lambda price, gate: {"score": price * gate}, price=saving.FLOATS, gate=saving.FLOATS)(tmp_path / "m")
    assert lint(tmp_path / "m") == []
    assert [each.rule for each in lint(tmp_path / "m", features=["price"])] == ["SIG102"]


def test_function_keeps_its_outputs_apart(shelf: Shelf) -> None:
    (case,) = [each for each in CASES if each.disguise == "in a function"]
    (message,) = [each.message for each in judged(case, shelf(case))]
    assert "'score'" in message and "'kept'" not in message


def test_clean_sequence_model_holds_what_must_not_be_flagged(shelf: Shelf) -> None:
    """Else its cleanness would prove nothing: saver, file, random and write ops are in the file, unreached."""
    (clean,) = [each for each in CLEAN if each.name == "sequence model"]
    model = read(shelf(clean))
    held = {node.op for graph in (model.graph, *model.functions.values()) for node in graph.nodes.values()}
    wanted = {"SaveV2", "RestoreV2", "FusedBatchNormV3", "InitializeTableFromTextFileV2", "AssignSubVariableOp"}
    assert wanted <= held
    assert any("Random" in op for op in held)
    assert [(asset.filename, asset.present) for asset in model.assets] == [("vocabulary.txt", True)]


def test_every_rule_has_two_disguises_and_a_clean_model_that_looks_like_it() -> None:
    defects: Dict[str, int] = Counter(each.code for each in CASES)
    clean = Counter(code for each in CLEAN for code in each.resembles)
    assert sorted(defects) == CODES
    assert [code for code in CODES if defects[code] < 2] == []
    assert [code for code in CODES if not clean[code]] == []
    assert set(clean) <= set(CODES)
