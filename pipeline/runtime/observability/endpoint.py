"""A worker's HTTP endpoint: ``/metrics`` for Prometheus, ``/health`` and ``/ready`` for an orchestrator.

    /health   200 while the loop moves, also while it waits for Kafka; 503: end the process
    /ready    200 when partitions are assigned and restored (or the group has none for this worker); 503 says why not

PIPELINE_METRICS_PORT   the port; 0 for any free one (default); `off`. Several units: this port and the following ones
PIPELINE_METRICS_HOST   the interface (default: loopback)

Its address is in the log, and in ``<state dir>/<slot>.metrics`` while the worker runs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, NamedTuple, Self

from prometheus_client import CONTENT_TYPE_LATEST

from pipeline.errors import PortTaken, WrongUse
from pipeline.runtime import ports
from pipeline.runtime.observability.telemetry import Telemetry

PORT_VARIABLE: Final = "PIPELINE_METRICS_PORT"
HOST_VARIABLE: Final = "PIPELINE_METRICS_HOST"
OFF: Final = "off"
_PLAIN: Final = "text/plain; charset=utf-8"


class Listen(NamedTuple):
    """Where to serve. ``port`` 0: any free one."""

    port: int = 0
    host: str = ports.HOST

    @staticmethod
    def read(option: str | None = None, env: Mapping[str, str] | None = None) -> Listen | None:
        """The option, else the environment; None when it is switched off. Raises WrongUse for what is no port."""
        env = os.environ if env is None else env
        text = option or env.get(PORT_VARIABLE) or "0"
        if text == OFF:
            return None
        if not text.isdigit() or int(text) > 65_535:
            raise WrongUse(f"{PORT_VARIABLE} is {text!r}: it must be a port, 0 for any free one, or {OFF}")
        return Listen(int(text), env.get(HOST_VARIABLE) or ports.HOST)

    def of_unit(self, number: int) -> Listen:
        """Where unit ``number`` of several listens."""
        return self._replace(port=self.port + number if self.port else 0)


def variables(listen: Listen | None) -> dict[str, str]:
    """The variables that make another process listen there."""
    return {PORT_VARIABLE: OFF} if listen is None else {PORT_VARIABLE: str(listen.port), HOST_VARIABLE: listen.host}


class Endpoint:
    """Serves ``telemetry`` until closed; its address is in ``address_file`` meanwhile. Raises PortTaken."""

    def __init__(self, telemetry: Telemetry, listen: Listen, address_file: Path) -> None:
        self._server = _server(listen, telemetry)
        self._file = address_file
        host, port = self._server.server_address[:2]
        self.address: Final = f"http://{host!s}:{port}"
        written = address_file.with_suffix(".metrics.new")
        written.write_text(f"{self.address}\n", encoding="utf-8")
        written.replace(address_file)
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="endpoint", daemon=True).start()

    def close(self) -> None:
        """Stop serving and remove the address file."""
        self._file.unlink(missing_ok=True)
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _server(listen: Listen, telemetry: Telemetry) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/metrics":
                    self._answer(200, telemetry.text(), CONTENT_TYPE_LATEST)
                case "/health":
                    self._state(*telemetry.healthy())
                case "/ready":
                    self._state(*telemetry.ready())
                case _:
                    self._answer(404, b"/metrics, /health, /ready\n", _PLAIN)

        def _state(self, good: bool, why: str) -> None:
            self._answer(200 if good else 503, f"{why}\n".encode(), _PLAIN)

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass  # scrapes are not logged

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # the client closed the connection

    tries = 1 if listen.port else 5  # another process may take the free port first
    for left in reversed(range(tries)):
        port = listen.port or ports.free_port()
        try:
            return Server((listen.host, port), Handler)
        except OSError as error:
            if not left:
                raise PortTaken("the metrics endpoint", port) from error
    raise AssertionError("unreachable")
