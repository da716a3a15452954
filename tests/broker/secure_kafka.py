"""An embedded broker that takes strangers only over TLS, with a name and a password; certificates made for the test.

Its second listener, without either, is for starting it and for making the user; no client of a test knows its address.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from pipeline.runtime.embedded.broker import LocalKafka
from pipeline.runtime.ports import HOST, free_port
from tests.certificates import make_certificates

USER: Final = "execution"
PASSWORD: Final = "corr3ct-horse"
MECHANISMS: Final = {"SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256, "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512}


class SecureKafka(NamedTuple):
    """A broker that is up."""

    bootstrap_servers: str
    """Its SASL_SSL listener."""
    ca: Path
    """Certificate of the authority that signed the broker's."""
    other_ca: Path
    """Certificate of an authority of the same name that did not."""
    kafka: LocalKafka

    def properties(self, mechanism: str = "SCRAM-SHA-512") -> dict[str, str]:
        """A client's settings that it lets in."""
        return {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.ca),
            "sasl.mechanisms": mechanism,
            "sasl.username": USER,
            "sasl.password": PASSWORD,
        }


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    """Start one; ``folder`` gets certificates and keys."""
    ca, broker = make_certificates(folder)
    (folder / "other").mkdir()
    other_ca, _ = make_certificates(folder / "other")
    port = free_port()
    secure_port = free_port(avoid=frozenset({port}))
    controller_port = free_port(avoid=frozenset({port, secure_port}))
    listeners = f"PLAINTEXT://{HOST}:{port},SASL_SSL://{HOST}:{secure_port}"
    settings = {
        "listeners": f"{listeners},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": ",".join(MECHANISMS),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(broker),
    }
    for mechanism in MECHANISMS:
        login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        settings[f"listener.name.sasl_ssl.{mechanism.lower()}.sasl.jaas.config"] = login
    with LocalKafka(port=port, controller_port=controller_port, settings=settings) as kafka:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
        for each in MECHANISMS.values():  # a request takes one of them only
            user = UserScramCredentialUpsertion(USER, ScramCredentialInfo(each, 4096), PASSWORD.encode())
            admin.alter_user_scram_credentials([user])[USER].result(30)
        yield SecureKafka(f"{HOST}:{secure_port}", ca, other_ca, kafka)
