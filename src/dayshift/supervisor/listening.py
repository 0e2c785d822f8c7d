"""The listening socket. The supervisor owns it, so that it stays open while gateways come and go."""

import errno
import socket

from dayshift.domain.errors import WrongUse

BACKLOG = 4096


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen. Raises `WrongUse` with the cure when that is not possible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise WrongUse(_explain(error, host, port)) from error
    listener.setblocking(False)
    return listener


def adopt(descriptor: int) -> socket.socket:
    """The listening socket that a supervisor handed down."""
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket, scheme: str) -> str:
    """Where to reach it, as a URL."""
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(  # noqa: S104 - shown, not bound
        host, f"[{host}]" if ":" in host else host
    )
    return f"{scheme}://{shown}:{port}"


def _explain(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken; stop who has it, or choose another with --port or DAYSHIFT_PORT."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"Port {port} needs more rights than this user has; choose one above 1023 with --port or DAYSHIFT_PORT."
    return f"Cannot listen on {host}:{port} ({error}); check --host or DAYSHIFT_HOST."
