"""The list of carriers says what each one offers, as the code has it."""

from __future__ import annotations

import json
from collections.abc import Callable

from click.testing import Result

from newsletter.providers.registry import PROVIDERS

Run = Callable[..., Result]


def test_every_carrier_is_listed_in_words(run: Run) -> None:
    lines = run("providers").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(PROVIDERS)
    by_name = {line.split()[0]: line for line in lines}
    assert "the same message again" in by_name["outbox"]
    assert "is asked first" in by_name["mailgun"]
    assert "1,000" in by_name["mailgun"]


def test_programs_get_the_same_as_json(run: Run) -> None:
    found = {one["name"]: one for one in json.loads(run("providers", "--format", "json").stdout)}
    assert list(found) == list(PROVIDERS)
    keys = ["name", "readers", "bytes", "guard", "lookup", "webhooks", "connections", "rate"]
    assert all(list(one) == keys for one in found.values())
    assert (found["outbox"]["lookup"], found["smtp"]["lookup"], found["mailgun"]["lookup"]) == (True, False, True)
    assert found["smtp"]["readers"] == 1
    for name, kind in PROVIDERS.items():
        assert found[name]["webhooks"] == kind.hooks
        assert found[name]["connections"] >= 1
