"""What the console's verbs do: each a few calls of the modules that do the work, and what a person sees of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import pydantic
import typer
from rich.console import Console
from rich.table import Table

from pipeline import experiment as experiments
from pipeline import export as exports
from pipeline import items as item_files
from pipeline import training
from pipeline.baselines import registry as baseline_files
from pipeline.builder import Built
from pipeline.checkpoints import state_of
from pipeline.evaluation import cost, report
from pipeline.evaluation import evaluate as evaluations
from pipeline.evaluation import results as evaluation_files
from pipeline.evaluation.questions import ask
from pipeline.evaluation.results import Evaluation, Protocol
from pipeline.evaluation.scoring import ModelScorer, Scorer
from pipeline.places import Places
from pipeline.prepared import Part, Prepared
from pipeline.schema import describe
from pipeline.skew import Sample
from signatures.errors import UsageError
from signatures.manifest import Gate, Manifest

VALIDATION = Protocol(negatives=100, full_ranking=False, rows=10_000)
"""What training looks at after each epoch: cheap, and the same lists every time."""


def train(
    places: Places, model: str, dataset: Optional[str], config: Optional[Path], settings: Sequence[str], restart: bool
) -> Path:
    """Trains a model or goes on with it. Exit code 130 when it was interrupted, with a checkpoint to go on from."""
    console = Console(stderr=True)
    experiment = experiments.load(model, config, settings)
    prepared = places.prepared(dataset, console)
    run = places.run(prepared, model)
    trained = training.train(experiment, prepared, run, lambda built: validator(built, prepared), restart)
    if trained.interrupted:
        console.print(f"interrupted; the same command goes on from {run}")
        raise typer.Exit(130)
    state = trained.state
    console.print(
        f"{model}: best {experiment.training.monitor} {state.best:.4f} "
        f"in epoch {state.best_epoch} of {state.epoch}; {run}"
    )
    return run


def evaluate(
    places: Places,
    models: Sequence[str],
    dataset: Optional[str],
    part: Part,
    protocol: Protocol,
    base: Optional[str] = None,
    baselines: Sequence[str] = (),
) -> Evaluation:
    """Evaluates trained models side by side, and by their differences from the base, the best one by default.

    baselines: fitted now, and asked the same. Popularity is asked anyway, where there is an item to be popular.

    One table, one JSON file and one HTML page.
    """
    console = Console()
    prepared = places.prepared(dataset, console)
    loaded = {model: restore(places, prepared, model) for model in models}
    with console.status("evaluating") as status:
        scorers: Dict[str, Scorer] = {}
        for name in baselines:
            fit = baseline_files.load(name)
            if name != evaluation_files.POPULARITY:
                status.update(f"fitting {name}")
                scorers[name] = fit(prepared)
        scorers.update({model: scorer(built, prepared) for model, built in loaded.items()})
        found = evaluations.evaluate(prepared, scorers, part, protocol, progress=status.update, base=base)
        status.update("measuring what the models take")
        found = _with_cost(found, loaded, places, prepared)
    folder = places.run(prepared, models[0]) if len(models) == 1 else places.runs / prepared.folder.resolve().name
    report.print_tables(found, console)
    for path in report.save(found, folder, f"evaluation_{part}"):
        console.print(f"written: {path}")
    return found


def compare(
    places: Places,
    models: Sequence[str],
    dataset: Optional[str],
    base: Optional[str] = None,
    baselines: Sequence[str] = (),
) -> Evaluation:
    """Trains the models that are not trained yet, then evaluates all of them and the baselines on the same lists.

    A run that is there is taken, and gone on with, as it was begun: by its own settings, not by the model's file.
    """
    for baseline in baselines:
        baseline_files.check(baseline)
    if base is not None and base not in (*models, *baselines, evaluation_files.POPULARITY):
        raise UsageError(f"base {base!r} is not compared; choose popularity or one of {', '.join(models)}")
    prepared = places.prepared(dataset, Console(stderr=True))
    name = str(prepared.folder)
    for model in models:
        begun = places.run(prepared, model) / "experiment.yaml"
        train(places, model, name, begun if begun.is_file() else None, (), restart=False)
    return evaluate(places, models, name, "test", Protocol(), base, baselines)


def protocol(negatives: int, sampler: str, seed: int, full_ranking: bool) -> Protocol:
    """Raises UsageError for a value that makes no sense."""
    content = {"negatives": negatives, "sampler": sampler, "seed": seed, "full_ranking": full_ranking}
    try:
        return Protocol.model_validate(content)
    except pydantic.ValidationError as error:
        raise UsageError(f"option {describe(error, content)}") from error


def part(name: str) -> Part:
    """Raises UsageError for a part that is not there to be evaluated."""
    if name == "validation":
        return "validation"
    if name == "test":
        return "test"
    raise UsageError(f"part is {name!r}; choose validation or test")


def export(places: Places, model: str, dataset: Optional[str], settings: Sequence[str], allow_breaking: bool) -> Path:
    """Publishes the next version of a trained model; exit code 1 and nothing published when a gate fails."""
    console = Console()
    prepared = places.prepared(dataset, console)
    built = restore(places, prepared, model, settings)
    figures = _figures(places, prepared, model, built, console)
    outcome = exports.export(built, prepared, figures, places.exports, allow_breaking)
    _print_gates(outcome.gates, console)
    if outcome.version is None:
        console.print("[bold red]nothing was published")
        raise typer.Exit(1)
    console.print(f"published: {outcome.version}")
    return outcome.version


def save_training_graph(places: Places, model: str, dataset: Optional[str], folder: Path) -> None:
    """Writes the training graph as a SavedModel of its own. Raises UsageError when the folder is there already."""
    from pipeline import saved_models
    from pipeline.publishing import replacing

    if folder.exists():
        raise UsageError(f"folder {folder} exists already; name a new one")
    prepared = places.prepared(dataset, Console(stderr=True))
    built = restore(places, prepared, model)
    with replacing(folder) as work:
        saved_models.save_training_graph(built, work)
    Console().print(f"written: {folder}")


def skew(places: Places, model: str, dataset: Optional[str], manifest: Manifest, samples: Sequence[Sample]) -> None:
    """Compares served answers with the trained model's; exit code 1 where they are further apart than rounding."""
    from pipeline import skew as skews
    from pipeline.retrieval.exported import as_exported

    console = Console()
    prepared = places.prepared(dataset, console)
    skews.check_age(places.run(prepared, model), manifest)
    built = as_exported(restore(places, prepared, model), manifest)
    items = item_files.load(prepared) if prepared.items.exists() else None
    found = skews.check(built, items, samples)
    table = Table("output", "requests", "scores", "largest difference", "")
    for each in found:
        verdict = "[green]agrees" if each.agrees else f"[bold red]skewed, {each.worst}"
        name, counts = f"{each.signature}/{each.output}", (str(each.requests), str(each.cells))
        table.add_row(name, *counts, f"{each.away:.2g}", verdict)
    console.print(table)
    if not all(each.agrees for each in found):
        raise typer.Exit(1)


