"""The training loop: epochs of Keras' `fit`, a figure on the validation part after each, checkpoints, an early end."""

from __future__ import annotations

import math
import shutil
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional

import tensorflow as tf
import tf_keras as keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline import experiment as experiments
from pipeline.builder import Built, build, seed_everything
from pipeline.checkpoints import Checkpoints, Clock, RunState, clear, writing
from pipeline.dataset import steps_per_epoch, training_batches
from pipeline.experiment import Experiment, Training
from pipeline.prepared import Prepared
from signatures.errors import UsageError

Validate = Callable[[], Dict[str, float]]


@dataclass(frozen=True)
class Trained:
    """A run that has ended, with its best variables in place."""

    built: Built
    state: RunState
    run: Path
    interrupted: bool


class Interrupted(Exception):
    """Ctrl-C, seen between two batches, so that what is checkpointed is whole."""


def train(
    experiment: Experiment, prepared: Prepared, run: Path, validator: Callable[[Built], Validate], restart: bool = False
) -> Trained:
    """Trains, or goes on where the run in this folder stopped. Raises UsageError for a run of another experiment."""
    if restart and run.exists():
        shutil.rmtree(run)
    clock = Clock()
    claim(run, experiment, prepared)
    seed_everything(experiment.seed)
    built = build(experiment, prepared)
    checkpoints = Checkpoints(run / "checkpoints", built.graph)
    loop = _Loop(built, prepared, run, checkpoints, clock, Console(stderr=True))
    loop.make_variables()
    state = checkpoints.restore("last") or RunState(learning_rate=experiment.training.learning_rate)
    interrupted = False
    try:
        if not state.finished:
            loop.go(state, validator(built))
    except Interrupted:
        interrupted = True
    if not interrupted and checkpoints.restore("best") is None:
        raise UsageError(f"run {run} has no best checkpoint; train with --restart")
    return Trained(built, state, run, interrupted)


def restore(experiment: Experiment, prepared: Prepared, run: Path) -> Built:
    """A trained model as it was in its best epoch. Raises UsageError when there is none."""
    built = build(experiment, prepared)
    _variables(built, prepared)
    if Checkpoints(run / "checkpoints", built.graph).restore("best") is None:
        raise UsageError(f"run {run} has no trained model; run: signet train --model {experiment.model}")
    return built


def best_time(run: Path) -> float:
    """When the best checkpoint was written, in Unix seconds; 0 where there is none."""
    return max((path.stat().st_mtime for path in (run / "checkpoints").glob("best-*")), default=0.0)


def claim(run: Path, experiment: Experiment, prepared: Prepared) -> None:
    """Marks a run folder as this experiment's on this data, or checks that it is."""
    description, fingerprint = run / "experiment.yaml", run / "data_fingerprint.txt"
    clear(run / "checkpoints")
    if not description.exists():
        with writing(run):
            run.mkdir(parents=True, exist_ok=True)
            fingerprint.write_text(prepared.facts.fingerprint + "\n", encoding="utf-8")
            experiments.save(experiment, description)
        return
    if experiments.load(experiment.model, description) != experiment:
        raise UsageError(f"run {run} belongs to another configuration ({description}); use --restart or another --runs")
    if fingerprint.read_text(encoding="utf-8").strip() != prepared.facts.fingerprint:
        raise UsageError(f"run {run} was trained on other data than {prepared.folder} holds now; use --restart")


def _variables(built: Built, prepared: Prepared) -> None:
    data = training_batches(
        prepared, built.encoder, built.schema, built.spec.rows, built.experiment.data, built.experiment.seed, epoch=0
    )
    for batch in data.take(1):
        built.graph.prepare(batch)


