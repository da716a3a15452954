"""The most this client can do: consume, produce the same bytes, send offsets, commit; no decoding, state or journal.

BOOTSTRAP TOPIC OUT GROUP BATCH
"""

from __future__ import annotations

import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.stand import put


def main(bootstrap_servers: str, topic: str, out: str, group: str, batch_size: str) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "queued.min.messages": 100_000,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "transactional.id": group,
            "linger.ms": 0,
            "retry.backoff.ms": 2,
            "retry.backoff.max.ms": 1000,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    producer.init_transactions()
    consumer.subscribe([topic])
    size = int(batch_size)
    while True:
        first = consumer.poll(1.0)
        if first is None or first.error():
            continue
        # Unlike a real worker it waits a moment for a full batch: this is about the most that can be had.
        batch = [first, *(m for m in consumer.consume(size - 1, 0.02) if not m.error())]
        producer.begin_transaction()
        offsets = {}
        for message in batch:
            partition = int(message.partition() or 0)
            put(producer, out, bytes(message.value() or b""), bytes(message.key() or b""), partition)
            offsets[partition] = int(message.offset() or 0) + 1
        producer.flush()
        producer.send_offsets_to_transaction(
            [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()],
            consumer.consumer_group_metadata(),
        )
        producer.commit_transaction()
        time.sleep(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
