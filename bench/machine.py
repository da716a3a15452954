"""The machine, versions and broker settings that figures were measured with; every row carries them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Final

import confluent_kafka
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from pipeline.runtime import build_info
from pipeline.runtime.embedded.artifacts import read_lock
from pipeline.runtime.embedded.child import java

_ASKED: Final = {
    "transaction.partition.verification.enable": "broker verification",
    "log.flush.interval.messages": "fsync",
    "min.insync.replicas": "min in-sync",
    "message.timestamp.type": "timestamps",
    "log.message.timestamp.type": "timestamps",
}


def machine() -> dict[str, str]:
    """Cores, memory, versions, commit."""
    return {
        "machine": f"{os.cpu_count()} cores ({_cpu()}), {_memory_gib()} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "librdkafka": confluent_kafka.libversion()[0],
        "confluent-kafka": importlib.metadata.version("confluent-kafka"),
        "broker": f"Apache Kafka {_kafka_version()} (KRaft)",
        "java of the broker": _java(),
        "commit": build_info.commit(),
    }


def broker_settings(bootstrap_servers: str) -> dict[str, str]:
    """The broker's own answer about verification, fsync, in-sync replicas and timestamps."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    node = next(iter(admin.list_topics(timeout=15).brokers))
    asked = admin.describe_configs([ConfigResource(ResourceType.BROKER, str(node))], request_timeout=15)
    found = {}
    for future in asked.values():
        for name, entry in future.result(15).items():
            if name in _ASKED:
                value = str(entry.value)
                if name == "log.flush.interval.messages":
                    value = "left to the system" if int(value) > 1_000_000 else f"every {value} messages"
                found[_ASKED[name]] = value
    return found


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _kafka_version() -> str:
    return next((file.version for file in read_lock() if file.name == "kafka_2.13"), "?")


def _java() -> str:
    done = subprocess.run([str(java()), "-version"], capture_output=True, text=True, timeout=30, check=False)
    return (done.stderr or done.stdout).splitlines()[0] if done.stderr or done.stdout else "?"
