"""How Faust's client is let in by the broker: the deployment's settings for librdkafka, in that client's own words.

Faust's client (aiokafka) knows TLS with certificates in files, and SASL by PLAIN and SCRAM. What else the settings
say of TLS or SASL is refused by name: to pass over it in silence would be to connect in another way than was asked for.
"""

from __future__ import annotations

import ssl
from typing import Final

from faust.auth import Credentials, SASLCredentials, SSLCredentials

from pipeline.errors import WrongUse
from pipeline.runtime.kafka.client_settings import ClientSettings

_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_KNOWN: Final = frozenset(
    {
        "security.protocol", "sasl.mechanisms", "sasl.username", "sasl.password",
        "ssl.ca.location", "ssl.ca.pem", "ssl.certificate.location", "ssl.key.location", "ssl.key.password",
        "ssl.endpoint.identification.algorithm", "enable.ssl.certificate.verification", "ssl.cipher.suites",
    }
)  # fmt: skip


def credentials(given: ClientSettings) -> Credentials | None:
    """For Faust's ``broker_credentials``; None for a plain connection.

    Raises WrongUse for what Faust's client does not know, and for files that cannot be used.
    """
    strange = [
        f"{name} ({origin})"
        for name, origin in given.origins.items()
        if name.startswith(("ssl.", "sasl.", "security.", "enable.ssl.")) and name not in _KNOWN
    ]
    if strange:
        raise WrongUse(f"the desk's client does not know {', '.join(strange)}. It knows {', '.join(sorted(_KNOWN))}")
    protocol = given.values.get("security.protocol", "plaintext").lower()
    context = _context(given) if protocol.endswith("ssl") else None
    if not protocol.startswith("sasl"):
        return None if context is None else SSLCredentials(context)
    mechanism = given.values.get("sasl.mechanisms", "GSSAPI").upper()
    if mechanism not in _MECHANISMS:
        where = given.origins.get("sasl.mechanisms", "sasl.mechanisms is not set")
        raise WrongUse(f"{where}: the desk's client has no {mechanism}: one of {', '.join(_MECHANISMS)}")
    return SASLCredentials(
        username=given.values.get("sasl.username"),
        password=given.values.get("sasl.password"),
        ssl_context=context,
        mechanism=mechanism,
    )


def _context(given: ClientSettings) -> ssl.SSLContext:
    values = given.values
    try:
        location = values.get("ssl.ca.location")
        if location == "probe":  # librdkafka's word for: wherever this system keeps them
            location = None
        context = ssl.create_default_context(cafile=location, cadata=values.get("ssl.ca.pem"))
        if "ssl.certificate.location" in values:
            # With an empty password, a key that is locked is refused, and not asked for at the terminal.
            password = values.get("ssl.key.password", "")
            context.load_cert_chain(values["ssl.certificate.location"], values.get("ssl.key.location"), password)
        if "ssl.cipher.suites" in values:
            context.set_ciphers(values["ssl.cipher.suites"])
    except OSError as error:  # SSLError is one
        named = ", ".join(f"{name} ({where})" for name, where in given.origins.items() if name.startswith("ssl."))
        raise WrongUse(f"{named}: {error.strerror or error}") from None
    if values.get("ssl.endpoint.identification.algorithm", "https").lower() == "none":
        context.check_hostname = False
    if values.get("enable.ssl.certificate.verification", "true").lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
