from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from harness.config.schema import ModelConfig
from harness.errors import ConfigError, FeatureSourceError
from harness.planted.catalogue import FEATURES
from harness.subjects.configs import PlantedConfig, PlantedOutputConfig
from harness.subjects.planted import promoters
from harness.subjects.planted.identity import planted_identity, promoters_identity
from harness.subjects.planted.promoters import _discriminants, _gain
from harness.subjects.planted.promoters import build as build_promoters
from harness.subjects.planted.source import PlantedSource, build
from harness.subjects.protocol import FeatureSource, Hookpoint, InterventionMode

if TYPE_CHECKING:
    from harness.subjects.model import SubjectModel

NAMES = [feature.name for feature in FEATURES]
BOS = 0


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """One token for each byte, so that a word is completed by its last letter."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE({"<bos>": BOS, **{letter: place + 1 for place, letter in enumerate(alphabet)}}, []))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    made: Any = PreTrainedTokenizerFast
    return cast("PreTrainedTokenizerFast", made(tokenizer_object=bpe, bos_token="<bos>"))  # noqa: S106  -- no password


@pytest.fixture(scope="module")
def source() -> PlantedSource:
    return build(PlantedConfig(), cast("SubjectModel", None))


def states(source: PlantedSource, tokenizer: PreTrainedTokenizerFast, *texts: str, bos: bool) -> torch.Tensor:
    rows = [[BOS] * bos + tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return source.hookpoint.states(tokenizer, ids, mask)


@pytest.mark.parametrize("bos", [False, True])
def test_a_match_activates_the_token_that_completes_it(
    source: PlantedSource, tokenizer: PreTrainedTokenizerFast, bos: bool
) -> None:
    text = "the ship, because of us"
    found = states(source, tokenizer, text, bos=bos)[0]
    ship, because = found[:, NAMES.index("seafaring")], found[:, NAMES.index("because")]
    assert ship.nonzero().flatten().tolist() == [bos + text.index("ship") + 3]
    assert because.nonzero().flatten().tolist() == [bos + text.index(" us") - 1]
    assert float(ship.max()) == 10.0


def test_padding_and_company_change_nothing(source: PlantedSource, tokenizer: PreTrainedTokenizerFast) -> None:
    texts = ("We must go; and two ships", "é ship", "the war of 1861 was never here")
    together = states(source, tokenizer, *texts, bos=True)
    for row, text in enumerate(texts):
        alone = states(source, tokenizer, text, bos=True)[0]
        assert torch.equal(together[row, : len(alone)], alone)
        assert not together[row, len(alone) :].any()


def test_no_mask_means_no_padding(source: PlantedSource, tokenizer: PreTrainedTokenizerFast) -> None:
    ids = torch.tensor([tokenizer("a ship", add_special_tokens=False)["input_ids"]])
    assert float(source.hookpoint.states(tokenizer, ids, None).max()) == 10.0


def test_a_context_of_nothing_but_bos_is_silent(source: PlantedSource, tokenizer: PreTrainedTokenizerFast) -> None:
    assert not source.hookpoint.states(tokenizer, torch.tensor([[BOS]]), None).any()


def test_the_model_is_not_run_for_them_and_is_for_others(subject: SubjectModel, tokens: torch.Tensor) -> None:
    place = Hookpoint("model.layers.1", "output")
    ran: list[int] = []
    handle = subject.model.register_forward_pre_hook(lambda *_: ran.append(1))
    hookpoint = build(PlantedConfig(), subject).hookpoint
    try:
        assert set(subject.hidden_states(tokens, None, [hookpoint])) == {hookpoint}
        assert not ran
        both = subject.hidden_states(tokens, None, [hookpoint, place])
    finally:
        handle.remove()
    assert ran == [1]
    assert both[hookpoint].shape == (*tokens.shape, len(FEATURES))
    assert torch.equal(both[place], subject.hidden_states(tokens, None, [place])[place])


def test_it_is_a_feature_source_whose_states_are_its_values(source: PlantedSource) -> None:
    assert isinstance(source, FeatureSource)
    hidden = torch.zeros(3, source.d_in)
    hidden[1, 4] = 7.0
    kept = source.encode_sparse(hidden)
    assert (kept.row.tolist(), kept.feature.tolist(), kept.value.tolist(), kept.dropped) == ([1], [4], [7.0], {})
    assert torch.equal(source.encode(hidden), hidden)
    assert source.encode_features(hidden, [4, 0])[1].tolist() == [7.0, 0.0]
    assert source.to(torch.device("cpu")) is source
    assert source.identity == planted_identity(PlantedConfig(ModelConfig(path="x")))


def test_it_cannot_be_steered_and_says_so(source: PlantedSource) -> None:
    assert source.write_directions([0]) is None
    with pytest.raises(FeatureSourceError, match="read text"):
        source.intervene(torch.nn.Identity(), [0], InterventionMode.ADD, 1.0)
    with pytest.raises(FeatureSourceError, match="no feature"):
        source.encode_features(torch.zeros(1, source.d_in), [source.n_features])


def test_a_vocabulary_without_the_words_has_no_planted_output_features(subject: SubjectModel) -> None:
    with pytest.raises(FeatureSourceError, match="0 single tokens for 'months'"):
        build_promoters(PlantedOutputConfig(layer=1), subject)


@pytest.mark.parametrize(
    ("changes", "where"), [({"density": 0.0}, "density"), ({"density": 1.0}, "density"), ({"layer": -1}, "layer")]
)
def test_planted_output_features_are_refused_where_they_make_no_sense(changes: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        promoters_identity(PlantedOutputConfig(**{"layer": 1, **changes}))
    assert caught.value.where == where


def test_a_layer_that_is_not_there_is_named(subject: SubjectModel) -> None:
    with pytest.raises(FeatureSourceError, match="no layer 3"):
        build_promoters(PlantedOutputConfig(layer=3), subject)


def test_what_determines_planted_output_features_is_in_their_identity() -> None:
    one = promoters_identity(PlantedOutputConfig(layer=1))
    assert one != promoters_identity(PlantedOutputConfig(layer=2))
    assert one != promoters_identity(PlantedOutputConfig(layer=1, density=0.01))


@pytest.mark.parametrize("at_once", [1 << 23, 7 * 16, 1])
def test_discriminants_tell_their_rows_from_all_others(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promoters, "_VALUES_AT_ONCE", at_once)
    rows = torch.randn(200, 16, generator=torch.Generator().manual_seed(0)) * torch.linspace(1, 3, 16)
    groups = [(0, 1, 2), (7, 8, 9)]
    # Beside what each group shares, all rows have more of other directions.
    rows[[0, 1, 2], 0] += 6.0
    rows[[7, 8, 9], 1] -= 6.0
    found = _discriminants(rows, groups)
    centred = rows.double() - rows.double().mean(dim=0)
    covariance = centred.T @ centred / len(rows)
    covariance += 0.1 * covariance.diagonal().mean() * torch.eye(16)
    for direction, group in zip(found, groups, strict=True):
        assert set((rows @ direction).topk(3).indices.tolist()) == set(group)
        whole = torch.linalg.solve(covariance, centred[list(group)].mean(dim=0))
        torch.testing.assert_close(direction, whole.float())


def test_the_gain_of_a_norm_is_read_off_it() -> None:
    norm = torch.nn.RMSNorm(4)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([2.0, -1.0, 0.0, 0.5]))
    assert _gain(norm, torch.zeros(4)).tolist() == pytest.approx([2.0, -1.0, float("inf"), 0.5], rel=1e-4)
