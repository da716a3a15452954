"""Makes the desk's control records from words on the command line; none without who gives it and why."""

from __future__ import annotations

import re
from typing import Final, TypeVar

from pipeline.domain.controls import Control, ControlKind, ControlScope
from pipeline.domain.validators.steering import SCOPES
from pipeline.errors import WrongUse

K = TypeVar("K", ControlKind, ControlScope)

_POSITION: Final = re.compile(r"[A-Za-z0-9._-]+/[0-9]+/[0-9]+")
_EXECUTION: Final = re.compile(r"[0-9]{1,18}@[0-9]{1,9}(\.[0-9]{1,9})?")
_WITHOUT_SCOPE_ID: Final = frozenset({ControlScope.ALL})
_SCOPES: Final = {ControlKind.BLOCK_VENUE: (ControlScope.VENUE,), **SCOPES}


def control(
    kind: str, scope: str, scope_id: str, who: str, why: str, at_ns: int, old: str | None = None, new: str | None = None
) -> Control:
    """A control. ``kind`` and ``scope`` in any case, ``-`` for ``_``; ``at_ns``: wall time of the control, in ns.

    Its id is made of that time and of who gave it. Raises WrongUse for an unknown word, a scope without its id, a scope
    that the kind cannot have, a control without who or why, a declared fill without quantity and price, and for text
    that cannot be printed.
    """
    what = _word(ControlKind, kind, "control")
    where = _word(ControlScope, scope, "scope")
    if not who.strip() or not why.strip():
        raise WrongUse("a control says who gives it and why (--who, --why)")
    texts = {"--id": scope_id, "--who": who, "--why": why, "--old": old or "", "--new": new or ""}
    strange = [name for name, text in texts.items() if not text.isprintable()]
    if strange:
        raise WrongUse(f"{', '.join(strange)}: one line of text that can be printed, in UTF-8")
    if scope_id != scope_id.strip():
        raise WrongUse(f"--id: {scope_id!r} has blanks around it; names are compared exactly")
    if what is ControlKind.SKIP:
        # Its id is the position of a record, which belongs to no scope: the task that reads there obeys it.
        if where is not ControlScope.ALL or not _POSITION.fullmatch(scope_id):
            raise WrongUse("SKIP names a position, and no scope: --id topic/partition/offset")
    elif (where in _WITHOUT_SCOPE_ID) == bool(scope_id):
        raise WrongUse(f"scope {where} {'has no id' if scope_id else 'needs an id: which one?'}")
    if what is ControlKind.DECLARE_FILLED and not _EXECUTION.fullmatch(new or ""):
        raise WrongUse(f"DECLARE_FILLED says what was executed: --new QUANTITY@PRICE, as 6@50.05, not {new!r}")
    allowed = _SCOPES.get(what)
    if allowed is not None and where not in allowed:
        raise WrongUse(f"{what} is of {' or '.join(allowed)}, not of {where}")
    return Control(
        kind=what,
        control_id=f"{at_ns}-{who.strip()}",
        scope=where,
        scope_id=scope_id,
        who=who.strip(),
        why=why.strip(),
        at_ns=at_ns,
        old=old,
        new=new,
    )


def _word(kinds: type[K], text: str, what: str) -> K:
    known = [kind for kind in kinds if kind != "UNKNOWN"]
    for kind in known:
        if kind.value == text.strip().upper().replace("-", "_"):
            return kind
    raise WrongUse(f"there is no {what} {text!r}: one of {', '.join(kind.value for kind in known)}")
