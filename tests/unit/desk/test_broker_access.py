"""The deployment's settings in the words of Faust's client: the same connection, or a refusal by name."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import AuthProtocol, SASLMechanism

from pipeline.desk.broker_access import credentials
from pipeline.errors import WrongUse
from pipeline.runtime.kafka.client_settings import ClientSettings
from tests.certificates import make_certificates


def given(**settings: str) -> ClientSettings:
    return ClientSettings.read({f"PIPELINE_KAFKA_{name.upper()}": value for name, value in settings.items()})


def test_nothing_said_is_a_plain_connection() -> None:
    assert credentials(given()) is None
    assert credentials(given(linger_ms="7", security_protocol="plaintext")) is None


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "sasl_ssl"])
def test_a_name_and_a_password_are_handed_on(mechanism: str, protocol: str) -> None:
    made = credentials(
        given(security_protocol=protocol, sasl_mechanism=mechanism, sasl_username="u", sasl_password="hunter2")
    )
    assert isinstance(made, SASLCredentials)
    assert (made.username, made.password, made.mechanism) == ("u", "hunter2", SASLMechanism(mechanism))
    assert made.protocol is AuthProtocol(protocol.upper())
    assert "hunter2" not in repr(made)


def test_certificates_are_checked_unless_it_is_said_that_they_are_not(tmp_path: Path) -> None:
    ca, own = make_certificates(tmp_path)
    made = credentials(given(security_protocol="SSL", ssl_ca_location=str(ca), ssl_certificate_location=str(own)))
    assert isinstance(made, SSLCredentials)
    assert made.context.verify_mode is ssl.CERT_REQUIRED and made.context.check_hostname
    assert [each["subject"] for each in made.context.get_ca_certs()] == [((("commonName", "an authority for tests"),),)]
    other_name = credentials(given(security_protocol="SSL", ssl_endpoint_identification_algorithm="none"))
    assert isinstance(other_name, SSLCredentials)
    assert other_name.context.verify_mode is ssl.CERT_REQUIRED and not other_name.context.check_hostname
    unchecked = credentials(given(security_protocol="SSL", enable_ssl_certificate_verification="false"))
    assert isinstance(unchecked, SSLCredentials) and unchecked.context.verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ssl_keystore_location": "/x"}, "does not know ssl.keystore.location (PIPELINE_KAFKA_SSL_KEYSTORE_LOCATION)"),
        ({"sasl_oauthbearer_method": "oidc"}, "does not know sasl.oauthbearer.method"),
        ({"security_protocol": "SASL_SSL"}, "sasl.mechanisms is not set: the desk's client has no GSSAPI"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanisms": "OAUTHBEARER"}, "PIPELINE_KAFKA_SASL_MECHANISMS: the"),
        ({"security_protocol": "SSL", "ssl_ca_location": "/no/such"}, "location (PIPELINE_KAFKA_SSL_CA_LOCATION): No"),
    ],
)  # fmt: skip
def test_what_faust_cannot_do_is_refused_and_not_passed_over(settings: dict[str, str], said: str) -> None:
    with pytest.raises(WrongUse) as caught:
        credentials(given(**settings))
    assert said in str(caught.value)
