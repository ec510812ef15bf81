"""The `signet` command: one verb a function. The one place that knows both sides, pipeline and serving.

Verbs import what they need when they run: `signet lint` must not wait for TensorFlow. Annotations are not postponed
here: on Python 3.9, typer does not find what `Annotated` holds in a postponed one.
"""

import sys
from pathlib import Path
from typing import List, Optional

import typer
from typing_extensions import Annotated

from serving import commands as serving_commands
from serving.canary import command as canary_command
from serving.load import command as load_command
from serving.releases import commands as release_commands
from serving.tune import command as tune_command
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
    Optional[str],
    typer.Option(
        "--dataset",
        help="ml-100k, ml-1m, ml-100k-labels, census-income, synthetic, a name under --data, or a prepared folder.",
    ),
]
Config = Annotated[Optional[Path], typer.Option("--config", help="Experiment file; the model's own by default.")]
Settings = Annotated[Optional[List[str]], typer.Option("--set", help="key.key=value on top of the experiment file.")]
Baselines = Annotated[
    Optional[List[str]],
    typer.Option("--baseline", help="co_occurrence, logistic_regression, gradient_boosting; may be repeated."),
]
Restart = Annotated[bool, typer.Option("--restart", help="Throw the earlier run away.")]
Data = Annotated[Path, typer.Option("--data", help="Folder of the prepared data sets.")]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of the training runs.")]
Exports = Annotated[Path, typer.Option("--exports", help="Folder of the exported models.")]

DATA, RUNS, EXPORTS = Path("data"), Path("runs"), Path("exports")


@app.command()
def prepare(
    dataset: Dataset = None,
    table: Annotated[
        Optional[Path], typer.Option(help="Your own: a CSV, Parquet or JSON lines file, or a folder.")
    ] = None,
    schema: Annotated[Optional[Path], typer.Option(help="What the table's columns mean (YAML).")] = None,
    output: Annotated[Optional[Path], typer.Option(help="Folder to write; DATA/NAME by default.")] = None,
    separator: Annotated[Optional[str], typer.Option(help="Of a CSV file; a comma, or a tab in .tsv files.")] = None,
    header: Annotated[Optional[str], typer.Option(help="a,b,c: column names of a CSV file that has none.")] = None,
    missing: Annotated[Optional[List[str]], typer.Option(help="Text of a missing CSV cell; may be repeated.")] = None,
    split: Annotated[Optional[str], typer.Option(help="leave_one_out, time, order, random or published.")] = None,
    validation_fraction: Annotated[
        float, typer.Option(help="Share of rows, for the splits other than leave_one_out.")
    ] = 0.1,
    test_fraction: Annotated[float, typer.Option(help="Likewise.")] = 0.1,
    maximum_history: Annotated[
        Optional[int], typer.Option(help="Events in a history; the schema's by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random split and of the synthetic set.")] = 0,
    data: Data = DATA,
) -> None:
    """Turn raw rows into Parquet, vocabularies and statistics; does nothing when nothing changed."""
    from pipeline.preparation import command

    columns = tuple(header.split(",")) if header is not None else None
    choices = {
        "form": {"separator": separator, "header": columns, "missing": tuple(missing) if missing else None},
        "table": table,
        "schema_path": schema,
        "split": split,
        "validation_fraction": validation_fraction,
        "test_fraction": test_fraction,
        "maximum_history": maximum_history,
        "seed": seed,
    }
    command.run(dataset, choices, output, data)


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
    baselines: Baselines = None,
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
    asked = models or ([] if baselines else ["din"])
    verbs.evaluate(
        Places(data, runs, EXPORTS), asked, dataset, verbs.part(part), protocol, baselines=baselines or []
    )


@app.command()
def compare(
    models: Annotated[
        Optional[List[str]], typer.Option("--model", help="May be repeated; all of them by default.")
    ] = None,
    baselines: Baselines = None,
    base: Annotated[
        Optional[str], typer.Option(help="The model that the others are compared with; the best one by default.")
    ] = None,
    dataset: Dataset = None,
    data: Data = DATA,
    runs: Runs = RUNS,
) -> None:
    """Train what is not trained yet, and evaluate all models in one table and on one page."""
    from pipeline import verbs
    from pipeline.models.registry import NAMES
    from pipeline.places import Places

    verbs.compare(Places(data, runs, EXPORTS), models or list(NAMES), dataset, base, baselines or [])


@app.command()
def experiment(
    name: Annotated[
        Optional[str], typer.Argument(help="A model, a study, or a YAML file; all of them are listed without.")
    ] = None,
    seeds: Annotated[Optional[str], typer.Option(help="1,2,3: instead of the file's own.")] = None,
    dataset: Dataset = None,
    settings: Settings = None,
    record: Annotated[bool, typer.Option("--record", help="Write the result into the file.")] = False,
    restart: Restart = False,
    data: Data = DATA,
    runs: Runs = RUNS,
    reports: Annotated[Path, typer.Option("--reports", help="Folder of the page and its JSON.")] = Path("reports"),
) -> None:
    """Reproduce an experiment over its seeds: train what is not trained, evaluate, and write one page."""
    from pipeline.studies import library

    if name is None:
        from rich.console import Console

        from pipeline.studies import show

        show.listing(Console())
        return
    found = library.find(name)
    from pipeline.places import Places
    from pipeline.studies import command
    from pipeline.studies.jobs import Choices

    choices = Choices(command.seeds(seeds, found), dataset, tuple(settings or []), restart)
    command.run(found, choices, Places(data, runs, EXPORTS), reports, record)


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


