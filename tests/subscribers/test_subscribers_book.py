from __future__ import annotations

import datetime as dt
import itertools
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.exc import IntegrityError

from newsletter.database.engine import open_database, reading, writing
from newsletter.errors import NewsletterError
from newsletter.subscribers import tables
from newsletter.subscribers.addresses import AddressError
from newsletter.subscribers.book import Book
from newsletter.subscribers.model import Change, Entry, Reader, Reason, Status, Subscription

NOTE = "signed up at the May conference"
NOW = dt.datetime(2016, 4, 1, 9, 30, 15, tzinfo=dt.UTC)
# As written in tables.py for whoever forms an audience.
MAY_BE_MAILED = text("""
    SELECT reader.address FROM subscription JOIN reader ON reader.id = subscription.reader
    WHERE subscription.list = :list AND subscription.status = 'active'
      AND NOT EXISTS (SELECT 1 FROM suppression WHERE suppression.address_hash = reader.address_hash)
    ORDER BY reader.id
""")


def add(book: Book, address: str = "ann@example.org", list_name: str = "weekly", **more) -> Entry:
    return book.add(address, list_name=list_name, consent_note=NOTE, **more).entry


def mailed(book: Book, list_name: str = "weekly") -> list[str]:
    with reading(book.engine) as connection:
        return list(connection.execute(MAY_BE_MAILED, {"list": list_name}).scalars())


def actions(book: Book) -> list[tuple[str, str, str | None]]:
    with reading(book.engine) as connection:
        assert book.log.verify(connection) == ()
        rows = connection.execute(select(tables.consent).order_by(tables.consent.c.id))
        return [(row.action, row.list, row.evidence) for row in rows]


def test_a_reader_who_is_added_is_in_the_book_and_will_be_mailed(book: Book) -> None:
    added = book.add(
        "Ann@Example.org",
        list_name="weekly",
        consent_note=NOTE,
        name=" Ann ",
        language="EN",
        timezone=" asia/damascus",
        follows=["SYR", "BDI", "SYR"],
    )
    assert added.change is Change.ADDED
    assert added.hints == ()
    assert added.entry == Entry(
        Reader(1, "Ann@example.org", "Ann", "en", "Asia/Damascus"),
        (Subscription("weekly", Status.ACTIVE, ("BDI", "SYR"), NOW, NOW),),
    )
    assert book.show("ANN@example.ORG") == book.show(1) == book.show("1") == added.entry
    assert mailed(book) == ["Ann@example.org"]
    assert actions(book) == [("joined", "weekly", NOTE)]


def test_a_slip_in_the_address_is_hinted_at(book: Book) -> None:
    assert book.add("ann@gmial.com", list_name="weekly", consent_note=NOTE).hints == ("did you mean gmail.com?",)


def test_all_spellings_of_an_address_are_one_reader(book: Book) -> None:
    for address in ("user@münchen.example", "USER@xn--mnchen-3ya.example", "ｕser@MÜNCHEN.example"):
        assert add(book, address).reader.id == 1
    assert [entry.reader.address for entry in book.entries()] == ["user@münchen.example"]


def test_adding_again_brings_up_to_date_and_keeps_the_first_opt_in(book: Book, clock) -> None:
    add(book, name="Ann", follows=["SYR"])
    clock.turn(days=30)
    same = book.add("ann@example.org", list_name="weekly", consent_note=NOTE)
    assert same.change is Change.UNCHANGED
    changed = book.add("ann@example.org", list_name="weekly", consent_note=NOTE, name="Ann Berg", follows=[])
    assert changed.change is Change.UPDATED
    assert changed.entry.reader.name == "Ann Berg"
    assert changed.entry.subscriptions == (Subscription("weekly", Status.ACTIVE, (), NOW, NOW),)
    assert len(actions(book)) == 1


def test_a_second_list_is_a_second_subscription_of_the_same_reader(book: Book) -> None:
    add(book, follows=["SYR"])
    entry = add(book, list_name="press", follows=["BDI"], language="fr")
    assert [one.list for one in entry.subscriptions] == ["press", "weekly"]
    assert entry.summary() == {
        "id": 1,
        "address": "ann@example.org",
        "name": "",
        "language": "fr",
        "timezone": "",
        "lists": ["press", "weekly"],
        "status": "active",
        "follows": ["BDI", "SYR"],
    }
    assert entry.summary("weekly")["follows"] == ["SYR"]


