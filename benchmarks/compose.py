"""Composing one reader's copy: our join of pieces, EmailMessage for each reader, and a full render for each reader."""

from __future__ import annotations

import datetime as dt
import email
import email.policy
import statistics
from email.message import EmailMessage

import bench

from newsletter import config
from newsletter.edition import context, inline, themes, words
from newsletter.issue.countries import Countries
from newsletter.issue.load import load
from newsletter.mailing.message import Compiler


def main() -> None:
    quick = bench.quick(__doc__ or "")
    ours, email_message, rendered = (2000, 5, 1) if quick else (20_000, 50, 10)
    with bench.sample_project() as root:
        project, edition = bench.edition_of(root)
        secret = project.secret()
        compiler = Compiler(edition, project.settings, bench.LIST, secret, "bench", dt.datetime.now(dt.UTC))
        html, text = edition.join_html(), edition.join_text()
        page = Page(config.load(root))
        sample = compiler.compose(1, "reader1@example.org", "Reader 1").data
        headers = [
            (name, str(value)) for name, value in read(sample) if not name.lower().startswith(("content-", "mime"))
        ]

        def join() -> None:
            for number in range(ours):
                compiler.compose(number, f"reader{number}@example.org", f"Reader {number}")

        def build_messages() -> None:
            for number in range(email_message):
                message(headers, *fill(compiler, html, text, number), number)

        def render_messages() -> None:
            for number in range(rendered):
                message(headers, *fill(compiler, page.render(), text, number), number)

        join()  # once without a clock, so that caches are filled for all three
        build_messages()
        render_messages()
        seconds = bench.by_turns(3 if quick else 9, join, build_messages, render_messages)
    counts = (ours, email_message, rendered)
    each = [[second / count for second in side] for side, count in zip(seconds, counts, strict=True)]
    names = ("ours: a join of compiled pieces", "EmailMessage for each reader", "Jinja and inlining for each reader")
    rows = [
        (name, f"{statistics.median(side) * 1e6:,.1f} µs", "1" if side is each[0] else bench.ratio(side, each[0]))
        for name, side in zip(names, each, strict=True)
    ]
    bench.table((f"one copy of {len(sample):,} bytes", "median", "times ours"), rows)


def fill(compiler: Compiler, html: str, text: str, number: int) -> tuple[str, str]:
    """Put a reader's values into both parts: the same links as in our copy, so that all three do the same work."""
    name = f"Reader {number}"
    return compiler.fill(html, number, name, html=True), compiler.fill(text, number, name, html=False)


def read(sample: bytes) -> list[tuple[str, str]]:
    """Read the headers of our copy that are not about its parts, so that the others write the same."""
    given = email.message_from_bytes(sample, policy=email.policy.default).items()
    return [(name, str(value)) for name, value in given if name not in ("MIME-Version", "Content-Type")]


def message(headers: list[tuple[str, str]], html: str, text: str, number: int) -> bytes:
    made = EmailMessage(policy=email.policy.SMTP)
    for name, value in headers:
        made[name] = value.replace("Reader 1", f"Reader {number}").replace("reader1@", f"reader{number}@")
    made.set_content(text, cte="quoted-printable")
    made.add_alternative(html, subtype="html", cte="quoted-printable")
    return made.as_bytes()


class Page:
    """The page of the sample issue, rendered anew each time with everything prepared that can be prepared."""

    def __init__(self, project: config.Project) -> None:
        countries = Countries.from_settings(project.settings)
        file = load(project.issues / f"{bench.ISSUE}.yaml", countries)
        phrases = words.read((project.templates, themes.built_in()), "en")
        self.env = themes.environment(project.templates, project.settings.theme)
        self.env.filters.update(context.filters(project.settings, "en"))
        self.shown = context.context(file, project.settings, countries, phrases)
        self.shown |= context.html_only(self.env)

    def render(self) -> str:
        return inline.inline(inline.ready(themes.render(self.env, "weekly.html", self.shown)))


if __name__ == "__main__":
    main()
