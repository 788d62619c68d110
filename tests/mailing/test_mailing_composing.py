"""Signed messages that helpers compose ahead of the lanes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from dkim_verifiers import make_signer
from mailing_carriers import ACCEPTED, Messages
from mailing_house import House, edition

from newsletter.mailing import dispatch, ledger
from newsletter.mailing.ahead import LARGEST, SLICES, Composing, helpers, pays
from newsletter.mailing.carry import lanes
from newsletter.mailing.letters import Letter
from newsletter.mailing.message import Compiler
from newsletter.providers.base import ProviderStoppedError, Receipt
from newsletter.providers.dkim import Signer
from newsletter.subscribers.book import Book

PATIENCE = 20.0  # seconds for what takes a moment
CONNECTIONS = 2


@dataclass
class Signed(Messages):
    signer: Signer | None = None


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return make_signer(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def helper() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def send(house: House, carrier: Messages) -> dispatch.Summary:
    return dispatch.send(house.order(carrier), clock=house.clock, sleep=time.sleep, chance=house.clock.chance)


def compiler_of(house: House, carrier: Messages) -> Compiler:
    with house.engine.connect() as connection:
        found = ledger.find(connection, edition().slug, "weekly", "issue")
    assert found is not None
    return dispatch.compile_mailing(house.order(carrier), found)


def letters(number: int) -> list[Letter]:
    return [Letter(seq, seq, f"reader{seq}@example.org", "", frozenset()) for seq in range(1, number + 1)]


def test_it_pays_to_compose_ahead_where_messages_are_signed_and_nobody_set_a_rate(signer: Signer) -> None:
    assert pays(Signed(signer=signer))
    assert not pays(Signed())
    assert not pays(Signed(signer=signer, rate=5.0))


def test_there_is_a_helper_for_two_connections() -> None:
    for connections, number in ((1, 1), (2, 1), (3, 2), (16, 8)):
        with helpers(connections) as executor:
            assert executor._max_workers == number


def test_every_reader_gets_their_own_message_once_over_no_more_connections_than_agreed(
    shared_house: House, signer: Signer
) -> None:
    shared_house.enrol(range(1, 401))
    lock, now, most = threading.Lock(), [0], [0]

    def one(_: int) -> Receipt:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.001)
        with lock:
            now[0] -= 1
        return ACCEPTED

    carrier = Signed(one, connections=CONNECTIONS, signer=signer)
    assert lanes(carrier, CONNECTIONS) == CONNECTIONS
    send(shared_house, carrier)
    assert most == [CONNECTIONS]
    assert Counter(carrier.readers) == Counter(range(1, 401))
    compiler = compiler_of(shared_house, carrier)
    for envelope in carrier.sent:
        number = envelope.reader
        assert envelope == compiler.compose(number, f"reader{number}@example.org", f"Reader {number}")
        assert envelope.data.startswith(b"DKIM-Signature:")


def test_who_leaves_after_the_message_was_composed_gets_nothing(shared_house: House, signer: Signer) -> None:
    shared_house.enrol(range(1, 61))
    book = Book(shared_house.engine, shared_house.clock, shared_house.project.secret())
    leavers = [2, 3, 5, LARGEST * SLICES, 50, 51]

    def one(reader: int) -> Receipt:
        if reader == 1:
            for leaver in leavers:
                book.leave(leaver)
        return ACCEPTED

    carrier = Signed(one, signer=signer)
    send(shared_house, carrier)
    assert carrier.readers == [reader for reader in range(1, 61) if reader not in leavers]
    assert shared_house.counts() == {"accepted": 60 - len(leavers), "left": len(leavers)}


def test_a_server_that_refuses_us_is_shown_nothing_of_what_was_ready(house: House, signer: Signer) -> None:
    house.enrol(range(1, 101))
    shown: list[int] = []

    def one(reader: int) -> Receipt:
        shown.append(reader)
        if len(shown) == 7:
            raise ProviderStoppedError("535 wrong password")
        return ACCEPTED

    with pytest.raises(ProviderStoppedError, match="535 wrong password"):
        send(house, Signed(one, signer=signer))
    assert shown == list(range(1, 8))
    assert house.counts() == {"accepted": 6, "pending": 94}


def test_the_lane_composes_itself_what_no_helper_has_come_to(
    house: House, signer: Signer, helper: ThreadPoolExecutor
) -> None:
    house.enrol([1])
    send(house, carrier := Signed(signer=signer))
    compiler, some, let_go = compiler_of(house, carrier), letters(50), threading.Event()
    try:
        kept_busy = helper.submit(let_go.wait, PATIENCE)
        composing = Composing(compiler, some, helper)
        assert [composing.of(one).recipient for one in some] == [one.address for one in some]
        assert not kept_busy.done()
    finally:
        let_go.set()


def test_letters_may_be_left_out(house: House, signer: Signer, helper: ThreadPoolExecutor) -> None:
    house.enrol([1])
    send(house, carrier := Signed(signer=signer))
    compiler, some = compiler_of(house, carrier), letters(50)
    for by in (helper, None):
        composing = Composing(compiler, some, by)
        assert [composing.of(some[place]).reader for place in (0, 3, 4, 30, 49)] == [1, 4, 5, 31, 50]


def test_what_cannot_be_composed_never_makes_another_readers_message_pass_for_it(
    house: House, signer: Signer, helper: ThreadPoolExecutor
) -> None:
    house.enrol([1])
    send(house, carrier := Signed(signer=signer))
    some = letters(50)
    some[20] = some[20]._replace(address="re\N{LATIN SMALL LETTER U WITH DIAERESIS}der@example.org")
    composing = Composing(compiler_of(house, carrier), some, helper)
    assert [composing.of(one).reader for one in some[:15]] == list(range(1, 16))
    for error in (UnicodeError, LookupError):
        with pytest.raises(error):
            composing.of(some[20])


def test_what_nobody_has_begun_to_compose_is_given_up(house: House, signer: Signer, helper: ThreadPoolExecutor) -> None:
    house.enrol([1])
    send(house, carrier := Signed(signer=signer))
    let_go = threading.Event()
    helper.submit(let_go.wait, PATIENCE)
    some = letters(50)
    composing = Composing(compiler_of(house, carrier), some, helper)
    composing.of(some[0])
    composing.close()
    let_go.set()
    assert [future.cancelled() for _, future in composing._asked] == [True] * SLICES
