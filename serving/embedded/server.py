"""The running server: models, gRPC and REST together, started and stopped as one."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any, Optional

from serving.embedded import grpc_server, loading, model_config, ports
from serving.embedded.cors import Cors
from serving.embedded.errors import StatusError
from serving.embedded.flags import Flags
from serving.embedded.metrics import settings as monitoring
from serving.embedded.metrics.endpoint import MetricsPage
from serving.embedded.metrics.meters import Meters
from serving.embedded.model import Retry
from serving.embedded.models import Models, Watch
from serving.embedded.rest import RestApi
from serving.embedded.rest_server import RestServer
from signatures.errors import UsageError

log = logging.getLogger(__name__)

_GRACE_SECONDS = 10


class Server:
    """Starts with its construction; raises UsageError when a port is taken or a model cannot be served."""

    def __init__(self, flags: Flags) -> None:
        self.flags = flags
        self.meters = Meters()
        self._closing = threading.Event()
        self._rest: Optional[RestServer] = None
        self._grpc: Any = None
        self._batching: Optional[loading.Batching] = None
        self._config_poller = threading.Thread(target=self._poll_config, name="config watcher", daemon=True)
        # The ports first: they are taken or free at once, models take time.
        port = flags.rest_api_port
        self._rest_socket = ports.bind(flags.host, port, "rest_api_port") if port else None
        try:
            if flags.port:
                ports.bind(flags.host, flags.port, "port").close()
            self._metrics_path = monitoring.page_path(flags.monitoring_config_file)
            self._listed = model_config.from_flags(flags)
            self._batching = loading.batching(flags)
            self.models = Models(loading.loader(flags, self.meters, self._batching), _watch(flags))
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
        if self._batching is not None:
            self._batching.scheduler.close()

    def _start_transports(self) -> None:
        flags = self.flags
        threads = 4 * (os.cpu_count() or 1)
        if flags.port:
            self._grpc = grpc_server.start(flags, self.models, flags.grpc_max_threads or threads, self.meters)
            log.info("gRPC at %s:%d", flags.host, flags.port)
        if self._rest_socket is not None:
            self._rest = RestServer(self._rest_app(threads), self._rest_socket, _GRACE_SECONDS)
            log.info("REST at http://%s:%d", flags.host, flags.rest_api_port)

    def _rest_app(self, threads: int) -> Any:
        """The REST API, behind whatever the flags put in front of it."""
        flags = self.flags
        app: Any = RestApi(self.models, flags.rest_api_num_threads or threads, flags.body_limit_bytes,
                           max(0, flags.rest_api_timeout_in_ms), self.meters)
        if flags.rest_api_enable_cors_support:
            app = Cors(app)
        if self._metrics_path is not None:
            log.info("metrics at %s of REST", self._metrics_path)
            app = MetricsPage(app, self._metrics_path, self.meters)
        return app

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


def _watch(flags: Flags) -> Watch:
    retry = Retry(max(0, flags.max_num_load_retries), max(0, flags.load_retry_interval_micros) / 1e6)
    return Watch(
        flags.file_system_poll_wait_seconds, retry, flags.allow_version_labels_for_unavailable_models,
        max(1, flags.num_load_threads), max(1, flags.num_unload_threads),
    )
