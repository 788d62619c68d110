"""What comes back to the bounce address is taken in once, and nothing is lost or believed that should not be."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mailing_returned import FULL, GONE, LATE, answer, complaint, postfix, sendmail, words

from newsletter.database.opened import opened
from newsletter.desk import bounces, service
from newsletter.desk.issue import check
from newsletter.desk.posting import open_posting
from newsletter.desk.project import clock, open_desk
from newsletter.errors import FaultsError, NewsletterError
from newsletter.mailing import ledger
from newsletter.mailing.marks import Marks
from newsletter.subscribers.book import Book
from newsletter.subscribers.model import Status

ISSUE = "2016-04-22"
MAILING = f"{ISSUE}-weekly"


@dataclass
class Office:
    """A project whose mailing went to readers 1 to 3, and the Maildir that its bounces come to."""

    root: Path

    @property
    def maildir(self) -> Path:
        return self.root / "returned"

    def reset(self, old: str, new: str) -> None:
        settings = self.root / "newsletter.yaml"
        text = settings.read_text("utf-8")
        assert old in text
        settings.write_text(text.replace(old, new), "utf-8")

    def path_of(self, reader: int) -> str:
        secret = open_desk(self.root).project.secret()
        return f"bounces+{Marks(secret, MAILING).both(reader)[1]}@example.org"

    def arrive(self, *messages: bytes, folder: str = "new", flags: str = "") -> None:
        for data in messages:
            number = sum(1 for _ in self.maildir.rglob("*"))
            (self.maildir / folder / f"1461326400.M{number:06d}P1.mail{flags}").write_bytes(data)

    def files(self, folder: str) -> list[str]:
        return sorted(path.name for path in (self.maildir / folder).iterdir())

    def fetch(self, stop: Callable[[], bool] = lambda: False) -> Iterator[str]:
        return bounces.fetch(open_desk(self.root), clock, stop)

    def state(self) -> tuple[object, ...]:
        """What ledger and book say, without the time."""
        project = open_desk(self.root).project
        with opened(project.database(), project.root) as engine:
            assert ledger.verify(engine, MAILING) == ()
            book = Book(engine, clock, project.secret())
            return (tuple(ledger.fates(engine, MAILING)), *(book.show(reader).status("weekly") for reader in (1, 2, 3)))


@pytest.fixture
def office(project_folder: Path) -> Office:
    for folder in ("new", "cur", "tmp"):
        (project_folder / "returned" / folder).mkdir(parents=True)
    desk = open_desk(project_folder)
    with opened(desk.project.database(), desk.project.root) as engine:
        book = Book(engine, clock, desk.project.secret())
        for name in ("ann", "ben", "cleo"):
            book.add(f"{name}@example.com", list_name="weekly", consent_note="asked in May")
    with open_posting(desk, ISSUE, "weekly") as work:
        work.send(work.plan(), no_test=True)
    with (project_folder / "newsletter.yaml").open("a", encoding="utf-8") as settings:
        settings.write("bounces: {maildir: returned}\n")
    return Office(project_folder)


def test_whoever_is_gone_is_mailed_no_more_and_the_message_goes(office: Office) -> None:
    office.arrive(postfix(office.path_of(2), GONE))
    assert list(office.fetch()) == [f"{MAILING}: reader 2 bounced for good 5.1.1"]
    assert office.state()[1:] == (Status.ACTIVE, Status.BOUNCED, Status.ACTIVE)
    assert office.files("new") == office.files("cur") == []


def test_whoever_complained_is_mailed_no_more(office: Office) -> None:
    office.arrive(complaint(office.path_of(3)))
    assert list(office.fetch()) == [f"{MAILING}: reader 3 complained"]
    assert office.state()[1:] == (Status.ACTIVE, Status.ACTIVE, Status.COMPLAINED)


def test_a_full_mailbox_and_a_delay_take_nobody_off_the_list(office: Office) -> None:
    office.arrive(postfix(office.path_of(1), FULL), sendmail(office.path_of(2), LATE))
    said = [f"{MAILING}: reader 1 bounced 5.2.2", "messages without consequence: 1 of passing events"]
    assert list(office.fetch()) == said
    assert office.state()[1:] == (Status.ACTIVE,) * 3
    assert office.files("new") == office.files("cur") == []


def test_what_is_not_ours_or_not_understood_stays_and_is_not_looked_at_again(office: Office) -> None:
    before = office.state()
    forged = postfix(f"bounces+{'0' * 32}@example.org", GONE)
    office.arrive(forged, answer(office.path_of(1)), words(office.path_of(2)), b"\x00junk")
    assert list(office.fetch()) == ["messages without consequence: 2 not ours, 2 not understood"]
    assert office.state() == before
    assert office.files("new") == []
    assert [name.rpartition(":")[2] for name in office.files("cur")] == ["2,S"] * 4
    assert list(office.fetch()) == []


def test_what_has_been_read_is_kept_if_the_settings_say_so(office: Office) -> None:
    office.reset("returned}", "returned, keep: true}")
    office.arrive(postfix(office.path_of(2), GONE))
    assert len(list(office.fetch())) == 1
    assert [name.rpartition(":")[2] for name in office.files("cur")] == ["2,S"]
    assert list(office.fetch()) == []


def test_what_another_program_has_moved_but_nobody_has_seen_is_read(office: Office) -> None:
    office.arrive(postfix(office.path_of(2), GONE), folder="cur", flags=":2,")
    office.arrive(words(office.path_of(1)), folder="cur", flags=":2,FR")
    office.arrive(postfix(office.path_of(3), GONE), folder="cur", flags=":2,S")
    office.arrive(postfix(office.path_of(3), GONE), folder="tmp")
    (office.maildir / "new" / ".index").write_bytes(postfix(office.path_of(3), GONE))  # some program's own
    assert list(office.fetch()) == [
        f"{MAILING}: reader 2 bounced for good 5.1.1",
        "messages without consequence: 1 not understood",
    ]
    assert [name.rpartition(":")[2] for name in office.files("cur")] == ["2,FRS", "2,S"]


def test_the_same_message_twice_changes_nothing_more(office: Office) -> None:
    messages = postfix(office.path_of(1), FULL), postfix(office.path_of(2), GONE), complaint(office.path_of(3))
    office.arrive(*messages)
    assert len(list(office.fetch())) == 3
    before = office.state()
    office.arrive(*reversed(messages))
    assert len(list(office.fetch())) == 3
    assert office.state() == before
    assert office.files("new") == office.files("cur") == []


def test_a_message_from_before_somebody_joined_again_ends_nothing(office: Office) -> None:
    office.arrive(postfix(office.path_of(2), GONE), postfix(office.path_of(3), GONE))
    old = office.maildir / "new" / office.files("new")[0]
    os.utime(old, (0, 0))
    assert len(list(office.fetch())) == 2
    assert office.state()[1:] == (Status.ACTIVE, Status.ACTIVE, Status.BOUNCED)


def test_a_kill_between_storing_and_removing_is_repeated_without_harm(office: Office) -> None:
    office.arrive(postfix(office.path_of(2), GONE), postfix(office.path_of(1), FULL))
    child = os.fork()
    if not child:
        try:
            next(office.fetch())  # a line comes when it is stored, before the message goes
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    _, how = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(how) == -signal.SIGKILL
    assert len(office.files("new")) == 2
    stored = office.state()
    assert stored[2] is Status.BOUNCED
    assert len(list(office.fetch())) == 2
    assert office.state()[1:] == stored[1:]
    assert office.files("new") == office.files("cur") == []


def test_a_round_takes_500_messages_and_the_next_one_the_rest(office: Office) -> None:
    office.arrive(*[b"not ours"] * 501)
    assert list(office.fetch()) == ["messages without consequence: 500 not ours"]
    assert len(office.files("new")) == 1
    assert list(office.fetch()) == ["messages without consequence: 1 not ours"]


def test_a_stop_comes_between_two_messages(office: Office) -> None:
    office.arrive(postfix(office.path_of(1), GONE), postfix(office.path_of(2), GONE))
    stops = iter([False, True])
    assert len(list(office.fetch(lambda: next(stops)))) == 1
    assert len(office.files("new")) == 1


def test_a_message_that_cannot_be_moved_does_not_keep_the_others(office: Office) -> None:
    (office.maildir / "new" / ("0" * 255)).write_bytes(b"no name is left for a flag")
    office.arrive(postfix(office.path_of(2), GONE))
    told = office.fetch()
    assert next(told) == f"{MAILING}: reader 2 bounced for good 5.1.1"
    assert next(told) == "messages without consequence: 1 not ours"
    with pytest.raises(NewsletterError, match="this message cannot be taken in: File name too long"):
        next(told)


def test_newsletter_run_fetches_them_and_prints_no_address(office: Office) -> None:
    office.arrive(postfix(office.path_of(2), f"{GONE}Diagnostic-Code: smtp; 550 ann@example.com\n"), words("x"))
    said: list[str] = []
    assert service.run(office.root, 1, said.append, once=True)
    assert f"{MAILING}: reader 2 bounced for good 5.1.1" in said
    assert "@" not in "".join(said)
    assert office.state()[2] is Status.BOUNCED


def test_without_the_setting_nothing_is_fetched(office: Office) -> None:
    office.reset("bounces: {", "# {")
    office.arrive(postfix(office.path_of(2), GONE))
    assert list(office.fetch()) == []
    assert len(office.files("new")) == 1


def test_settings_that_cannot_be_used_are_one_line(office: Office) -> None:
    office.reset("returned}", "nowhere}")
    with pytest.raises(
        NewsletterError, match=r"nowhere: the Maildir that newsletter\.yaml names .* cannot be read: new"
    ):
        list(office.fetch())
    office.reset("bounce: bounces@example.org\n", "")
    with pytest.raises(NewsletterError, match=r"newsletter\.yaml: 'bounces' needs a 'bounce' address"):
        list(office.fetch())
    office.reset("maildir:", "mailbox:")
    with pytest.raises(FaultsError, match="there is no key 'mailbox' here; known are: maildir, keep"):
        list(office.fetch())


def test_where_bounces_are_delivered_changes_no_edition(office: Office) -> None:
    desk = open_desk(office.root)
    office.reset("bounces: {", "# {")
    assert check(desk, ISSUE).edition.digest == check(open_desk(office.root), ISSUE).edition.digest
