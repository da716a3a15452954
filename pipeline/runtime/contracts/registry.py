"""The schema registry, as far as we need it: ids, texts, registration, compatibility. Confluent's API (v7).

Every method raises :class:`~pipeline.errors.Unreachable` when the registry does not answer, and
:class:`~pipeline.errors.AccessRefused` when it does not let us in.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

import httpx2
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from pipeline.errors import PipelineError, Unreachable, WrongUse
from pipeline.runtime.contracts.codec import Registered
from pipeline.runtime.contracts.registry_access import REFUSING, RegistryAccess
from pipeline.runtime.contracts.schemas import subject_of

COMPATIBILITY: Final = "FULL_TRANSITIVE"
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_UNPROCESSABLE: Final = 422
_SERVER_ERROR: Final = 500

T = TypeVar("T")


class Incompatible(PipelineError):
    """The registry refuses a schema: readers or writers of an earlier version could not go on."""


class NotRegistered(WrongUse):
    """A schema of ours is not registered: the deployment was not prepared for this release, or not for this source."""


class Version(NamedTuple):
    """One registered version of a subject's schema."""

    subject: str
    version: int
    schema_id: int
    text: str


class Registry:
    """The registry at ``url``. Every call asks it; nothing that may change is cached.

    ``access``: how we are let in; default: the environment's word, which raises WrongUse when it is not as it must be.
    """

    def __init__(self, url: str, timeout_s: float = 10.0, access: RegistryAccess | None = None) -> None:
        self.url = url
        self._access = RegistryAccess.read() if access is None else access
        self._client = SchemaRegistryClient(
            {
                "url": url,
                "timeout": timeout_s,
                "max.retries": 2,
                "retries.wait.ms": 100,
                "retries.max.wait.ms": 1000,
                **self._access.values,
            }
        )

    def id_of(self, subject: str, text: str) -> int | None:
        """The id of a schema under a subject; None when it is not registered there."""
        found = self._ask(lambda: self._client.lookup_schema(subject, Schema(text, "AVRO")))
        return None if found is None else found.schema_id

    def lookup(self, schema_id: int) -> Registered | None:
        """Text and subjects of an id; None when there is no such id."""
        schema = self._ask(lambda: self._client.get_schema(schema_id))
        if schema is None or schema.schema_str is None:
            return None
        subjects = self._ask(lambda: self._client.get_subjects_by_schema_id(schema_id))
        return Registered(schema.schema_str, frozenset(subjects or ()))

    def register(self, subject: str, text: str) -> int:
        """Register a schema, or find it registered; its id.

        Raises Incompatible when the registry refuses it, PipelineError when it gives no id.
        """
        try:
            schema_id = self._ask(lambda: self._client.register_schema(subject, Schema(text, "AVRO")))
        except SchemaRegistryError as error:
            if error.http_status_code in (_CONFLICT, _UNPROCESSABLE):
                raise Incompatible(f"the registry refuses the schema of {subject}: {error.error_message}") from error
            raise
        if schema_id is None:
            raise PipelineError(f"the registry at {self.url} gave no id for {subject}")
        return schema_id

    def is_compatible(self, subject: str, text: str) -> bool:
        """Whether the registry would take this schema; True for a subject without one."""
        asked = self._ask(lambda: self._client.test_compatibility_all_versions(subject, Schema(text, "AVRO")))
        return True if asked is None else bool(asked)

    def compatibility(self, subject: str) -> str | None:
        """The subject's own rule; None when it has none."""
        return self._ask(lambda: self._client.get_compatibility(subject))

    def require_compatibility(self, subject: str) -> bool:
        """Set FULL_TRANSITIVE on a subject; whether that changed anything."""
        if self.compatibility(subject) == COMPATIBILITY:
            return False
        self._ask(lambda: self._client.set_compatibility(subject, COMPATIBILITY))
        return True

    def versions(self, subject: str) -> list[Version]:
        """Every registered version of a subject, oldest first; none for a subject that is not there."""
        versions = []
        for number in sorted(self._ask(lambda: self._client.get_versions(subject)) or ()):
            found = self._ask(lambda number=number: self._client.get_version(subject, number))  # type: ignore[misc]
            if found is not None and found.schema_id is not None and found.schema is not None:
                versions.append(Version(subject, number, found.schema_id, found.schema.schema_str or ""))
        return versions

    def _ask(self, question: Callable[[], T]) -> T | None:
        """An answer, or None for what the registry does not have."""
        try:
            return question()
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                return None
            if error.http_status_code in REFUSING:
                raise self._access.refused(self.url, f"it answers {error.http_status_code}") from error
            if error.http_status_code >= _SERVER_ERROR:
                raise self._unreachable(f"It answers with an error ({error}); see its log.") from error
            raise
        except (httpx2.HTTPError, OSError) as error:
            distrust = _distrust(error)
            if distrust is not None:
                raise self._access.refused(self.url, distrust) from error
            raise self._unreachable(
                "Start it, or correct SCHEMA_REGISTRY_URL (Apicurio's address ends with /apis/ccompat/v7)."
            ) from error

    def _unreachable(self, what_to_do: str) -> Unreachable:
        return Unreachable("The schema registry", self.url, what_to_do)


def _distrust(error: BaseException | None) -> str | None:
    """Why its certificate is not trusted, when that is what is behind ``error``."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message or "its certificate is not trusted"
        error = error.__cause__ or error.__context__
    return None


class RegistryIds:
    """The codec's source of schemas on a real cluster."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def id_of(self, topic_name: str, text: str) -> int:
        """The id of our schema under the topic's subject. Raises NotRegistered, and what Registry raises."""
        subject = subject_of(topic_name)
        schema_id = self._registry.id_of(subject, text)
        if schema_id is None:
            raise NotRegistered(
                f"the schema of {topic_name} is not registered under {subject} at {self._registry.url}: "
                f"run `pipeline schemas register` (a source's own topic needs its name in PIPELINE_SOURCES)"
            )
        return schema_id

    def lookup(self, schema_id: int) -> Registered | None:
        return self._registry.lookup(schema_id)
