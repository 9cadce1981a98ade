"""Every shape of reply that endpoints are known to give: its outcome as a completion, in a score, and on record."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from harness_detection.config import DetectionConfig
from harness_detection.scorer import DetectionScorer

from harness.llm.open import open_llm
from harness.outcome import Outcome
from harness.scoring.protocol import Resources
from harness.testing.records import make_explanation, make_record
from tests.support.judged_run import JudgedRun, Size
from tests.support.load import judge_config, question
from tests.support.openai_server import Answer, OpenAIServer, Received, chat_body

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

TOP = [{"token": "Yes", "logprob": -0.1}, {"token": "No", "logprob": -2.5}]
GRADED = {"content": [{"token": "Yes", "logprob": -0.1, "top_logprobs": TOP}]}
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"match": true}'}}
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
STREAMED = f"data: {json.dumps({**CHUNK, 'choices': [{'index': 0, 'delta': {'content': 'Yes'}}]})}\n\n"
RIGHT = Answer(body=chat_body(logprobs=GRADED))


def said(content: str | None, **message: Any) -> Answer:
    return Answer(body=chat_body(content, message=message, logprobs=GRADED))


def body(**changes: Any) -> Answer:
    return Answer(body={**chat_body(), **changes})


def raw(content: bytes, content_type: str = "application/json", **more: Any) -> Answer:
    return Answer(body=content, content_type=content_type, **more)


SHAPES: dict[str, tuple[Answer, Outcome, str]] = {
    # no text where a text should be
    "content null": (said(None), Outcome.ERROR, "empty answer"),
    "content empty": (said(""), Outcome.ERROR, "empty answer"),
    "content missing": (
        Answer(body=chat_body(message={"content": None, "annotations": []})),
        Outcome.ERROR,
        "empty answer",
    ),
    "message null": (
        body(choices=[{"index": 0, "finish_reason": "stop", "message": None}]),
        Outcome.ERROR,
        "malformed",
    ),
    "message missing": (body(choices=[{"index": 0, "finish_reason": "stop"}]), Outcome.ERROR, ""),
    # reasoning models
    "reasoning_content only": (said(None, reasoning_content="The text is"), Outcome.ERROR, "reasoning but no answer"),
    "reasoning only": (said(None, reasoning="The text is"), Outcome.ERROR, "reasoning but no answer"),
    "reasoning and an empty answer": (said("", reasoning_content="Hm"), Outcome.ERROR, "reasoning but no answer"),
    "reasoning up to the limit": (
        Answer(body=chat_body(None, message={"reasoning_content": "Hm"}, finish_reason="length")),
        Outcome.TRUNCATED,
        "before any answer",
    ),
    "reasoning, then an answer": (said("Yes", reasoning_content="Hm"), Outcome.OK, ""),
    # tools
    "tool call": (said(None, tool_calls=[CALL]), Outcome.ERROR, "tool call"),
    "tool call with empty text": (said("", tool_calls=[CALL]), Outcome.ERROR, "tool call"),
    "function call of old": (
        said(None, function_call={"name": "f", "arguments": "{}"}),
        Outcome.ERROR,
        "tool call",
    ),
    "tool call that was cut off": (
        Answer(body=chat_body(None, message={"tool_calls": [CALL]}, finish_reason="length")),
        Outcome.TRUNCATED,
        "before any answer",
    ),
    # refusals
    "refusal": (said(None, refusal="I won't say"), Outcome.REFUSED, "I won't say"),
    "content filter": (
        Answer(body=chat_body(None, finish_reason="content_filter")),
        Outcome.REFUSED,
        "content_filter",
    ),
    # choices
    "choices empty": (body(choices=[]), Outcome.ERROR, "no choices"),
    "choices null": (body(choices=None), Outcome.ERROR, ""),
    "choices a text": (body(choices="Yes"), Outcome.ERROR, ""),
    "choices of null": (body(choices=[None]), Outcome.ERROR, ""),
    "choices of nothing": (body(choices=[{}]), Outcome.ERROR, ""),
    "no choices at all": (Answer(body={"id": "c", "object": "chat.completion", "model": "m"}), Outcome.ERROR, ""),
    # cut and streamed
    "cut before the head": (Answer(body=chat_body(), cut=0), Outcome.ERROR, "dropped"),
    "cut in the body": (Answer(body=chat_body(), cut=40), Outcome.ERROR, "dropped"),
    "half a JSON": (raw(b'{"id": "c", "choices": [{"index": 0, "mess'), Outcome.ERROR, "malformed"),
    "a stream nobody asked for": (raw(f"{STREAMED}data: [DONE]\n\n".encode(), "text/event-stream"), Outcome.ERROR, ""),
    "a stream cut off": (raw(STREAMED.encode(), "text/event-stream", cut=60), Outcome.ERROR, "dropped"),
    "chunks without their end": (
        raw(b"10\r\n0123", headers={"transfer-encoding": "chunked"}, cut=8),
        Outcome.ERROR,
        "",
    ),
    # content types and encodings
    "a page": (raw(b"<html>Please sign in</html>", "text/html"), Outcome.ERROR, "malformed"),
    "a page that says it is JSON": (raw(b"<html>Please sign in</html>"), Outcome.ERROR, "malformed"),
    "plain text": (raw(b"Yes", "text/plain"), Outcome.ERROR, "malformed"),
    "nothing": (raw(b""), Outcome.ERROR, "malformed"),
    "bytes": (raw(b"\xff\xfe\x00\x81", "application/octet-stream"), Outcome.ERROR, "malformed"),
    "null": (raw(b"null"), Outcome.ERROR, "malformed"),
    "a number": (raw(b"1"), Outcome.ERROR, "malformed"),
    # errors under status 200
    "error in a 200": (Answer(body={"error": {"message": "too busy", "code": 503}}), Outcome.ERROR, "too busy"),
    "error beside choices null": (
        Answer(body={"choices": None, "error": {"message": "too busy", "code": 503}}),
        Outcome.ERROR,
        "too busy",
    ),
    # litellm keeps the text of no error that is not an object.
    "error text in a 200": (Answer(body={"error": "too busy"}), Outcome.ERROR, "rror in response"),
    "error of an older server": (
        Answer(body={"object": "error", "message": "too busy", "code": 40303}),
        Outcome.ERROR,
        "",
    ),
    "detail in a 200": (Answer(body={"detail": "too busy"}), Outcome.ERROR, ""),
}


@pytest.mark.parametrize("name", SHAPES)
async def test_a_completion_has_an_outcome(name: str, tmp_path: Path) -> None:
    answer, outcome, reason = SHAPES[name]
    async with OpenAIServer(lambda _number, _request: answer) as server:
        llm = open_llm(judge_config(server.url, max_retries=0, timeout_s=5.0), "judge", tmp_path)
        first = await llm.complete(question(0))
        await llm.close()
        asked = len(server.completions)
        server.plan = lambda _number, _request: RIGHT
        llm = open_llm(judge_config(server.url, max_retries=0), "judge", tmp_path)
        again = await llm.complete(question(0))
        await llm.close()
    assert (first.outcome, first.text) == (outcome, "Yes" if outcome is Outcome.OK else None)
    assert reason in (first.error or "")
    assert bool(first.error) == (outcome is not Outcome.OK)
    assert (first.error or "").isprintable()
    assert asked == 1
    assert (again.outcome, again.cached) == (Outcome.OK, outcome is Outcome.OK)


@pytest.mark.parametrize("name", SHAPES)
async def test_a_score_counts_it_and_takes_it_for_no_answer(name: str, tmp_path: Path) -> None:
    answer, outcome, reason = SHAPES[name]
    record = make_record(n_activating=4, n_non_activating=4)
    odd = record.for_scoring().examples.activating[0].text.strip()

    def plan(_number: int, request: Received) -> Answer:
        return answer if odd in request.body["messages"][-1]["content"] else RIGHT

    async with OpenAIServer(plan) as server:
        llm = open_llm(judge_config(server.url, max_retries=0, timeout_s=5.0), "judge", tmp_path)
        await llm.start()
        scorer = DetectionScorer(DetectionConfig())
        score = await scorer.score(record.for_scoring(), make_explanation("harbour"), Resources(0, judge=llm))
        await llm.close()
    coverage = Counter(item.outcome for item in score.items)
    assert coverage == Counter({Outcome.OK: 7}) + Counter({outcome: 1})
    (item,) = [item for item in score.items if odd in (item.text or "")]
    assert item.outcome is outcome
    if outcome is not Outcome.OK:
        assert (item.prediction, item.value) == (None, None)
        assert reason in (item.error or "")


async def test_a_run_records_every_shape(tmp_path: Path) -> None:
    """Every other question of a whole run gets an odd reply, each shape in its turn; the evidence says which."""
    given: dict[str, str] = {}
    names = list(SHAPES)

    def plan(_number: int, request: Received) -> Answer:
        asked = request.body["messages"][-1]["content"]
        if asked not in given:
            given[asked] = names[len(given) // 2 % len(names)] if len(given) % 2 else ""
        return SHAPES[given[asked]][0] if given[asked] else RIGHT

    size = Size(features=4, activating=6, non_activating=6)
    async with OpenAIServer(plan) as server:
        overrides = ("judge.max_retries=0", "judge.timeout_s=20", "execution.max_failed_share=1.0")
        run = JudgedRun(tmp_path, server.url, size, *overrides)
        code = await asyncio.to_thread(run.finish)
    assert code == 0, run.said
    items, scores = run.lines("items.jsonl"), run.lines("scores.jsonl")
    assert len(items) == size.calls
    assert set(given.values()) == {"", *names}
    texts = {line["unit"]: line["explanation_digest"] for line in scores}
    assert len(texts) == size.units
    for item in items:
        shapes = {shape for asked, shape in given.items() if item["text"] in asked}
        expected = {SHAPES[shape][1].value if shape else "ok" for shape in shapes}
        assert item["outcome"] in expected, (shapes, item)
        assert bool(item["error"]) == (item["outcome"] != "ok")
    recorded = Counter(item["outcome"] for item in items)
    assert recorded == Counter(SHAPES[shape][1].value if shape else "ok" for shape in given.values())
    covered: Counter[str] = Counter()
    for line in scores:
        covered.update(line["coverage"])
    assert covered == recorded