def test_somebody_who_waits_for_confirmation_is_not_mailed_until_they_confirm(book: Book, clock) -> None:
    add(book, status=Status.PENDING)
    assert mailed(book) == []
    clock.turn(hours=1)
    entry = add(book)
    assert entry.status() is Status.ACTIVE
    assert entry.subscriptions[0].joined_at == NOW
    assert add(book, status=Status.PENDING).status() is Status.ACTIVE
    assert [action for action, _, _ in actions(book)] == ["asked", "joined"]


def test_somebody_who_left_comes_back_by_hand_with_new_consent_and_a_new_date(book: Book, clock) -> None:
    add(book)
    book.leave(1, "weekly")
    clock.turn(days=10)
    entry = add(book)
    assert entry.subscriptions[0].status is Status.ACTIVE
    assert entry.subscriptions[0].joined_at == NOW + dt.timedelta(days=10)
    assert [action for action, _, _ in actions(book)] == ["joined", "left", "joined"]


def test_leaving_is_for_one_list_or_all_and_twice_is_once(book: Book, clock) -> None:
    add(book)
    add(book, list_name="press")
    first = book.leave("ann@example.org", "weekly")
    assert first.summary()["lists"] == ["press"]
    assert first.status("weekly") is Status.LEFT
    assert first.status() is Status.ACTIVE
    clock.turn(days=1)
    assert book.leave(1, "weekly") == first
    assert book.leave(1).summary()["lists"] == []
    assert (mailed(book), mailed(book, "press")) == ([], [])
    assert [(action, name) for action, name, _ in actions(book)][2:] == [("left", "weekly"), ("left", "press")]


EVENTS = {
    "leave": lambda book: book.leave(1),
    "bounce": lambda book: book.bounced(1),
    "complain": lambda book: book.complained(1),
}


@pytest.mark.parametrize("events", list(itertools.permutations(EVENTS)), ids="-".join)
def test_events_in_any_order_and_twice_end_in_the_same_state(book: Book, events: tuple[str, ...]) -> None:
    add(book)
    for event in (*events, *events):
        EVENTS[event](book)
    assert book.show(1).status() is Status.COMPLAINED
    assert book.show(1).suppressed.reason is Reason.COMPLAINED
    assert mailed(book) == []


def test_a_bounce_or_complaint_ends_every_list(book: Book) -> None:
    for address, end in (("ann@example.org", book.bounced), ("bob@example.org", book.complained)):
        add(book, address)
        add(book, address, list_name="press")
        end(address)
    assert mailed(book) == mailed(book, "press") == []
    assert book.counts() == {
        "press": {Status.BOUNCED: 1, Status.COMPLAINED: 1},
        "weekly": {Status.BOUNCED: 1, Status.COMPLAINED: 1},
    }
    for address, word in (("ann@example.org", "bounced"), ("bob@example.org", "complained")):
        with pytest.raises(NewsletterError, match=f"{address} {word} on 2016-04-01 and must not be mailed; not added"):
            add(book, address)


def test_a_suppressed_address_is_not_mailed_whoever_it_is(book: Book) -> None:
    add(book)
    book.suppress("ANN@example.org")
    book.suppress("stranger@example.org")
    book.suppress("stranger@example.org")
    assert mailed(book) == []
    assert [action for action, _, _ in actions(book)] == ["joined", "suppressed", "suppressed"]
    assert book.suppressed("stranger@EXAMPLE.org").reason is Reason.MANUAL
    assert book.show(1).suppressed.reason is Reason.MANUAL
    with pytest.raises(NewsletterError, match="was marked as not to be mailed on 2016-04-01"):
        add(book, "stranger@example.org")


def test_a_suppression_is_lifted_only_with_a_note_and_the_log_tells(book: Book) -> None:
    add(book)
    book.suppress("ann@example.org")
    with pytest.raises(NewsletterError, match="say where consent came from"):
        book.unsuppress("ann@example.org", " ")
    assert book.unsuppress("ann@example.org", "asked by letter")
    assert not book.unsuppress("ann@example.org", "asked by letter")
    assert book.suppressed("ann@example.org") is None
    assert mailed(book) == ["ann@example.org"]
    assert actions(book)[-1] == ("unsuppressed", "", "asked by letter")


def test_a_lighter_reason_does_not_replace_a_weightier_one(book: Book, clock) -> None:
    add(book)
    book.complained(1)
    clock.turn(days=5)
    book.suppress("ann@example.org")
    book.bounced(1)
    assert book.suppressed("ann@example.org").reason is Reason.COMPLAINED
    assert book.suppressed("ann@example.org").at == NOW


