"""The command line. Exit codes: 0 good, 1 the check found something, 2 wrong use, 3 a component is not reachable."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from pipeline.errors import EXIT_GOOD, EXIT_WRONG_USE, PipelineError, WrongUse
from pipeline.runtime.settings import Settings

Handler = Callable[[argparse.Namespace], int]

# Handlers import what they need when they are called: `pipeline --help` answers at once.


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_WRONG_USE, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    # A shell starts what it puts into the background with Ctrl-C ignored; whoever sends SIGINT means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Lines appear as they are written, also when the output is a log or a pipe.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    options = _parser().parse_args(arguments)
    try:
        handler: Handler = options.handler
        return handler(options)
    except PipelineError as error:
        print(f"pipeline: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return EXIT_GOOD
    except KeyboardInterrupt:
        print("pipeline: stopped", file=sys.stderr)
        return 130


# ---------------------------------------------------------------------- handlers


def _settings(options: argparse.Namespace) -> Settings:
    return Settings.read(
        bootstrap_servers=options.bootstrap_servers,
        registry_url=options.registry_url,
        partitions=options.partitions,
        sources=tuple(options.source or ()),
    )


def _topology(options: argparse.Namespace) -> int:
    from pipeline import topology

    print(topology.as_mermaid() if options.mermaid else topology.as_text())
    return EXIT_GOOD


def _local(options: argparse.Namespace) -> int:
    from pipeline.runtime.embedded import local

    match options.action:
        case "up":
            return local.up(kafka_port=options.kafka_port, registry_port=options.registry_port)
        case "down":
            return local.down(wipe=options.wipe)
        case _:
            return local.status()


def _topics(options: argparse.Namespace) -> int:
    from pipeline.commands import setup

    settings = _settings(options)
    return setup.topics_plan(settings) if options.action == "plan" else setup.topics_apply(settings)


def _schemas(options: argparse.Namespace) -> int:
    from pipeline.commands import setup
    from pipeline.runtime.contracts import checks, schemas
    from pipeline.runtime.contracts.registry import Registry

    match options.action:
        case "render":
            written = schemas.write()
            print("\n".join(written) if written else "every file is as it must be")
            return EXIT_GOOD
        case "freeze":
            kept = checks.freeze(released=not options.unreleased)
            print("\n".join(kept) if kept else "every contract's newest version is kept already")
            return EXIT_GOOD
        case "register":
            return setup.schemas_register(_settings(options))
        case _:
            if not options.online:
                return checks.check()
            settings = _settings(options)
            return checks.check(Registry(settings.registry_url), settings.sources)


def _reference(options: argparse.Namespace) -> int:
    from pipeline.commands import setup

    return setup.reference_load(_settings(options), options.file)


def _run(options: argparse.Namespace) -> int:
    from pipeline import topology
    from pipeline.commands import running

    names = list(options.unit)
    if options.all == bool(names):
        raise WrongUse(f"name units or stages ({', '.join(running.unit_names())}), or say --all")
    if options.all:
        names = [unit.name for unit in topology.UNITS] + [running.DESK]
        return running.supervise(_settings(options), names, metrics_port=options.metrics_port)
    return running.run(_settings(options), names, slot=options.slot, metrics_port=options.metrics_port)


def _market(options: argparse.Namespace) -> int:
    from pipeline.commands import sending

    if options.action == "replay" and options.path is None:
        raise WrongUse("which file? pipeline market replay PATH")
    if options.action == "replay":
        source = sending.recorded(options.path, options.symbol, options.from_s, options.seconds)
    else:
        source = sending.simulated(options.instrument, options.seconds, options.seed)
    return sending.market_run(_settings(options), [source], options.rate)


def _orders(options: argparse.Namespace) -> int:
    from pipeline.commands import sending

    return sending.orders_send(_settings(options), options.file, skip_bad=options.skip_bad)


def _controls(options: argparse.Namespace) -> int:
    from pipeline.commands import sending

    return sending.control_send(
        _settings(options),
        kind=options.kind,
        scope=options.scope,
        scope_id=options.id,
        who=options.who,
        why=options.why,
        old=options.old,
        new=options.new,
    )


def _audit(options: argparse.Namespace) -> int:
    from pipeline.commands import auditing

    match options.action:
        case "verify":
            return auditing.verify(_settings(options), options.seal)
        case "seal":
            return auditing.seal(_settings(options), options.file, options.after)
        case "lineage":
            return auditing.lineage(_settings(options), options.id)
        case _:
            return auditing.explain(_settings(options), options.id)


def _tca(options: argparse.Namespace) -> int:
    from pipeline.commands import auditing

    return auditing.tca_report(_settings(options))


def _demo(options: argparse.Namespace) -> int:
    from pipeline.demo.run import demo

    return demo(
        orders=options.orders,
        seconds=options.seconds,
        rate=options.rate,
        seed=options.seed,
        max_backlog_s=options.max_backlog,
        save=options.save,
        kill=options.kill,
        unit_per_stage=options.unit_per_stage,
    )


# ---------------------------------------------------------------------- grammar


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pipeline",
        description="An open execution pipeline on Kafka: many small orders in, exact allocations out.",
        epilog="exit codes: 0 good, 1 the check found something, 2 wrong use, 3 a component is not reachable\n"
        "examples:\n"
        "  pipeline demo                          the whole life of thousands of orders, audited at the end\n"
        "  pipeline local up                      a broker and a registry on this machine\n"
        "  pipeline topics apply && pipeline schemas register\n"
        "  pipeline run --all                     every unit, a process each",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)

    def command(
        name: str, text: str, handler: Handler, *examples: str, connects: bool = True
    ) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog="examples:\n" + "\n".join(f"  pipeline {example}" for example in examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(handler=handler)
        if connects:
            _connection(added)
        return added

    topology = command(
        "topology", "print the map: stages, topics, units", _topology, "topology", "topology --mermaid", connects=False
    )
    topology.add_argument("--mermaid", action="store_true", help="as a Mermaid flowchart")

    local = command(
        "local", "a real broker and registry on this machine", _local, "local up", "local status", "local down --wipe",
        connects=False,
    )  # fmt: skip
    local.add_argument("action", choices=["up", "down", "status"])
    local.add_argument("--kafka-port", type=int, default=0, help="default: any free one, kept from then on")
    local.add_argument("--registry-port", type=int, default=0)
    local.add_argument("--wipe", action="store_true", help="down: remove its topics and schemas too")

    topics = command(
        "topics", "topics as code: say or do what is missing; never deletes", _topics,
        "topics plan", "topics apply --source oms-a --source oms-b",
    )  # fmt: skip
    topics.add_argument("action", choices=["plan", "apply"])

    schemas = command(
        "schemas", "the contracts: check, register, render", _schemas,
        "schemas check", "schemas check --online", "schemas register",
    )  # fmt: skip
    schemas.add_argument("action", choices=["check", "register", "render", "freeze"])
    schemas.add_argument("--online", action="store_true", help="check: ask the registry too")
    schemas.add_argument("--unreleased", action="store_true", help="freeze: rewrite the newest version")

    refs = command("reference", "reference data from JSON lines", _reference, "reference load venues.jsonl")
    refs.add_argument("action", choices=["load"])
    refs.add_argument("file", type=Path)

    run = command(
        "run", "run units or stages until Ctrl-C", _run, "run engine", "run netting slicing", "run --all", "run desk"
    )
    run.add_argument("unit", nargs="*", help="a unit, or a stage as a unit of its own; several: a process each")
    run.add_argument("--all", action="store_true", help="every unit and the desk, a process each")
    run.add_argument("--slot", type=int, help="this worker's slot in its unit; default: the first that is free")
    run.add_argument(
        "--metrics-port",
        metavar="PORT",
        help="serve /metrics, /health, /ready here (several units: here and on the ports that follow); "
        "0: any free port, which the log names (default); off",
    )

    market = command(
        "market", "a market and its clock: recorded or simulated", _market,
        "market replay AMZN_2012-06-21.zip --seconds 600 --rate 10", "market simulate --instrument SIMX",
    )  # fmt: skip
    market.add_argument("action", choices=["replay", "simulate"])
    market.add_argument("path", nargs="?", type=Path, help="replay: a LOBSTER zip, folder or csv file")
    market.add_argument("--symbol", help="replay: which symbol of a folder")
    market.add_argument("--from-s", type=int, default=34_200, help="replay: start, seconds after midnight New York")
    market.add_argument("--instrument", default="SIMX", help="simulate: its symbol")
    market.add_argument("--seconds", type=int, default=23_400, help="length of the window")
    market.add_argument("--rate", type=int, default=1, help="how many times as fast as life")
    market.add_argument("--seed", type=int, default=1)

    orders = command(
        "orders", "send orders from a file, checked line by line first", _orders,
        "orders send programme.csv", "orders send orders.jsonl --skip-bad",
    )  # fmt: skip
    orders.add_argument("action", choices=["send"])
    orders.add_argument("file", type=Path, help="JSON lines, or .csv with the schema's field names")
    orders.add_argument("--skip-bad", action="store_true", help="send the good lines although some are bad")

    control = command(
        "controls", "an order of the desk, with who and why", _controls,
        'controls kill --scope all --who ann --why "runaway strategy"',
        'controls block-venue --scope venue --id XBAT --who ann --why "rejects"',
        'controls release-stale --who ann --why "book checked"',
    )  # fmt: skip
    control.add_argument("kind", help="kill, pause, resume, block-venue, unblock-venue, release-stale, cancel-parent …")
    control.add_argument("--scope", default="all", help="all, source, account, instrument, parent, child, venue")
    control.add_argument("--id", default="", help="which one")
    control.add_argument("--who", required=True)
    control.add_argument("--why", required=True)
    control.add_argument("--old")
    control.add_argument("--new")

    audit = command(
        "audit", "recompute every decision from the log; seal it; follow an id; ask a child why", _audit,
        "audit verify", "audit seal 2026-01-05.seal", "audit verify --seal 2026-01-05.seal",
        "audit lineage O0-17", "audit explain P0-3/2.1",
        connects=False,
    )  # fmt: skip
    _audits(audit)

    tca = command("tca", "what it cost, by strategy and venue", _tca, "tca report")
    tca.add_argument("action", choices=["report"])

    demo = command(
        "demo", "the whole life of thousands of orders on a real broker, audited at the end", _demo,
        "demo", "demo --save reports/today", "demo --kill engine@30",
        connects=False,
    )  # fmt: skip
    demo.add_argument("--orders", type=int, default=5_200, help="how many, before repeats, cancels and bad ones")
    demo.add_argument("--seconds", type=int, default=600, help="market time")
    demo.add_argument("--rate", type=int, default=10, help="how many times as fast as life")
    demo.add_argument("--seed", type=int, default=2012)
    demo.add_argument(
        "--max-backlog",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="after an outage longer than this nothing is sent until the desk says release-stale (default 60)",
    )
    demo.add_argument("--save", type=Path, help="keep the report in this folder")
    demo.add_argument("--unit-per-stage", action="store_true", help="a process for each stage instead of each unit")
    demo.add_argument("--kill", action="append", default=[], metavar="UNIT@SECOND",
                      help="kill -9 a unit so many seconds after the opening (wall time); may be repeated")  # fmt: skip
    return parser


def _audits(audit: argparse.ArgumentParser) -> None:
    actions = audit.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)

    def action(name: str, text: str, more: str, *examples: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = actions.add_parser(
            name,
            help=text,
            description=f"{text}. {more}",
            epilog="examples:\n" + "\n".join(f"  pipeline audit {example}" for example in examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _connection(added)
        return added

    verify = action(
        "verify", "replay every task from the topics and compare every record",
        "Exit code 0: identical, and as\nsealed; 1: something was found, the first of it named with topic, partition, "
        "offset and field;\n2: a seal's file is none; 3: broker or registry unreachable. Copies the topics to TMPDIR.",
        "verify", "verify --seal monday.seal tuesday.seal",
    )  # fmt: skip
    verify.add_argument(
        "--seal", nargs="+", type=Path, default=[], metavar="FILE", help="check the topics against these seals too"
    )
    seal = action(
        "seal", "write down what the topics hold now, to be kept outside the cluster",
        "Journal heads, and of every\npartition how far it goes and the SHA-256 of it. Exit code 0: written; 1: the "
        "journal does not go on from the earlier seal;\n2: the file is there already, or an earlier seal is none; "
        "3: broker or registry unreachable.",
        "seal monday.seal", "seal tuesday.seal --after monday.seal",
    )  # fmt: skip
    seal.add_argument("file", type=Path, help="the file to write; never over another one")
    seal.add_argument("--after", type=Path, metavar="FILE", help="go on from this seal: read only what came since")
    lineage = action("lineage", "the tree around an id", "", "lineage O0-17")
    lineage.add_argument("id", help="any id of ours, a ClOrdID or an ExecID")
    explain = action("explain", "why a child was sent", "", "explain P0-3/2.1")
    explain.add_argument("id", help="a child's id")


def _connection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where (default: the environment, else what `pipeline local up` started)")
    group.add_argument("--bootstrap-servers", help="default: KAFKA_BOOTSTRAP_SERVERS")
    group.add_argument("--registry-url", help="default: SCHEMA_REGISTRY_URL")
    group.add_argument("--partitions", type=int, help="P; default: PIPELINE_PARTITIONS, else 2")
    group.add_argument("--source", action="append", help="an upstream system; default: PIPELINE_SOURCES")
