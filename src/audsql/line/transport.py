"""Bytes to LINE and back: one exchange, its deadline, and who may be talked to.

A send gets a connection of its own, is never retried or redirected here, and may be withheld at the last
instant: the connection is opened first, then `may_write` is asked, then the request is written. A process
that slept for a day between its check and the write so sends nothing.
"""

from __future__ import annotations

import ipaddress
import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from audsql.diag import Diagnostic, error
from audsql.line import limits
from audsql.line.outcome import Reply, Unknown
from audsql.records import dataclass

if TYPE_CHECKING:
    import ssl

    import httpx

    from audsql.line.client import LineClient
    from audsql.line.ports import ClientPorts

__all__ = ["Channel", "Request", "open_client", "resolve_endpoint"]

SEND_DEADLINE_SECONDS = 60.0
READ_DEADLINE_SECONDS = 30.0
UPLOAD_DEADLINE_SECONDS = 600.0
RESPONSE_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """`fresh`: over a connection of its own. `may_write` is asked after connecting, before the first byte."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | None = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    file: bytes | None = field(default=None, repr=False)
    deadline_seconds: float = READ_DEADLINE_SECONDS
    fresh: bool = False
    may_write: Callable[[], bool] | None = None


class _Withheld(Exception):
    """`may_write` said no."""


@dataclass(slots=True)
class _Watch:
    """Follows one exchange: whether a byte was written, and the socket to cut at the deadline."""

    may_write: Callable[[], bool] | None
    written: bool = False
    traced: bool = False
    cut: bool = False
    stream: object = None

    def trace(self, event: str, info: Mapping[str, object]) -> None:
        self.traced = True
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self.stream = info.get("return_value")
        elif event.endswith("send_request_headers.started"):
            if self.may_write is not None and not self.may_write():
                raise _Withheld
            self.written = True

    def cut_off(self) -> None:
        """Ends a read that a trickling server would stretch past the deadline."""
        import socket

        self.cut = True
        get = getattr(self.stream, "get_extra_info", None)
        connection = get("socket") if get else None
        if connection is not None:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it is closed already, which is what was wanted


class Channel:
    """Connections to one LINE or simulator. `make_transport` replaces the network in tests."""

    def __init__(self, make_transport: Callable[[], httpx.BaseTransport] | None = None) -> None:
        self._make_transport = make_transport
        self._shared: httpx.Client | None = None
        self._context: ssl.SSLContext | None = None
        _quiet_wire_logs()

    def exchange(self, request: Request) -> Reply | Unknown:
        """One request, one reply; never raises for what a network or a server does."""
        watch = _Watch(request.may_write)
        if request.may_write is not None and not request.may_write():
            return Unknown("withheld", written=False)
        timer = threading.Timer(request.deadline_seconds, watch.cut_off)
        timer.daemon = True
        timer.start()
        try:
            return self._exchange(request, watch)
        finally:
            timer.cancel()

    def _exchange(self, request: Request, watch: _Watch) -> Reply | Unknown:
        _load_httpx()
        import httpx

        client = self._client(request)
        deadline = time.monotonic() + request.deadline_seconds
        try:
            with client.stream(**_arguments(request, watch)) as response:
                return _read(response, watch, deadline)
        except _Withheld:
            return Unknown("withheld", written=False)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError):
            return Unknown("unreachable", written=watch.written)
        except httpx.TimeoutException:
            return Unknown("timeout", written=watch.written or not watch.traced)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
            # The exception may quote headers or a body: only its kind goes on.
            return Unknown("timeout" if watch.cut else "broken-off", written=watch.written or not watch.traced)
        finally:
            if request.fresh:
                client.close()

    def _client(self, request: Request) -> httpx.Client:
        if request.fresh:
            return self._new_client(request)
        if self._shared is None:
            self._shared = self._new_client(request)
        return self._shared

    def _new_client(self, request: Request) -> httpx.Client:
        _load_httpx()
        import httpx

        host = urlsplit(request.url).hostname or ""
        transport = self._make_transport() if self._make_transport else None
        verify: ssl.SSLContext | bool = False  # plain http: nothing to verify, and loading roots is slow
        if request.url.startswith("https:"):
            self._context = self._context or httpx.create_ssl_context()
            verify = self._context
        return httpx.Client(transport=transport, verify=verify, follow_redirects=False, trust_env=not is_loopback(host))

    def close(self) -> None:
        if self._shared is not None:
            self._shared.close()
            self._shared = None


def _arguments(request: Request, watch: _Watch) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "method": request.method,
        "url": request.url,
        "headers": dict(request.headers),
        "timeout": request.deadline_seconds,
        "extensions": {"trace": watch.trace},
    }
    if request.content is not None:
        arguments["content"] = request.content
    if request.form is not None:
        arguments["data"] = dict(request.form)
    if request.file is not None:
        # The part must be text/plain, else LINE may answer 415 (specs/line.md).
        arguments["files"] = {"file": ("ids.txt", request.file, "text/plain")}
    return arguments


def _read(response: httpx.Response, watch: _Watch, deadline: float) -> Reply | Unknown:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > RESPONSE_BYTES_MAX:
            return Unknown("reply-too-large")
        if time.monotonic() > deadline:
            return Unknown("timeout")
    if watch.cut:
        return Unknown("timeout")
    return Reply(response.status_code, {name.lower(): value for name, value in response.headers.items()}, bytes(body))


def _load_httpx() -> None:
    """Load httpx without its own command line, which would load packages that draw on terminals: half of its cost."""
    if "httpx" not in sys.modules:
        # What is None cannot be imported; httpx does without it, as where those packages are missing.
        sys.modules["httpx._main"] = None  # type: ignore[assignment]
        try:
            import_module("httpx")
        finally:
            del sys.modules["httpx._main"]


def _quiet_wire_logs() -> None:
    """httpcore's debug log prints headers, the token among them."""
    for name in ("httpcore", "httpx"):
        logger = logging.getLogger(name)
        if logger.getEffectiveLevel() < logging.WARNING:
            logger.setLevel(logging.WARNING)


# --- who may be talked to ---------------------------------------------------------------------------------


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def resolve_endpoint(endpoint: str, account: str) -> tuple[str, str] | Diagnostic:
    """The base URLs for the API and for uploads by file. `endpoint`: `line`, or a URL that serves both.

    Plain http is refused for any host but this machine: it would show the token to the network.
    """
    if endpoint == "line":
        return limits.API_URL, limits.DATA_URL
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return error("AUD0801", None, account=account)
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme not in ("http", "https") or not host or not plain or not endpoint.isprintable():
        return error("AUD0801", None, account=account)
    if parts.scheme == "http" and not is_loopback(host):
        return error("AUD0802", None, account=account, host=host)
    base = endpoint.rstrip("/")
    return base, base


def open_client(
    endpoint: str,
    account: str,
    token: str,
    ports: ClientPorts,
    make_transport: Callable[[], httpx.BaseTransport] | None = None,
) -> LineClient | Diagnostic:
    """A client for an account, or why there is none. No request is made yet."""
    from audsql.line.client import LineClient

    urls = resolve_endpoint(endpoint, account)
    if isinstance(urls, Diagnostic):
        return urls
    # A token with a line break would be quoted by the HTTP library's own error.
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        return error("AUD0803", None, account=account)
    return LineClient(account, urls[0], urls[1], token, ports, make_transport)
