"""What is told of the codes: explanations, choosing by code or by its beginning, and the table in the README."""

from __future__ import annotations

from pathlib import Path

import pytest

from signatures import cards
from signatures.errors import UsageError

README = Path(cards.__file__).parent / "README.md"


def test_every_code_is_explained_in_full() -> None:
    known = cards.cards()
    assert set(known) == cards.codes() and {"SIG101", "SIG501", "SIG701"} <= set(known)
    for code, card in known.items():
        assert card.title.endswith(".") and {"Why", "Bad", "Good"} <= set(card.sections), code
        assert code[:4] in cards.FAMILIES
        told = cards.explain(code)
        assert told.startswith(f"{code} {card.rule.name} ({card.rule.severity})\n")
        assert max(map(len, told.splitlines())) <= 100


def test_explanation_is_the_docstring_of_the_rule() -> None:
    told = cards.explain("sig101")
    assert "A mask, label, weight or training flag reaches a prediction." in told
    assert "Bad:\n  `score = reduce_sum(logits * mask)` in the function that is exported." in told
    assert "A padding mask is computed in the graph from the" in told, "also what follows on the next line"


@pytest.mark.parametrize(
    ("code", "meant"), [("SIG1011", "did you mean SIG101?"), ("mask", "'mask' is no rule; `lint --list-rules`")]
)
def test_unknown_code_is_refused(code: str, meant: str) -> None:
    with pytest.raises(UsageError) as told:
        cards.explain(code)
    assert meant in str(told.value)


def test_codes_are_chosen_whole_by_their_beginning_and_by_lists() -> None:
    family = {code for code in cards.codes() if code.startswith("SIG2")}
    assert len(family) > 5
    assert cards.expand(["SIG2"]) == family
    assert cards.expand(["SIG2, SIG101", "SIG102"]) == family | {"SIG101", "SIG102"}
    assert cards.select([], []) == cards.codes()
    assert cards.select([], ["SIG2"]) == cards.codes() - family
    assert cards.select(["SIG2"], ["SIG201"]) == family - {"SIG201"}


@pytest.mark.parametrize("word", ["SIG8", "sig", "", "SIG101,", "SIG1.*", "training_only_input"])
def test_word_that_stands_for_no_code_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="is no rule"):
        cards.expand([word])


def test_readme_has_the_table_of_codes() -> None:
    rows = [f"| {code} | `{name}` | {severity} | {title} |" for code, name, severity, title in cards.table()]
    table = "\n".join(["| code | name | severity | what is wrong |", "|---|---|---|---|", *rows])
    assert table in README.read_text(encoding="utf-8"), f"put this table into {README.name}:\n{table}"
