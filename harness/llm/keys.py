"""What determines an answer, and its fingerprint: the cache key."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.identity import canonical_json, plain, text_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.llm.protocol import CompletionRequest, PromptLogprobsRequest

__all__ = ["KEY_VERSION", "completion_key", "effective_seed", "prompt_key", "request_fields"]

KEY_VERSION = 1
"""Raised whenever the fields below, or the meaning of a stored answer, change."""


def effective_seed(request: CompletionRequest, default: int | None) -> int | None:
    """Return the sampling seed to send: the request's, else the config's; each repeat gets the next one."""
    seed = default if request.seed is None else request.seed
    return None if seed is None else seed + request.repeat


def completion_key(endpoint: Mapping[str, Any], request: CompletionRequest, seed: int | None) -> str:
    """Return the key of the answer to ``request`` at ``endpoint``.

    Args:
        endpoint: Plain data of everything about the endpoint that can change an answer: backend, model, revision or
            digest, URL, engine version, how answers are constrained, extra request fields.
        request: The question.
        seed: The seed really sent.
    """
    fields = {**request_fields(request), "seed": seed}
    # Says where the provider may cut its prompt cache, and changes no answer.
    del fields["shared_prefix"]
    if request.response_schema is not None:
        # As text: properties are written in the order they are stated in, so their order can change an answer.
        fields["response_schema"] = json.dumps(fields["response_schema"], ensure_ascii=True)
    return _key("completion", endpoint, fields)


def prompt_key(endpoint: Mapping[str, Any], request: PromptLogprobsRequest) -> str:
    """Return the key of the prompt log-probabilities ``request`` asks for at ``endpoint``."""
    return _key("prompt_logprobs", endpoint, request_fields(request))


def request_fields(request: CompletionRequest | PromptLogprobsRequest) -> dict[str, Any]:
    """Return a request as plain data, without the task, which no language model is told."""
    fields: dict[str, Any] = plain(replace(request, task=None))
    del fields["task"]
    return fields


def _key(kind: str, endpoint: Mapping[str, Any], request: Mapping[str, Any]) -> str:
    fields = {"version": KEY_VERSION, "kind": kind, "endpoint": endpoint, "request": request}
    return text_sha256(canonical_json(fields))
