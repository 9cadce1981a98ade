"""The typed shape of a run's configuration.

Hydra composes YAML options into these dataclasses; what belongs to a plugin stays a plain mapping with a ``plugin`` key
and is checked against that plugin's own dataclass by ``harness.config.resolve``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from harness.identity import LATER

__all__ = [
    "BudgetConfig",
    "CorpusTokens",
    "EmbedderConfig",
    "ExamplesConfig",
    "ExecutionConfig",
    "FeaturesConfig",
    "LLMConfig",
    "MemoryConfig",
    "ModelConfig",
    "NegativesConfig",
    "PathsConfig",
    "RunConfig",
]


@dataclass
class ModelConfig:
    """A subject model: a hub id, a local folder, a ``.gguf`` file or a ``wheel://`` material.

    ``randomise`` is a seed: every weight is drawn anew, each tensor keeping its shape, mean and spread. Features of
    such a model are a control: what explanations of them score, explanations of the trained model's must exceed.
    """

    path: str = MISSING
    revision: str | None = None
    sha256: str | None = None
    dtype: str = "bfloat16"
    device: str = "cpu"
    trust_remote_code: bool = False
    randomise: int | None = field(default=None, metadata=LATER)


@dataclass
class CorpusTokens:
    """How documents become tokens; part of every ``corpus`` option beside the reader's own parameters.

    ``context_length`` counts corpus tokens; with ``bos: prepend`` one more position is fed to the model, and its
    activations are never kept.
    """

    n_tokens: int = 200_000
    context_length: int = 256
    bos: str = "prepend"
    min_document_tokens: int = 32


@dataclass
class NegativesConfig:
    """Where the non-activating windows of the score half come from: the weight of each source.

    ``score_non_activating`` is shared out in proportion. ``random``: any silent window. ``decoder_neighbours``,
    ``encoder_neighbours`` and ``cooccurring``: silent windows in which a near feature fires, near by the direction it
    writes, by the one it is read along, or by the tokens it fires on. ``similar``: silent windows whose text is near
    that of an activating one, by ``embedder``.
    """

    random: float = 1.0
    decoder_neighbours: float = 0.0
    encoder_neighbours: float = 0.0
    cooccurring: float = 0.0
    similar: float = 0.0


@dataclass
class ExamplesConfig:
    """Windows, split and how many examples of what kind each half gets.

    ``align`` is ``tile`` (fixed non-overlapping windows) or ``peak`` (window placed around each peak, ``peak_offset``
    tokens before it). ``explain_strategy`` and ``score_strategy`` are ``top``, ``random``, ``quantiles`` (equal numbers
    from each decile), ``mix`` (share ``mix_top`` strongest, the rest by quantiles) or ``importance`` (by squared
    activation). ``negatives`` says what silent windows the score half gets; those of the explain half are random.
    """

    preset: str = "default"
    window_tokens: int = 32
    align: str = "tile"
    peak_offset: int = 24
    explain_share: float = 0.5
    explain_strategy: str = "quantiles"
    mix_top: float = 0.2
    explain_activating: int = 20
    explain_non_activating: int = 0
    score_strategy: str = "quantiles"
    score_activating: int = 20
    score_non_activating: int = 20
    negatives: NegativesConfig = field(default_factory=NegativesConfig, metadata=LATER)
    min_activating_windows: int = 20
    min_half_windows: int = 5


@dataclass
class FeaturesConfig:
    """Which features: ``select`` is ``sample`` (seeded), ``range``, ``list``, ``file`` or ``all``.

    A sample walks a seeded permutation of all features until ``n`` usable ones are found; those passed over are
    recorded with the reason. With ``strata`` it takes them in turn from so many groups of the features that fire at
    all, equal in number and ordered by density, so that rare and frequent ones are there alike. ``path`` is the file of
    ``file``: numbers one a line or as a JSON list; what counts afterwards is its content. ``where`` is a condition on
    feature facts (``density > 1e-4 and not prior_token``); features that do not meet it are passed over.
    """

    select: str = "sample"
    n: int = 16
    seed: int = 0
    start: int = 0
    stop: int | None = None
    ids: list[int] = field(default_factory=list)
    path: str | None = field(default=None, metadata=LATER)
    strata: int | None = field(default=None, metadata=LATER)
    where: str | None = field(default=None, metadata=LATER)


@dataclass
class LLMConfig:
    """One role's language model: what it is, what it can do, and how hard it may be asked.

    ``backend`` is ``litellm`` (``model`` is litellm's name, ``api_base`` any OpenAI-compatible URL), ``local`` (a GGUF
    file served in process by llama.cpp and reached through litellm on the loopback interface), ``transformers`` (a
    checkpoint run in process, batched, the reference for log-probabilities), ``vllm`` (the same through vLLM's own
    engine) or ``oracle`` (a judge without a model that knows what planted explanations mean; ``engine.error_rate`` is
    the share of its answers that are wrong). ``api_key_env`` names an environment variable; keys themselves never enter
    a config.

    What an endpoint can do is ``auto`` (null for the yes/no ones) unless stated: asked of it once and remembered.
    """

    backend: str = "litellm"
    model: str = MISSING
    api_base: str | None = None
    api_key_env: str | None = None
    revision: str | None = None
    # Pace. `concurrency` is the ceiling; how many requests really are in flight adapts to the endpoint.
    concurrency: int = 64
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    timeout_s: float = 120.0  # one attempt
    deadline_s: float = 900.0  # one call with all its attempts and the waits between them
    patience_s: float = 300.0  # how long an endpoint may answer with nothing but errors before the run stops
    max_retries: int = 4
    seed: int | None = None
    # What the endpoint can do.
    structured: str = "auto"  # auto | json_schema | structured_outputs | grammar | json_object | none
    choices: str = "auto"  # auto | grammar | structured_outputs | guided_choice | none
    logprobs: bool | None = None
    prompt_logprobs: bool | None = None
    # What is kept in the cache: ok (answers) | all (refusals, answers cut off and empty ones as well)
    cache_answers: str = "ok"
    prompt_cache: str = "auto"  # markers for the provider's prompt cache: auto | on | off
    extra_body: dict[str, Any] = field(default_factory=dict)
    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    cached_input_usd_per_mtok: float | None = None
    # Models run in this process.
    path: str | None = None
    sha256: str | None = None
    context_tokens: int = 4096
    slots: int = 2
    threads: int | None = None
    dtype: str = "bfloat16"
    device: str = "cpu"
    batch_tokens: int = 8192
    engine: dict[str, Any] = field(default_factory=dict)  # further arguments of vLLM's engine, or of an oracle


@dataclass
class BudgetConfig:
    """What a run may spend over all its roles and processes; null for no limit.

    A call that could pass a limit, with what is in flight counted at its most, is not made, and the run stops cleanly.
    """

    usd: float | None = None
    tokens: int | None = None


@dataclass
class MemoryConfig:
    """What the harness's own work may take; the memory of models and of their forward passes is not counted.

    ``budget`` (``512MB``, ``1GiB``) sets what collecting activations holds at a time, for all subjects of a pass
    together. It changes no number.
    """

    budget: str = "1GiB"


@dataclass
class EmbedderConfig:
    """The sentence-embedding model some scorers need: a hub id, a folder or a ``wheel://`` material."""

    path: str = MISSING
    revision: str | None = None
    sha256: str | None = None
    pooling: str = "mean"
    query_instruction: str = ""
    max_tokens: int = 256
    device: str = "cpu"


