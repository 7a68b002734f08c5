"""Bind the address before anything else is loaded or started, so that a port in use is reported at once."""

import socket
from contextlib import ExitStack

from app.core.errors import ConfigurationError
from app.settings import Settings


def bind_socket(settings: Settings) -> socket.socket:
    return _bind(settings.host, settings.port, "HOST and PORT")


def bind_metrics_socket(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return _bind(host.strip("[]"), int(port), "METRICS_ADDRESS")


def _bind(host: str, port: int, names: str) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # asyncio disables Nagle's algorithm only for a socket that names TCP; with it, each response is 40 ms late.
        with ExitStack() as close_on_error:
            listener = close_on_error.enter_context(socket.socket(family, kind, socket.IPPROTO_TCP))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(2048)
            close_on_error.pop_all()
            return listener
    except OSError as error:
        raise ConfigurationError(
            f"The server cannot listen on {names} ({host}:{port}): {error.strerror}."
            f" Set {'them' if ' ' in names else 'it'} to a free address of this machine"
        ) from None
