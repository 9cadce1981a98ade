"""Collections that are interrupted, grow, run twice at once or run out of disk."""

from __future__ import annotations

import dataclasses
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.activations import collect, spans, writer
from harness.activations.cachedir import prune
from harness.activations.collect import StoreRequest, open_stores
from harness.activations.store import FILES, SAMPLED, SPANS
from harness.activations.unfinished import Unfinished
from harness.activations.writer import ActivationWriter
from harness.config.schema import ExamplesConfig, FeaturesConfig, ModelConfig
from harness.errors import MaterialError
from harness.examples.record import FeatureRecord, SkippedFeature
from harness.identity import file_sha256
from harness.runner.records import RecordTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import torch

    from harness.activations.tokens import TokenStore
    from harness.subjects.model import SubjectModel

WORDS = ("the", "cat", "sat", "on", "mat", "and", "dog", "log", "one", "two", "three", "a", "naïve", "café", "lazy")
ALL_FILES = (*FILES, SAMPLED, SPANS)


@pytest.fixture(autouse=True)
def small_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "SPAN_TOKENS", 64)
    monkeypatch.setattr(collect, "MOST_KEPT", 60)
    monkeypatch.setattr(collect, "STRONGEST_CONTEXTS", 2)


def documents() -> list[str]:
    draws = np.random.default_rng(3)
    return [" ".join(draws.choice(WORDS, size=int(size))) for size in draws.integers(3, 40, size=60)]


class Interrupted(Exception):  # noqa: N818 -- what happens, not what it is of
    pass


@dataclasses.dataclass(frozen=True)
class Watched:
    """A model that counts the positions it reads and can be stopped after some batches."""

    subject: SubjectModel
    seen: list[int]
    stop_after: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.subject, name)

    def hidden_states(self, ids: torch.Tensor, mask: torch.Tensor, hookpoints: Any) -> Any:
        if self.stop_after is not None and len(self.seen) == self.stop_after:
            raise Interrupted
        self.seen.append(int(mask.sum()))
        return self.subject.hidden_states(ids, mask, hookpoints)


