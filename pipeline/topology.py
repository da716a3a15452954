"""The map: which stage reads and writes what, in the order of the flow, and which stages run together.

Everything that shows the flow is generated from here: ``pipeline topology``, the drawing in the README.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipeline import topics
from pipeline.domain.record import Record
from pipeline.door import DoorParameters
from pipeline.parameters import Parameters
from pipeline.stage import Stage
from pipeline.stages.allocation.parameters import AllocationParameters
from pipeline.stages.allocation.stage import AllocationStage
from pipeline.stages.analytics.parameters import AnalyticsParameters
from pipeline.stages.analytics.stage import AnalyticsStage
from pipeline.stages.credit import CreditStage
from pipeline.stages.intake.parameters import IntakeParameters
from pipeline.stages.intake.stage import IntakeStage
from pipeline.stages.netting.parameters import NettingParameters
from pipeline.stages.netting.stage import NettingStage
from pipeline.stages.publishing import PublishingStage
from pipeline.stages.routing.parameters import RoutingParameters
from pipeline.stages.routing.stage import RoutingStage
from pipeline.stages.simulated_venues.parameters import VenuesParameters
from pipeline.stages.simulated_venues.stage import VenuesStage
from pipeline.stages.slicing.parameters import SlicingParameters
from pipeline.stages.slicing.stage import SlicingStage
from pipeline.stages.tca.parameters import TCAParameters
from pipeline.stages.tca.stage import TCAStage
from pipeline.topics import Spread, Topic, topic_of

AnyStage = Stage[Any]


@dataclass(frozen=True)
class Unit:
    """Stages that run in one process and hand records on in memory. Its name is also its consumer group's."""

    name: str
    stages: tuple[AnyStage, ...]


_UNITS: Final = {
    "intake": ("credit", "intake"),
    "engine": ("netting", "slicing", "routing", "allocation"),
    "venues": ("venues",),
    "reporting": ("analytics", "tca", "publishing"),
}


class FlowParameters(Parameters, frozen=True, kw_only=True):
    """The parameters of a deployment: a section for the door, which all stages share, and one for each stage that has
    any. Its file is read by this class."""

    door: DoorParameters = DoorParameters()

    intake: IntakeParameters = IntakeParameters()
    netting: NettingParameters = NettingParameters()
    slicing: SlicingParameters = SlicingParameters()
    routing: RoutingParameters = RoutingParameters()
    venues: VenuesParameters = VenuesParameters()
    allocation: AllocationParameters = AllocationParameters()
    analytics: AnalyticsParameters = AnalyticsParameters()
    tca: TCAParameters = TCAParameters()


def flow(parameters: FlowParameters = FlowParameters()) -> tuple[AnyStage, ...]:  # noqa: B008 - a frozen constant
    """Every stage with its parameters, in the order of the flow."""
    stages: tuple[AnyStage, ...] = (
        CreditStage(),
        IntakeStage(parameters.intake),
        NettingStage(parameters.netting),
        SlicingStage(parameters.slicing),
        RoutingStage(parameters.routing),
        VenuesStage(parameters.venues),
        AllocationStage(parameters.allocation),
        AnalyticsStage(parameters.analytics),
        TCAStage(parameters.tca),
        PublishingStage(),
    )
    for stage in stages:
        stage.door = parameters.door
    return stages


def units_of(stages: Sequence[AnyStage]) -> tuple[Unit, ...]:
    """The units `pipeline run --all` starts, one process each; any stage can be a unit of its own instead."""
    by_name = {stage.name: stage for stage in stages}
    return tuple(Unit(name, tuple(by_name[stage] for stage in members)) for name, members in _UNITS.items())


STAGES: Final = flow()
UNITS: Final = units_of(STAGES)

EDGES: Final[dict[str, tuple[Topic, ...]]] = {
    "upstream OMS": (topics.ORDERS_IN,),
    "market edge": (topics.BOOK_EVENTS, topics.DEPTH, topics.NBBO, topics.PRINTS, topics.VENUE_STATUS, topics.CLOCK),
    "the desk": (topics.CONTROLS,),
    "reference data": (
        topics.INSTRUMENTS,
        topics.ACCOUNTS,
        topics.VENUES,
        topics.LIMITS,
        topics.CROSSING_RULES,
    ),
}
"""The writers outside the stages, and the topics each writes."""

MACHINE_TOPICS: Final = (topics.JOURNAL, topics.DEAD_LETTERS, topics.SCHEMAS)
"""Topics that the worker itself writes, for every stage."""

SHARED_TOPICS: Final = (topics.ORDER_EVENTS, topics.ALERTS)
"""Topics with more than one writer: every stage writes alerts; intake writes order events (accepted, refused, repeated)
and, for all that follows, allocation."""


