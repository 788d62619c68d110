"""Settings of the carrier that change between two runs: who has it already can only be told where it was sent."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from mailing_carriers import ACCEPTED, DEFERRED, UNKNOWN, Batches, Messages, Repeatable, RepeatableBatches, always
from mailing_house import House, edition

from newsletter.errors import StoppedError, TryLaterError
from newsletter.mailing import dispatch
from newsletter.providers.base import Guard, Outcome, Provider, ProviderStoppedError, Receipt
from newsletter.providers.outbox import Outbox

OLD, NEW = "api.example.org/old.example.org", "api.example.org/new.example.org"


def send(house: House, provider: Provider, **more: object) -> dispatch.Summary:
    return dispatch.send(
        house.order(provider, **more), clock=house.clock, sleep=house.clock.sleep, chance=house.clock.chance
    )  # type: ignore[arg-type]


def test_a_look_up_at_another_place_never_makes_a_lost_batch_ready_again(house: House) -> None:
    house.enrol(range(1, 6))
    send(house, Batches(lambda _: UNKNOWN, where=OLD))
    house.clock.forward(hours=1)
    moved = Batches(known={}, where=NEW)
    said = f"begun with batches at {OLD}, .* not at {NEW}; bring that setting back"
    for call in (dispatch.plan, dispatch.send):
        with pytest.raises(StoppedError, match=said):
            call(house.order(moved), clock=house.clock)
    assert (moved.asked, moved.sent) == ([], [])
    assert house.counts() == {"unknown": 5}
    back = Batches(known=dict.fromkeys(range(1, 5), Outcome.ACCEPTED), where=OLD)
    send(house, back)
    assert back.groups == [[5]]
    assert house.counts() == {"accepted": 5}


def test_a_finished_mailing_is_asked_about_only_where_it_was_sent(house: House) -> None:
    house.enrol(range(1, 5))
    lost = Receipt(Outcome.ACCEPTED, exceptions={2: (Outcome.UNKNOWN, "no word")})
    assert send(house, Batches(lambda _: lost, where=OLD)).status.finished
    house.clock.forward(hours=1)
    with pytest.raises(StoppedError, match=f"at {OLD}"):
        send(house, Batches(known={}, where=NEW))
    send(house, Batches(known={2: Outcome.ACCEPTED}, where=OLD))
    assert house.counts() == {"accepted": 4}
    assert send(house, Batches(where=NEW)).nothing_to_do  # now there is nothing left to ask


@pytest.mark.parametrize("kind", [Repeatable, RepeatableBatches])
def test_what_may_be_repeated_is_repeated_only_at_the_same_place(
    house: House, kind: type[Repeatable | RepeatableBatches]
) -> None:
    house.enrol(range(1, 9))

    def cut(_: object) -> Receipt:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send(house, kind(cut, where=OLD))
    assert house.counts() == {"pending": 8}  # and yet one of them may be there
    with pytest.raises(StoppedError, match=f"at {OLD}"):
        send(house, kind(where=NEW))
    with pytest.raises(StoppedError, match="the issue"):
        send(house, kind(where=OLD), issue=edition(digest="cd" * 32))
    send(house, kind(where=OLD))
    assert house.counts() == {"accepted": 8}


def test_a_message_in_doubt_that_may_be_repeated_keeps_the_mailing_at_its_place(house: House) -> None:
    house.enrol(range(1, 9))
    for number, kind in enumerate((Repeatable, RepeatableBatches)):
        with pytest.raises(TryLaterError):
            send(house, kind(always(UNKNOWN), where=OLD), issue=edition(f"of-{number}"))
        with pytest.raises(StoppedError, match=f"at {OLD}"):
            send(house, kind(where=NEW), issue=edition(f"of-{number}"))


def test_a_mailing_of_which_nothing_left_may_move(house: House) -> None:
    house.enrol(range(1, 6))
    for number, kind in enumerate((Batches, Repeatable)):
        with pytest.raises(TryLaterError):
            send(house, kind(always(DEFERRED), where=OLD), issue=edition(f"of-{number}"))
        made = dispatch.plan(house.order(kind(where=NEW), edition(f"of-{number}")), clock=house.clock)
        assert (made.state, made.to_send) == ("new", 5)
        send(house, kind(where=NEW), issue=edition(f"of-{number}"))
        assert house.counts() == {"accepted": 5}


def test_a_carrier_without_a_guard_may_move_at_any_time(house: House) -> None:
    house.enrol(range(1, 61))
    assert Messages.guard is Guard.NONE

    def refuse(reader: int) -> Receipt:
        if reader > 30:
            raise ProviderStoppedError("535 wrong password")
        return ACCEPTED

    with pytest.raises(ProviderStoppedError):
        send(house, Messages(refuse, where=OLD))
    send(house, Messages(where=NEW))
    assert house.counts() == {"accepted": 60}


def test_another_outbox_folder_does_not_get_what_the_first_one_has(house: House) -> None:
    house.enrol(range(1, 401))
    first, second = Outbox(house.root / "outbox"), Outbox(house.root / "outbox2")
    _kill_at(house, first, 250)
    with pytest.raises(StoppedError, match=f"at {house.root / 'outbox'}, .* not at {house.root / 'outbox2'}"):
        send(house, second)
    assert not second.folder.exists()
    send(house, first)
    assert len(_files(first)) == 400
    assert house.counts() == {"accepted": 400}


def test_a_reader_who_left_after_an_interruption_and_whose_copy_is_in_the_outbox_counts_as_accepted(
    house: House,
) -> None:
    house.enrol(range(1, 401))
    outbox = Outbox(house.root / "outbox")
    _kill_at(house, outbox, 250)
    assert house.counts() == {"accepted": 200, "pending": 200}
    for number in (203, 205, 260):  # the copy of the last of them is not there
        house.change(number, status="left")
    house.suppress(204)
    house.erase(206)  # of whom nothing is left to compare with
    send(house, outbox)
    assert house.counts() == {"accepted": 398, "left": 2}
    assert sorted(int(path.stem) for path in _files(outbox)) == [n for n in range(1, 401) if n != 260]


def _files(outbox: Outbox) -> list[Path]:
    return list(outbox.folder.glob("*/*.eml"))


def _kill_at(house: House, outbox: Outbox, number: int) -> None:
    """Send from a process of its own that is killed as soon as so many files are there."""
    child = os.fork()
    if child == 0:
        try:
            own, deliver = House(house.root), outbox.deliver

            def deliver_until(envelope, following):  # type: ignore[no-untyped-def]
                receipt = deliver(envelope, following)
                if len(_files(outbox)) == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return receipt

            outbox.deliver = deliver_until  # type: ignore[method-assign]
            send(own, outbox)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
