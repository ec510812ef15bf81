"""Where things are: prepared data under DATA/NAME, runs under RUNS/NAME/MODEL, exports under EXPORTS/MODEL/VERSION."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from rich.console import Console

from pipeline import prepared as prepared_data
from pipeline.preparation.options import Options
from pipeline.preparation.prepare import prepare
from pipeline.prepared import Prepared
from pipeline.sources import locate
from signatures.errors import UsageError


@dataclass(frozen=True)
class Places:
    """The folders of one working place."""

    data: Path
    runs: Path
    exports: Path

    def prepared(self, dataset: Optional[str], console: Console) -> Prepared:
        """The prepared data of this name, prepared now if it was not; see `dataset_name`. A path is taken as it is."""
        if dataset is not None and (Path(dataset) / "facts.json").is_file():
            return prepared_data.load(Path(dataset))
        name = dataset if dataset is not None else self.dataset_name(console)
        if (self.data / name / "facts.json").is_file():
            return prepared_data.load(self.data / name)
        if name not in locate.NAMES:
            raise UsageError(
                f"data set {name!r} is not in {self.data} and is none of {', '.join(locate.NAMES)}; "
                "prepare your own with: signet prepare --table FILE --schema FILE --output FOLDER"
            )
        return prepare(name, self.data / name, Options(), console)

    def dataset_name(self, console: Console) -> str:
        """What is meant when nobody says: MovieLens-100K, or the synthetic set, announced loudly, where that is not."""
        if (self.data / locate.DEFAULT / "facts.json").is_file():
            return locate.DEFAULT
        try:
            locate.folder(locate.DEFAULT, console)
        except UsageError as error:
            console.print(f"[bold yellow]SYNTHETIC DATA:[/] {error}. What follows is made up: no figure is MovieLens'.")
            return "synthetic"
        return locate.DEFAULT

    def run(self, prepared: Prepared, model: str) -> Path:
        return self.runs / prepared.folder.resolve().name / model
