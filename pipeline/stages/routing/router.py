"""What a router is: how a slice's quantity gets to venues. The routers themselves are in `routers/`.

The stage owns what is the same for every router: parents and their exposure, the life of a child, executions, RECALL
and FINISH, kill and day end (which cancel children and mark their slices as closing). A router decides which children a
slice sends, and when. It keeps no state itself: what it needs of a slice is in its :class:`OpenSlice`.

Every router promises:

- an open slice always has a child that can still execute: when its last one has ended, the router sends another or
  closes the slice within the same call. So a slice never waits for anything but a venue, and ends once its children are
  cancelled;
- it calls :func:`closing.why_closed` before it sends, sends only through :func:`child_orders.through_the_gate`, and
  never more than the ledger's headroom;
- it closes a slice once, by :func:`closing.close`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from pipeline.domain.record import Owned
from pipeline.stages.routing.open_slice import OpenSlice
from pipeline.stages.routing.state import RoutingState


class Router(Protocol):
    """A way through the venues. Each method returns the records to write, in order."""

    def on_slice(self, state: RoutingState, open_slice: OpenSlice) -> Iterable[Owned]:
        """Send the first children of a new slice, which is in the ledger already, or close it."""

    def on_child_ended(self, state: RoutingState, open_slice: OpenSlice) -> Iterable[Owned]:
        """A child of the slice can no longer execute, and all its executions are booked: send others, or close it."""

    def on_tick(self, state: RoutingState, open_slice: OpenSlice) -> Iterable[Owned]:
        """Called once a tick (``state.now_ns``) for every open slice: cancel the children of one that has expired."""
