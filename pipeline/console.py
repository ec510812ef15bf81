"""The `signet` command: one verb a function. The one place that knows both sides, pipeline and serving.

Verbs import what they need when they run: `signet lint` must not wait for TensorFlow.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import List, Optional

import typer
from typing_extensions import Annotated

from signatures import commands as signature_commands
from signatures.errors import UsageError

app = typer.Typer(
    help="Train deep recommenders and serve them: raw rows in, a gated SavedModel out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Model = Annotated[str, typer.Option("--model", help="A model's name; see the README's table.")]
Dataset = Annotated[
    Optional[str], typer.Option("--dataset", help="ml-100k, ml-1m, synthetic, a name under --data, or a prepared folder.")
]
Config = Annotated[Optional[Path], typer.Option("--config", help="Experiment file; the model's own by default.")]
Settings = Annotated[Optional[List[str]], typer.Option("--set", help="key.key=value on top of the experiment file.")]
Restart = Annotated[bool, typer.Option("--restart", help="Throw the earlier run away.")]
Data = Annotated[Path, typer.Option("--data", help="Folder of the prepared data sets.")]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of the training runs.")]
Exports = Annotated[Path, typer.Option("--exports", help="Folder of the exported models.")]

DATA, RUNS, EXPORTS = Path("data"), Path("runs"), Path("exports")


@app.command()
def train(
    model: Model = "din",
    dataset: Dataset = None,
    config: Config = None,
    settings: Settings = None,
    restart: Restart = False,
    data: Data = DATA,
    runs: Runs = RUNS,
) -> None:
    """Train a model, or go on where an interrupted run stopped."""
    from pipeline import verbs
    from pipeline.places import Places

    verbs.train(Places(data, runs, EXPORTS), model, dataset, config, settings or [], restart)


@app.command()
def evaluate(
    models: Annotated[Optional[List[str]], typer.Option("--model", help="May be repeated.")] = None,
    dataset: Dataset = None,
    part: Annotated[str, typer.Option(help="validation or test.")] = "test",
    negatives: Annotated[int, typer.Option(help="Others in each sampled list.")] = 200,
    sampler: Annotated[str, typer.Option(help="uniform or popularity.")] = "uniform",
    seed: Annotated[int, typer.Option(help="Of the sampled lists.")] = 1,
    full_ranking: Annotated[bool, typer.Option(help="Also rank the whole catalogue.")] = True,
    data: Data = DATA,
    runs: Runs = RUNS,
) -> None:
    """Evaluate trained models side by side, popularity included."""
    from pipeline import verbs
    from pipeline.places import Places

    protocol = verbs.protocol(negatives=negatives, sampler=sampler, seed=seed, full_ranking=full_ranking)
    verbs.evaluate(Places(data, runs, EXPORTS), models or ["din"], dataset, verbs.part(part), protocol)


@app.command()
def compare(
    models: Annotated[Optional[List[str]], typer.Option("--model", help="May be repeated; all of them by default.")] = None,
    dataset: Dataset = None,
    data: Data = DATA,
    runs: Runs = RUNS,
) -> None:
    """Train what is not trained yet, and evaluate all models in one table."""
    from pipeline import verbs
    from pipeline.models.registry import NAMES
    from pipeline.places import Places

    verbs.compare(Places(data, runs, EXPORTS), models or list(NAMES), dataset)


@app.command()
def export(
    model: Model = "din",
    dataset: Dataset = None,
    settings: Settings = None,
    allow_breaking: Annotated[bool, typer.Option("--allow-breaking", help="Publish although clients break.")] = False,
    training_graph: Annotated[
        Optional[Path], typer.Option(help="Write the training graph as a SavedModel here, and publish nothing.")
    ] = None,
    data: Data = DATA,
    runs: Runs = RUNS,
    exports: Exports = EXPORTS,
) -> None:
    """Publish the next version of a trained model, if every gate lets it pass."""
    from pipeline import verbs
    from pipeline.places import Places

    places = Places(data, runs, exports)
    if training_graph is not None:
        verbs.save_training_graph(places, model, dataset, training_graph)
        return
    verbs.export(places, model, dataset, settings or [], allow_breaking)


app.command("lint")(signature_commands.lint)
app.command("diff")(signature_commands.diff)


def main() -> None:
    """Entry point: bad input becomes one sentence and exit code 2."""
    try:
        app()
    except UsageError as error:
        typer.echo(f"signet: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("signet: interrupted", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
