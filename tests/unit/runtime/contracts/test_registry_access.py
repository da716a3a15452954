"""How a registry lets us in: over TLS of its own authority, with a name and a password."""

from __future__ import annotations

import base64
import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import AccessRefused, WrongUse
from pipeline.runtime.contracts.registry import Registry
from pipeline.runtime.contracts.registry_access import RegistryAccess, registry_answers
from pipeline.runtime.ports import HOST
from tests.certificates import make_certificates

USER_INFO = "execution:hunter2-hunter2"


class _Registry(http.server.BaseHTTPRequestHandler):
    """Has no subject, and says so to those it knows."""

    def do_GET(self) -> None:
        known = self.headers.get("Authorization") == f"Basic {base64.b64encode(USER_INFO.encode()).decode()}"
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"[]" if known else b'{"error_code": 401, "message": "who are you?"}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    _ca, own = make_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    with http.server.ThreadingHTTPServer((HOST, 0), _Registry) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://{HOST}:{server.server_port}"
        server.shutdown()


def access_of(folder: Path, **more: str) -> RegistryAccess:
    env = {"SSL_CA_LOCATION": str(folder / "ca.pem"), "BASIC_AUTH_USER_INFO": USER_INFO, **more}
    return RegistryAccess.read({f"PIPELINE_REGISTRY_{name}": value for name, value in env.items() if value})


def test_it_is_reached_over_tls_with_a_name_and_a_password(url: str, folder: Path) -> None:
    access = access_of(folder)
    assert registry_answers(url, 20, access)
    assert Registry(url, 20, access).versions("orders-value") == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"BASIC_AUTH_USER_INFO": "execution:wrong-wr0ng"}, "Correct PIPELINE_REGISTRY_BASIC_AUTH_USER_INFO."),
        ({"BASIC_AUTH_USER_INFO": ""}, "Correct PIPELINE_REGISTRY_BASIC_AUTH_USER_INFO (not set)."),
        ({"SSL_CA_LOCATION": ""}, "Correct PIPELINE_REGISTRY_SSL_CA_LOCATION (not set), "
         "PIPELINE_REGISTRY_SSL_CERTIFICATE_LOCATION (not set)."),
    ],
)  # fmt: skip
def test_who_is_not_let_in_is_told_what_to_correct(more: dict[str, str], said: str, url: str, folder: Path) -> None:
    access = access_of(folder, **more)
    for ask in (lambda: registry_answers(url, 20, access), lambda: Registry(url, 20, access).versions("orders-value")):
        with pytest.raises(AccessRefused) as caught:
            ask()
        assert f"The schema registry at {url}: no access: " in str(caught.value)
        assert str(caught.value).endswith(said)
        assert caught.value.exit_code == 3
        assert "hunter2" not in str(caught.value) and "wrong-wr0ng" not in str(caught.value)


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"BASIC_AUTH_USER_INFO": "hunter2"}, "BASIC_AUTH_USER_INFO: it must be user:password"),
        ({"SSL_CA_LOCATION": "/no/such/file"}, "SSL_CA_LOCATION: No such file or directory"),
        ({"SSL_KEY_LOCATION": "/x"}, "PIPELINE_REGISTRY_SSL_CERTIFICATE_LOCATION is not"),
        (
            {"SSL_CAFILE": "/x"},
            "PIPELINE_REGISTRY_SSL_CAFILE: there is no such setting: one of PIPELINE_",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_the_variables_name(env: dict[str, str], said: str) -> None:
    with pytest.raises(WrongUse) as caught:
        RegistryAccess.read({f"PIPELINE_REGISTRY_{name}": value for name, value in env.items()})
    assert said in str(caught.value) and "hunter2" not in str(caught.value)


def test_no_value_is_shown(folder: Path) -> None:
    assert "hunter2" not in repr(access_of(folder))
