"""Parameters: what a class says of its fields is what a file may hold, what is shown, and what the journal holds."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
import pytest

from pipeline import topology
from pipeline.door import DoorParameters
from pipeline.errors import WrongUse
from pipeline.parameters import (
    Allowed,
    FieldKind,
    Parameters,
    as_markdown,
    as_toml,
    config_of,
    count,
    differences,
    fields_of,
    lines_of,
    read,
    title_of,
)
from pipeline.stages.netting.parameters import MandateParameters, NettingParameters
from pipeline.stages.routing.parameters import GateParameters, PriorParameters, PriorsParameters, RoutingParameters
from pipeline.stages.routing.routers.table import ROUTERS
from pipeline.topology import FlowParameters


def errors_of(text: str) -> list[str]:
    with pytest.raises(WrongUse) as caught:
        read(text, FlowParameters, "p.toml")
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()[1:] or [str(caught.value)]


def classes(root: type[Parameters]) -> list[type[Parameters]]:
    below = [field.group for field in fields_of(root) if field.kind in (FieldKind.GROUP, FieldKind.GROUPS)]
    return [root, *(each for group in below for each in classes(group))]


ALL = list(dict.fromkeys(classes(FlowParameters)))


# -------------------------------------------------------------------- the classes


@pytest.mark.parametrize("parameters", ALL, ids=lambda each: str(each.__name__))
def test_every_parameter_is_documented_and_its_default_is_allowed(parameters: type[Parameters]) -> None:
    assert title_of(parameters).endswith("."), "a sentence for the section"
    for field in fields_of(parameters):
        assert field.text, field.name
        if field.kind is FieldKind.NUMBER:
            assert isinstance(field.allowed, Allowed) and field.unit
            low, high = field.allowed.least, field.allowed.most
            assert field.default is None or low <= field.default <= high, f"{field.name} = {field.default}"


def test_the_defaults_agree_with_each_other() -> None:
    assert [list(each().conflicts()) for each in ALL] == [[] for _ in ALL]


def test_every_stage_with_parameters_has_a_section_of_its_name() -> None:
    sections = {field.name for field in fields_of(FlowParameters)} - {"door"}
    having = {stage.name for stage in topology.STAGES if fields_of(type(stage.parameters))}
    assert having == sections
    for stage in topology.STAGES:
        if stage.name in sections:
            assert stage.parameters == getattr(FlowParameters(), stage.name)


def test_a_flow_gives_every_stage_the_same_door() -> None:
    door = DoorParameters(clock_tolerance_ns=7)
    for stage in topology.flow(FlowParameters(door=door)):
        assert stage.door == door
        assert stage.config()["door.clock_tolerance_ns"] == 7


def test_a_flow_hands_each_stage_its_own_section() -> None:
    for section in [each for each in fields_of(FlowParameters) if each.name != "door"]:
        number = next(field for field in fields_of(section.group) if field.kind is FieldKind.NUMBER)
        changed = msgspec.structs.replace(section.default, **{number.name: number.default + 1})
        stages = topology.flow(msgspec.structs.replace(FlowParameters(), **{section.name: changed}))
        configs = {stage.name: stage.config() for stage in stages}
        assert configs[section.name][number.name] == number.default + 1
        others = {stage.name: stage.config() for stage in topology.STAGES if stage.name != section.name}
        assert others == {name: config for name, config in configs.items() if name != section.name}


def test_a_field_that_says_nothing_of_itself_is_no_parameter() -> None:
    class Bare(Parameters, frozen=True, kw_only=True):
        """Bare."""

        size: int = 3

    with pytest.raises(TypeError, match=r"Bare\.size is no parameter"):
        fields_of(Bare)


def test_the_routers_that_may_be_named_are_those_there_are() -> None:
    router = next(field for field in fields_of(RoutingParameters) if field.name == "router")
    assert isinstance(router.allowed, Allowed) and set(router.allowed.choices) == set(ROUTERS)


# -------------------------------------------------------------------- for the journal


def test_the_journal_holds_every_value_by_its_dotted_name() -> None:
    mandate = {"A b": MandateParameters(window_ns=5)}
    config = config_of(FlowParameters(netting=NettingParameters(mandate=mandate)))
    assert config["netting.window_ns"] == 15_000_000_000
    assert config['netting.mandate."A b".window_ns'] == 5
    assert config['netting.mandate."A b".max_members'] == "none"
    assert config["routing.gate.max_quote_age_ns"] == "none"
    assert config["routing.prior.take.fill_rate_ppm"] == 900_000
    assert config["slicing.trilemma.behind_ppm"] == 50_000


def test_a_secret_is_shown_as_its_hash_only() -> None:
    parameters = RoutingParameters(wire_secret=b"of this nothing must be seen")
    shown = str(config_of(parameters)) + repr(parameters) + as_toml(parameters)
    assert "nothing must be seen" not in shown and "wire_secret_sha256" in shown


def test_differences_come_in_the_order_of_the_classes() -> None:
    other = FlowParameters(
        netting=NettingParameters(window_ns=7), routing=RoutingParameters(gate=GateParameters(max_repeats=2))
    )
    assert differences(FlowParameters(), other) == [
        ("netting.window_ns", 15_000_000_000, 7),
        ("routing.gate.max_repeats", 20, 2),
    ]


# -------------------------------------------------------------------- reading


def test_what_a_file_does_not_name_has_its_default() -> None:
    text = "[netting]\nwindow_ns = 20_000_000_000\n[routing.prior.take]\nweight_qty = 9\n"
    found = read(text + '[netting.mandate."A b"]\nwait_part = 3', FlowParameters, "p.toml")
    assert found == FlowParameters(
        netting=NettingParameters(window_ns=20_000_000_000, mandate={"A b": MandateParameters(wait_part=3)}),
        routing=RoutingParameters(
            prior=PriorsParameters(take=PriorParameters(fill_rate_ppm=900_000, fill_time_ns=10_000_000, weight_qty=9))
        ),
    )
    assert read("", FlowParameters, "p.toml") == FlowParameters()


def test_what_is_shown_reads_back_as_it_was() -> None:
    mandates = {"x": MandateParameters(window_ns=1), 'quo"ted .': MandateParameters(max_members=4)}
    changed = FlowParameters(
        netting=NettingParameters(median_ns=5, mandate=mandates),
        routing=RoutingParameters(gate=GateParameters(max_quote_age_ns=9)),
    )
    for parameters in (FlowParameters(), changed):
        assert read(as_toml(parameters), FlowParameters, "p.toml") == parameters


def test_what_is_shown_has_each_parameter_with_its_meaning_and_default() -> None:
    text = as_toml(FlowParameters())
    assert (
        "# A sweep" not in text
        and "# How far beyond the far touch a sweep without a limit may reach.\n"
        "# 1e-3 bps, 0 to 10_000_000; default 50_000\nsweep_reach_mbps = 50_000\n"
        in text
    )
    assert "# max_quote_age_ns is unset" in text
    assert "# ppm, 0 to 1_000_000; default 900_000\nfill_rate_ppm = 900_000" in text, "of the group, not of its class"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[neting]\n", "p.toml:1: [neting]: there is no such section. Did you mean netting?"),
        ("[netting]\nwindw_ns = 5", "p.toml:2: netting.windw_ns = 5: there is no such parameter. Did you mean window"),
        ("[routing]\nmax_child_qty = 5", "There is one in [routing.gate]."),
        ("[netting]\n\nwindow_ns = -5", "p.toml:3: netting.window_ns = -5: it must be a whole number, 0 to "
                                        "86_400_000_000_000 ns (default 15_000_000_000)"),
        ("netting.window_ns = 15e9", "p.toml:1: netting.window_ns = 15000000000.0: it must be a whole number"),
        ("[netting]\nwindow_ns = true", "netting.window_ns = true: it must be a whole number"),
        ('[netting]\nwindow_ns = "5"', 'netting.window_ns = "5": it must be a whole number'),
        ("[netting]\nwindow_ns = [\n1,\n2]", "p.toml:2: netting.window_ns = [1, 2]: it must be a whole number"),
        ('[allocation]\nerror_account = ""', "it must be a text, not empty"),
        ('[routing]\nrouter = "SIDEWAYS"', 'p.toml:2: routing.router = "SIDEWAYS": it must be one of "SEQUENTIAL"'),
        ("[routing]\ngate = 5", "p.toml:2: routing.gate = 5: it is a section of its own: write [routing.gate]"),
        ("[netting]\nmandate = 5", "p.toml:2: netting.mandate = 5: it is a section of its own"),
        ("[netting.mandate]\nx = 5", "p.toml:2: netting.mandate.x = 5: it is a section of its own: write [netting."),
        ('[netting.mandate."A b"]\n# a\nmedian_ns = 5', 'p.toml:3: netting.mandate."A b".median_ns = 5: there is no'),
        ("[routing]\nwire_secret = 'abc'", "p.toml:2: routing.wire_secret: a secret belongs into the environment, "
                                           "not into a file: set PIPELINE_WIRE_SECRET"),
        ("[netting]\nmedian_ns = 31_000_000_000", "p.toml:2: netting.median_ns = 31_000_000_000, netting.history_ns = "
                                                  "30_000_000_000: the median looks further back than quotes are kept"),
        ("[routing.gate]\ncollar = 9", "p.toml:2: routing.sweep_reach_mbps = 50_000, routing.gate.collar = 9: "
                                       "a sweep would reach beyond the gate's collar"),
        ("[netting]\nwindow_ns = \n", "p.toml is not TOML: "),
        ("[netting]\nwindow_ns = 1\nwindow_ns = 2\n", "(at line 3, column 14)"),
    ],
)  # fmt: skip
def test_an_error_names_line_field_value_and_what_is_allowed(text: str, error: str) -> None:
    (only,) = errors_of(text)
    assert error in only


def test_all_errors_are_told_at_once_in_the_order_of_the_file() -> None:
    found = errors_of(
        "[tca]\nrows_per_tick = 0\n[slicing.trilemma]\nbehind = 3\n[nothing]\n[routing.gate]\ncollar = -1\n"
    )
    assert [re.findall(r"p\.toml:(\d+):", each) for each in found] == [["2"], ["4"], ["5"], ["7"]]


def test_a_secret_in_a_file_is_not_repeated_by_the_error() -> None:
    assert "hush" not in "\n".join(errors_of("[routing]\nwire_secret = 'hush hush hush hush'\nrouter = 'x'"))


def test_lines_are_found_whatever_way_a_key_is_written() -> None:
    text = "# one\na.b = 1\n[c]  # two\nd = {e = 1, f = 2}\ng = [\n  1,\n]\n[c.\"h i\"]\nj = '''\nx\n'''\n"
    assert lines_of(text) == {
        ("a",): 2, ("a", "b"): 2, ("c",): 3, ("c", "d"): 4, ("c", "d", "e"): 4, ("c", "d", "f"): 4, ("c", "g"): 5,
        ("c", "h i"): 8, ("c", "h i", "j"): 9,
    }  # fmt: skip


# -------------------------------------------------------------------- the reference page


def test_the_reference_page_has_a_table_for_each_section_and_a_row_for_each_parameter() -> None:
    page = as_markdown(FlowParameters)
    for group in ALL:
        for field in fields_of(group):
            if field.kind not in (FieldKind.GROUP, FieldKind.GROUPS):
                assert f"| `{field.name}` | {field.text} | {field.unit} | {field.range_text} |" in page
    for heading in ("## `[netting]`", '#### `[netting.mandate."NAME"]`', "#### `[routing.prior.take]`"):
        assert f"{heading}\n" in page


def test_a_class_without_a_least_counts_from_one() -> None:
    class Some(Parameters, frozen=True, kw_only=True):
        """Some."""

        size: Annotated[int, count("How many.")] = 3

    assert [field.range_text for field in fields_of(Some)] == ["1 to 1_000_000"]
