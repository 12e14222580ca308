"""Secrets are hidden by the names of fields and by their form, and come back where they stayed."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.model import json_text
from engine.model.difference import difference
from engine.model.masking import MASK, UNMASKED, Masking
from engine.model.placeholders import Placeholders
from engine.model.secrets import PATTERNS, Pattern, labelled
from tests.model.test_json_text import TEXTS, VALUES

MASKING = Masking()


@pytest.mark.parametrize(
    "name",
    ["password", "userPassword", "user_password_hash", "PASSWORD", "apiKey", "api-key", "APIKey", "apikey", "tokens",
     "X-Auth-Token", "Authorization", "cardNumber", "card_number", "iban", "pin", "clientSecret", "Set-Cookie"],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert MASKING.value({name: "x1"}) == {name: MASK}


@pytest.mark.parametrize("name", ["company", "spinner", "total", "order_id", "passenger", "tokyo", "address", "author"])
def test_names_of_none(name: str) -> None:
    assert MASKING.value({name: "x1"}) == {name: "x1"}


def test_a_name_is_seen_with_what_it_stands_in() -> None:
    value = {"card": {"number": "x", "holder": "Anna"}, "order": {"number": "17"}}
    assert MASKING.value(value) == {"card": {"number": MASK, "holder": "Anna"}, "order": {"number": "17"}}


def test_all_within_a_secret_is_one() -> None:
    value = {"credentials": [{"user": "anna", "n": 1, "none": None, "yes": True, "empty": ""}]}
    assert MASKING.value(value) == {"credentials": [{"user": MASK, "n": MASK, "none": None, "yes": True, "empty": ""}]}


#: Texts, each with the secret in it.
FORMS = [
    ("401 for password=hunter2, giving up", "hunter2"),
    ('sent {"api_key": "k-1 2"}', "k-1 2"),
    ("Authorization: Bearer abcdef123456", "Bearer abcdef123456"),
    ("got bearer abcdef123456.x", "abcdef123456.x"),
    ("cannot reach postgresql://shop:s3cret@db/shop", "s3cret"),
    ("eyJhbGciOiJI.eyJzdWIiOiIx.c2ln was refused", "eyJhbGciOiJI.eyJzdWIiOiIx.c2ln"),
    ("card 4111 1111 1111 1111 declined", "4111 1111 1111 1111"),
    ("card 378282246310005 declined", "378282246310005"),
    ("DE89 3704 0044 0532 0130 00 is blocked", "DE89 3704 0044 0532 0130 00"),
    ("key AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----", "\nabc\n"),
]


@pytest.mark.parametrize(("text", "secret"), FORMS)
def test_forms_of_secrets(text: str, secret: str) -> None:
    assert MASKING.text(text) == text.replace(secret, MASK)
    assert secret not in MASKING.value({"note": text})["note"]


@pytest.mark.parametrize(
    "text",
    [
        "the provider did not answer",
        "order 4111 1111 1111 1112 is not there",  # its check digit is wrong
        "at 1763933133250 ms",
        "KeyError: 'token'",
        "DE89 3704 0044 0532 0130 01",
        "http://example.com/a:b@c",
        "total: 9.50",
    ],
)
def test_texts_without_secrets_stay(text: str) -> None:
    assert MASKING.text(text) == text


@given(
    st.lists(
        st.one_of(
            st.sampled_from([text for text, _ in FORMS]),
            st.text("eyJ._-:/=@ AKISxobsk4111PRIVATE KEY1", max_size=30),
            st.sampled_from(["sk_live_", "ghp_", "xoxb-", "token", "password", "://", "\n", '"']),
        ),
        max_size=6,
    ).map("".join)
)
def test_no_pattern_passes_over_a_text_that_it_finds_something_in(text: str) -> None:
    """The signs of a pattern tell only of texts in which its expression finds nothing."""
    for pattern in (*PATTERNS, labelled([("password",), ("api", "key"), ("token",)])):
        plain = Pattern(pattern._expression, pattern._check)
        assert pattern.hide(text, lambda _: MASK) == plain.hide(text, lambda _: MASK)


def test_settings_add_and_take_away() -> None:
    masking = Masking(["taxCode", "-token"], [r"\bEMP-\d{6}\b", r"code (\d+)"])
    assert masking.value({"tax_code": "a", "token": "b", "password": "c"}) == {
        "tax_code": MASK, "token": "b", "password": MASK,
    }  # fmt: skip
    assert masking.text("EMP-123456 used code 77") == f"{MASK} used code {MASK}"
    assert UNMASKED.value({"password": "c"}) == {"password": "c"}
    assert UNMASKED.text("password=c") == "password=c"


def test_bodies() -> None:
    assert MASKING.body(b'{"total": 9.50, "pin": 1234, "card": 4111111111111111}') == (
        '{"total":9.50,"pin":"•••","card":"•••"}'.encode()
    )
    assert MASKING.body(b'broken {"password": "x y"') == 'broken {"password": "•••"'.encode()
    assert MASKING.body(b"\xff\x00") == b"\xff\x00"
    assert MASKING.headers({"X-Api-Key": "k", "n": 1, "b": b"x"}) == {"X-Api-Key": MASK, "n": 1, "b": b"x"}


def test_changes_hide_both_values() -> None:
    [secret, plain] = difference({"auth": {"x": 1}, "a": 1}, {"auth": {"x": 2}, "a": 2})
    assert MASKING.change(secret)[2:4] == (MASK, MASK)
    assert MASKING.change(plain)[2:4] == (1, 2)


@given(st.dictionaries(st.sampled_from(["password", "note", "list", "token"]), VALUES))
def test_masking_changes_values_alone(value: dict[str, Any]) -> None:
    """The shape stays, and masking twice is masking once."""
    masked = MASKING.value(value)
    assert _shape(masked) == _shape(value)
    assert MASKING.value(masked) == masked


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shape(item) for name, item in value.items()}
    return [_shape(item) for item in value] if isinstance(value, list) else None


SECRETS = st.dictionaries(
    st.sampled_from(["password", "api_key", "note", "lines"]), VALUES | st.just("password=abc «masked 1»")
)


@given(SECRETS)
def test_placeholders_that_stay_become_what_they_stand_for(value: dict[str, Any]) -> None:
    body = json.dumps(value).encode()
    real = json_text.parse(body)
    placeholders = Placeholders(MASKING, body.decode(), json_text.write(real))
    shown = json_text.write(placeholders.hide(real), indent=2)
    assert json_text.write(placeholders.restore(json_text.read(shown))) == json_text.write(real)


@given(TEXTS)
def test_placeholders_in_a_text(text: str) -> None:
    whole = f"{text} password=abc {text}"
    placeholders = Placeholders(MASKING, whole)
    hidden = placeholders.hide_text(whole)
    assert placeholders.restore_text(hidden) == whole


def test_a_placeholder_may_be_moved_and_a_wrong_one_is_refused() -> None:
    real = json_text.parse(b'{"items":[{"token":1.50},{"token":"b"}],"note":"Bearer abcdefgh1"}')
    placeholders = Placeholders(MASKING)
    hidden = placeholders.hide(real)
    assert json_text.plain(hidden) == {
        "items": [{"token": "«masked 1»"}, {"token": "«masked 2»"}],
        "note": "Bearer «masked 3»",
    }
    moved = {"items": [{"token": "«masked 2»"}], "note": "now «masked 1» «masked 3»"}
    assert json_text.plain(placeholders.restore(moved)) == {"items": [{"token": "b"}], "note": "now 1.50 abcdefgh1"}
    for wrong in ("«masked 0»", "«masked 4»", "«masked 99999999999»"):
        with pytest.raises(UsageError, match="stands for no masked value"):
            placeholders.restore({"a": wrong})


def test_a_long_text_is_searched_to_its_end_without_holding_others_up() -> None:
    text = "a word " * 40_000 + "password=hunter2"
    begun = time.perf_counter()
    assert MASKING.text(text).endswith(f"password={MASK}")
    assert time.perf_counter() - begun < 10