@pytest.mark.parametrize("kind", ["sqlite"])
def test_erasing_a_reader_leaves_no_byte_of_them_in_any_file(book: Book, tmp_path: Path) -> None:
    for number in range(300):
        add(book, f"other{number}@example.org")
    erased = book.add(
        "zebedee@example.org", list_name="weekly", consent_note="letter of Zebedee", name="Zebedee Quux"
    ).entry
    book.engine.dispose()
    assert b"zebedee@example.org" in (tmp_path / "subscribers" / "newsletter.db").read_bytes()
    assert book.remove("zebedee@example.org") == erased
    for path in (tmp_path / "subscribers").iterdir():
        content = path.read_bytes()
        assert not [word for word in (b"zebedee", b"Zebedee", b"Quux") if word in content], path.name


def test_an_erased_reader_is_never_mailed_again_and_their_number_never_given_again(book: Book) -> None:
    add(book)
    book.remove(1)
    assert book.find("ann@example.org") is None
    assert book.suppressed("ANN@example.org").reason is Reason.ERASED
    with pytest.raises(NewsletterError, match="was removed for good on 2016-04-01 and must not be mailed"):
        add(book)
    assert add(book, "bob@example.org").reader.id == 2
    book.remove(2)
    book.engine.dispose()
    assert add(book, "cat@example.org").reader.id == 3
    assert actions(book) == [
        ("joined", "weekly", None),
        ("erased", "", None),
        ("joined", "weekly", None),
        ("erased", "", None),
        ("joined", "weekly", NOTE),
    ]


def test_erasing_works_while_somebody_reads_the_old_state(book: Book) -> None:
    add(book)
    with reading(book.engine) as snapshot:
        assert snapshot.execute(select(tables.reader)).all()
        book.remove(1)
        assert snapshot.execute(select(tables.reader)).all()
    assert book.find(1) is None


def test_what_a_reader_follows_is_kept_sorted_and_once(book: Book) -> None:
    add(book)
    assert book.follow("ann@example.org", "weekly", ["SYR", "BDI", "SYR"]).follows("weekly") == ("BDI", "SYR")
    with reading(book.engine) as connection:
        assert connection.scalar(select(tables.subscription.c.follows)) == "BDI SYR"
    assert book.follow(1, "weekly", []).follows() == ()


@pytest.mark.parametrize("what", ["leave", "follow"])
def test_a_list_the_reader_is_not_on_is_one_line(book: Book, what: str) -> None:
    add(book)
    with pytest.raises(NewsletterError, match=r"ann@example\.org is not on the list 'press'"):
        book.leave(1, "press") if what == "leave" else book.follow(1, "press", [])


def test_somebody_unknown_is_one_line(book: Book) -> None:
    for who in ("nobody@example.org", 77, "77", 10**18 - 1):
        for act in (book.show, book.leave, book.bounced, book.remove):
            with pytest.raises(NewsletterError, match=f"there is no reader '{who}'"):
                act(who)
    for who in ("nobody", "9" * 30):
        with pytest.raises(AddressError):
            book.find(who)


def test_consent_must_be_said(book: Book) -> None:
    with pytest.raises(NewsletterError, match="say where consent came from: --consent"):
        book.add("ann@example.org", list_name="weekly", consent_note="  ")
    assert list(book.entries()) == []


def test_a_name_that_would_break_a_header_is_refused(book: Book) -> None:
    with pytest.raises(NewsletterError, match="line break"):
        add(book, name="Ann\r\nBcc: eve@example.org")
    assert list(book.entries()) == []


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "localtime", "America", "+02:00"])
def test_a_time_zone_that_is_none_is_one_line(book: Book, zone: str) -> None:
    with pytest.raises(
        NewsletterError, match="' is not a time zone; write its IANA name, like America/New_York"
    ) as caught:
        add(book, timezone=zone)
    assert "\n" not in str(caught.value)
    assert list(book.entries()) == []


def test_a_time_zone_that_is_not_said_again_stays(book: Book) -> None:
    add(book, timezone="Europe/Berlin")
    assert add(book, name="Ann").reader.timezone == "Europe/Berlin"
    assert add(book, timezone="UTC").reader.timezone == "UTC"


