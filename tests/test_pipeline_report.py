"""The report: what its tables mark, that its page needs nothing else, and that no half of a file is ever left."""

from __future__ import annotations

import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import pytest
from rich.console import Console

from pipeline.evaluation import report
from pipeline.evaluation import results as evaluations
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.plots import palette
from pipeline.evaluation.results import POPULARITY, Evaluation, Protocol
from pipeline.evaluation.tables import Table, detail_tables, main_k, summary_sentence, summary_tables
from pipeline.evaluation.words import in_words
from pipeline.prepared import Prepared
from pipeline.rows import Rows
from signatures.errors import UsageError

EVIL = "<b>din</b> & $x_1$"
"""A name that is markup, and mathematics, to whoever does not take care."""


class Numbered:
    """log-odds from the item's number: no model, but its figures are all defined."""

    probability = True

    def __init__(self, sign: float) -> None:
        self._sign = sign

    def score(self, rows: Rows, positions: np.ndarray) -> np.ndarray:
        return (self._sign * np.sin(positions * 1.7) - 1.4).astype(np.float32)

    def logits(self, rows: Rows, positions: np.ndarray) -> Dict[str, np.ndarray]:
        return {"click": self.score(rows, positions)}

    def predict(self, rows: Rows) -> Dict[str, np.ndarray]:
        return {"like": self.score(rows, rows["item_id"])}


@pytest.fixture(scope="module")
def evaluation(tiny_prepared: Prepared) -> Evaluation:
    protocol = Protocol(negatives=20, ks=(1, 5, 10))
    return evaluate(tiny_prepared, {"up": Numbered(1.0), EVIL: Numbered(-1.0)}, "test", protocol)


@pytest.fixture(scope="module")
def page(evaluation: Evaluation) -> str:
    return report.html(evaluation)


