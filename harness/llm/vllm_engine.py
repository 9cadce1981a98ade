"""vLLM's engine as the harness uses it. Imported late: vLLM, torch and transformers come with it."""

from __future__ import annotations

import dataclasses
import os
from importlib import import_module
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from transformers import AutoConfig

from harness.checkpoints.quiet import quiet_transformers
from harness.errors import LLMError, UnknownNameError
from harness.identity import plain
from harness.llm.chat_tokens import ChatTokens
from harness.llm.failures import brief
from harness.llm.generated import Generated, prompt_reply
from harness.llm.protocol import TokenAlternatives

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.llm.backend import Reply
    from harness.llm.checkpoint_model import CheckpointModel
    from harness.llm.protocol import CompletionRequest
    from harness.materials.checkpoint import Checkpoint

__all__ = ["VllmEngine", "check_arguments", "load_vllm", "open_engine"]


def load_vllm(where: str) -> Any:
    """Return the parts of vLLM that are used.

    Raises:
        LLMError: If it is not installed, or its version lacks one of them.
    """
    # It would otherwise report what it runs to its makers, and print every setting it has.
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    try:
        sampling: Any = import_module("vllm.sampling_params")
        return SimpleNamespace(
            AsyncEngineArgs=import_module("vllm.engine.arg_utils").AsyncEngineArgs,
            AsyncLLM=import_module("vllm.v1.engine.async_llm").AsyncLLM,
            TokensPrompt=import_module("vllm.inputs").TokensPrompt,
            SamplingParams=sampling.SamplingParams,
            StructuredOutputsParams=sampling.StructuredOutputsParams,
            FINAL_ONLY=sampling.RequestOutputKind.FINAL_ONLY,
        )
    except ModuleNotFoundError as error:
        what = f"backend 'vllm' needs vLLM, which is not installed here ({error.name})"
        hint = "pip install 'autointerp-harness[vllm]' in an environment of its own, or use a vLLM server by URL"
        raise LLMError(what, where=where, hint=hint) from error
    except (ImportError, AttributeError) as error:
        what = f"this version of vLLM cannot be used: {brief(str(error))}"
        raise LLMError(what, where=where, hint="vLLM 0.12 or later, or a vLLM server by URL") from error


def check_arguments(library: Any, arguments: Mapping[str, Any], where: str) -> None:
    """Check the names of the engine's arguments.

    Raises:
        UnknownNameError: If vLLM's engine takes no argument of that name.
    """
    known = sorted(field.name for field in dataclasses.fields(library.AsyncEngineArgs))
    for name in arguments:
        if name not in known:
            raise UnknownNameError("argument of vLLM's engine", str(name), known, where=where)


def open_engine(
    library: Any, checkpoint: Checkpoint, model: CheckpointModel, arguments: Mapping[str, Any]
) -> VllmEngine:
    """Return a started engine.

    Raises:
        LLMError: If vLLM cannot load the model, or has no room for it.
    """
    tokens = ChatTokens(checkpoint, model.where)
    context = min(model.context_tokens, _positions(checkpoint, model.context_tokens))
    ours = {
        "model": checkpoint.name,
        "revision": checkpoint.revision,
        "tokenizer_revision": checkpoint.revision,
        "max_model_len": context,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "trust_remote_code": False,
        "seed": 0,
    }
    try:
        engine = library.AsyncLLM.from_engine_args(library.AsyncEngineArgs(**{**ours, **arguments}))
    except Exception as error:
        what = f"vLLM cannot serve this model: {brief(str(error))}"
        hint = "VLLM_LOGGING_LEVEL=INFO shows why; on a CPU, memory is the usual cause (engine.gpu_memory_utilization)"
        raise LLMError(what, where=model.where, hint=hint) from error
    return VllmEngine(library, engine, tokens, context)


def _positions(checkpoint: Checkpoint, otherwise: int) -> int:
    with quiet_transformers():
        config: Any = AutoConfig.from_pretrained(checkpoint.name, revision=checkpoint.revision or "main")
    positions = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    return positions if isinstance(positions, int) else otherwise


