"""What a stage is: a name, what it reads and writes, and one pure function of its state and a message.

The host (a Kafka worker or the memory host) owns everything else: it decodes, merges, calls ``take`` with one
message after the other, stamps writer and sequence on each output, and writes outputs, changed state and its input
offsets in one transaction. A stage sees no clock (time is a :class:`Tick`), no randomness and no Kafka.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import ClassVar, Generic, NamedTuple, TypeVar

from pipeline.domain.controls import Alert, Tick
from pipeline.domain.record import Owned, Record
from pipeline.domain.validators.faults import Fault
from pipeline.domain.validators.table import VALIDATORS, Validator
from pipeline.door import DoorParameters, admit, due_alerts, note
from pipeline.parameters import Parameters, Value, config_of
from pipeline.state import State, Task


class Meta(NamedTuple):
    """What the host knows of a message beside its content."""

    append_ns: int
    """The broker's append time of the record, ns since 1970; 0 for a record that was handed on in memory, since its own
    unit has just written it."""
    front: bool = True
    """Whether this stage is the first reader of the topic, in flow order: what is wrong with a record is told once."""
    not_understood: tuple[str, ...] = ()
    """What the record says and this version does not understand, since its writer has a newer contract: a symbol we do
    not know (``ord_type=TRAILING_STOP``; the field holds UNKNOWN), a field we do not have (``stop_px=101000000000``).
    A nested field by its path. Whoever decides on a record with any of these decides on something else than was meant.
    """


Migration = Callable[[str, bytes], Iterable[tuple[str, bytes]]]
"""Turns one state entry (changelog key ``table/key``, encoded value) into none, one or several of the next version.

A pure function of the entry alone. To decode it, keep a copy of the older Entry class beside the migration."""

S = TypeVar("S", bound=State)


class Stage(ABC, Generic[S]):
    """A stage. Subclasses set the class variables and write ``new_state`` and ``step``.

    ``step`` is a generator of the records to write; which topic, key and partition a record has follows from its
    type alone (see ``pipeline.topics``). It may change ``state`` and nothing else. An exception stops the worker:
    bad input is answered with a record, never with an exception.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    """What it does, in one line for `pipeline topology`."""
    reads: ClassVar[tuple[type[Record], ...]]
    writes: ClassVar[tuple[type[Owned], ...]]
    answers: ClassVar[tuple[type[Record], ...]] = ()
    """Of what it reads, the records that it takes although parts of them are not understood, because it answers them.
    Others of which this is so, and that come through no door, are dead letters: see :attr:`Meta.not_understood`."""
    state_version: ClassVar[int] = 1
    """Raise it when tables or their entries change in any way but a new last field with a default."""
    migrations: ClassVar[Mapping[int, Migration]] = {}
    """From a state version to the function that turns its entries into the next version's. Without one, state of that
    version is refused at the start."""

    parameters: Parameters = Parameters()
    """What its decisions depend on beside what it reads. All of it: no number elsewhere may shape one."""

    door: DoorParameters = DoorParameters()
    """What it believes of records from outside; the same for every stage of a deployment."""

    def take(self, state: S, message: Record, meta: Meta) -> Iterator[Owned]:
        """Apply one message; yield what it causes, in order. A record from outside first passes the door
        (:mod:`pipeline.door`), which may change it or keep it out."""
        validator = VALIDATORS.get(type(message))
        if validator is None:
            return self.step(state, message, meta)
        return self._from_outside(state, message, meta, validator)

    def _from_outside(self, state: S, message: Record, meta: Meta, validator: Validator) -> Iterator[Owned]:
        checked = admit(message, validator, state, meta.append_ns, meta.not_understood, self.door)
        for fault in checked.faults:
            yield from note(fault, message, validator, state, self.door, front=meta.front)
        if checked.record is not None:
            yield from self.step(state, checked.record, meta)
            if isinstance(message, Tick) and len(state.set_aside):
                yield from due_alerts(state, self.door)

    def set_aside(self, state: S, record: Record, fault: Fault, effect: str) -> Iterator[Alert]:
        """Count, and tell the desk in turn, what only a stage can know to be wrong with a record that passed the door.

        ``effect``: what it means for decisions, in words for the desk.
        """
        validator = VALIDATORS[type(record)]._replace(effect=effect)
        return note(fault, record, validator, state, self.door, front=True)

    @abstractmethod
    def new_state(self, task: Task) -> S:
        """Empty state for ``task``."""

    @abstractmethod
    def step(self, state: S, message: Record, meta: Meta) -> Iterator[Owned]:
        """Apply one message that may be believed; yield what it causes, in order. Hosts call :meth:`take`."""

    def config(self) -> dict[str, Value]:
        """All its parameters by dotted name, as they stand in the journal, the door's among them; secrets as their
        SHA-256."""
        door = {f"door.{name}": value for name, value in config_of(self.door).items()}
        return config_of(self.parameters) | door
