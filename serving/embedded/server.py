"""The running server: models, gRPC and REST together, started and stopped as one."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
import time
from concurrent import futures
from pathlib import Path
from typing import Any, Optional

import grpc
import uvicorn

from serving.embedded import admission, grpc_service, model_config, warmup
from serving.embedded.errors import StatusError
from serving.embedded.flags import Flags
from serving.embedded.model import Retry
from serving.embedded.models import Models, Watch
from serving.embedded.rest import RestApi
from serving.embedded.servable import Parallelism, Servable
from signatures.errors import UsageError

log = logging.getLogger(__name__)

_GRACE_SECONDS = 10
_WAITING_REQUESTS = 1000
"""REST requests under way and waiting; beyond it the answer is 503 at once."""


class Server:
    """Starts with its construction; raises UsageError when a port is taken or a model cannot be served."""

    def __init__(self, flags: Flags) -> None:
        self.flags = flags
        self._closing = threading.Event()
        self._rest: Optional[_Rest] = None
        self._grpc: Any = None
        self._config_poller = threading.Thread(target=self._poll_config, name="config watcher", daemon=True)
        # The ports first: they are taken or free at once, models take time.
        self._rest_socket = _bind(flags.host, flags.rest_api_port, "rest_api_port") if flags.rest_api_port else None
        try:
            if flags.port:
                _bind(flags.host, flags.port, "port").close()
            self._listed = model_config.from_flags(flags)
            self.models = _models(flags)
            self.models.start(self._listed)
            self._start_transports()
        except BaseException:
            self.close()
            raise
        if flags.model_config_file and flags.model_config_file_poll_wait_seconds > 0:
            self._config_poller.start()

    def close(self) -> None:
        """Takes no more requests, ends those under way, unloads the models."""
        self._closing.set()
        stopped = self._grpc.stop(_GRACE_SECONDS) if self._grpc is not None else None
        if self._rest is not None:
            self._rest.close()
        if stopped is not None:
            stopped.wait()
        if self._rest_socket is not None:
            self._rest_socket.close()
        if self._config_poller.is_alive():
            self._config_poller.join()
        if hasattr(self, "models"):
            self.models.close()

    def _start_transports(self) -> None:
        flags = self.flags
        threads = 4 * (os.cpu_count() or 1)
        if flags.port:
            self._grpc = _start_grpc(flags, self.models, flags.grpc_max_threads or threads)
            log.info("gRPC at %s:%d", flags.host, flags.port)
        if self._rest_socket is not None:
            api = RestApi(self.models, flags.rest_api_num_threads or threads, flags.body_limit_bytes,
                          max(0, flags.rest_api_timeout_in_ms))
            self._rest = _Rest(api, self._rest_socket)
            log.info("REST at http://%s:%d", flags.host, flags.rest_api_port)

    def _poll_config(self) -> None:
        """A list that cannot be taken is tried at every look: a label waits so for its version."""
        file = Path(self.flags.model_config_file)
        told = ""
        while not self._closing.wait(self.flags.model_config_file_poll_wait_seconds):
            try:
                wanted = model_config.from_file(file)
                if wanted != self._listed:
                    self.models.reload(wanted)
                    self._listed, told = wanted, ""
                    log.info("took the new model list in %s", file)
            except (UsageError, StatusError) as error:
                if str(error) != told:
                    log.error("the model list in %s is not taken: %s", file, error)
                told = str(error)


class _Rest:
    """uvicorn in a thread of its own."""

    def __init__(self, api: RestApi, listening: socket.socket) -> None:
        config = uvicorn.Config(
            api, http="h11", ws="none", lifespan="off", log_config=None, access_log=False, server_header=False,
            limit_concurrency=_WAITING_REQUESTS, timeout_keep_alive=75, timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],), name="REST", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.005)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()


def _models(flags: Flags) -> Models:
    parallelism = Parallelism(
        flags.tensorflow_intra_op_parallelism or flags.tensorflow_session_parallelism,
        flags.tensorflow_inter_op_parallelism or flags.tensorflow_session_parallelism,
        flags.per_process_gpu_memory_fraction,
    )

    def load(name: str, path: Path) -> Servable:
        if not flags.allow_unsafe_models:
            admission.refuse_unsafe(path)
        servable = Servable(path, parallelism)
        if flags.enable_model_warmup:
            try:
                replayed = warmup.replay(servable, path, flags.num_request_iterations_for_warmup)
            except StatusError:
                servable.close()
                raise
            log.info("%s: %d warm-up records replayed", path, replayed)
        return servable

    retry = Retry(max(0, flags.max_num_load_retries), max(0, flags.load_retry_interval_micros) / 1e6)
    watch = Watch(flags.file_system_poll_wait_seconds, retry, flags.allow_version_labels_for_unavailable_models)
    return Models(load, watch)


def _start_grpc(flags: Flags, models: Models, threads: int) -> Any:
    options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(
        futures.ThreadPoolExecutor(threads, thread_name_prefix="gRPC"), options=options,
        maximum_concurrent_rpcs=flags.grpc_max_threads or _WAITING_REQUESTS,
    )
    grpc_service.add_to(server, models)
    try:
        server.add_insecure_port(f"{flags.host}:{flags.port}")
    except RuntimeError as error:
        raise _taken("port", flags.port) from error
    server.start()
    return server


def _bind(host: str, port: int, flag: str) -> socket.socket:
    """A listening socket. Raises UsageError when the port is taken or may not be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle off only where the protocol is named; with it on, every answer takes 40 ms longer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise _taken(flag, port) if error.errno == errno.EADDRINUSE else UsageError(
            f"--{flag}={port} on host {host} cannot be used ({error.strerror}); choose another port or --host"
        ) from error
    return listening


def _taken(flag: str, port: int) -> UsageError:
    return UsageError(f"--{flag}={port} is taken by another program; stop it or choose another port")
