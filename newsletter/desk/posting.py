"""Sending on the desk: the plan, the send, the test copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from newsletter.database.opened import opened
from newsletter.desk.approving import Readiness, readiness
from newsletter.desk.issue import Checked, check
from newsletter.desk.project import Desk, clock
from newsletter.desk.readers import check_address, list_named
from newsletter.desk.watching import StillTheSame, stamps
from newsletter.mailing import approval, dispatch, leave, ledger, orders, resume
from newsletter.mailing.clocks import database_clock
from newsletter.mailing.dispatch import Summary, Told
from newsletter.mailing.ledger import MailingStatus, UnknownReader
from newsletter.mailing.orders import Order, Plan
from newsletter.mailing.stop import stop_on_signals
from newsletter.providers.base import Provider
from newsletter.providers.registry import open_provider
from newsletter.subscribers.book import Book


@dataclass(frozen=True)
class Posting:
    """An issue that has been checked and may be sent to one list, and how far people are with it."""

    checked: Checked
    order: Order
    ready: Readiness

    def plan(self) -> Plan:
        """Say what a send would do. Raises StoppedError and TryLaterError as `send` would."""
        return orders.plan(self.order, clock=database_clock(self.order.engine))

    def allow(self, plan: Plan, *, no_test: bool = False) -> None:
        """Raise BlockedError when a mailing has not begun and an approval or the test copy is missing."""
        if plan.state == "new":
            self.ready.refuse(no_test=no_test)

    def refuse_to_go_on(self, plan: Plan) -> None:
        """Raise StoppedError when the mailing is paused, cancelled, or so old that a person should say yes to it."""
        if plan.status is not None:
            resume.refuse_halted(plan.status)
        if plan.late:
            raise resume.late(plan.mailing)

    def send(
        self,
        plan: Plan,
        told: Told | None = None,
        *,
        no_test: bool = False,
        late_ok: bool = False,
        heard: Callable[[], None] | None = None,
    ) -> Summary:
        """Send as planned; `heard` is called when somebody asks to stop.

        Raises BlockedError as `allow`, StoppedError and TryLaterError; sending again goes on.
        """
        self.allow(plan, no_test=no_test)
        with stop_on_signals(heard):
            return dispatch.send(self.order, told, clock=database_clock(self.order.engine), late_ok=late_ok)

    def leave(self, plan: Plan, *, no_test: bool = False, late_ok: bool = False) -> Summary:
        """Leave it to the workers to send as planned. Raises as `send`, and NewsletterError without PostgreSQL."""
        self.allow(plan, no_test=no_test)
        leave.leave(self.order, late_ok=late_ok, clock=database_clock(self.order.engine))
        return Summary(ledger.status(self.order.engine, self.order.name)[0])

    def watch(self, told: Told | None = None) -> Summary:
        """Tell how far the workers are until nothing is left to send. Raises StoppedError when they stop before."""
        return leave.watch(self.order, told)

    def reconcile(self) -> int:
        """Ask the carrier about the readers who are unknown; return of how many it knew."""
        return dispatch.reconcile(self.order, clock=database_clock(self.order.engine))

    def status(self) -> MailingStatus | None:
        """Say how the mailing stands; None when none has begun."""
        return next((one for one in ledger.status(self.order.engine) if one.mailing == self.order.name), None)

    def accepted(self) -> int:
        """Count the readers whose copy the carrier has taken."""
        status = self.status()
        return status.accepted if status else 0

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
    before = stamps(desk)
    checked = check(desk, reference)
    checked.refuse_blocked()
    still = StillTheSame(desk, checked.file.path, checked.edition.digest, before)
    provider = open_carrier(desk)
    with opened(desk.project.database(), desk.project.root) as engine:
        try:
            Book(engine, clock, desk.project.secret())  # refuses another project's secret before anything is sent
            order = Order(engine, desk.project, checked.edition, chosen, provider, still=still)
            yield Posting(checked, order, readiness(order))
        finally:
            provider.close()


def open_carrier(desk: Desk) -> Provider:
    """Make the carrier that the settings name."""
    return open_provider(desk.project.settings.provider, desk.project.root, desk.project.source)


def test_send(desk: Desk, reference: str, address: str, list_name: str | None) -> str:
    """Send one copy, marked as a test, to one address; return the sentence that says where it went.

    No mailing begins, and checks that block do not stop it: seeing the mail is how one mends it.
    """
    chosen, accepted = list_named(desk.project.settings, list_name), check_address(address)
    checked = check(desk, reference)
    provider = open_carrier(desk)
    with opened(desk.project.database(), desk.project.root) as engine:
        dispatch.test_message(desk.project, checked.edition, provider, accepted, chosen, clock())
        approval.record_test(engine, checked.edition.seen, chosen, clock())
    return f"one copy of {checked.file.slug} is on its way to {accepted} ({provider.describe()}); no mailing has begun"
