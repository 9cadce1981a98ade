from __future__ import annotations

from typing import Any

import pytest

from harness.llm.credentials import NO_KEY, credential_names, secrets_to_hide
from harness.llm.failures import brief

ERROR = "HTTP 401: none of 11 keys; you sent sk-12345678, in an environment with 12345678"


@pytest.mark.parametrize(
    "name",
    [
        *("api_key", "apiKey", "API-KEY", "X-API-Key", "x_goog_api_key", "Ocp-Apim-Subscription-Key", "access_key"),
        *(
            "access_token",
            "accessToken",
            "accesstoken",
            "hf_token",
            "HF_TOKEN",
            "X-Auth-Token",
            "token",
            "GITHUB_TOKEN",
        ),
        *("access_tokens", "Authorization", "Proxy-Authorization", "auth", "basicAuth", "bearer", "bearer_token"),
        *("Cookie", "Set-Cookie", "credential", "aws_credentials", "password", "passwd", "client_secret", "jwt"),
    ],
)
def test_names_of_credentials_are_known_in_any_spelling_and_at_any_depth(name: str) -> None:
    assert list(credential_names({name: "hidden"})) == [name]
    assert list(credential_names({"a": [{"headers": {name: "hidden"}}]})) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, 8) for name in ("max_tokens", "max_completion_tokens", "tokens_per_minute", "truncate_prompt_tokens")),
        *((name, [1, 2]) for name in ("token_ids", "stop_token_ids", "allowed_token_ids", "bad_words_tokens")),
        *((name, "</s>") for name in ("bos_token", "eos_token", "pad_token", "stop_token", "start_token")),
        *((name, True) for name in ("add_bos_token", "return_tokens_as_token_ids", "per_token", "skip_special_tokens")),
        *((name, "x") for name in ("prompt_cache_key", "author", "authors", "keys", "tokenizer", "tokenizer_mode")),
    ],
)
def test_parameters_about_tokens_are_none(name: str, value: Any) -> None:
    assert list(credential_names({name: value})) == []


def shown(key: str | None) -> str:
    return brief(ERROR, secrets=secrets_to_hide(key))


@pytest.mark.parametrize(
    ("name", "value"), [("CI_TOKEN", "1"), ("CI_TOKEN", ""), ("SOME_API_KEY", "keys"), ("PATH_OF_KEYS", "12345678")]
)
def test_what_is_too_short_for_a_key_or_named_otherwise_blots_nothing_out(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert shown(None) == ERROR


@pytest.mark.parametrize("name", ["A_API_KEY", "A_ACCESS_KEY", "A_TOKEN", "A_SECRET", "A_PASSWORD", "a_password"])
def test_a_key_of_the_environment_is_never_repeated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "12345678")
    assert "12345678" not in shown(None)


def test_the_longer_of_two_keys_is_hidden_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "12345678")
    assert shown("sk-12345678") == "HTTP 401: none of 11 keys; you sent ***, in an environment with ***"


def test_our_own_key_may_be_short_but_none_is_none() -> None:
    assert "11" not in shown("11")
    assert shown(NO_KEY) == shown(None) == ERROR
