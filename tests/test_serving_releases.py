"""Promotion and rollback against a running embedded server: the order of the steps, the refusals, and the way back."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest
import typer
from google.protobuf import text_format
from typer.testing import CliRunner

from serving.client.client import Client
from serving.client.errors import Refused, Unavailable
from serving.client.grpc_transport import GrpcTransport
from serving.launch import model_config
from serving.releases import commands, log, memory, releasing, starting
from serving.releases import config as configs
from serving.releases.config import ConfigFile, State
from serving.releases.errors import NotUndone, ReleaseError
from serving.releases.releasing import promote, rollback
from serving.releases.server import Server
from signatures import manifest, protos
from signatures.errors import UsageError
from signatures.manifest import Data, Gate, Manifest
from tests.fixtures_serving import free_port
from tests.release_site import Site
from tests.running_server import ROW, publish, running, states


def test_the_first_promotion_pins_the_version_and_the_next_export_waits(site: Site) -> None:
    assert promote(site.place(), "sum", None) == 1
    assert site.state() == State(frozenset({1}), {"stable": 1})
    site.add(2)
    site.server.models.poll()
    assert site.loaded() == [1] and site.score("stable") == 6
    assert promote(site.place(), "sum", None) == 2
    assert site.state() == State(frozenset({2}), {"stable": 2})
    assert site.loaded() == [2] and site.score("stable") == 106
    assert site.steps() == [
        ("gates", "not known"), ("diff", "done"), ("memory", "done"), ("load", "started"), ("load", "done"),
        ("golden", "not known"), ("label", "done"), ("unload", "done"), ("release", "done"),
    ]


def test_the_file_keeps_comments_and_other_models(site: Site) -> None:
    promote(site.place(), "sum", 1)
    text = site.file.path.read_text()
    assert text.startswith("# Ours.\n")
    assert configs.names(site.file.read()) == {"sum", "echo"}
    with Client(GrpcTransport("127.0.0.1", site.server.flags.port)) as client:
        assert client.status("echo")[0].state == "AVAILABLE"


def test_a_model_of_the_file_that_the_server_has_not_is_not_brought_to_it(site: Site) -> None:
    config = site.file.read()
    config.model_config_list.config.add(name="later", base_path=str(site.folder / "sum"), model_platform="tensorflow")
    site.file.write(config)
    promote(site.place(), "sum", 1)
    assert states(site.server) == [(1, "AVAILABLE")]
    assert configs.names(site.file.read()) == {"sum", "echo", "later"}
    assert site.place().server.versions("later") == []


def test_clients_of_the_label_meet_no_gap(site: Site) -> None:
    """Some 5 releases while a client asks for the label all the time: only 6 or 106, and never an error."""
    promote(site.place(), "sum", 1)
    site.add(2)
    answers, errors, end = [], [], threading.Event()

    def ask() -> None:
        with Client(GrpcTransport("127.0.0.1", site.server.flags.port)) as client:
            while not end.is_set():
                try:
                    answers.append(float(client.predict("sum", ROW, label="stable").outputs["score"][0]))
                except Exception as error:  # noqa: BLE001
                    errors.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for version in (2, 1, 2, 1, 2):
            promote(site.place(), "sum", version)
    finally:
        end.set()
        asking.join()
    assert errors == [] and set(answers) == {6.0, 106.0}


def test_rollback_goes_back_step_by_step(site: Site) -> None:
    promote(site.place(), "sum", 1)
    for version in (2, 3):
        site.add(version)
        promote(site.place(), "sum", version)
    assert rollback(site.place(), "sum") == 2 and site.score("stable") == 106
    assert rollback(site.place(), "sum") == 1 and site.score("stable") == 6
    assert site.loaded() == [1]
    with pytest.raises(UsageError, match="no version of sum that was stable before; name one: signet rollback sum V"):
        rollback(site.place(), "sum")
    assert rollback(site.place(), "sum", 3) == 3 and site.state().labels == {"stable": 3}


def test_keep_leaves_the_old_version_loaded(site: Site) -> None:
    promote(site.place(), "sum", 1)
    site.add(2)
    promote(site.place(), "sum", 2, keep=True)
    assert site.loaded() == [2, 1] and site.state() == State(frozenset({1, 2}), {"stable": 2})
    # Loaded already, so rolling back asks for no memory.
    assert rollback(site.place(free_bytes=0), "sum") == 1


def test_a_promoted_canary_is_none_any_more_and_another_stays(site: Site) -> None:
    promote(site.place(), "sum", 1)
    for version in (2, 3):
        site.add(version)
    place = site.place()
    config = configs.with_state(site.file.read(), "sum", State(frozenset({1, 2}), {"stable": 1}))
    place.server.reload(config)
    place.server.await_loaded("sum", frozenset({1, 2}))
    config = configs.with_state(config, "sum", State(frozenset({1, 2}), {"stable": 1, "canary": 2, "other": 1}))
    place.server.reload(config)
    site.file.write(config)
    promote(place, "sum", 3)
    assert site.state() == State(frozenset({1, 2, 3}), {"stable": 3, "canary": 2, "other": 1})
    promote(place, "sum", 2)
    assert site.state() == State(frozenset({1, 2}), {"stable": 2, "other": 1}) and site.loaded() == [2, 1]


def untouched(site: Site, before: str) -> None:
    """As it was before a release: the file to the byte, the versions, the label."""
    assert site.file.path.read_text() == before
    assert site.loaded() == [1] and site.score("stable") == 6


def test_a_version_that_does_not_load_is_undone(site: Site) -> None:
    promote(site.place(), "sum", 1)
    before = site.file.path.read_text()
    export = site.add(2)
    (export / "variables" / "variables.index").write_bytes(b"broken")
    with pytest.raises(ReleaseError, match="cannot load version 2 of sum: .*everything is as it was"):
        promote(site.place(), "sum", 2)
    untouched(site, before)
    assert site.steps()[-3:] == [("load", "started"), ("release", "failed"), ("undo", "done")]


def test_a_version_that_answers_otherwise_than_its_export_is_undone(site: Site) -> None:
    promote(site.place(), "sum", 1)
    before = site.file.path.read_text()
    site.add(2, golden=107.0)  # it scores 106: off by 1, and 5e-3 of 107 are allowed
    with pytest.raises(ReleaseError, match="version 2 of sum, serving_default/score: .* up to 1 away"):
        promote(site.place(), "sum", 2)
    untouched(site, before)
    site.add(4, golden=106.0)
    assert promote(site.place(), "sum", 4) == 4
    assert ("golden", "done") in site.steps()


def test_a_label_that_the_server_refuses_is_undone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(site.place(), "sum", 1)
    before, place = site.file.path.read_text(), site.place()
    site.add(2)
    reload = Server.reload

    def refusing(self: Server, config: Any) -> None:
        if configs.state(config, "sum").labels.get("stable") == 2:
            raise Refused("no such label")
        reload(self, config)

    monkeypatch.setattr(Server, "reload", refusing)
    with pytest.raises(ReleaseError, match="no such label; everything is as it was"):
        promote(place, "sum", 2)
    untouched(site, before)


def test_a_failure_after_the_label_was_moved_is_undone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old version is unloaded by then: it must be loaded again before its label comes back to it."""
    promote(site.place(), "sum", 1)
    before, place = site.file.path.read_text(), site.place()
    site.add(2)
    await_unloaded, calls = Server.await_unloaded, []

    def failing(self: Server, model: str, kept: frozenset) -> None:
        await_unloaded(self, model, kept)
        calls.append(kept)
        if len(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(Server, "await_unloaded", failing)
    with pytest.raises(KeyboardInterrupt):
        promote(place, "sum", 2)
    untouched(site, before)
    assert calls == [frozenset({2}), frozenset({1})]


def test_what_cannot_be_undone_is_said(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(site.place(), "sum", 1)
    before, place = site.file.path.read_text(), site.place()
    site.add(2)

    def gone(self: Server, config: Any) -> None:
        raise Unavailable("no server")

    monkeypatch.setattr(Server, "reload", gone)
    with pytest.raises(NotUndone, match="no server; and undoing it failed: no server.*start it anew with that file"):
        promote(place, "sum", 2)
    assert site.file.path.read_text() == before
    assert site.steps()[-1] == ("undo", "failed")


def test_a_breaking_version_is_refused_before_it_is_loaded(site: Site, model_folder: Path) -> None:
    promote(site.place(), "sum", 1)
    before = site.file.path.read_text()
    publish(model_folder / "ragged" / "1", site.folder / "sum" / "2")
    with pytest.raises(ReleaseError, match="not released: version 2 breaks clients of version 1: .*--allow-br"):
        promote(site.place(), "sum", 2)
    untouched(site, before)
    assert site.steps()[-1] == ("release", "refused")
    assert promote(site.place(), "sum", 2, allow_breaking=True) == 2


@pytest.mark.parametrize(
    ("gates", "said"),
    [((), "lists no gate"), ((Gate(name="metric", passed=False, detail="too bad"),), "gate metric failed: too bad")],
)
def test_failed_gates_are_refused(site: Site, gates: tuple, said: str) -> None:
    promote(site.place(), "sum", 1)
    before, export = site.file.path.read_text(), site.add(2)
    data = Data(name="none", fingerprint="0", synthetic=True)
    manifest.write(
        Manifest(model="sum", version=2, created="", schema_hash="", features=(), training_only=(), signatures={},
                 server_image="", metrics={}, data=data, code_commit="", gates=gates), export,
    )
    with pytest.raises(ReleaseError, match=said):
        promote(site.place(), "sum", 2, allow_breaking=True)
    untouched(site, before)


def test_without_memory_for_two_versions_it_is_refused(site: Site) -> None:
    promote(site.place(), "sum", 1)
    before = site.file.path.read_text()
    site.add(2)
    # A few KiB on disk, and 64 MiB for loading anything at all.
    with pytest.raises(ReleaseError, match="needs about 65 MiB beside what is loaded, and 60 MiB are free"):
        promote(site.place(free_bytes=60 * 2**20), "sum", 2)
    untouched(site, before)
    assert promote(site.place(free_bytes=66 * 2**20), "sum", 2) == 2
    site.add(4)
    assert promote(site.place(free_bytes=None), "sum", 4) == 4
    assert ("memory", "not known") in site.steps()


def test_two_releases_at_once_are_not_made(site: Site) -> None:
    with releasing.locked(site.file.path), pytest.raises(UsageError, match="another release with .* is under way"):
        promote(site.place(), "sum", 1)


@pytest.mark.parametrize(
    ("model", "version", "said"),
    [("sum", 9, "holds no version 9 of model 'sum'"), ("none", None, "model 'none' is not in the server's models.co"),
     ("late", None, "serves no version of late")],
)
def test_what_cannot_be_meant(site: Site, model: str, version: Optional[int], said: str) -> None:
    config = site.file.read()
    config.model_config_list.config.add(name="late", base_path="/nowhere", model_platform="tensorflow")
    site.file.write(config)
    with pytest.raises(UsageError, match=said):
        promote(site.place(), model, version)
    assert site.log() == []


@pytest.mark.parametrize(("text", "said"), [(None, "is not there"), ("models {", "is no ModelServerConfig"),
                                            ("", "no model_config_list")])
def test_a_config_that_cannot_be_used(tmp_path: Path, text: Optional[str], said: str) -> None:
    file = ConfigFile(tmp_path / "models.config")
    if text is not None:
        file.path.write_text(text)
    with pytest.raises(UsageError, match=said):
        file.read()


def lines(*told: tuple) -> List[Dict[str, Any]]:
    return [{"model": "m", "action": action, "version": version, "previous": previous, "step": "release",
             "outcome": outcome} for action, version, previous, outcome in told]


@pytest.mark.parametrize(
    ("told", "stable", "before"),
    [
        ([], 1, None),
        ([("promote", 1, 1, "done")], 1, None),
        ([("promote", 2, 1, "done")], 2, 1),
        ([("promote", 2, 1, "done"), ("promote", 2, 2, "done")], 2, 1),
        ([("promote", 2, 1, "done"), ("promote", 3, 2, "failed")], 2, 1),
        # Killed after the label had moved: what the log ends with is what was before.
        ([("promote", 2, 1, "done"), ("promote", 3, 2, "started")], 3, 2),
        ([("promote", 2, 1, "done"), ("promote", 3, 2, "done"), ("rollback", 2, 3, "done")], 2, 1),
        # Rolled back to 1, then 4: 4 came after 1, whatever was in between.
        ([("promote", 2, 1, "done"), ("rollback", 1, 2, "done"), ("promote", 4, 1, "done")], 4, 1),
    ],
)
def test_which_version_was_stable_before(told: List[tuple], stable: int, before: Optional[int]) -> None:
    assert log.stable_before(lines(*told), "m", stable) == before
    assert log.stable_before(lines(*told), "other", stable) is None


def test_a_log_line_cut_short_by_a_crash_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / log.NAME
    log.Log(file, "promote", "m", 1, None).write("load", "done")
    with file.open("a") as appending:
        appending.write('{"release": "x", "st')
    assert [line["step"] for line in log.read(file)] == ["load"]


def test_the_console_promotes_and_refuses(site: Site) -> None:
    app = typer.Typer()
    for verb in (commands.promote, commands.rollback):
        app.command()(verb)
    where = ["--exports", str(site.folder), "--port", str(site.server.flags.port)]
    result = CliRunner().invoke(app, ["promote", "sum", *where])
    assert result.exit_code == 0 and "version 1 of sum is stable" in result.output
    site.add(2)
    result = CliRunner().invoke(app, ["promote", "sum", "--memory", "1", *where])
    assert result.exit_code == 1 and "signet: not released: it needs about" in result.output
    assert CliRunner().invoke(app, ["promote", "sum", *where]).exit_code == 0
    result = CliRunner().invoke(app, ["rollback", "sum", *where])
    assert result.exit_code == 0 and "version 1 of sum is stable" in result.output
    missing = CliRunner().invoke(app, ["promote", "sum", "--exports", str(site.folder), "--port", str(free_port())])
    assert isinstance(missing.exception, UsageError) and "start a server" in str(missing.exception)


def test_a_server_that_starts_anew_serves_what_was_promoted(site: Site) -> None:
    site.add(2)
    promote(site.place(), "sum", 1)
    flags = {"model_config_file": str(site.file.path), "allow_version_labels_for_unavailable_models": True}
    with running(**flags) as server:
        assert states(server) == [(1, "AVAILABLE")]


def test_the_file_is_what_the_real_server_reads(site: Site) -> None:
    promote(site.place(), "sum", 1)
    text = site.file.path.read_text()
    again = text_format.Parse(text, protos.message("tensorflow.serving.ModelServerConfig")())
    entry = next(each for each in again.model_config_list.config if each.name == "sum")
    assert list(entry.model_version_policy.specific.versions) == [1] and dict(entry.version_labels) == {"stable": 1}
    assert os.stat(site.file.path).st_mode & 0o777 == 0o644


def test_serve_starts_with_what_was_released_and_notes_it(tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    both = model_config({"a": Path("/exports/a"), "b": Path("/exports/b")})
    assert starting.released(both, file) == both
    starting.note(both, file)
    labelled = configs.with_state(ConfigFile(file).read(), "a", State(frozenset({1}), {"stable": 1}))
    ConfigFile(file).write(labelled)
    alone = starting.released(model_config({"a": Path("/elsewhere/a")}), file)
    starting.note(alone, file)
    found = ConfigFile(file).read()
    assert configs.state(found, "a") == State(frozenset({1}), {"stable": 1})
    paths = {each.name: each.base_path for each in found.model_config_list.config}
    assert paths == {"a": "/elsewhere/a", "b": "/exports/b"}


MIB = 2**20


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, None),
        ({"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    2048 kB\n"}, 2 * MIB),
        # Version 2: 100 of 300 MiB are used, and 40 of these are files that can be dropped.
        ({"sys/fs/cgroup/memory.max": str(300 * MIB), "sys/fs/cgroup/memory.current": str(100 * MIB),
          "sys/fs/cgroup/memory.stat": f"anon 1\ninactive_file {40 * MIB}\n"}, 240 * MIB),
        ({"sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/memory.current": "5", "sys/fs/cgroup/memory.stat": ""},
         None),
        # Version 1, of which the machine has less than the group may take.
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": str(300 * MIB),
          "sys/fs/cgroup/memory/memory.usage_in_bytes": str(100 * MIB),
          "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 0\n", "proc/meminfo": "MemAvailable: 1024 kB"}, MIB),
    ],
)
def test_free_memory(tmp_path: Path, files: Dict[str, str], free: Optional[int]) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory.available(tmp_path) == free


def test_memory_of_another_machine_is_not_measured_here() -> None:
    assert [memory.is_here(host) for host in ("localhost", "127.0.0.1", "::1", "[::1]", "127.9.9.9")] == [True] * 5
    assert [memory.is_here(host) for host in ("10.0.0.1", "models.example.org")] == [False] * 2