@app.command()
def similar(
    output: Annotated[Path, typer.Option("--output", help="Parquet file to write: item, place, similar, cosine.")],
    model: Model = "two_tower",
    count: Annotated[int, typer.Option(help="Items for each item.")] = 20,
    index: Annotated[str, typer.Option(help="exact, scann, or auto: exact up to 50,000 items.")] = "auto",
    dataset: Dataset = None,
    data: Data = DATA,
    runs: Runs = RUNS,
) -> None:
    """Write the items most like each item, by the vectors of a trained model, and how many of them were found."""
    from pipeline.places import Places
    from pipeline.retrieval import similar_command

    similar_command.run(Places(data, runs, EXPORTS), model, dataset, output, count, index)


@app.command()
def recommend(
    user: Annotated[str, typer.Option("--user", help="A user of the prepared data.")],
    count: Annotated[int, typer.Option(help="How many items.")] = 10,
    retrieval: Annotated[str, typer.Option(help="The model that finds candidates.")] = "two_tower",
    ranking: Annotated[str, typer.Option(help="The model that puts them in order.")] = "din",
    candidates: Annotated[int, typer.Option(help="How many the first hands to the second.")] = 100,
    context: Annotated[Optional[List[str]], typer.Option("--context", help="NAME=JSON, a context feature.")] = None,
    transport: Annotated[str, typer.Option(help="grpc or rest.")] = "grpc",
    host: Annotated[str, typer.Option(help="Where the server runs.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="gRPC.")] = 8500,
    rest_port: Annotated[int, typer.Option(help="REST.")] = 8501,
    dataset: Dataset = None,
    data: Data = DATA,
    exports: Exports = EXPORTS,
) -> None:
    """Ask running servers for items that a user has not met: one model retrieves, another ranks."""
    from pipeline import recommend as recommendations
    from pipeline.places import Places
    from serving.funnel import Funnel

    where = recommendations.Where(transport, host, port if transport == "grpc" else rest_port)
    funnel = Funnel(retrieval, ranking, candidates)
    recommendations.show(where, Places(data, RUNS, exports), dataset, user, count, funnel, context or [])


@app.command()
def skew(
    model: Annotated[str, typer.Argument(help="The model's name.")],
    log: Annotated[
        Optional[Path], typer.Option(help="TFRecord file of PredictionLog; the export's warm-up requests by default.")
    ] = None,
    version: Annotated[Optional[int], typer.Option(help="The one that answered; the newest export by default.")] = None,
    sample: Annotated[int, typer.Option(min=1, help="How many of its requests are compared.")] = 1000,
    host: Annotated[str, typer.Option(help="Where the server runs, for requests logged without answer.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="gRPC.")] = 8500,
    deadline: Annotated[float, typer.Option(min=0.001, help="Seconds that a request may take.")] = 10.0,
    dataset: Dataset = None,
    data: Data = DATA,
    runs: Runs = RUNS,
    exports: Exports = EXPORTS,
) -> None:
    """Compare what a server answered with the trained model on the same raw requests; they must agree to 1e-5."""
    from pipeline import verbs
    from pipeline.places import Places
    from pipeline.skew import Sample
    from serving import exports as export_folder
    from serving import logged, prediction_logs
    from signatures import manifest

    export = export_folder.newest(exports / model) if version is None else exports / model / str(version)
    found = manifest.read(export) if export is not None else None
    if export is None or found is None:
        raise UsageError(f"{exports} holds no version of model {model!r} with a manifest; name the folder by --exports")
    file = log if log is not None else export / prediction_logs.PATH_IN_EXPORT
    answered = logged.answered(file, model, int(export.name), sample, (host, port, deadline))
    samples = [Sample(each.signature, each.inputs, each.outputs) for each in answered]
    verbs.skew(Places(data, runs, exports), model, dataset, found, samples)


@app.command()
def demo(
    dataset: Dataset = None,
    user: Annotated[Optional[str], typer.Option(help="Whom to recommend to; the first user by default.")] = None,
    settings: Settings = None,
    data: Data = DATA,
    runs: Runs = RUNS,
    exports: Exports = EXPORTS,
) -> None:
    """Go the whole path: data, two models, evaluation, gates, a server, and ten films over gRPC and REST."""
    from pipeline import demo as demonstration
    from pipeline.places import Places

    demonstration.demo(Places(data, runs, exports), dataset, user, tuple(settings or []))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(context: typer.Context) -> None:
    """Measure all that matters: ratios from interleaved rounds. Needs a checkout of the repository; see --quick."""
    import subprocess

    if not (Path("tests") / "benchmarks" / "__main__.py").is_file():
        raise UsageError(
            f"folder {Path.cwd()} has no tests/benchmarks; run signet bench in a checkout of the repository"
        )
    raise typer.Exit(subprocess.run([sys.executable, "-m", "tests.benchmarks", *context.args], check=False).returncode)


app.command("lint")(signature_commands.lint)
app.command("diff")(signature_commands.diff)
app.command("serve")(serving_commands.serve)
app.command("predict")(serving_commands.predict)
app.command("status")(serving_commands.status)
app.command("load")(load_command.load)
app.command("promote")(release_commands.promote)
app.command("rollback")(release_commands.rollback)
app.command("canary")(canary_command.canary)
app.command("tune")(tune_command.tune)
