"""The public interface for plugin authors: everything a scorer, subject, explainer, control or corpus plugin needs.

What is listed in ``__all__`` keeps its meaning within one ``API_VERSION``. Importing this module loads no torch, NumPy,
transformers or litellm. Besides it, plugins may use ``harness.testing`` in their tests.
"""

from __future__ import annotations

from harness.activations.protocol import ActivationReader, Document, TokenReader
from harness.errors import (
    BudgetError,
    ConfigError,
    CorpusError,
    ExampleError,
    FeatureSourceError,
    HarnessError,
    LLMError,
    MaterialError,
    PluginError,
    ResultsError,
    SubjectError,
    UnknownNameError,
    UserError,
)
from harness.examples.record import (
    Example,
    ExampleKind,
    ExampleSet,
    ExplainRecord,
    FeatureRecord,
    FeatureStatistics,
    Origin,
    Sampling,
    ScoreRecord,
    SkippedFeature,
)
from harness.explainers.protocol import (
    Control,
    Draft,
    Explainer,
    ExplainerEstimate,
    ExplainerResources,
    Explanation,
    Provenance,
)
from harness.identity import LATER, canonical_json, fingerprint, plain, text_sha256
from harness.llm.counting import APPROXIMATE, TokenCounter
from harness.llm.protocol import (
    LLM,
    Capabilities,
    Completion,
    CompletionRequest,
    Message,
    PromptLogprobs,
    PromptLogprobsRequest,
    Spending,
    TokenAlternatives,
    choice_probability,
)
from harness.llm.readings import PlacedToken, expected_value, place_tokens
from harness.llm.task import Task, TaskKind
from harness.outcome import Outcome, Usage
from harness.registry.events import RunFinished, RunStarted, UnitFinished
from harness.registry.hookspecs import hookimpl
from harness.registry.specs import (
    API_VERSION,
    ControlSpec,
    CorpusSpec,
    ExplainerSpec,
    ScorerSpec,
    SubjectSpec,
)
from harness.scoring.asking import Answer, Reading, ask
from harness.scoring.calibration import Calibration, Fitted, fit_linear, fit_percentiles
from harness.scoring.classification import (
    CLASSIFICATION_METRICS,
    Metrics,
    auroc,
    breakdown,
    classification_metrics,
    graded_auroc,
    unanswered_side,
)
from harness.scoring.concurrency import gather_in_order
from harness.scoring.correlation import Measure, absdev_zero, pearson, r2_mean, r2_zero
from harness.scoring.counterfactuals import (
    Counterfactuals,
    Rewriting,
    estimate_counterfactuals,
    write_counterfactuals,
)
from harness.scoring.json_answers import ParsedJSON, as_flag, as_number, parse_json, parse_json_values
from harness.scoring.judged import check_judge, embedder_of, judge_of, judged_score
from harness.scoring.llm_classifier import Classified, ClassifierConfig, ClassifierPrompt, Question, classify
from harness.scoring.llm_classifier import estimate as estimate_calls
from harness.scoring.marks import text_with_marks, words_marked
from harness.scoring.parsing import ParsedList, parse_choice, parse_flags
from harness.scoring.prompt_reading import check_prompt_logprobs, same_cut, tokens_within
from harness.scoring.protocol import (
    Embedder,
    ExampleNeeds,
    ExampleShape,
    Item,
    MetricSpec,
    Need,
    Resources,
    Score,
    Scorer,
    ScorerEstimate,
)
from harness.scoring.windows import WindowScorer
from harness.scoring.writing import Writing, Written, WrittenText, estimate_writing, write_texts
from harness.seeding import derive_seed, generator
from harness.subjects.access import Continuation, SubjectAccess, TextActivations
from harness.subjects.interventions import Change, Intervention, Steerable, intervene_rows
from harness.subjects.protocol import FeatureSource, Hookpoint, InterventionMode, SparseActivations
from harness.subjects.told_tokens import PROMOTED_LOOKED_AT, readable_token, told_tokens
from harness.text import for_prompt, part_shown

__all__ = [
    "API_VERSION",
    "APPROXIMATE",
    "CLASSIFICATION_METRICS",
    "LATER",
    "LLM",
    "PROMOTED_LOOKED_AT",
    "ActivationReader",
    "Answer",
    "BudgetError",
    "Calibration",
    "Capabilities",
    "Change",
    "Classified",
    "ClassifierConfig",
    "ClassifierPrompt",
    "Completion",
    "CompletionRequest",
    "ConfigError",
    "Continuation",
    "Control",
    "ControlSpec",
    "CorpusError",
    "CorpusSpec",
    "Counterfactuals",
    "Document",
    "Draft",
    "Embedder",
    "Example",
    "ExampleError",
    "ExampleKind",
    "ExampleNeeds",
    "ExampleSet",
    "ExampleShape",
    "ExplainRecord",
    "Explainer",
    "ExplainerEstimate",
    "ExplainerResources",
    "ExplainerSpec",
    "Explanation",
    "FeatureRecord",
    "FeatureSource",
    "FeatureSourceError",
    "FeatureStatistics",
    "Fitted",
    "HarnessError",
    "Hookpoint",
    "Intervention",
    "InterventionMode",
    "Item",
    "LLMError",
    "MaterialError",
    "Measure",
    "Message",
    "MetricSpec",
    "Metrics",
    "Need",
    "Origin",
    "Outcome",
    "ParsedJSON",
    "ParsedList",
    "PlacedToken",
    "PluginError",
    "PromptLogprobs",
    "PromptLogprobsRequest",
    "Provenance",
    "Question",
    "Reading",
    "Resources",
    "ResultsError",
    "Rewriting",
    "RunFinished",
    "RunStarted",
    "Sampling",
    "Score",
    "ScoreRecord",
    "Scorer",
    "ScorerEstimate",
    "ScorerSpec",
    "SkippedFeature",
    "SparseActivations",
    "Spending",
    "Steerable",
    "SubjectAccess",
    "SubjectError",
    "SubjectSpec",
    "Task",
    "TaskKind",
    "TextActivations",
    "TokenAlternatives",
    "TokenCounter",
    "TokenReader",
    "UnitFinished",
    "UnknownNameError",
    "Usage",
    "UserError",
    "WindowScorer",
    "Writing",
    "Written",
    "WrittenText",
    "absdev_zero",
    "as_flag",
    "as_number",
    "ask",
    "auroc",
    "breakdown",
    "canonical_json",
    "check_judge",
    "check_prompt_logprobs",
    "choice_probability",
    "classification_metrics",
    "classify",
    "derive_seed",
    "embedder_of",
    "estimate_calls",
    "estimate_counterfactuals",
    "estimate_writing",
    "expected_value",
    "fingerprint",
    "fit_linear",
    "fit_percentiles",
    "for_prompt",
    "gather_in_order",
    "generator",
    "graded_auroc",
    "hookimpl",
    "intervene_rows",
    "judge_of",
    "judged_score",
    "parse_choice",
    "parse_flags",
    "parse_json",
    "parse_json_values",
    "part_shown",
    "pearson",
    "place_tokens",
    "plain",
    "r2_mean",
    "r2_zero",
    "readable_token",
    "same_cut",
    "text_sha256",
    "text_with_marks",
    "tokens_within",
    "told_tokens",
    "unanswered_side",
    "words_marked",
    "write_counterfactuals",
    "write_texts",
]
