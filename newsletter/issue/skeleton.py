"""The next issue's file to begin with: its days and number filled in, each part explained by a comment."""

from __future__ import annotations

import datetime as dt

from newsletter.config import Newsletter
from newsletter.issue.load import IssueFile

_TEXT = """\
# {name}, the issue of {end}. Text after a '#' like this one is for you; readers never see it.
# 'newsletter preview' shows the issue as you write, 'newsletter check' says what is missing or wrong.
kind: weekly
period: {{start: {start}, end: {end}}}
{number}
# What an inbox shows after the subject, at most 150 characters. Without it, the first sentence of the lead is shown.
# preheader: One sentence that makes people open the mail.

# Short texts before the lead, such as "There is no issue next week."; take the '#' away to use them.
# notices:
#   - There is no issue next week.

# The article the issue opens with. A blank line starts a new paragraph; a link is [words](https://address).
lead:
  kicker: This week in focus
  title: Write the title of the lead here
  body: |
    Write the first paragraph of the lead here, and [link what it speaks of](https://example.org/).

    Write a second paragraph, or delete this one.
  # A picture lies in issues/images/; 'alt' says what it shows to those who cannot see it.
  # figures:
  #   - {{src: images/photo.jpg, alt: What the picture shows, caption: When and where, credit: Who took it}}
  # actions:
  #   - {{text: Read our report, url: "https://example.org/report"}}

# One entry a country, in any order: readers see them by the alphabet. 'newsletter countries NAME' says what a name
# means. A text with ': ' or ' #' in it, or one that starts with a quotation mark or a bracket, stands in single
# quotes, or below a '|' as the lead's does.
updates:
  Burundi:
    - Write an update here, with [a link to its source](https://example.org/).
    - text: Write another one here; this form names its source.
      source: {{name: Who published it, url: "https://example.org/", date: {end}}}

# What follows the updates, in the order written: texts, events and publications.
# sections:
#   - title: What else is new?
#     items:
#       - Somebody is [hosting an event](https://example.org/).
#       - event:
#           title: The title of an event
#           host: Who invites
#           start: {end} 18:00
#           end: {end} 20:00
#           timezone: America/New_York
#           place: New York
#           url: https://example.org/event
"""


def skeleton(settings: Newsletter, day: dt.date, previous: IssueFile | None) -> tuple[str, str]:
    """Return the slug and the text of a new weekly for the week, Monday to Friday, that a day is in.

    The number follows the previous issue's, if that has one.
    """
    start = day - dt.timedelta(days=day.weekday())
    end = start + dt.timedelta(days=4)
    number = previous.issue.number if previous else None
    line = f"number: {number + 1}" if number else "# number: 1"
    name = " ".join(settings.name.split())
    return end.isoformat(), _TEXT.format(name=name, start=start.isoformat(), end=end.isoformat(), number=line)


def day_after(previous: IssueFile) -> dt.date:
    """Return a day in the week after an issue's: the one the next issue is about."""
    period = previous.issue.period
    return (period.end if period else previous.published) + dt.timedelta(days=7)
