"""The tokenizer of a configured model, where it is on this machine already: nothing is fetched to make an estimate."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, MaterialError
from harness.llm.checks import endpoint_url
from harness.llm.counting import APPROXIMATE, TokenCounter
from harness.llm.failures import AttemptError
from harness.llm.price import FREE, UNKNOWN, configured_price, table_price
from harness.materials import material_identity
from harness.materials.store import publish_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.config.schema import LLMConfig
    from harness.llm.price import Price
    from harness.llm.protocol import Message

__all__ = ["listed_price", "open_counter"]

_CONVERSIONS = ("bfloat16", "float32", "float16")
_ALONE = "tokenizer"
_TOKENIZER = "tokenizer_config.json"
_IN_PROCESS = frozenset({"local", "transformers", "vllm"})
_ORACLE = "oracle"


def open_counter(config: LLMConfig, cache: Path) -> TokenCounter:
    """Return what counts tokens as the model of ``config`` does, or ``APPROXIMATE`` where its tokenizer is not here.

    A model of this process counts by its own tokenizer and chat template, if it was fetched before. A hosted model
    counts by litellm's tokenizer (its own or a near one), if litellm knows the model. An oracle has none.
    """
    if config.backend == _ORACLE:
        return APPROXIMATE
    try:
        return _own(config, cache) if config.backend in _IN_PROCESS else _hosted(config)
    except (HarnessError, ImportError):
        return APPROXIMATE


def listed_price(config: LLMConfig) -> Price:
    """Return what the tokens of ``config``'s model cost: as configured, else by litellm's table, else unknown."""
    stated = configured_price(config)
    if stated is not None or config.backend in {*_IN_PROCESS, _ORACLE}:
        return stated or FREE
    try:
        library: Any = import_module("harness.llm.litellm_backend").load_litellm()
    except ImportError:
        return UNKNOWN
    return table_price(config.model if "/" in config.model else f"openai/{config.model}", library.model_cost)


def _own(config: LLMConfig, cache: Path) -> TokenCounter:
    folder = _checkpoint(config, cache)
    if folder is None:
        return APPROXIMATE
    # Both import transformers, which takes seconds.
    checkpoint: Any = import_module("harness.materials.checkpoint").Checkpoint(str(folder))
    tokens: Any = import_module("harness.llm.chat_tokens").ChatTokens(checkpoint, "model")

    def chat(messages: Sequence[Message]) -> int:
        try:
            return len(tokens.chat(messages))
        except AttemptError:
            return APPROXIMATE.chat(messages)  # no template, or one that refuses a chat of this shape

    return TokenCounter("its own tokenizer", lambda text: len(tokens.answer(text)), chat)


def _checkpoint(config: LLMConfig, cache: Path) -> Path | None:
    """Return the folder with the model's tokenizer, if there is one or can be made of what is here."""
    folder = Path(config.path or "").expanduser()
    if config.path and (folder / _TOKENIZER).is_file():
        return folder
    digest = config.sha256 or (material_identity(config.path or "").get("sha256") if folder.is_file() else None)
    if digest is None:
        return None
    gguf: Any = import_module("harness.checkpoints.gguf")
    converted = (gguf.converted_folder(digest, kind, cache) for kind in (*_CONVERSIONS, _ALONE))
    made = next((one for one in converted if (one / _TOKENIZER).is_file()), None)
    fetched = [folder] if folder.is_file() else (cache / "materials" / digest).glob("*")
    file = next((one for one in fetched if gguf.is_gguf(one)), None)
    return made or (None if file is None else _out_of_gguf(file, digest, gguf.converted_folder(digest, _ALONE, cache)))


def _out_of_gguf(file: Path, digest: str, target: Path) -> Path:
    """Return ``target``, made to hold the tokenizer of a GGUF: reading it out takes long enough to do it once."""
    library: Any = import_module("transformers")
    quiet: Any = import_module("harness.checkpoints.quiet").quiet_transformers

    def build(folder: Path) -> None:
        try:
            with quiet():
                library.AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
        except (KeyError, ValueError, NotImplementedError, RuntimeError, OSError) as error:
            raise MaterialError(f"has no tokenizer that can be read: {error}", where=str(file)) from error

    publish_folder(target, kind="tokenizer", identity={"gguf_sha256": digest}, build=build)
    return target


def _hosted(config: LLMConfig) -> TokenCounter:
    library: Any = import_module("harness.llm.litellm_backend").load_litellm()
    bare = config.model.rpartition("/")[2]
    # A server of one's own may call its model whatever it likes.
    if endpoint_url(config) is not None or listed_price(config) == UNKNOWN:
        return APPROXIMATE

    def text(text: str) -> int:
        return int(library.token_counter(model=bare, text=text))

    def chat(messages: Sequence[Message]) -> int:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        return int(library.token_counter(model=bare, messages=turns))

    return TokenCounter("litellm's tokenizer", text, chat)
