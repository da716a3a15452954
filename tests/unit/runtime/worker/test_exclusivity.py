"""A fenced worker tells its own ghost, which passes away, from another process in its slot, which stays."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException

from pipeline.errors import PipelineError
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.worker.context import WorkerContext
from pipeline.runtime.worker.exclusivity import refuse_if_replaced

SESSION_S = 10.0
HERE = (ConsumerGroupState.STABLE, ("engine-0", "engine-1"))
MOVING = (ConsumerGroupState.PREPARING_REBALANCING, ("engine-0", "engine-1"))
GONE = (ConsumerGroupState.STABLE, ("engine-1",))
AWAY = None
Answer = tuple[ConsumerGroupState, tuple[str, ...]] | None


class ToldKafka(Kafka):
    """A coordinator that answers as it is told, an answer each half second; then with the last one for ever."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        super().__init__("nowhere:0")
        self.now_s = 100.0
        self.asked = 0
        self._answers = list(answers)

    def admin(self) -> Any:
        return self

    def describe_consumer_groups(self, groups: list[str], request_timeout: float) -> dict[str, Future[Any]]:
        answer = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        future: Future[Any] = Future()
        if answer is None:
            future.set_exception(KafkaException(KafkaError(KafkaError.NOT_COORDINATOR)))
        else:
            members = [SimpleNamespace(group_instance_id=name) for name in answer[1]]
            future.set_result(SimpleNamespace(state=answer[0], members=members))
        return dict.fromkeys(groups, future)

    def monotonic_ns(self) -> int:
        return int(self.now_s * 1e9)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def looked(*answers: Answer) -> ToldKafka:
    kafka = ToldKafka(answers)
    refuse_if_replaced("engine", "engine-0", SESSION_S, WorkerContext("engine-0", lambda text: None, kafka))
    return kafka


@pytest.mark.parametrize(
    "answers",
    [
        (GONE,),
        (*[HERE] * 20, GONE),  # its session has run out
        (*[HERE] * 20, *[AWAY] * 30, *[HERE] * 20, GONE),  # the coordinator came back, and gave it a new session
        (*[MOVING] * 600, *[HERE] * 20, GONE),  # who waits in a rebalance has no session that runs out
    ],
)
def test_a_ghost_passes_and_the_slot_is_ours(answers: tuple[Answer, ...]) -> None:
    assert looked(*answers).asked == len(answers)


def test_a_living_process_keeps_the_slot() -> None:
    with pytest.raises(PipelineError, match="another process has taken this slot"):
        looked(HERE)
