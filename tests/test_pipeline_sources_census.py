"""Census Income in its official layout: a small one written here, and the real one where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest
from rich.console import Console

from pipeline import rows as row_files
from pipeline.preparation.options import Options
from pipeline.preparation.prepare import prepare_source
from pipeline.prepared import Prepared
from pipeline.sources import census_income, locate
from pipeline.sources.source import Source
from pipeline.sources.synthetic import Size
from signatures.errors import UsageError

LINE = (
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, 2174, 0, 40, "
    "United-States, <=50K"
)
UNKNOWN = "50, ?, 83311, HS-grad, 9, Divorced, ?, Husband, Black, Female, 0, 1902, 13, ?, >50K"
INPUTS = {
    "age", "race", "sex", "native_country", "workclass", "occupation", "hours_per_week", "capital_gain", "capital_loss",
}  # fmt: skip


def write(folder: Path, names: Tuple[str, str] = census_income.FILES[0], test: str = LINE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{LINE}\n{UNKNOWN}\n\n")
    (folder / names[1]).write_text(f"{test}\n")
    return folder


def rows(source: Source) -> List[Dict[str, Any]]:
    return [row for batch in source.batches() for row in batch.to_pylist()]


def test_cells_are_trimmed_and_the_unknown_is_missing(tmp_path: Path) -> None:
    source = census_income.read(write(tmp_path))
    first, second, third = rows(source)
    assert first == third
    assert {name: first[name] for name in ("age", "workclass", "occupation", "capital_gain", "hours_per_week")} == {
        "age": 39.0, "workclass": "State-gov", "occupation": "Adm-clerical", "capital_gain": 2174.0,
        "hours_per_week": 40.0,
    }  # fmt: skip
    assert (first["income"], first["never_married"], second["income"], second["never_married"]) == (0.0, 1.0, 1.0, 0.0)
    assert (second["workclass"], second["occupation"], second["native_country"]) == ("", "", "")
    assert (source.rows, source.held_out, source.split) == (3, 1, "published")


def test_nothing_that_gives_a_label_away_is_an_input() -> None:
    names = set(census_income.schema().feature_names)
    assert names == INPUTS
    assert not names & {"marital_status", "relationship", "education", "education_num", "fnlwgt", "income"}


def test_the_other_spelling_of_the_publisher(tmp_path: Path) -> None:
    # adult.test begins with a remark and ends its labels with a full stop.
    folder = write(tmp_path, ("adult.data", "adult.test"), "|1x3 Cross validator\n" + UNKNOWN + ".")
    source = census_income.read(folder)
    assert [row["income"] for row in rows(source)] == [0.0, 1.0, 1.0] and source.held_out == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1, 2, 3", "census-income.test line 2 has 3 values instead of 15"),
        (LINE.replace("39", "old"), "census-income.test line 2: age is 'old'; it must be a whole number or ?"),
        (LINE.replace("<=50K", "rich"), "census-income.test line 2: income is 'rich'; it must be <=50K or >50K"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    folder = write(tmp_path, test=f"{LINE}\n{line}")
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        rows(census_income.read(folder))


def test_a_missing_or_empty_file_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "census-income.test").write_text("\n")
    with pytest.raises(UsageError, match="census-income.test is empty; put the official files there"):
        census_income.read(folder)
    (folder / "census-income.test").unlink()
    with pytest.raises(UsageError, match="census-income.test is missing; put the official files there"):
        census_income.read(folder)


def test_it_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNET_DATA_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UsageError, match=f"census-income is not in {tmp_path}/own/census-income or .*put"):
        locate.find("census-income", Size(), 0, Console(quiet=True))
    write(tmp_path / "own" / "census-income-adult")
    assert locate.find("census-income", Size(), 0, Console(quiet=True)).dataset == "census-income"


def prepare(source: Source, folder: Path, **options: Any) -> Prepared:
    return prepare_source(source, folder, Options(**options), Console(quiet=True))


def many(folder: Path) -> Source:
    """40 rows for training with ages 20 to 59, then 10 for testing with ages 60 to 69."""
    lines = [f"{20 + i},{line.partition(',')[2]}" for i, line in enumerate(25 * [LINE, UNKNOWN])]
    folder.mkdir(parents=True)
    (folder / "census-income.data").write_text("\n".join(lines[:40]))
    (folder / "census-income.test").write_text("\n".join(lines[40:]))
    return census_income.read(folder)


def ages(prepared: Prepared, part: Any) -> List[float]:
    return sorted(row_files.read(prepared, part, prepared.schema.feature("age").columns())["age"].tolist())


def test_the_test_part_is_the_publishers(tmp_path: Path) -> None:
    source = many(tmp_path / "raw")
    found = prepare(source, tmp_path / "data", validation_fraction=0.3)
    assert ages(found, "test") == [60.0 + i for i in range(10)]
    held_out = ages(found, "validation")
    assert sorted([*ages(found, "train"), *held_out]) == [20.0 + i for i in range(40)] and 4 < len(held_out) < 20
    assert ages(prepare(source, tmp_path / "again", validation_fraction=0.3), "validation") == held_out
    assert ages(prepare(source, tmp_path / "other", validation_fraction=0.3, seed=1), "validation") != held_out


def test_a_split_of_ones_own_takes_all_rows(tmp_path: Path) -> None:
    found = prepare(many(tmp_path / "raw"), tmp_path / "data", split="order", test_fraction=0.4)
    assert ages(found, "test") == [50.0 + i for i in range(20)]


def test_without_rows_set_aside_there_is_no_published_split(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="split is published, but synthetic has no rows set aside"):
        prepare(locate.find("synthetic", Size(users=20), 0, Console(quiet=True)), tmp_path / "data", split="published")


@pytest.mark.data
def test_the_real_census_income(data_dir: Path) -> None:
    source = census_income.read(census_income.find((data_dir,)))
    found = rows(source)
    assert (len(found), source.held_out) == (32_561 + 16_281, 16_281)
    train, test = found[:32_561], found[32_561:]
    # The publisher's names file says 24.08 % of the training file; the other label is counted in the text itself.
    assert sum(row["income"] for row in train) / len(train) == pytest.approx(0.2408, abs=5e-5)
    text = (data_dir / "census-income-adult" / "census-income.test").read_text()
    assert sum(row["never_married"] for row in test) == text.count("Never-married")
    assert sum(row["workclass"] == "" for row in train) == 1_836
