"""gRPC: the services behind their port, with limits on what comes in at once."""

from __future__ import annotations

import threading
from concurrent import futures
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple, Union

import grpc
from google.protobuf import text_format

from serving.embedded import config_protos, grpc_service, ports
from serving.embedded.flags import Flags
from serving.embedded.metrics.interceptor import Measured
from serving.embedded.metrics.meters import Meters
from serving.embedded.models import Models
from signatures.errors import UsageError

_REFUSING_THREADS = 2
_WAITING_CALLS = 1000
"""Calls under way and waiting; beyond it gRPC itself refuses."""


def start(flags: Flags, models: Models, threads: int, meters: Meters) -> Any:
    """A running gRPC server. Raises UsageError when the port is taken or the key unusable.

    threads: how many calls run at once; with --grpc_max_threads further ones are refused, else they wait.
    """
    interceptors: List[grpc.ServerInterceptor] = [Measured(meters)]
    if flags.grpc_max_threads:
        interceptors.insert(0, Limited(threads))
        threads += _REFUSING_THREADS
    server = grpc.server(
        futures.ThreadPoolExecutor(threads, thread_name_prefix="gRPC"), interceptors=interceptors,
        options=_options(flags), maximum_concurrent_rpcs=_WAITING_CALLS,
    )
    grpc_service.add_to(server, models)
    credentials = _credentials(flags.ssl_config_file) if flags.ssl_config_file else None
    addresses = [f"{flags.host}:{flags.port}"] + ([f"unix:{flags.grpc_socket_path}"] * bool(flags.grpc_socket_path))
    for address in addresses:
        try:
            if credentials is None:
                server.add_insecure_port(address)
            else:
                server.add_secure_port(address, credentials)
        except RuntimeError as error:
            if address == addresses[0]:
                raise ports.taken("port", flags.port) from error
            text = f"--grpc_socket_path={flags.grpc_socket_path} cannot be used; choose another path"
            raise UsageError(text) from error
    server.start()
    return server


class Limited(grpc.ServerInterceptor):
    """Refuses calls beyond `most` at once, as the real server does when its threads have run out."""

    def __init__(self, most: int) -> None:
        self._places = threading.BoundedSemaphore(most)

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """The services' own handler, once a place is free."""
        handler = continuation(handler_call_details)
        if handler is None:
            return None

        def limited(request: Any, context: Any) -> Any:
            if not self._places.acquire(blocking=False):
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted")
            try:
                return handler.unary_unary(request, context)
            finally:
                self._places.release()

        return grpc.unary_unary_rpc_method_handler(
            limited, handler.request_deserializer, handler.response_serializer
        )


def _options(flags: Flags) -> List[Tuple[str, Union[int, str]]]:
    """gRPC's own options; those in --grpc_channel_arguments go before ours."""
    found: Dict[str, Union[int, str]] = {
        "grpc.so_reuseport": 0,
        "grpc.max_receive_message_length": flags.body_limit_bytes,
        "grpc.max_send_message_length": -1,
    }
    for argument in filter(None, flags.grpc_channel_arguments.split(",")):
        name, _, value = argument.partition("=")
        found[name] = int(value) if value.lstrip("-").isdigit() else value
    return list(found.items())


def _credentials(file: str) -> Any:
    """The key and certificate in an SSLConfig. Raises UsageError when they cannot be read."""
    try:
        config = config_protos.read(Path(file), config_protos.SSLConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        text = f"--ssl_config_file {file} cannot be read ({error}); give an SSLConfig in text form"
        raise UsageError(text) from error
    if not config.server_key or not config.server_cert:
        raise UsageError(f"--ssl_config_file {file} lacks server_key or server_cert; both hold PEM text, not a path")
    return grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=config.custom_ca.encode() or None, require_client_auth=config.client_verify,
    )
