"""Every way a command line can be wrong, said in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import ConfigError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.config.resolved import ResolvedRun

NEGATIVES = "examples.negatives: a set of named values is needed. Try: 'examples.negatives={random:1,similar:1}', of"
CASES = [
    ("subject=demo_sea", "subject: unknown subject option 'demo_sea'. Try: did you mean demo_sae"),
    ("subject=[demo_sae,demo_sea]", "subject: unknown subject option 'demo_sea'. Try: did you mean demo_sae"),
    ("scorers=[detectoin]", "scorers: unknown scorers option 'detectoin'. Try: did you mean detection"),
    ("experiment=smok", "experiment: unknown experiment option 'smok'. Try: did you mean smoke?"),
    ("examples=zzz", "examples: unknown examples option 'zzz'. Try: one of: blog, default, delphi_paper"),
    ("llm@judge=loca", "llm: unknown llm option 'loca'. Try: did you mean local?"),
    ("subjct=demo_sae", "unknown parameter 'subjct'. Try: did you mean subject?"),
    ("examples.windows_tokens=3", "examples: unknown parameter 'windows_tokens'. Try: did you mean window_tokens?"),
    ("subject.demo_sea.model.path=x", "subject: unknown parameter 'demo_sea'. Try: did you mean demo_sae?"),
    ("judge.slot=2", "judge: unknown parameter 'slot'. Try: did you mean slots?"),
    ("scorers.detection.re_ask=2", "scorers.detection: unknown parameter 're_ask'. Try: did you mean re_asks?"),
    (
        "scorers.detection.examples_per_call=2",
        "scorers.detection: the option does not list 'examples_per_call'. Try: add it, with a +: +scorers.detection.e",
    ),
    ("explainer.set_name=x", "explainer: the option does not list 'set_name'. Try: add it, with a +: +explainer.set_"),
    (
        "judge.extra_body.top_k=1",
        "judge.extra_body: 'top_k' is not there to be changed. Try: add it, with a +: +judge.extra_body.top_k=...",
    ),
    ("a.b.c=1", "unknown parameter 'a'. Try: one of:"),
    ("seed=abc", "seed: Value 'abc' of type 'str' could not be converted to Integer"),
    ("examples.window_tokens=x", "examples.window_tokens: Value 'x' of type 'str' could not be converted to Integer"),
    ("features.ids=3", "features.ids: Invalid value assigned"),
    (
        "execution=3",
        "execution: a set of named values is needed. Try: change one with execution.KEY=VALUE, of unit",
    ),
    ("examples.negatives=similar", NEGATIVES),
    ("examples.negatives=[random]", NEGATIVES),
    ("examples.negatives=null", NEGATIVES),
    ("seed=0,1", "seed=0,1: several values are given. Try: add -m"),
    ("seed=range(1,3)", "seed=range(1,3): several values are given. Try: add -m"),
    ("scorers=[detection", "scorers=[detection: cannot read the override"),
    ("llm=local", "llm: it is not said for what. Try: one of: llm@explainer.llm, llm@judge"),
    ("subject@foo=sae", "subject@foo: the run has no such choice. Try: +subject@foo=..."),
    ("nope@judge=local", "nope@judge=local: there is no such config group"),
    ("+seed=3", "seed: this key is there already. Try: leave out the +"),
    ("~zzz", "zzz: there is nothing of this name to remove"),
    ("subject=3", "the configuration cannot be composed: Config group override must be a string or a list"),
]


@pytest.mark.parametrize(("override", "said"), CASES, ids=[override for override, _ in CASES])
def test_a_mistake_is_one_line(resolve: Callable[..., ResolvedRun], override: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(override)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("plus", ["", "+"])
def test_a_slip_in_an_argument_of_a_judge_is_not_advised_to_be_added(
    resolve: Callable[..., ResolvedRun], plus: str
) -> None:
    with pytest.raises(ConfigError, match=r"'eror_rate'\. Try: did you mean error_rate\?$") as caught:
        resolve("judge=oracle", f"{plus}judge.engine.eror_rate=0.1")
    assert caught.value.where == "judge.engine"


def test_a_value_inside_what_is_not_configured(resolve: Callable[..., ResolvedRun]) -> None:
    with pytest.raises(ConfigError, match=r"inside something that is not configured\. Try: choose it first"):
        resolve("judge=none", "judge.slots=2")