def restore(places: Places, prepared: Prepared, model: str, settings: Sequence[str] = ()) -> Built:
    """The trained model of a run, in its best epoch. Raises UsageError when there is none."""
    run = places.run(prepared, model)
    description = run / "experiment.yaml"
    if not description.is_file():
        raise UsageError(f"run {run} does not exist; run: signet train --model {model}")
    return training.restore(experiments.load(model, description, settings), prepared, run)


def validator(built: Built, prepared: Prepared) -> Callable[[], Dict[str, float]]:
    """Figures on the validation part, by name, of the model as it is at the moment."""
    questions = ask(prepared, "validation", VALIDATION)
    asked = scorer(built, prepared)
    return lambda: evaluations.validate(questions, asked)


def scorer(built: Built, prepared: Prepared) -> ModelScorer:
    """A model as evaluation asks it."""
    items = item_files.load(prepared) if prepared.items.exists() else None
    return ModelScorer(built.encoder, built.model, items, probability=built.spec.score == "probability")


def _with_cost(found: Evaluation, loaded: Mapping[str, Built], places: Places, prepared: Prepared) -> Evaluation:
    """With each model's costs and how it learned."""
    answers = dict(found.answers)
    for model, built in loaded.items():
        state = state_of(places.run(prepared, model))
        more: Dict[str, Any] = {"cost": cost.of_model(built, prepared, state)}
        if state is not None:
            more["learning"] = cost.learning(state, built.experiment.training.monitor)
        answers[model] = answers[model].model_copy(update=more)
    return found.model_copy(update={"answers": answers})


def _figures(places: Places, prepared: Prepared, model: str, built: Built, console: Console) -> exports.Figures:
    """Of the test part, evaluated now unless it was, alone or beside others, since the model was trained."""
    found = _evaluated(places.run(prepared, model), model)
    if found is None:
        console.print("evaluating on the test part, as the metric gate needs it")
        found = evaluations.evaluate(prepared, {model: scorer(built, prepared)}, "test", Protocol(full_ranking=False))
    popularity = found.answers.get(evaluation_files.POPULARITY)
    return exports.Figures(
        evaluation_files.flat(found.answers[model]), evaluation_files.flat(popularity) if popularity else {}
    )


def _evaluated(run: Path, model: str) -> Optional[Evaluation]:
    """The newest evaluation of what the run's best checkpoint holds."""
    trained = training.best_time(run)
    saved = [folder / "evaluation_test.json" for folder in (run, run.parent)]
    fresh = [path for path in saved if path.is_file() and path.stat().st_mtime >= trained]
    for path in sorted(fresh, key=lambda each: each.stat().st_mtime, reverse=True):
        found = evaluation_files.load(path)
        if model in found.answers and found.protocol == Protocol(full_ranking=found.protocol.full_ranking):
            return found
    return None


def _print_gates(gates: Tuple[Gate, ...], console: Console) -> None:
    table = Table("gate", "", "what it says")
    for gate in gates:
        table.add_row(gate.name, "[green]passed" if gate.passed else "[bold red]failed", gate.detail)
    console.print(table)
