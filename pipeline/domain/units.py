"""The units of all numbers in records. A numeric field whose type is none of these names is a bug.

Prices are 1e-9 currency units in a 64-bit integer (as Databento and Nautilus do), quantities whole units of the
instrument, money price times quantity and so 1e-9 currency units too. Nothing here is a float: what must be
exact is an integer, and what a model computes in floats is quantised where it leaves the model.

An amount of money above 9.22 billion currency units does not fit an Avro long; the codec refuses it loudly.
"""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple, TypeAlias


class UnitOfMeasure(NamedTuple):
    """What a schema field is measured in: the attribute ``unit`` in the schema."""

    text: str


Px: TypeAlias = Annotated[int, UnitOfMeasure("1e-9 currency units")]
Qty: TypeAlias = Annotated[int, UnitOfMeasure("units of the instrument")]
Money: TypeAlias = Annotated[int, UnitOfMeasure("1e-9 currency units of money")]
Ns: TypeAlias = Annotated[int, UnitOfMeasure("nanoseconds since 1970-01-01T00:00:00Z")]
Nanos: TypeAlias = Annotated[int, UnitOfMeasure("nanoseconds")]
Ppm: TypeAlias = Annotated[int, UnitOfMeasure("parts per million")]
Ppb: TypeAlias = Annotated[int, UnitOfMeasure("parts per billion")]
MilliBps: TypeAlias = Annotated[int, UnitOfMeasure("1e-3 basis points")]
TradeDate: TypeAlias = Annotated[int, UnitOfMeasure("yyyymmdd, the exchange's local date")]
FractionalQty: TypeAlias = Annotated[int, UnitOfMeasure("1e-9 units of the instrument")]
RiskAversion: TypeAlias = Annotated[int, UnitOfMeasure("1e-12 per currency unit")]
PerSecond: TypeAlias = Annotated[int, UnitOfMeasure("per second")]
Count: TypeAlias = Annotated[int, UnitOfMeasure("count")]

PX_ONE: Final = 1_000_000_000
"""One currency unit as a price."""
NS_PER_S: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000
PPM_ONE: Final = 1_000_000
PPB_ONE: Final = 1_000_000_000
MILLI_BPS_ONE: Final = 10_000_000
"""The whole, in 1e-3 basis points."""