def stage_named(name: str) -> AnyStage:
    """The stage of that name. Raises KeyError when there is none."""
    return {stage.name: stage for stage in STAGES}[name]


def single_units_of(stages: Sequence[AnyStage]) -> tuple[Unit, ...]:
    """A unit for each stage, named as the stage; `<stage>-only` where a unit of several stages has that name
    already."""
    shared = {unit.name for unit in units_of(stages) if len(unit.stages) > 1}
    return tuple(Unit(f"{stage.name}-only" if stage.name in shared else stage.name, (stage,)) for stage in stages)


def unit_named(name: str, stages: Sequence[AnyStage] = STAGES) -> Unit:
    """The unit of that name: a default one, or a stage as a unit of its own. Raises KeyError when there is none."""
    return {unit.name: unit for unit in (*single_units_of(stages), *units_of(stages))}[name]


def writers_of(topic: Topic) -> list[str]:
    """Stages and edges that write ``topic``, in the order of the flow."""
    stages = [stage.name for stage in STAGES if topic in written_by(stage)]
    return [edge for edge, written in EDGES.items() if topic in written] + stages


def readers_of(topic: Topic) -> list[str]:
    """Stages that read ``topic``, in the order of the flow."""
    return [stage.name for stage in STAGES if topic in read_by(stage)]


def read_by(stage: AnyStage) -> list[Topic]:
    """Topics that ``stage`` reads."""
    return _topics(stage.reads)


def written_by(stage: AnyStage) -> list[Topic]:
    """Topics that ``stage`` writes."""
    return _topics(stage.writes)


def _topics(records: Iterable[type[Record]]) -> list[Topic]:
    # The host itself hands `Resumed` to a stage: no topic carries it.
    return [topic_of(record) for record in records if record in _ON_TOPICS]


_ON_TOPICS: Final = frozenset(topic.record for topic in topics.TOPICS)


# ---------------------------------------------------------------------- drawings


def as_text() -> str:
    """The map for a terminal: each stage with its reads and writes, the units, the edges."""
    lines = ["Stages, in the order of the flow", ""]
    for stage in STAGES:
        unit = next(unit.name for unit in UNITS if stage in unit.stages)
        lines.append(f"  {stage.name}  (unit {unit}) - {stage.title}")
        lines.extend(_wrapped("reads ", read_by(stage)))
        lines.extend(_wrapped("writes", written_by(stage)))
        lines.append("")
    lines += ["Edges", ""]
    for edge, written in EDGES.items():
        lines.append(f"  {edge}")
        lines.extend(_wrapped("writes", list(written)))
    lines += ["", "Units: " + " · ".join(f"{u.name} ({', '.join(s.name for s in u.stages)})" for u in UNITS)]
    lines.append("Every stage also writes journal, dead-letters and its changelog, in the same transaction.")
    return "\n".join(lines)


def _wrapped(verb: str, names: list[Topic], width: int = 100) -> Iterator[str]:
    line = f"    {verb} "
    for topic in names:
        word = (
            topic.name
            + (".<source>" if topic.per_source else "")
            + (" (copied)" if topic.spread is Spread.COPIED else "")
        )
        if len(line) + len(word) > width:
            yield line.rstrip()
            line = " " * 11
        line += word + ("" if topic is names[-1] else ", ")
    yield line.rstrip()


def as_mermaid() -> str:
    """The flow as a Mermaid drawing: the order path from left to right. Copied topics and the worker's own are not
    drawn, since their arrows would cross everything; :func:`as_text` names them."""
    lines = ["flowchart LR"]
    for unit in UNITS:
        lines.append(f"  subgraph {unit.name}_unit[unit {unit.name}]")
        lines.extend(f"    {stage.name}([{stage.name}])" for stage in unit.stages)
        lines.append("  end")
    drawn = [t for t in topics.TOPICS if t.spread is not Spread.COPIED and t not in (*MACHINE_TOPICS, topics.ALERTS)]
    for topic in drawn:
        writers, readers = " & ".join(map(_node, writers_of(topic))), " & ".join(readers_of(topic))
        node = f"{topic.name.replace('-', '_')}_t[/{topic.name}{'.&lt;source&gt;' if topic.per_source else ''}/]"
        lines.append(f"  {writers} --> {node}" + (f" --> {readers}" if readers else ""))
    lines.extend(f"  {_node(edge)}{{{{{edge}}}}}" for edge in EDGES if any(t in drawn for t in EDGES[edge]))
    return "\n".join(lines)


def _node(name: str) -> str:
    return name.replace(" ", "_")
