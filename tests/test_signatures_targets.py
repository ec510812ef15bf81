"""Which models some paths stand for, and what a declaration file may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from signatures import declaration_file, targets
from signatures.errors import UsageError
from signatures.manifest import Suppression
from tests.saved_model_files import write

CLEAN = "input price float32[?]\noutput score float32[?] = price\n"


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    """Two models in versions, one bare, and what lies about beside them."""
    root = tmp_path / "exports"
    for name in ("deepfm/1", "deepfm/12", "din/2", "plain"):
        write(root / name, CLEAN)
    for name in (".work-3", "notes", "empty"):
        (root / name).mkdir()
    write(root / ".work-3" / "1", CLEAN)
    (root / "notes" / "readme.txt").touch()
    (root / "log.txt").touch()
    return root


def test_folder_of_models_is_all_of_them(exports: Path) -> None:
    found, many = targets.models([exports])
    assert [path.name for path in found] == ["deepfm", "din", "plain"] and many


def test_model_version_and_bare_model_are_one(exports: Path) -> None:
    for name, meant in {"deepfm": "deepfm/12", "deepfm/1": "deepfm/1", "plain": "plain"}.items():
        assert targets.models([exports / name]) == ([exports / meant], False)


def test_several_paths_are_many_and_each_model_counts_once(exports: Path) -> None:
    assert targets.models([exports / "din", exports / "din" / "2"]) == ([exports / "din" / "2"], True)


def test_folder_with_one_model_is_still_a_folder_of_models(tmp_path: Path) -> None:
    write(tmp_path / "only" / "1", CLEAN)
    assert targets.models([tmp_path]) == ([tmp_path / "only"], True)


@pytest.mark.parametrize(("name", "told"), [("empty", "holds neither"), ("log.txt", "is no folder"), ("gone", "is no")])
def test_path_without_a_model_is_refused(exports: Path, name: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        targets.models([exports / name])


def declared(folder: Path, text: str) -> declaration_file.Told:
    file = folder / "declaration.yaml"
    file.write_text(text, encoding="utf-8")
    return declaration_file.read(file)


def test_declaration_holds_features_training_names_and_suppressions(tmp_path: Path) -> None:
    told = declared(
        tmp_path,
        "features: [price, user_id]\ntraining_only: [mask]\nsuppressions:\n  - {code: SIG206, reason: has XLA}\n",
    )
    assert told.features == ["price", "user_id"] and told.training_only == ["mask"]
    assert told.suppressions == [Suppression(code="SIG206", reason="has XLA")]


def test_no_features_and_no_list_of_features_are_different(tmp_path: Path) -> None:
    assert declared(tmp_path, "features: []").features == []
    assert declared(tmp_path, "training_only: [mask]").features is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("feature: [price]", "feature: extra inputs are not permitted"),
        ("features: price", "features: input should be a valid list"),
        ("features: [1]", "features.0: input should be a valid string"),
        ("suppressions: [SIG101]", "suppressions.0"),
        ("suppressions: [{code: SIG101, reason: ''}]", "suppressions.0.reason"),
        ("- price", "no table"),
        ("", "no table"),
        ("features: [price", "is no YAML"),
        ("\0", "is no YAML"),
        ("[" * 50_000, "is no YAML"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError) as error:
        declared(tmp_path, text)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_file_that_is_not_there_or_is_huge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        declaration_file.read(tmp_path / "gone.yaml")
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        declared(tmp_path, " " * (declaration_file.LARGEST + 1))
