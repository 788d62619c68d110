"""What people have to do before an edition goes out: look at a test copy of it, and approve it."""

from __future__ import annotations

from dataclasses import dataclass

from newsletter.database.opened import opened
from newsletter.desk.issue import Checked, check
from newsletter.desk.project import Desk, clock
from newsletter.errors import BlockedError
from newsletter.mailing import approval
from newsletter.mailing.approval import Approval
from newsletter.mailing.orders import Order


@dataclass(frozen=True)
class Readiness:
    """How far people are with exactly this edition of an issue on a list; `required` approvals are asked for."""

    issue: str
    list: str
    required: int
    approvals: tuple[Approval, ...]
    tested: bool

    def refuse(self, *, no_test: bool) -> None:
        """Raise BlockedError when an approval or the test copy is missing; `no_test` does without the copy."""
        missing = []
        if len(self.approvals) < self.required:
            missing.append(
                f"{self.issue}: not sent: {len(self.approvals)} of {self.required} approvals of it as it is now;"
                f" 'newsletter approve {self.issue} --by NAME' gives one"
            )
        if not self.tested and not no_test:
            missing.append(
                f"{self.issue}: not sent: no test copy of it as it is now; 'newsletter test {self.issue} --to ADDRESS"
                f" --list {self.list}' sends one, and --no-test does without"
            )
        if missing:
            raise BlockedError("\n".join(missing))


def readiness(order: Order) -> Readiness:
    """Say what has been done so far with what is to be sent."""
    edition = order.edition
    return Readiness(
        edition.slug,
        order.list,
        order.project.settings.send.require_approval,
        approval.approvals(order.engine, edition.slug, edition.seen),
        approval.was_tested(order.engine, edition.seen, order.list),
    )


@dataclass(frozen=True)
class Approved:
    """What somebody has just approved; `new` is False when they had done so before."""

    checked: Checked
    approvals: tuple[Approval, ...]
    required: int
    new: bool


def approve(desk: Desk, reference: str, by: str) -> Approved:
    """Write down that somebody approves an issue exactly as it is now.

    Raises BlockedError when a check blocks: nobody could send it.
    """
    checked = check(desk, reference)
    checked.refuse_blocked()
    issue, digest = checked.edition.slug, checked.edition.seen
    with opened(desk.project.database(), desk.project.root) as engine:
        new = approval.approve(engine, issue, digest, by, clock())
        given = approval.approvals(engine, issue, digest)
    return Approved(checked, given, desk.project.settings.send.require_approval, new)
