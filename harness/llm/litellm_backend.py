"""Any provider litellm knows, and any OpenAI-compatible server. The only module that imports litellm, and late."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import os
import sys
import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness.llm.context_length import context_in_table, server_context
from harness.llm.credentials import secrets_to_hide
from harness.llm.desk import Desk, at_desk
from harness.llm.door import enter_now, time_limit
from harness.llm.failures import AttemptError, Failure, FailureKind
from harness.llm.hosted import hosted_facts, wants_cache_marks
from harness.llm.listing import list_models
from harness.llm.litellm_failures import classify
from harness.llm.litellm_quiet import quiet_calls
from harness.llm.price import UNKNOWN, Price, table_price
from harness.llm.probe import Questions, learn_facts
from harness.llm.protocol import CompletionRequest, Message
from harness.llm.reply import parse_chat, parse_prompt_logprobs
from harness.llm.wire import WireFormat, chat_params, prompt_params

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from harness.llm.backend import Reply
    from harness.llm.connections import Connections
    from harness.llm.facts import EndpointFacts, StatedFacts
    from harness.llm.protocol import PromptLogprobsRequest

__all__ = ["Endpoint", "LitellmBackend", "load_litellm"]

_LISTING = frozenset({"openai", "hosted_vllm", "lm_studio", "llamafile", "litellm_proxy", "text-completion-openai"})
_PROBE_TIMEOUT_S = 30.0
_CACHE_MARKS = {"on": True, "off": False}
_PROBE = CompletionRequest((Message("user", "Say yes."),), max_tokens=1)
# A question refused on its merits shows that URL, key and model are right.
_ANSWERS_ANYWAY = frozenset(
    {FailureKind.BAD_REQUEST, FailureKind.CONTEXT, FailureKind.REFUSED, FailureKind.UNSUPPORTED}
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What to call and how.

    Attributes:
        model: litellm's name, ``PROVIDER/NAME``.
        api_base: URL of an OpenAI-compatible API, or None for the provider's own.
        timeout_s: Seconds one attempt may take.
        connections: How many requests may be open at once.
        wire: What it understands beyond the common parameters.
        price: The stated price, or None to look it up in litellm's table.
        prompt_cache: ``on`` or ``off`` for marks for the provider's prompt cache; ``auto`` where it wants them.
    """

    model: str
    api_base: str | None = None
    timeout_s: float = 120.0
    connections: int = 8
    wire: WireFormat = field(default_factory=WireFormat)
    price: Price | None = None
    prompt_cache: str = "auto"

    @property
    def provider(self) -> str:
        """Return litellm's name of the provider."""
        return self.model.partition("/")[0]

    @property
    def name(self) -> str:
        """Return the model's name without the provider."""
        return self.model.partition("/")[2] or self.model


