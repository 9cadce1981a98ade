"""From chats and texts to tokens and back, for the engines of this process. Imported late: it imports transformers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from jinja2.exceptions import TemplateError
from transformers import AutoTokenizer

from harness.checkpoints.quiet import quiet_transformers
from harness.errors import LLMError
from harness.llm.failures import AttemptError, Failure, FailureKind, brief

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.llm.protocol import Message
    from harness.materials.checkpoint import Checkpoint

__all__ = ["ChatTokens"]


class ChatTokens:
    """A checkpoint's tokenizer with its chat template. Safe to use from several threads.

    Args:
        checkpoint: Where it is.
        where: The config key errors name.

    Raises:
        LLMError: If there is none.
    """

    def __init__(self, checkpoint: Checkpoint, where: str) -> None:
        try:
            with quiet_transformers():
                tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint.name, revision=checkpoint.revision or "main")
        except (OSError, ValueError, ImportError, KeyError) as error:
            raise LLMError(f"its tokenizer cannot be loaded: {brief(str(error))}", where=where) from error
        self._tokenizer = tokenizer
        self._lock = threading.Lock()
        self._texts: dict[int, str] = {}

    @property
    def end(self) -> int | None:
        """Return the token that ends a sequence, if there is one."""
        end = self._tokenizer.eos_token_id
        return end if isinstance(end, int) else None

    def chat(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Return the tokens of a chat, up to where the answer begins.

        Raises:
            AttemptError: If there is no chat template (kind ``unsupported``), or it refuses these messages
                (``bad_request``).
        """
        if not self._tokenizer.chat_template:
            what = "the model has no chat template, so it can score prompts but not answer questions"
            raise AttemptError(Failure(FailureKind.UNSUPPORTED, what))
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            with self._lock:
                text = self._tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
                return tuple(self._tokenizer(text, add_special_tokens=False).input_ids)
        except (TemplateError, ValueError) as error:
            what = f"the chat template refuses these messages: {brief(str(error))}"
            raise AttemptError(Failure(FailureKind.BAD_REQUEST, what)) from error

    def prompt(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a text as the model was trained to see it begin."""
        with self._lock:
            return tuple(self._tokenizer(text).input_ids)

    def answer(self, text: str) -> tuple[int, ...]:
        """Return the tokens of an answer."""
        with self._lock:
            return tuple(self._tokenizer(text, add_special_tokens=False).input_ids)

    def token_text(self, token: int) -> str:
        """Return one token's text, special tokens too."""
        known = self._texts.get(token)
        if known is None:
            with self._lock:
                known = self._texts[token] = str(self._tokenizer.decode([token], clean_up_tokenization_spaces=False))
        return known

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of an answer, without special tokens."""
        with self._lock:
            return str(
                self._tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
            )
