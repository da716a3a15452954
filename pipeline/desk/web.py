"""The desk's web pages: JSON, and one HTML page. Each worker answers for all by asking the others."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp

from pipeline.desk.board import CHECK_AGE_MS, Whole
from pipeline.desk.faust_patches import CommittedApp

PAGE: Final = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
MINUTES_DEFAULT: Final = 60
MINUTES_MAX: Final = 1_000
ALERTS_DEFAULT: Final = 50
_PEER_TIMEOUT_S: Final = 2.0
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Shown(Protocol):
    """What the pages need from their worker."""

    peers: list[str]
    """Addresses of the desk's other workers, host:port."""

    def expected(self) -> list[tuple[str, int]]:
        """Topic and partition of all that the desk shows, on whichever worker."""

    def parts_as_json(self, minutes_max: int) -> list[dict[str, Any]]:
        """This worker's own partitions, with the last ``minutes_max`` minutes of each."""


def serve(app: CommittedApp, desk: Shown, address: str) -> None:
    """Add the pages to Faust's web server. ``address``: host:port of this worker."""

    async def whole(minutes: int) -> Whole:
        own = {"worker": address, "parts": desk.parts_as_json(minutes)}
        return Whole([own, *await _ask(desk.peers, minutes)], desk.expected())

    @app.page("/api/parts")
    async def parts(_view: Any, request: Any) -> Any:
        minutes = _number(request, "minutes", MINUTES_DEFAULT, MINUTES_MAX)
        return _json(app, {"worker": address, "parts": desk.parts_as_json(minutes)})

    @app.page("/api/summary")
    async def summary(_view: Any, _request: Any) -> Any:
        return _json(app, (await whole(2)).summary(_now_ms()))

    @app.page("/api/minutes")
    async def minutes(_view: Any, request: Any) -> Any:
        last = _number(request, "last", MINUTES_DEFAULT, MINUTES_MAX)
        return _json(app, (await whole(last)).minutes(last))

    @app.page("/api/alerts")
    async def alerts(_view: Any, request: Any) -> Any:
        return _json(app, (await whole(0)).alerts(_number(request, "last", ALERTS_DEFAULT, MINUTES_MAX)))

    @app.page("/health")
    async def health(_view: Any, _request: Any) -> Any:
        ages = [_now_ms() - part["check"]["at_ms"] if part["check"] else CHECK_AGE_MS for part in desk.parts_as_json(0)]
        wrong = "no partition is assigned yet" if not ages and not desk.peers else ""
        if ages and max(ages) >= CHECK_AGE_MS:
            wrong = f"the books were last looked into {max(ages) // 1000} s ago"
        answer = {"healthy": not wrong, "reason": wrong, "parts": len(ages)}
        return _json(app, answer, status=503 if wrong else 200)

    @app.page("/")
    async def page(_view: Any, _request: Any) -> Any:
        return app.web.html(PAGE, headers=dict(_HEADERS))


async def _ask(addresses: list[str], minutes: int) -> list[dict[str, Any]]:
    """The others' answers. A worker that does not answer in time is left out; the summary then names what is
    missing."""
    if not addresses:
        return []
    timeout = aiohttp.ClientTimeout(total=_PEER_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:

        async def one(address: str) -> dict[str, Any] | None:
            try:
                async with session.get(f"http://{address}/api/parts", params={"minutes": minutes}) as response:
                    answer = json.loads(await response.read()) if response.status == 200 else None
                    return answer if isinstance(answer, dict) else None
            except (aiohttp.ClientError, TimeoutError, ValueError):
                return None

        answers = await asyncio.gather(*(one(address) for address in addresses))
    return [answer for answer in answers if answer is not None]


def _number(request: Any, name: str, default: int, most: int) -> int:
    text = str(request.query.get(name, default))
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) < 10 else default


def _json(app: CommittedApp, value: Any, status: int = 200) -> Any:
    # The standard library's encoder, since sums of money can exceed 64 bits.
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return app.web.text(text, content_type="application/json", status=status, headers=dict(_HEADERS))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