class VllmEngine:
    """Asks a running engine.

    Attributes:
        tokens: The model's tokenizer.
        context_tokens: Prompt and answer together at most.

    Args:
        library: As ``load_vllm`` returns it.
        engine: A running ``AsyncLLM``.
        tokens: The model's tokenizer.
        context_tokens: Prompt and answer together at most.
    """

    def __init__(self, library: Any, engine: Any, tokens: ChatTokens, context_tokens: int) -> None:
        self._library = library
        self._engine = engine
        self._numbers = count()
        self.tokens = tokens
        self.context_tokens = context_tokens

    async def generate(
        self, request: CompletionRequest, prompt: Sequence[int], limit: int, seed: int | None
    ) -> Generated:
        """Return the answer to ``prompt`` in at most ``limit`` tokens."""
        params = self._library.SamplingParams(
            max_tokens=limit,
            temperature=request.temperature,
            top_p=request.top_p,
            stop=list(request.stop),
            seed=request.repeat if seed is None else seed,
            logprobs=request.top_logprobs or None,
            output_kind=self._library.FINAL_ONLY,
            **self._constraint(request),
        )
        output = await self._run(prompt, params)
        answer = output.outputs[0]
        chosen = [] if answer.logprobs is None else list(zip(answer.token_ids, answer.logprobs, strict=False))
        return Generated(
            text=answer.text,
            finish="length" if answer.finish_reason == "length" else "stop",
            tokens=tuple(self._row(token, found) for token, found in chosen if self.tokens.end != token),
            input_tokens=len(prompt),
            output_tokens=len(answer.token_ids),
            cached_input_tokens=output.num_cached_tokens or 0,
        )

    async def score(self, prompt: Sequence[int], top_logprobs: int) -> Reply:
        """Return the log-probabilities of the tokens of ``prompt``."""
        params = self._library.SamplingParams(
            max_tokens=1, temperature=0.0, prompt_logprobs=top_logprobs, output_kind=self._library.FINAL_ONLY
        )
        output = await self._run(prompt, params)
        found = [{} if each is None else each for each in output.prompt_logprobs]
        rows = [self._row(token, each) for token, each in zip(prompt, found, strict=True)]
        return prompt_reply(rows, output.num_cached_tokens or 0)

    def close(self) -> None:
        """Stop the engine and free its memory."""
        self._engine.shutdown()

    async def _run(self, prompt: Sequence[int], params: Any) -> Any:
        inputs = self._library.TokensPrompt(prompt_token_ids=list(prompt))
        last = None
        async for output in self._engine.generate(inputs, params, f"harness-{next(self._numbers)}"):
            last = output
        if last is None:
            message = "the engine ended without an answer"
            raise RuntimeError(message)
        return last

    def _constraint(self, request: CompletionRequest) -> dict[str, Any]:
        """Return what makes an answer one of the choices, or follow the schema; a list of choices is the narrower."""
        structured = self._library.StructuredOutputsParams
        if request.choices:
            answers = [self.tokens.answer(choice) for choice in request.choices]
            # A grammar of texts would also allow a choice's first letter as a token of its own, which one token cannot
            # end; and it hides the probabilities of all other tokens.
            if request.max_tokens == 1 and all(len(answer) == 1 for answer in answers):
                return {"allowed_token_ids": sorted({answer[0] for answer in answers})}
            return {"structured_outputs": structured(choice=list(request.choices))}
        if request.response_schema is not None:
            return {"structured_outputs": structured(json=plain(dict(request.response_schema)))}
        return {}

    def _row(self, token: int, found: Mapping[int, Any]) -> TokenAlternatives:
        """Return one token with the alternatives vLLM reports at its place, likeliest first."""
        alternatives: dict[str, float] = {}
        for other, each in sorted(found.items(), key=lambda item: (-item[1].logprob, item[0])):
            alternatives.setdefault(self.tokens.token_text(other), float(each.logprob))
        own = found.get(token)
        return TokenAlternatives(
            self.tokens.token_text(token), None if own is None else float(own.logprob), alternatives
        )
