from __future__ import annotations

import base64
import datetime as dt
import itertools
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.subscribers.tokens import TokenError, Tokens, derive

NOW = dt.datetime(2016, 4, 22, 12, tzinfo=dt.UTC)
TOKENS = Tokens(b"the secret")
READERS = {
    "leave": TOKENS.read_leave,
    "preferences": TOKENS.read_preferences,
    "confirm": lambda token: TOKENS.read_confirm(token, NOW),
}
WRITERS: dict[str, Callable[[int, str], str]] = {
    "leave": TOKENS.leave,
    "preferences": TOKENS.preferences,
    "confirm": lambda reader, list_name: TOKENS.confirm(reader, list_name, NOW),
}
LISTS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,40}", fullmatch=True)


@given(st.integers(1, 10**12), LISTS, st.sampled_from(sorted(WRITERS)))
def test_a_token_comes_back_as_its_reader_and_list(reader: int, list_name: str, purpose: str) -> None:
    token = WRITERS[purpose](reader, list_name)
    assert READERS[purpose](token) == (reader, list_name)
    assert re.fullmatch(r"[A-Za-z0-9._-]+", token)


@given(st.lists(st.integers(1, 10**12), max_size=20), LISTS)
def test_many_tokens_at_once_are_those_made_one_by_one(readers: list[int], list_name: str) -> None:
    assert TOKENS.leave_each(readers, list_name) == [TOKENS.leave(reader, list_name) for reader in readers]
    one_by_one = [TOKENS.preferences(reader, list_name) for reader in readers]
    assert TOKENS.preferences_each(readers, list_name) == one_by_one


@pytest.mark.parametrize(("made", "read"), list(itertools.permutations(WRITERS, 2)))
def test_a_token_for_one_purpose_opens_no_other(made: str, read: str) -> None:
    with pytest.raises(TokenError):
        READERS[read](WRITERS[made](7, "weekly"))


@pytest.mark.parametrize("purpose", sorted(WRITERS))
def test_a_token_of_another_project_opens_nothing(purpose: str) -> None:
    other = Tokens(b"another secret")
    made = {
        "leave": other.leave(7, "weekly"),
        "preferences": other.preferences(7, "weekly"),
        "confirm": other.confirm(7, "weekly", NOW),
    }
    with pytest.raises(TokenError):
        READERS[purpose](made[purpose])


@pytest.mark.parametrize("purpose", sorted(WRITERS))
def test_no_changed_letter_goes_unnoticed(purpose: str) -> None:
    token = WRITERS[purpose](7, "weekly")
    for place in range(len(token) - 1):
        for letter in "a7.-":
            changed = token[:place] + letter + token[place + 1 :]
            if changed != token:
                with pytest.raises(TokenError):
                    READERS[purpose](changed)


def test_other_ways_to_write_the_signatures_last_letter_open_the_same_and_no_more() -> None:
    token = TOKENS.leave(7, "weekly")
    payload, signature = token.rsplit(".", 1)
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        other = signature[:-1] + letter
        same = base64.urlsafe_b64decode(other + "=") == base64.urlsafe_b64decode(signature + "=")
        if same:
            assert TOKENS.read_leave(f"{payload}.{other}") == (7, "weekly")
        else:
            with pytest.raises(TokenError):
                TOKENS.read_leave(f"{payload}.{other}")


@pytest.mark.parametrize(
    "token", ["", ".", "7.weekly", "7.weekly.", "é", "\ud800", "a" * 10_000, "7.weekly.\0", "٧.weekly.x"]
)
@pytest.mark.parametrize("purpose", sorted(READERS))
def test_what_is_no_token_is_refused_in_one_line(purpose: str, token: str) -> None:
    with pytest.raises(TokenError, match="this link is not complete; copy it whole from the mail"):
        READERS[purpose](token)


def test_a_payload_that_is_signed_but_is_none_of_ours_is_refused() -> None:
    for payload in ("weekly.7", "7", "0.weekly", "-1.weekly", "7.weekly.1.2"):
        with pytest.raises(TokenError):
            TOKENS.read_leave(TOKENS._leave.sign(payload))
        with pytest.raises(TokenError):
            TOKENS.read_confirm(TOKENS._confirm.sign(payload), NOW)


def test_a_leave_token_is_the_same_for_ever() -> None:
    # Written down: a mail of today must let its reader go with any later version of this program.
    assert TOKENS.leave(7, "weekly") == "7.weekly.WJPC9m_e_pmpOQziUGiDsBXPb27vXY3dWft_GFfxf5g"


def test_a_confirmation_is_good_for_seven_days() -> None:
    token = TOKENS.confirm(7, "weekly", NOW)
    assert TOKENS.read_confirm(token, NOW + dt.timedelta(days=7)) == (7, "weekly")
    with pytest.raises(TokenError, match="good for seven days; subscribe again"):
        TOKENS.read_confirm(token, NOW + dt.timedelta(days=7, seconds=1))


def test_every_purpose_has_a_key_of_its_own() -> None:
    keys = {derive(secret, purpose) for secret in (b"a", b"b") for purpose in ("address", "consent", "token/leave")}
    assert len(keys) == 6
    assert {len(key) for key in keys} == {32}
