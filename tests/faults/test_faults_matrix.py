"""Every carrier, every fault, and a SIGKILL at every write and every send: then others go on, and the law holds.

The first request that asks for mail to leave meets the fault, in the sender that is killed or in the one after it.
fault_points.py says why a sender that is killed before each of its effects has died everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fault_answers import first_like
from fault_points import LATER, LIVED, STOPPED
from fault_scene import Scene, Theatre
from fault_stands import SERVERS, SMTP_FAULTS
from provider_server import FAULTS

from newsletter.providers.base import Guard
from newsletter.providers.registry import PROVIDERS

# Forking a process with threads is frowned upon from Python 3.12 on; the children here touch nothing of those threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

NONE, BAD = "no fault", "one bad address"
BAD_READER = 4
SOON, LATE = 1 / 60, 24.5  # hours: while every key is good, and when none is any more

# After these nobody can tell whether the copies left.
DOUBTFUL = {
    "500 before",
    "500 after",
    "503",
    "dropped before",
    "dropped after",
    "cut in half",
    "200 with html before",
    "200 with html after",
    "too slow",
    "nonsense after DATA",
}
REFUSING = {"550 at RCPT", "550 after DATA"}
STOPPING = {"401", "535 at MAIL"}


def faults_of(name: str) -> tuple[str, ...]:
    return tuple({"outbox": {}, "smtp": SMTP_FAULTS}.get(name, FAULTS))


def cases() -> Iterator[tuple[str, str]]:
    for name in PROVIDERS:
        yield name, NONE
        yield from ((name, fault) for fault in faults_of(name))
        if name != "outbox":
            yield name, BAD


def keyed(name: str) -> bool:
    return PROVIDERS[name].guard is Guard.KEY


CASES = [(*case, SOON) for case in cases()] + [(*case, LATE) for case in cases() if keyed(case[0])]


def test_every_carrier_has_its_other_side() -> None:
    assert set(PROVIDERS) == {"outbox", "smtp", *SERVERS}


@pytest.mark.parametrize(("name", "fault", "wait"), CASES, ids=[f"{c[0]}-{c[1]}-{c[2]:.0f}h" for c in CASES])
def test_wherever_a_sender_dies_the_law_holds_and_nobody_gets_two(
    theatre: Theatre, name: str, fault: str, wait: float
) -> None:
    swept = first_like(name, faults_of(name)).get(fault, fault) == fault  # else its like is swept, fault_answers.py
    effect, ended = 0, None
    while ended is None:
        effect += swept  # 0 is never reached
        with theatre.scene(name) as stage:
            if fault == BAD:
                stage.stand.refuse(f"reader{BAD_READER}@example.org")
            elif fault != NONE:
                stage.stand.fail_once(fault)
            ended = stage.die_at(effect)
            in_hand = _in_hand(stage) if ended is None else set()
            stage.go_on(wait)
            _judge(stage, theatre.everybody, fault, wait, in_hand)
    assert effect > 6 or not swept
    if fault in STOPPING:
        assert ended == STOPPED
    assert ended in (LIVED, STOPPED, LATER)


def _in_hand(stage: Scene) -> set[int]:
    """Return who may have been handed over when the sender died and left no word of it.

    Of a batch that is everybody. Of messages it is one: the last whom the other side has heard of, or the next, who has
    not been heard of or else was put off before.
    """
    pending, again = stage.under_way()
    if stage.is_batch or not pending:
        return pending
    heard = [reader for readers in stage.stand.asked_to_send() for reader in readers]
    following = sorted(pending - again - set(heard))[:1] or again
    return {*following, *heard[-1:]} & pending


def _judge(stage: Scene, everybody: set[int], fault: str, wait: float, in_hand: set[int]) -> None:
    where = f"{stage}, in hand {sorted(in_hand)}"
    fates, arrived = stage.fates(), stage.arrived()
    unknown, rejected = fates.get("unknown", set()), fates.get("rejected", set())
    assert set(arrived.values()) <= {1}, where
    assert fates.get("accepted", set()) <= set(arrived), where
    assert fates.get("pending", set()) | fates.get("left", set()) == set(), where
    assert everybody - set(arrived) == rejected | (unknown - set(arrived)), where
    refused = {BAD_READER} if fault == BAD else stage.stand.lost() if fault in REFUSING else set()
    assert rejected == refused - unknown, where
    lost = stage.stand.lost() if _leaves_doubt(stage.name, fault) else set()
    if stage.guard is not Guard.NONE and (wait == SOON or stage.may_be_asked):
        assert unknown == set(), where
    elif stage.guard is not Guard.NONE:
        assert unknown <= in_hand | lost, where
    elif stage.is_batch:
        assert unknown == in_hand | lost, where
    else:
        assert lost <= unknown <= in_hand | lost, where
        assert len(unknown - lost) <= 1, where


def _leaves_doubt(name: str, fault: str) -> bool:
    if (name, fault) == ("sendgrid", "cut in half"):
        return False  # its whole answer is a status without a body
    return fault in DOUBTFUL
