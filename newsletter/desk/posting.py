"""Sending on the desk: the plan, the send, the test copy, and how mailings stand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from newsletter.database.engine import open_database
from newsletter.desk.issue import Checked, check
from newsletter.desk.project import Desk, clock
from newsletter.desk.readers import check_address, list_named
from newsletter.errors import NewsletterError
from newsletter.mailing import dispatch, ledger
from newsletter.mailing.dispatch import Order, Plan, Summary, Told
from newsletter.mailing.ledger import MailingStatus, UnknownReader
from newsletter.providers.base import Provider
from newsletter.providers.registry import open_provider
from newsletter.subscribers.book import Book


@dataclass(frozen=True)
class Posting:
    """An issue that has been checked and may be sent to one list."""

    checked: Checked
    order: Order

    def plan(self) -> Plan:
        """Say what a send would do. Raises StoppedError and TryLaterError as `send` would."""
        return dispatch.plan(self.order, clock=clock)

    def send(self, told: Told | None) -> Summary:
        """Send. Raises StoppedError and TryLaterError; running it again goes on."""
        return dispatch.send(self.order, told, clock=clock)

    def unknown(self) -> tuple[UnknownReader, ...]:
        """Return the readers of whom nobody knows whether their copy left."""
        return ledger.unknown_readers(self.order.engine, self.order.name)


@contextmanager
def open_posting(desk: Desk, reference: str | None, list_name: str | None) -> Iterator[Posting]:
    """Check an issue and open the ledger for it.

    Raises BlockedError when a check blocks, FaultsError and NewsletterError for what cannot be used; nothing is written
    before that.
    """
    chosen = list_named(desk.project.settings, list_name)
    checked = check(desk, reference)
    checked.refuse_blocked()
    provider = _provider(desk)
    engine = open_database(desk.project.settings.database, desk.project.root)
    try:
        Book(engine, clock, desk.project.secret())  # refuses another project's secret before anything is sent
        yield Posting(checked, Order(engine, desk.project, checked.edition, chosen, provider))
    finally:
        provider.close()
        engine.dispose()


def _provider(desk: Desk) -> Provider:
    project = desk.project
    return open_provider(project.settings.provider, project.root, project.source)


def test_send(desk: Desk, reference: str, address: str, list_name: str | None) -> str:
    """Send one copy, marked as a test, to one address; return the sentence that says where it went.

    The ledger does not hear of it, and checks that block do not stop it: seeing the mail is how one mends it.
    """
    chosen, accepted = list_named(desk.project.settings, list_name), check_address(address)
    checked = check(desk, reference)
    provider = _provider(desk)
    dispatch.test_message(desk.project, checked.edition, provider, accepted, chosen, clock())
    return f"one copy of {checked.file.slug} is on its way to {accepted} ({provider.describe()}); no mailing has begun"


def statuses(desk: Desk, name: str | None) -> tuple[MailingStatus, ...]:
    """Return how mailings stand, newest first. Raises NewsletterError for a mailing that is not there."""
    engine = open_database(desk.project.settings.database, desk.project.root)
    try:
        found = ledger.status(engine, name)
    finally:
        engine.dispose()
    if name and not found:
        raise NewsletterError(f"there is no mailing '{name}'; 'newsletter status' lists them all")
    return found


def unknown_readers(desk: Desk, name: str) -> tuple[UnknownReader, ...]:
    """Return the readers of a mailing whose copy may or may not have left."""
    engine = open_database(desk.project.settings.database, desk.project.root)
    try:
        return ledger.unknown_readers(engine, name)
    finally:
        engine.dispose()


def status_record(one: MailingStatus) -> Mapping[str, Any]:
    """Return what `newsletter status --format json` says of a mailing; moments are ISO 8601 in UTC."""
    values = {field.name: getattr(one, field.name) for field in fields(one)}
    return {key: value.isoformat() if isinstance(value, dt.datetime) else value for key, value in values.items()}