class LitellmBackend:
    """Asks an endpoint through litellm, one attempt at a time.

    Args:
        endpoint: What to call.
        read_key: Gives the key when the work starts; never shown, logged or stored. None leaves the choice to litellm's
            own environment variables.
    """

    def __init__(self, endpoint: Endpoint, read_key: Callable[[], str | None]) -> None:
        self._endpoint = endpoint
        self._read_key = read_key
        self._api_key: str | None = None
        self._price = endpoint.price
        self._litellm: Any = None
        self._connections: Connections | None = None
        self._quiet: Callable[[str, Mapping[str, Any]], dict[str, Any]] | None = None
        self._desk = Desk()
        self._bypassed = False

    @property
    def price(self) -> Price:
        """Return the stated price, else the one in litellm's table, else an unknown one."""
        return self._price or UNKNOWN

    @property
    def marks_prefixes(self) -> bool:
        """Return whether shared beginnings of prompts are marked for the provider's cache."""
        return self._endpoint.wire.prompt_cache

    @property
    def enters_late(self) -> bool:
        """Return whether requests go through the door of their call on our own connections."""
        return self._connections is not None and self._connections.gated and not self._bypassed

    async def start(self) -> None:
        """Import litellm (seconds; in a thread) and open the connection pool."""
        if self._litellm is not None:
            return
        self._api_key = self._read_key()
        library = await asyncio.to_thread(load_litellm)
        marks = _CACHE_MARKS.get(self._endpoint.prompt_cache)
        if marks is None:
            marks = wants_cache_marks(library, self._endpoint.model)
        self._endpoint = replace(self._endpoint, wire=replace(self._endpoint.wire, prompt_cache=marks))
        if self._price is None:
            self._price = table_price(self._endpoint.model, library.model_cost)
        self._quiet = quiet_calls()
        # Both or neither: a start that is cut short is made again.
        self._connections = await self._connect()
        self._litellm = library
        await self._warm_up()

    async def _warm_up(self) -> None:
        """Let litellm build at once what it builds with the first call: half a second in which no reply is read."""
        await asyncio.to_thread(importlib.import_module, "openai.resources.chat.completions")
        try:
            await self._litellm.acompletion(
                **self._common(), messages=[{"role": "user", "content": ""}], max_tokens=1, mock_response="warm"
            )
        except Exception as error:  # noqa: BLE001 -- whatever is wrong is found out, and told, by the first real call
            logging.getLogger(__name__).debug("litellm cannot be warmed up: %s", type(error).__name__)

    async def check(self) -> None:
        """Ask for the list of models, or, where there is none, for one token. A provider's own API is not asked."""
        endpoint = self._endpoint
        if endpoint.api_base is None:
            return
        models = await self._models(endpoint.api_base) if endpoint.provider in _LISTING else ()
        if endpoint.name in models:
            return
        # Gateways serve names they do not list, so only an answer decides.
        try:
            await self.complete(_PROBE, None)
        except AttemptError as error:
            if error.failure.kind in _ANSWERS_ANYWAY:
                return
            if models and error.failure.kind in {FailureKind.NOT_FOUND, FailureKind.MODEL}:
                raise AttemptError(replace(error.failure, kind=FailureKind.MODEL, models=models)) from None
            raise

    async def learn(self, stated: StatedFacts) -> EndpointFacts:
        """Return what the endpoint can do, asking it for what is not stated and not denied by litellm's tables."""
        endpoint = self._endpoint
        questions = Questions(self._complete, self._prompt_logprobs, endpoint.wire.extra_body)
        if endpoint.api_base is not None and endpoint.provider in _LISTING:
            wait_s = min(endpoint.timeout_s, _PROBE_TIMEOUT_S)
            facts = await learn_facts(questions, stated)
            context = await server_context(self._open.http, endpoint.api_base, self._api_key, endpoint.name, wait_s)
        else:
            facts = await learn_facts(questions, hosted_facts(self._litellm, endpoint.model, stated))
            context = context_in_table(self._litellm.model_cost, endpoint.model)
        return replace(facts, context_tokens=context)

    def adopt(self, facts: EndpointFacts) -> None:
        """Ask from now on in the way ``facts`` allow."""
        wire = replace(self._endpoint.wire, choices=facts.choices, structured=facts.structured)
        self._endpoint = replace(self._endpoint, wire=wire)

    async def complete(self, request: CompletionRequest, seed: int | None) -> Reply:
        """Return the answer to ``request``."""
        return await self._complete(request, self._endpoint.wire, seed)

    async def prompt_logprobs(self, request: PromptLogprobsRequest) -> Reply:
        """Return the prompt's token log-probabilities, by an echoed text completion."""
        return await self._prompt_logprobs(request, self._endpoint.wire)

    async def _complete(self, request: CompletionRequest, wire: WireFormat, seed: int | None) -> Reply:
        params = chat_params(request, wire, seed)
        call = {**self._common(), **params, **self._open.for_chat}
        body = await self._call(lambda: self._litellm.acompletion(**self._unlogged("acompletion", call)))
        return parse_chat(body, short_answer=request.max_tokens == 1 or bool(request.choices))

    async def _prompt_logprobs(self, request: PromptLogprobsRequest, wire: WireFormat) -> Reply:
        params = prompt_params(request, wire)
        call = {**self._common(), **params, **self._open.for_text}
        body = await self._call(lambda: self._litellm.atext_completion(**self._unlogged("atext_completion", call)))
        return parse_prompt_logprobs(body)

    async def close(self) -> None:
        """Close the connection pool; idempotent."""
        connections, library = self._connections, self._litellm
        self._connections = self._litellm = None
        if connections is not None:
            await connections.close()
        if library is not None and (connections is None or not connections.gated):
            await library.close_litellm_async_clients()

    async def _models(self, api_base: str) -> tuple[str, ...]:
        wait_s = min(self._endpoint.timeout_s, _PROBE_TIMEOUT_S)
        return await list_models(self._open.http, api_base, self._api_key, wait_s)

    async def _connect(self) -> Connections:
        # It imports what comes with litellm, which like litellm is no business of `harness --help`.
        module: Any = await asyncio.to_thread(importlib.import_module, "harness.llm.connections")
        opened: Connections = await module.open_connections(self._endpoint, self._api_key)
        return opened

    @property
    def _open(self) -> Connections:
        if self._connections is None:
            message = "asked before it was started"
            raise RuntimeError(message)
        return self._connections

    def _unlogged(self, kind: str, call: Mapping[str, Any]) -> dict[str, Any]:
        return {**call, **({} if self._quiet is None else self._quiet(kind, call))}

    def _common(self) -> dict[str, Any]:
        endpoint = self._endpoint
        # litellm repeats nothing: how often a call is tried is decided, counted and bounded in one place, ours.
        common = {"model": endpoint.model, "timeout": endpoint.timeout_s, "max_retries": 0, "num_retries": 0}
        optional = {"api_base": endpoint.api_base, "api_key": self._api_key}
        return common | {name: value for name, value in optional.items() if value is not None}

    async def _call(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Mapping[str, Any]:
        try:
            answer = await (self._at_desk(call) if self.enters_late else self._in_time(call))
        except TimeoutError:
            message = f"no answer within {self._endpoint.timeout_s:g} s"
            raise AttemptError(Failure(FailureKind.TIMEOUT, message)) from None
        except Exception as error:  # noqa: BLE001 -- whatever a provider library raises is a failed attempt
            raise AttemptError(classify(error, secrets=secrets_to_hide(self._api_key))) from None
        body = answer.model_dump()
        return body if isinstance(body, dict) else {}

    async def _at_desk(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        seat = self._desk.seat()

        async def work() -> Any:
            if self._bypassed:
                seat.give()
                await enter_now()
            return await self._in_time(call)

        answer = await at_desk(seat, work)
        # Some models litellm asks by other routes, on connections of its own. Such a call enters before it is made.
        self._bypassed = self._bypassed or not seat.sent
        return answer

    async def _in_time(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        # litellm's own time limit is per read; this one is for the whole attempt.
        async with time_limit(self._endpoint.timeout_s):
            return await call()


def load_litellm() -> Any:
    """Return litellm, imported without network access and kept quiet."""
    known = "litellm" in sys.modules
    # Otherwise importing it fetches a price list from the network, and reads whatever .env file lies in the cwd.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
    library: Any = importlib.import_module("litellm")
    library.suppress_debug_info = True
    library.telemetry = False
    # An unknown parameter must be an error: a silently dropped one would change what a cached answer means.
    library.drop_params = False
    library.modify_params = False
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # Replies of the wrong shape make pydantic warn on stderr; they are reported as failed attempts instead.
    warnings.filterwarnings("ignore", message="Pydantic serializer warnings", category=UserWarning)
    if not known:
        # litellm's objects, a million of them, stay for good. Looking through them for garbage again and again holds
        # everything up for a quarter of a second each time. What else is there now is spared too; it is still freed
        # when nothing refers to it.
        gc.collect()
        gc.freeze()
    return library