def test_many_at_once_leave_one_unbroken_log(engine: Engine, clock) -> None:
    start = threading.Barrier(8, timeout=60)

    def join_and_leave(number: int) -> None:
        mine = Book(engine, clock, b"a secret only the tests know")
        start.wait()
        for turn in range(4):
            address = f"r{number}.{turn}@example.org"
            add(mine, address)
            add(mine, "everybody@example.org", follows=[f"K{number}"])
            mine.bounced(address) if turn % 2 else mine.leave(address)

    threads = [threading.Thread(target=join_and_leave, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    book = Book(engine, clock, b"a secret only the tests know")
    assert [action for action, _, _ in actions(book)].count("joined") == 33
    assert len(actions(book)) == 33 + 32
    assert book.counts() == {"weekly": {Status.ACTIVE: 1, Status.LEFT: 16, Status.BOUNCED: 16}}


def test_readers_are_listed_by_list_and_status(book: Book) -> None:
    add(book, "a@example.org")
    add(book, "b@example.org", status=Status.PENDING)
    add(book, "c@example.org")
    book.leave(3, "weekly")
    add(book, "a@example.org", list_name="press")
    add(book, "d@example.org", list_name="press")

    def ids(*args) -> list[int]:
        return [entry.reader.id for entry in book.entries(*args)]

    assert ids() == [1, 2, 3, 4]
    assert ids("weekly") == [1, 2, 3]
    assert ids("weekly", Status.ACTIVE) == [1]
    assert ids("press") == [1, 4]
    assert ids(None, Status.ACTIVE) == [1, 4]
    assert ids(None, Status.LEFT) == [3]
    assert ids("nowhere") == []
    assert book.counts()["weekly"] == {Status.ACTIVE: 1, Status.PENDING: 1, Status.LEFT: 1}


def test_pages_follow_each_other_without_a_gap_while_readers_come_and_go(book: Book) -> None:
    with writing(book.engine) as connection:
        rows = [
            {
                "address": f"r{n}@example.org",
                "address_hash": b"%032d" % n,
                "name": "",
                "language": "",
                "created_at": NOW,
            }
            for n in range(1, 1203)
        ]
        connection.execute(insert(tables.reader), rows)
        connection.execute(
            insert(tables.subscription),
            [
                {"reader": n, "list": "weekly", "status": "active", "follows": "", "joined_at": NOW, "changed_at": NOW}
                for n in range(1, 1203)
            ],
        )
    pages = book.entries("weekly")
    seen = [next(pages).reader.id for _ in range(3)]
    book.remove(1200)
    added = add(book, "late@example.org").reader.id
    seen += [entry.reader.id for entry in pages]
    assert seen == [n for n in range(1, 1203) if n != 1200] + [added]


def test_the_overall_status_is_that_of_the_list_that_still_mails() -> None:
    order = [Status.ACTIVE, Status.PENDING, Status.LEFT, Status.BOUNCED, Status.COMPLAINED]
    for first, second in itertools.combinations(order, 2):
        subscriptions = tuple(Subscription(str(i), status, (), NOW, NOW) for i, status in enumerate((second, first)))
        assert Entry(Reader(1, "a@example.org", "", ""), subscriptions).status() is first
    assert Entry(Reader(1, "a@example.org", "", ""), ()).status() is Status.LEFT


def test_following_everything_on_one_list_is_following_everything() -> None:
    one = Subscription("a", Status.ACTIVE, ("BDI",), NOW, NOW)
    every = Subscription("b", Status.ACTIVE, (), NOW, NOW)
    gone = Subscription("c", Status.LEFT, ("SYR",), NOW, NOW)
    person = Reader(1, "a@example.org", "", "")
    assert Entry(person, (one, gone)).follows() == ("BDI",)
    assert Entry(person, (one, every)).follows() == ()
    assert Entry(person, (one, gone)).follows("c") == ("SYR",)


def test_the_database_itself_refuses_a_status_or_a_second_reader_that_cannot_be(book: Book) -> None:
    add(book)
    with pytest.raises(IntegrityError), writing(book.engine) as connection:
        connection.execute(tables.subscription.update().values(status="gone"))
    with pytest.raises(IntegrityError), writing(book.engine) as connection:
        connection.exec_driver_sql("INSERT INTO reader SELECT 9, 'x', address_hash, '', '', created_at, '' FROM reader")
    with pytest.raises(IntegrityError), writing(book.engine) as connection:
        connection.exec_driver_sql("UPDATE subscription SET reader = 99")


def test_another_secret_is_refused_because_it_would_mail_the_erased(
    book: Book, engine: Engine, clock, tmp_path
) -> None:
    add(book)
    Book(engine, clock, b"a secret only the tests know")
    with pytest.raises(NewsletterError, match=r"^\S+: this database was made with another secret"):
        Book(engine, clock, b"another secret")
    second = open_database("sqlite:///other.db", tmp_path)
    Book(second, clock, b"another secret")
    second.dispose()