class Told:
    """Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.done = 0

    @contextmanager
    def task(self, label: str, total: int | None, unit: str) -> Iterator[Told]:
        del label, total, unit
        yield self

    def advance(self, amount: int = 1, *, note: str | None = None) -> None:
        assert note is None
        self.done += amount

    def say(self, message: str) -> None:
        self.lines.append(message)


def request(model: Any, source: Any, name: str = "s") -> StoreRequest:
    return StoreRequest(name, {"model": model.identity, "source": source.identity}, lambda: (model, source))


def contents(folder: Path) -> dict[str, bytes]:
    meta = json.loads((folder / "meta.json").read_text())
    for changing in ("created", "fingerprint", "identity"):
        meta.pop(changing)
    plain = {name: (folder / name).read_bytes() for name in ALL_FILES}
    return {**plain, "meta": json.dumps(meta, sort_keys=True).encode()}


@pytest.mark.parametrize("stop_after", [1, 4, 9, 15])
def test_an_interrupted_collection_goes_on_to_the_same_bytes(
    open_listed: Callable[..., TokenStore],
    tiny_model: SubjectModel,
    random_source: Any,
    tmp_path: Path,
    stop_after: int,
) -> None:
    tokens, source, told = open_listed(documents()), random_source(threshold=-0.5), Told()
    plain = Watched(tiny_model, [])
    whole = open_stores([request(plain, source)], tokens, tmp_path / "whole", 40)["s"]
    assert whole.sampled.features.size >= 2
    first, second = Watched(tiny_model, [], stop_after), Watched(tiny_model, [])
    with pytest.raises(Interrupted):
        open_stores([request(first, source)], tokens, tmp_path / "cut", 40)
    store = open_stores([request(second, source)], tokens, tmp_path / "cut", 40, told)["s"]
    assert contents(store.folder) == contents(whole.folder)
    assert told.done == tokens.n_tokens
    lost = sum(first.seen) + sum(second.seen) - sum(plain.seen)
    assert 0 <= lost <= 64 + 17 + len(first.seen)  # one span, and its BOS tokens
    if stop_after > 3:
        assert any("going on after" in line for line in told.lines)
    assert [path.name for path in store.folder.parent.iterdir()] == [store.folder.name]


@pytest.mark.parametrize("threshold", [0.5, -0.5])
@pytest.mark.parametrize(("before", "after"), [(400, 900), (900, 400), (130, 131), (60, 900)])
def test_a_store_on_more_or_fewer_tokens_takes_over_common_spans(
    open_listed: Callable[..., TokenStore],
    tiny_model: SubjectModel,
    random_source: Any,
    tmp_path: Path,
    before: int,
    after: int,
    threshold: float,
) -> None:
    source, told = random_source(threshold=threshold), Told()
    watched, plain = Watched(tiny_model, []), Watched(tiny_model, [])
    tokens = open_listed(documents(), n_tokens=after)
    whole = open_stores([request(plain, source)], tokens, tmp_path / "whole", 40)["s"]
    donor = open_stores([request(tiny_model, source)], open_listed(documents(), n_tokens=before), tmp_path / "g", 40)
    grown = open_stores([request(watched, source)], tokens, tmp_path / "g", 40, told)["s"]
    assert contents(grown.folder) == contents(whole.folder)
    sampled_and_shorter = donor["s"].sampled.features.size and after < before
    if min(before, after) > 64 and not sampled_and_shorter:
        assert any("took over" in line for line in told.lines)
        assert sum(plain.seen) - sum(watched.seen) >= min(before, after) // 81 * 64


def test_a_store_of_another_model_source_or_text_is_not_taken_over(
    open_listed: Callable[..., TokenStore], tiny_model: SubjectModel, random_source: Any, tmp_path: Path
) -> None:
    told, cache = Told(), tmp_path / "c"
    tokens = open_listed(documents(), n_tokens=400)
    open_stores([request(tiny_model, random_source())], tokens, cache, 40)
    other_model = dataclasses.replace(tiny_model, identity={"tiny": 2})
    more = open_listed(documents(), n_tokens=700)
    for one in (request(other_model, random_source()), request(tiny_model, random_source(scale=2.0))):
        open_stores([one], more, cache, 40, told)
    open_stores([request(tiny_model, random_source())], open_listed(documents()[::-1], n_tokens=700), cache, 40, told)
    open_stores([request(tiny_model, random_source())], more, cache, 41, told)  # other batches: other last digits
    assert told.lines == []


def test_a_damaged_store_is_not_taken_over(
    open_listed: Callable[..., TokenStore], tiny_model: SubjectModel, random_source: Any, tmp_path: Path
) -> None:
    source, told, more = random_source(), Told(), open_listed(documents(), n_tokens=700)
    whole = open_stores([request(tiny_model, source)], more, tmp_path / "whole", 40)["s"]
    short = open_stores([request(tiny_model, source)], open_listed(documents(), n_tokens=400), tmp_path / "g", 40)["s"]
    path = short.folder / "values.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    meta = json.loads((short.folder / "meta.json").read_text())
    meta["files"]["values.npy"]["sha256"] = file_sha256(path)
    (short.folder / "meta.json").write_text(json.dumps(meta))
    grown = open_stores([request(tiny_model, source)], more, tmp_path / "g", 40, told)["s"]
    assert contents(grown.folder) == contents(whole.folder)
    assert len(told.lines) == 1
    assert "is damaged and is not used" in told.lines[0]


def test_a_torn_state_is_begun_again(
    open_listed: Callable[..., TokenStore], tiny_model: SubjectModel, random_source: Any, tmp_path: Path
) -> None:
    tokens, source = open_listed(documents()), random_source()
    whole = open_stores([request(tiny_model, source)], tokens, tmp_path / "whole", 40)["s"]
    for name in ("state.npz", "000001.values.npy"):
        cache = tmp_path / name
        with pytest.raises(Interrupted):
            open_stores([request(Watched(tiny_model, [], 9), source)], tokens, cache, 40)
        (torn,) = (cache / "activations").rglob(name)
        torn.write_bytes(torn.read_bytes()[:-9] + b"123456789")
        again = Watched(tiny_model, [])
        store = open_stores([request(again, source)], tokens, cache, 40)["s"]
        assert contents(store.folder) == contents(whole.folder)
        assert sum(again.seen) > tokens.n_tokens


def test_subjects_that_were_interrupted_at_different_places_share_the_rest(
    open_listed: Callable[..., TokenStore], tiny_model: SubjectModel, random_source: Any, tmp_path: Path
) -> None:
    tokens, one, two = open_listed(documents()), random_source(), random_source(n_features=5)
    whole = open_stores([request(tiny_model, one, "a"), request(tiny_model, two, "b")], tokens, tmp_path / "w", 40)
    with pytest.raises(Interrupted):
        open_stores([request(Watched(tiny_model, [], 9), one, "a")], tokens, tmp_path / "c", 40)
    last = Watched(tiny_model, [])
    both = open_stores([request(last, one, "a"), request(last, two, "b")], tokens, tmp_path / "c", 40)
    for name in ("a", "b"):
        assert contents(both[name].folder) == contents(whole[name].folder)


def test_two_collections_of_one_store_are_one(
    open_listed: Callable[..., TokenStore], tiny_model: SubjectModel, random_source: Any, tmp_path: Path
) -> None:
    told_waiting = threading.Event()

    class ToldOfWaiting(Told):
        def say(self, message: str) -> None:
            super().say(message)
            told_waiting.set()

    tokens, source, told = open_listed(documents()), random_source(), ToldOfWaiting()
    waits, watched = threading.Event(), Watched(tiny_model, [])

    class Slow(Watched):
        def hidden_states(self, *args: Any) -> Any:
            begun.set()
            assert waits.wait(60)
            return super().hidden_states(*args)

    begun, slow = threading.Event(), Slow(tiny_model, [])
    folders: list[Path] = []

    def work(model: Any) -> None:
        folders.append(open_stores([request(model, source)], tokens, tmp_path / "c", 40, told)["s"].folder)

    first = threading.Thread(target=work, args=(slow,))
    first.start()
    assert begun.wait(60)
    second = threading.Thread(target=work, args=(watched,))
    second.start()
    assert told_waiting.wait(60)
    waits.set()
    for thread in (first, second):
        thread.join(60)
    assert told.lines == ["another process collects the same activations: waiting for it"]
    assert folders[0] == folders[1]
    assert watched.seen == []


def test_a_full_disk_is_one_line_and_the_next_call_goes_on(
    open_listed: Callable[..., TokenStore],
    tiny_model: SubjectModel,
    random_source: Any,
    tmp_path: Path,
) -> None:
    """A file size limit stands for the full disk: the kernel refuses the write in the same way, with another number."""
    resource = pytest.importorskip("resource")
    tokens, source = open_listed(documents()), random_source()
    whole = open_stores([request(tiny_model, source)], tokens, tmp_path / "whole", 40)["s"]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    state = next(iter(sorted((tmp_path / "whole").rglob("values.npy")))).stat().st_size

    class Filling(Watched):
        def hidden_states(self, *args: Any) -> Any:
            if len(self.seen) == 9:
                resource.setrlimit(resource.RLIMIT_FSIZE, (min(state, 200), limits[1]))
            return super().hidden_states(*args)

    cache = tmp_path / "c"
    try:
        with pytest.raises(MaterialError, match=r"cannot write the cache: .*Try: .* goes on from there") as caught:
            open_stores([request(Filling(tiny_model, []), source)], tokens, cache, 40)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.exit_code == 2
    told = Told()
    store = open_stores([request(tiny_model, source)], tokens, cache, 40, told)["s"]
    assert "going on after" in told.lines[0]
    assert contents(store.folder) == contents(whole.folder)


def test_a_store_that_was_made_of_something_else_says_what_differs(
    open_listed: Callable[..., TokenStore], tiny_model: SubjectModel, random_source: Any, tmp_path: Path
) -> None:
    tokens, one = open_listed(documents(), n_tokens=100), request(tiny_model, random_source())
    store = open_stores([one], tokens, tmp_path / "c", 40)["s"]
    path = store.folder / "meta.json"
    path.write_text(path.read_text().replace('"tiny": 1', '"tiny": 3'))
    with pytest.raises(MaterialError, match=r"made of something else: subject\.model\.tiny is 3 where 1 is wanted"):
        open_stores([one], tokens, tmp_path / "c", 40)


def test_pruning_removes_what_interrupted_collections_left(
    open_listed: Callable[..., TokenStore], tiny_model: SubjectModel, random_source: Any, tmp_path: Path
) -> None:
    cache = tmp_path / "c"
    with pytest.raises(Interrupted):
        open_stores([request(Watched(tiny_model, [], 9), random_source())], open_listed(documents()), cache, 40)
    assert len(list((cache / "activations").iterdir())) >= 1
    prune(cache, ["activations"], dry_run=True)
    assert len(list((cache / "activations").iterdir())) >= 1
    prune(cache, ["activations"])
    assert list((cache / "activations").iterdir()) == []


def test_a_process_that_builds_records_opens_a_store_of_samples(
    open_listed: Callable[..., TokenStore],
    tiny_model: SubjectModel,
    random_source: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens = open_listed(documents())
    store = open_stores([request(tiny_model, random_source(threshold=-0.5))], tokens, tmp_path / "c", 40)["s"]
    feature = int(store.sampled.features[0])
    monkeypatch.setattr("harness.runner.records.load_tokenizer", lambda *_: tiny_model.tokenizer)
    examples = ExamplesConfig(window_tokens=4, min_activating_windows=4, min_half_windows=2)
    model, features = ModelConfig(path="of tests"), FeaturesConfig(where="sampled")
    task = RecordTask("s", tokens.folder, store.folder, model, tmp_path, examples, features, 0)
    record = task.open()(feature)
    assert isinstance(record, FeatureRecord)
    assert record.statistics.sampling is not None
    assert record.facts is not None
    assert record.facts.sampled
    none = dataclasses.replace(task, features=FeaturesConfig(where="not sampled")).open()(feature)
    assert isinstance(none, SkippedFeature)


@pytest.mark.parametrize("step", ["write_meta", "clear_remains", "save_array", "save_arrays", "publish"])
def test_a_crash_at_the_end_costs_the_last_span_at_most(
    open_listed: Callable[..., TokenStore],
    tiny_model: SubjectModel,
    random_source: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    tokens, source, told = open_listed(documents()), random_source(), Told()
    whole = open_stores([request(tiny_model, source)], tokens, tmp_path / "whole", 40)["s"]
    merging = []

    def crash(*_: Any, **__: Any) -> None:
        raise Interrupted

    def merge(self: ActivationWriter, values_type: Any) -> int:
        if step in {"save_array", "save_arrays"}:
            monkeypatch.setattr(writer, step, crash)
        merging.append(values_type)
        return whole_merge(self, values_type)

    whole_merge = ActivationWriter._merge
    monkeypatch.setattr(ActivationWriter, "_merge", merge)
    if step == "publish":
        monkeypatch.setattr(Unfinished, "publish", crash)
    elif step in {"write_meta", "clear_remains"}:
        monkeypatch.setattr(writer, step, crash)
    with pytest.raises(Interrupted):
        open_stores([request(tiny_model, source)], tokens, tmp_path / "c", 40)
    assert merging
    monkeypatch.undo()
    monkeypatch.setattr(spans, "SPAN_TOKENS", 64)
    monkeypatch.setattr(collect, "MOST_KEPT", 60)
    monkeypatch.setattr(collect, "STRONGEST_CONTEXTS", 2)
    again = Watched(tiny_model, [])
    store = open_stores([request(again, source)], tokens, tmp_path / "c", 40, told)["s"]
    assert contents(store.folder) == contents(whole.folder)
    assert sum(again.seen) <= 64 + 2 * 17
    assert [path.name for path in store.folder.parent.iterdir()] == [store.folder.name]
    assert sorted(path.name for path in store.folder.iterdir()) == sorted({*ALL_FILES, "meta.json", "last_used"})


def test_what_was_collected_in_other_batches_is_made_again(
    open_listed: Callable[..., TokenStore], tiny_model: SubjectModel, random_source: Any, tmp_path: Path
) -> None:
    tokens, source, told = open_listed(documents()), random_source(), Told()
    with pytest.raises(Interrupted):
        open_stores([request(Watched(tiny_model, [], 9), source)], tokens, tmp_path / "c", 40)
    store = open_stores([request(tiny_model, source)], tokens, tmp_path / "c", 80, told)["s"]
    assert told.lines == ["s: what was collected before is damaged or of other batches, and is made again"]
    whole = open_stores([request(tiny_model, source)], tokens, tmp_path / "whole", 80)["s"]
    assert contents(store.folder) == contents(whole.folder)


def test_an_error_of_the_users_own_file_is_no_error_of_the_cache(
    open_listed: Callable[..., TokenStore], tiny_model: SubjectModel, random_source: Any, tmp_path: Path
) -> None:
    def load() -> Any:
        raise PermissionError(13, "Permission denied", "/models/sae.safetensors")

    one = dataclasses.replace(request(tiny_model, random_source()), load=load)
    with pytest.raises(PermissionError, match=r"/models/sae\.safetensors"):
        open_stores([one], open_listed(documents()), tmp_path / "c", 40)