@dataclass(frozen=True)
class _Loop:
    """The parts of one run."""

    built: Built
    prepared: Prepared
    run: Path
    checkpoints: Checkpoints
    clock: Clock
    console: Console

    @property
    def training(self) -> Training:
        return self.built.experiment.training

    def make_variables(self) -> None:
        _variables(self.built, self.prepared)

    def go(self, state: RunState, validate: Validate) -> None:
        writer = tf.summary.create_file_writer(str(self.run / "tensorboard"))
        with self._progress() as progress, interruptible() as stop:
            bar = progress.add_task("", total=self._steps(), title=self.built.experiment.model, figures="")
            while not state.finished:
                self._epoch(state, _Batches(state, self, stop, progress, bar))
                figures = self._fit_figures(state)
                record = {**figures, **validate(), "learning_rate": state.learning_rate}
                self._judge(state, record)
                with writer.as_default(step=state.epoch):
                    for name, value in record.items():
                        tf.summary.scalar(name, value)
                progress.update(bar, figures=self._line(record))
        writer.close()

    def _epoch(self, state: RunState, callback: _Batches) -> None:
        self.built.graph.optimizer.learning_rate.assign(state.learning_rate)
        experiment = self.built.experiment
        data = training_batches(
            self.prepared,
            self.built.encoder,
            self.built.schema,
            self.built.spec.rows,
            experiment.data,
            experiment.seed,
            epoch=state.epoch,
            skip_batches=state.batch,
        )
        # A run stopped at the very end of an epoch has no batch left of it, and Keras refuses to fit nothing.
        if state.batch == 0 or any(True for _ in data.take(1)):
            try:
                self.built.graph.fit(data, epochs=1, verbose=0, callbacks=[callback])
            except tf.errors.OpError as error:
                raise _what_the_input_said(error) from error
        callback.leave_if_asked()

    def _fit_figures(self, state: RunState) -> Dict[str, float]:
        """Mean losses of the epoch. Raises UsageError when they are no numbers: nothing after it would make sense."""
        figures = {metric.name: float(metric.result()) for metric in self.built.graph.metrics}
        if not math.isfinite(figures["loss"]):
            raise UsageError(
                f"the loss of epoch {state.epoch + 1} is {figures['loss']}; lower training.learning_rate "
                f"(now {state.learning_rate:g}) or set training.clip_norm"
            )
        return figures

    def _judge(self, state: RunState, record: Dict[str, float]) -> None:
        """Counts the epoch, keeps the best, lowers the learning rate or stops."""
        state.epoch, state.batch = state.epoch + 1, 0
        self.clock.count(state)
        spent = {"wall_seconds": state.wall_seconds, "cpu_seconds": state.cpu_seconds}
        state.history.append({"epoch": float(state.epoch), **record, **spent})
        figure = record[self.training.monitor]
        if state.best is None or _better(figure, state.best, self.training.monitor):
            state.best, state.best_epoch = figure, state.epoch
            state.epochs_without_gain = state.epochs_since_plateau = 0
            self.checkpoints.save("best", state)
        else:
            state.epochs_without_gain += 1
            state.epochs_since_plateau += 1
        if state.epochs_since_plateau >= self.training.plateau_patience:
            lower = state.learning_rate * self.training.plateau_factor
            state.learning_rate = max(lower, min(self.training.minimum_learning_rate, state.learning_rate))
            state.epochs_since_plateau = 0
        patient = state.epochs_without_gain < self.training.patience
        state.finished = state.epoch >= self.training.epochs or not patient
        self.checkpoints.save("last", state)

    def _steps(self) -> int:
        built = self.built
        return steps_per_epoch(self.prepared, built.schema, built.spec.rows, built.experiment.data)

    def _line(self, record: Dict[str, float]) -> str:
        return f"loss {record['loss']:.4f} {self.training.monitor} {record[self.training.monitor]:.4f}"

    def _progress(self) -> Progress:
        columns = (
            TextColumn("{task.fields[title]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
        )
        return Progress(*columns, console=self.console)


class _Batches(keras.callbacks.Callback):
    """Counts batches, checkpoints inside an epoch, and stops between two batches when asked to."""

    def __init__(self, state: RunState, loop: _Loop, stop: StopFlag, progress: Progress, bar: Any) -> None:
        super().__init__()
        self._state, self._loop, self._stop = state, loop, stop
        self._progress, self._bar = progress, bar
        title = f"{loop.built.experiment.model} epoch {state.epoch + 1}/{loop.training.epochs}"
        progress.update(bar, completed=state.batch, title=title)
        self._first = state.batch

    def on_train_batch_end(self, batch: int, logs: Optional[Dict[str, float]] = None) -> None:
        done = self._first + batch + 1
        new = done - self._state.batch
        self._state.batch, self._state.batches = done, self._state.batches + new
        self._progress.update(self._bar, completed=done)
        every = self._loop.training.checkpoint_batches
        if every is not None and done // every > (done - new) // every:
            self._loop.clock.count(self._state)
            self._loop.checkpoints.save("last", self._state)
        if self._stop.asked:
            self.model.stop_training = True

    def leave_if_asked(self) -> None:
        """Raises Interrupted, with everything so far in a checkpoint."""
        if self._stop.asked:
            self._loop.clock.count(self._state)
            self._loop.checkpoints.save("last", self._state)
            if self._state.best is None:
                # There was no epoch to judge yet: what there is now is the best there is.
                self._loop.checkpoints.save("best", self._state)
            raise Interrupted


@dataclass
class StopFlag:
    """Set by the first Ctrl-C or SIGTERM; a second one ends the program at once."""

    asked: bool = False


@contextmanager
def interruptible() -> Iterator[StopFlag]:
    """While inside, SIGINT and SIGTERM set a flag instead of raising in the middle of a step."""
    flag = StopFlag()

    def ask(number: int, frame: Any) -> None:
        if flag.asked:
            raise KeyboardInterrupt
        flag.asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _what_the_input_said(error: tf.errors.OpError) -> Exception:
    """A UsageError raised inside tf.data comes out as TensorFlow's own error, with the sentence somewhere in it."""
    _, found, rest = str(error).partition("UsageError: ")
    return UsageError(rest.splitlines()[0]) if found else error


def _better(figure: float, best: float, monitor: str) -> bool:
    return figure < best if monitor == "log_loss" else figure > best
