"""The whole examination, from names to disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from newsletter.doctor import dkim, dmarc, elsewhere, here, hosts, spf
from newsletter.doctor.case import Case
from newsletter.doctor.dns import Unanswered
from newsletter.doctor.note import Note

EXAMINATIONS: tuple[tuple[str, Callable[[Case], Iterable[Note]]], ...] = (
    ("spf", spf.examine),
    ("dkim", dkim.examine),
    ("dmarc", dmarc.examine),
    ("mx", hosts.examine_mx),
    ("ptr", hosts.examine_ptr),
    ("secret", here.examine_secret),
    ("clock", here.examine_clock),
    ("carrier", elsewhere.examine_carrier),
    ("pages", elsewhere.examine_pages),
    ("database", here.examine_database),
    ("disk", here.examine_disk),
)


def examine(case: Case) -> Iterator[Note]:
    """Make every examination, one after the other; a question that nobody answers ends only its own."""
    for topic, examination in EXAMINATIONS:
        try:
            yield from examination(case)
        except Unanswered as missing:
            yield Note("warn", topic, str(missing), "try again, or ask another name server with --resolver")