@dataclass
class PathsConfig:
    """Where things lie. ``cache`` None means the user's cache folder (or ``HARNESS_CACHE``)."""

    results: str = "results"
    cache: str | None = None


@dataclass
class ExecutionConfig:
    """How a run is executed.

    ``unit_concurrency`` units are in flight at once; null for as many as keep the language models' endpoints busy.
    ``overlap`` lets features be scored while others are explained; null for wherever the two roles do not share one
    model in this process. ``collect_batch_tokens`` positions go through the subject model at
    once; in bfloat16, rounding depends on it. A unit of which more than the share ``max_failed_share`` of the
    questions, or of those of one side, ended in an error is a failed unit, to be done again, and no score.
    ``record_processes`` processes build feature records; null for one, and for one a processor where thousands of
    records are wanted.
    """

    unit_concurrency: int | None = None
    overlap: bool | None = None
    collect_batch_tokens: int = 8192
    max_failed_share: float = 0.1
    record_processes: int | None = field(default=None, metadata=LATER)


@dataclass
class RunConfig:
    """A whole run."""

    name: str = "run"
    seed: int = 0
    subject: dict[str, Any] = field(default_factory=dict)
    corpus: dict[str, Any] = field(default_factory=dict)
    examples: ExamplesConfig = field(default_factory=ExamplesConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    explainer: dict[str, Any] = field(default_factory=dict)
    judge: LLMConfig | None = None
    embedder: EmbedderConfig | None = None
    scorers: dict[str, Any] = field(default_factory=dict)
    controls: dict[str, Any] = field(default_factory=dict)
    paths: PathsConfig = field(default_factory=PathsConfig)
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    debug: bool = False
