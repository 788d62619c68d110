"""Which faults of a carrier are one and the same to the ledger.

All that a mailing hears of a fault is the carrier's receipt, or its refusal to go on; all that the world keeps of it
is whether the copies were made. Two faults with the same receipt (but for its words) and the same copies are therefore
one: whatever dies at whatever effect, the ledgers and the readers' mailboxes are the same. That the receipts are the
same is not assumed: each fault is put to the real carrier and its other side.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fault_clock import SharedClock
from fault_stands import open_stand
from provider_contract import batch, envelope

from newsletter.providers.base import BatchCarrier, MessageCarrier, ProviderStoppedError


def hear(name: str, fault: str) -> tuple[Any, ...]:
    """Let a carrier meet a fault; return what the ledger hears of it and who got copies."""
    clock = SharedClock()
    with tempfile.TemporaryDirectory() as folder, open_stand(name, clock, Path(folder)) as stand:
        stand.fail_once(fault)
        carrier = stand.carrier()
        said: tuple[Any, ...] = ("stopped",)
        try:
            if isinstance(carrier, BatchCarrier):
                receipt = carrier.deliver(batch())
            else:
                assert isinstance(carrier, MessageCarrier)
                receipt = carrier.deliver(envelope(1))
            kinds = {reader: outcome for reader, (outcome, _) in receipt.exceptions.items()}
            said = (receipt.outcome, receipt.retry_after, receipt.split, sorted(kinds.items()))
        except ProviderStoppedError:
            pass
        carrier.close()
        stand.rest()
        return (*said, sorted(stand.got.items()))


@functools.cache
def first_like(name: str, names: tuple[str, ...]) -> Mapping[str, str]:
    """Return for each fault of a carrier the first one that is the same to the ledger."""
    first: dict[str, str] = {}
    return {fault: first.setdefault(repr(hear(name, fault)), fault) for fault in names}