class _Tags(HTMLParser):
    """Checks that tags are closed in order, and collects what they name."""

    VOID = {"meta", "br", "link", "img", "input", "hr"}

    def __init__(self) -> None:
        super().__init__()
        self.open: List[str] = []
        self.ids: List[str] = []
        self.targets: List[str] = []
        self.text: List[str] = []
        self.drawn: List[str] = []

    def handle_starttag(self, tag: str, attributes: List[Tuple[str, Optional[str]]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(str(value))
            if name in ("href", "src", "xlink:href", "srcset"):
                self.targets.append(str(value))
            self.targets += re.findall(r"url\(([^)]*)\)", value or "")

    def handle_startendtag(self, tag: str, attributes: List[Tuple[str, Optional[str]]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if "svg" in self.open:
            self.drawn.append(data.strip())


def _parsed(page: str) -> _Tags:
    parser = _Tags()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_the_page_needs_no_other_file_and_no_network(page: str):
    found = _parsed(page)
    assert "http" not in page.lower() and "@import" not in page and "<script" not in page
    assert all(target.startswith("#") for target in found.targets)
    assert {target[1:] for target in found.targets} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    # HR, NDCG twice; ROC, ranks, scores; reliability of two tasks, and ROC of like; two ways to divide the lists.
    assert page.count("<svg") == 12


def test_a_name_is_shown_as_it_is_and_never_run(page: str):
    assert "<b>din" not in page
    found = _parsed(page)
    assert "".join(found.text).count(EVIL) >= 14  # four short tables, eight long ones, the legend, its score plot
    assert found.drawn.count(EVIL) == 1


def test_the_page_says_how_it_was_measured(page: str, evaluation: Evaluation):
    text = "".join(_parsed(page).text)
    assert all(sentence in text for sentence in in_words(evaluation))
    for name, value in evaluation.protocol.model_dump().items():
        assert name in text and str(value if name != "ks" else "1, 5, 10") in text
    assert "Synthetic data: these figures say nothing about real users." in text


def test_real_data_gets_no_warning(evaluation: Evaluation):
    assert "Synthetic data" not in report.html(evaluation.model_copy(update={"synthetic": False}))


def test_the_page_is_the_same_each_time(evaluation: Evaluation, page: str):
    assert report.html(evaluation) == page


def test_the_protocol_in_words_has_every_number(evaluation: Evaluation):
    words = " ".join(in_words(evaluation))
    for part in ("one positive and 20 negatives", "uniform", "seed 1", str(evaluation.lists_digest), "met in no part"):
        assert part in words
    assert "ties count against the model" in words and "each positive with 4 negatives" in words
    weighted = evaluation.model_copy(
        update={"protocol": Protocol(negatives=7, sampler="popularity", popularity_exponent=0.5, seen_filter="none")}
    )
    words = " ".join(in_words(weighted))
    assert "by popularity (training count to the power 0.5), from all items" in words


def _column(table: Table, title: str) -> Dict[str, Tuple[str, bool]]:
    place = table.columns.index(title)
    return {name: (cells[place].text, cells[place].best) for name, cells in table.rows}


def _task(log_loss: Optional[float], calibration: Optional[float]) -> evaluations.TaskFigures:
    return evaluations.TaskFigures(
        rows=10, positives=4, auc=0.7, gauc=None, gauc_groups=0, gauc_skipped=3, log_loss=log_loss,
        calibration=calibration, unanswered=0,
    )


def test_a_table_marks_the_best_in_the_direction_of_its_column(evaluation: Evaluation):
    question = evaluations.TaskQuestion(drawn_negatives=False, base_rate=0.4, base_log_loss=0.673)
    answers = {
        "low": evaluations.Answer(tasks={"buy": _task(0.5, 0.6)}),
        "near": evaluations.Answer(tasks={"buy": _task(0.6, 1.2)}),
        "none": evaluations.Answer(tasks={"buy": _task(None, None)}),
    }
    (table,) = summary_tables(evaluation.model_copy(update={"answers": answers, "questions": {"buy": question}}))
    assert table.title == "Task buy: 4 positives in 10 rows"
    # The lowest loss; the calibration nearest to 1; the constant comes first and promises its base rate.
    assert _column(table, "log loss") == {
        "constant 0.400": ("0.6730", False), "low": ("0.5000", True), "near": ("0.6000", False), "none": ("–", False),
    }
    assert _column(table, "expected / observed")["near"] == ("1.200", True)
    assert _column(table, "AUC")["low"] == ("0.7000", True) == _column(table, "AUC")["near"]
    assert "NaN" not in table.columns


def test_scores_that_are_nan_are_shown_when_there_are_any(evaluation: Evaluation):
    (sampled, *_) = summary_tables(evaluation)
    assert "NaN" not in sampled.columns
    answer = evaluation.answers["up"]
    assert answer.sampled is not None
    broken = answer.model_copy(update={"sampled": answer.sampled.model_copy(update={"unanswered": 1234})})
    (sampled, *_) = summary_tables(evaluation.model_copy(update={"answers": {"up": broken, "down": answer}}))
    assert _column(sampled, "NaN") == {"up": ("1,234", False), "down": ("0", False)}


def test_tables_show_what_was_found(evaluation: Evaluation):
    sampled, full, click, like = summary_tables(evaluation)
    ranking = evaluation.answers["up"].sampled
    assert ranking is not None
    assert _column(sampled, "HR@10")["up"][0] == f"{ranking.at_k(10).hr:.4f}"
    assert _column(sampled, "AUC")["up"][0] == f"{ranking.auc:.4f}"
    assert sampled.title == f"Sampled lists: {ranking.lists} lists of 21"
    assert "AUC" not in full.columns and "mean AUC" in full.columns
    assert [name for name, _ in click.rows] == ["constant 0.200", POPULARITY, "up", EVIL]
    assert like.title.startswith("Task like")
    assert len(detail_tables(evaluation)) == 8  # four figures, sampled and full
    assert detail_tables(evaluation)[0].columns == ("@1", "@5", "@10")


def test_the_sentence_names_the_best_and_the_baseline(evaluation: Evaluation):
    shares = {name: answer.sampled.at_k(10) for name, answer in evaluation.answers.items() if answer.sampled}
    best = max(shares, key=lambda name: shares[name].ndcg)
    sentence = summary_sentence(evaluation)
    assert sentence.startswith(f"Among 20 others, {best} puts the right item into the first 10")
    assert f"{shares[best].hr:.1%}" in sentence
    alone = evaluation.model_copy(update={"answers": {POPULARITY: evaluation.answers[POPULARITY]}})
    assert summary_sentence(alone).endswith("; no model was asked.")


def test_the_short_table_is_at_ten_or_at_the_middle(evaluation: Evaluation):
    assert main_k(evaluation) == 10
    assert main_k(evaluation.model_copy(update={"protocol": Protocol(ks=(1, 3, 7))})) == 3


def test_the_console_shows_tables_protocol_and_warning(evaluation: Evaluation):
    written = io.StringIO()
    report.print_tables(evaluation, Console(file=written, width=100))
    text = written.getvalue()
    assert EVIL in text and "HR@10" in text and "Synthetic data" in text and "GAUC" in text
    assert "ties count against the model" in " ".join(text.split())


def test_an_evaluation_without_ranking_has_a_page_too(evaluation: Evaluation):
    unranked = {"sampled": None, "full": None}
    answers = {name: answer.model_copy(update=unranked) for name, answer in evaluation.answers.items()}
    bare = evaluation.model_copy(update={"answers": answers, "lists_digest": None})
    page = report.html(bare)
    _parsed(page)
    assert page.count("<svg") == 5  # reliability of two tasks, ROC of like; two ways to divide
    assert summary_sentence(bare).startswith("Task click: ")
    nobody = evaluation.model_copy(update={"answers": {}, "remarks": ("Nothing is ranked.",)})
    assert "Nothing is ranked." in report.html(nobody)
    assert summary_sentence(nobody) == "Task click: no model has an AUC."


def test_many_models_keep_apart(evaluation: Evaluation):
    many = {f"model {i}": evaluation.answers["up"] for i in range(12)}
    wide = evaluation.model_copy(update={"answers": {POPULARITY: evaluation.answers[POPULARITY], **many}})
    colours = palette(wide)
    looks = {(str(colours.line(name)["color"]), str(colours.line(name)["linestyle"])) for name in wide.answers}
    assert len(looks) == 13
    _parsed(report.html(wide))


def test_saving_writes_both_files_whole(evaluation: Evaluation, tmp_path: Path):
    data, page = report.save(evaluation, tmp_path / "reports" / "new", "test")
    assert sorted(path.name for path in (tmp_path / "reports" / "new").iterdir()) == ["test.html", "test.json"]
    assert evaluations.load(data) == evaluation
    assert page.read_text(encoding="utf-8").endswith("</html>\n")


def test_a_disk_that_refuses_leaves_the_old_file(
    evaluation: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    report.save(evaluation, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def refuse(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UsageError, match=r"evaluation\.json cannot be written \(No space left on device\); choose"):
        report.save(evaluation.model_copy(update={"part": "validation"}), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_is_a_file_is_told_so(evaluation: Evaluation, tmp_path: Path):
    (tmp_path / "reports").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        report.save(evaluation, tmp_path / "reports")
