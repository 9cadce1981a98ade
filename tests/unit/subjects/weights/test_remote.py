from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from huggingface_hub import errors as client_errors
from safetensors.torch import load_file

from harness.errors import HarnessError, MaterialError
from harness.materials import repository as repositories
from harness.materials.checkpoint import open_checkpoint
from harness.materials.errors import MissingMaterialError
from harness.subjects.configs import DirectionsConfig, SaeConfig, TranscoderConfig
from harness.subjects.identity import (
    directions_identity,
    sae_header,
    sae_identity,
    transcoder_header,
    transcoder_identity,
)
from harness.subjects.weights import read_header
from harness.subjects.weights.load import load_dictionary
from harness.subjects.weights.remote import fetch_source, find_sources
from tests.support.hub import LoopbackHub, Repository

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDERS = Path(__file__).parents[3] / "fixtures" / "feature_sources"
NOT_NEEDED = {
    "README.md": b"# card",
    "modeling_sae.py": b"raise SystemExit('run')",
    ".gitattributes": b"*.npz filter=lfs",
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    with LoopbackHub() as server:
        template = f"{server.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.endpoint)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no token"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        forget()
        yield server
        forget()


def forget() -> None:
    """As a new process would."""
    repositories._resolved.cache_clear()
    repositories._listed.cache_clear()


def put(hub: LoopbackHub, name: str, folders: dict[str, Path], extra: dict[str, bytes] | None = None) -> str:
    """Put the sources in ``folders`` into a repository, by their folders there, beside what nobody needs."""
    files = {
        f"{inside}/{file.relative_to(folder).as_posix()}".strip("/"): file.read_bytes()
        for inside, folder in folders.items()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != "golden.safetensors"
    }
    repository = hub.repositories.setdefault(name, Repository())
    return repository.commit({**files, **NOT_NEEDED, **(extra or {})})


RELEASES = FOLDERS / "releases"
GEMMA = "layer_1/width_64/average_l0_9"
# Repository, folder there, folder here, address in the repository, files that are needed, where it reads.
LAYOUTS: dict[str, tuple[str, str, Path, str, list[str], str]] = {
    "gemma_scope": (
        "google/gemma-scope-2b-pt-res", GEMMA, RELEASES / "gemma-scope-2b-pt-res" / GEMMA, GEMMA,
        [f"{GEMMA}/params.npz"], "blocks.1.hook_resid_post",
    ),
    "saelens": (
        "some/saes", "blocks.8.hook_resid_pre", FOLDERS / "saelens_topk", "blocks.8.hook_resid_pre",
        ["blocks.8.hook_resid_pre/cfg.json", "blocks.8.hook_resid_pre/sae_weights.safetensors"],
        "model.layers.1.output",
    ),
    "saelens at the root": (
        "some/sae", "", FOLDERS / "saelens_topk", "", ["cfg.json", "sae_weights.safetensors"], "model.layers.1.output",
    ),
    "sparsify": (
        "some/sparse", "layers.10", FOLDERS / "sparsify_sae", "layers.10",
        ["layers.10/cfg.json", "layers.10/sae.safetensors"], "layers.10.output",
    ),
    "llama_scope": (
        "fnlp/Llama3_1-8B-Base-LXR-8x", "Llama3_1-8B-Base-L1R-8x",
        RELEASES / "Llama3_1-8B-Base-LXR-8x" / "Llama3_1-8B-Base-L1R-8x", "Llama3_1-8B-Base-L1R-8x",
        ["Llama3_1-8B-Base-L1R-8x/hyperparams.json", "Llama3_1-8B-Base-L1R-8x/checkpoints/final.safetensors"],
        "blocks.1.hook_resid_post",
    ),
    "qwen_scope": (
        "Qwen/SAE-Res-Golden-W1K-L0_8", "", RELEASES / "SAE-Res-Golden-W1K-L0_8", "layer1.sae.pt", ["layer1.sae.pt"],
        "blocks.1.hook_resid_post",
    ),
    "goodfire": (
        "Goodfire/Llama-3.3-70B-Instruct-SAE-l19", "", RELEASES / "goodfire", "",
        ["Llama-3.1-8B-Instruct-SAE-l19.pth"], "blocks.19.hook_resid_post",
    ),
    "circuit_tracer": (
        "mntss/transcoders", "", FOLDERS / "circuit_tracer_jumprelu", "layer_1.safetensors",
        ["config.yaml", "layer_1.safetensors"], "blocks.1.ln2.hook_normalized",
    ),
    "dictionary_learning": (
        "some/dl", "run/trainer_0", FOLDERS / "dictionary_learning_topk", "run",
        ["run/trainer_0/config.json", "run/trainer_0/ae.pt"], "blocks.1.hook_resid_post",
    ),
    "e2e_sae": (
        "apollo/e2e", "", FOLDERS / "e2e_sae_published", "e2e_golden_layer_1.pt",
        ["e2e_golden_layer_1.yaml", "e2e_golden_layer_1.pt"], "blocks.1.hook_resid_pre",
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_source_is_read_from_the_hub_by_its_files_alone(hub: LoopbackHub, layout: str) -> None:
    name, inside, folder, address, needed, hook = LAYOUTS[layout]
    put(hub, name, {inside: folder})
    path = fetch_source(f"hub://{name}/{address}")
    assert path is not None
    header = read_header(path)
    assert header.hook_in == hook
    assert hub.files_sent() == needed
    golden = load_file(folder / "golden.safetensors")
    torch.testing.assert_close(load_dictionary(header).encode(golden["x"]), golden["z"], atol=1e-5, rtol=1e-5)


def test_a_second_run_needs_no_hub_and_gives_the_same_subject(hub: LoopbackHub) -> None:
    put(hub, "some/saes", {"blocks.8.hook_resid_pre": FOLDERS / "saelens_topk"})
    config = SaeConfig(source="hub://some/saes/blocks.8.hook_resid_pre")
    first = sae_identity(config)
    asked = len(hub.requests)
    hub.status = 503
    forget()
    assert sae_identity(config) == first
    assert len(hub.requests) == asked + 1, "which commit main is, and nothing else, is asked"
    load_dictionary(sae_header(config))


@pytest.mark.parametrize("offline", ["a switch", "no network"])
def test_without_a_connection_what_is_cached_is_used(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, offline: str
) -> None:
    put(hub, "some/sparse", {f"layers.{layer}": FOLDERS / "sparsify_sae" for layer in (1, 2)})
    first = sae_identity(SaeConfig(source="hub://some/sparse/layers.1"))
    if offline == "a switch":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    else:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    asked = len(hub.requests)
    forget()
    assert sae_identity(SaeConfig(source="hub://some/sparse/layers.1")) == first
    with pytest.raises(
        MaterialError, match=r"the hub cannot be reached, and it is not cached.*HF_HUB_OFFLINE"
    ) as caught:
        fetch_source("hub://some/sparse/layers.2")
    assert caught.value.retryable
    with pytest.raises(MaterialError, match="hub://some/other: the hub cannot be reached"):
        fetch_source("hub://some/other/layers.2")
    assert len(hub.requests) == asked


def test_what_is_cached_of_a_folder_of_several_does_not_choose_among_them(hub: LoopbackHub) -> None:
    layer = (RELEASES / "SAE-Res-Golden-W1K-L0_8" / "layer1.sae.pt").read_bytes()
    put(hub, "Qwen/SAE-Res-Golden-W1K-L0_8", {}, {"layer1.sae.pt": layer, "layer2.sae.pt": layer})
    fetch_source("hub://Qwen/SAE-Res-Golden-W1K-L0_8/layer2.sae.pt")
    with pytest.raises(HarnessError, match="holds 2 files of weights"):
        fetch_source("hub://Qwen/SAE-Res-Golden-W1K-L0_8")


def test_a_repository_of_one_file_needs_no_connection_later(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    put(hub, "Goodfire/SAE", {"": RELEASES / "goodfire"})
    path = fetch_source("hub://Goodfire/SAE")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    forget()
    assert fetch_source("hub://Goodfire/SAE") == path


def test_another_commit_is_another_subject_and_a_pinned_one_stays(hub: LoopbackHub) -> None:
    old = put(hub, "some/saes", {"sae": FOLDERS / "saelens_topk"})
    before = sae_identity(SaeConfig(source="hub://some/saes/sae"))
    assert (before["hub"], before["revision"]) == ("some/saes", old)
    new = put(hub, "some/saes", {"sae": FOLDERS / "saelens_topk"})
    hub.repositories["some/saes"].revisions |= {"v1": old, "refs/pr/1": new}
    assert sae_identity(SaeConfig(source="hub://some/saes/sae")) == before, "one process sees one commit"
    forget()
    after = sae_identity(SaeConfig(source="hub://some/saes/sae"))
    assert after == {**before, "revision": new}
    asked = len(hub.requests)
    assert sae_identity(SaeConfig(source=f"hub://some/saes@{old}/sae")) == before
    assert len(hub.requests) == asked, "what is cached of a commit is not asked for"
    assert sae_identity(SaeConfig(source="hub://some/saes@v1/sae")) == before
    assert sae_identity(SaeConfig(source="hub://some/saes@refs%2Fpr%2F1/sae")) == after
    local = sae_identity(SaeConfig(source=str(FOLDERS / "saelens_topk")))
    assert {name: value for name, value in before.items() if name not in {"hub", "revision"}} == local


def test_a_safe_file_is_taken_before_a_pickle_beside_it(hub: LoopbackHub) -> None:
    name = "transcoder.safetensors"
    listed = ["t/cfg.json", "t/transcoder.pt", f"t/{name}", "t/optimizer.pt", "README.md"]
    (found,) = find_sources(listed)
    assert (found.weights, found.others) == (f"t/{name}", ("t/cfg.json",))
    put(hub, "some/saes", {"": FOLDERS / "saelens_topk"}, {"ae.pt": b"pickle", "optimizer.pt": b"pickle"})
    fetch_source("hub://some/saes")
    assert hub.files_sent() == ["cfg.json", "sae_weights.safetensors"]


def test_a_training_runs_other_pickles_are_no_sources_of_their_own() -> None:
    listed = ["run/layers.1/cfg.json", "run/layers.1/sae.safetensors", "run/optimizer.pt", "run/lr_scheduler.pt"]
    weights = [source.weights for source in find_sources(listed) if source.by_name]
    assert weights == ["run/layers.1/sae.safetensors"]


def test_a_folder_above_one_source_will_do_even_beside_a_training_runs_pickles(hub: LoopbackHub) -> None:
    put(hub, "some/run", {"run/layers.1": FOLDERS / "sparsify_sae"}, {"run/optimizer.pt": b"pickle"})
    assert sae_header(SaeConfig(source="hub://some/run")).hook_in == "layers.1.output"
    assert "run/optimizer.pt" not in hub.files_sent()


def test_directions_come_from_the_hub_too(hub: LoopbackHub) -> None:
    data = (FOLDERS / "saelens_topk" / "golden.safetensors").read_bytes()
    commit = put(hub, "some/probes", {}, {"probes/x.safetensors": data})
    places: dict[str, Any] = {"hookpoint": "model.layers.1.output", "threshold": 1.0}
    identity = directions_identity(DirectionsConfig(source="hub://some/probes/probes/x.safetensors", **places))
    assert (identity["hub"], identity["revision"]) == ("some/probes", commit)
    with pytest.raises(MissingMaterialError, match=r"no file 'probes/y.safetensors'. Try: did you mean probes/x.saf"):
        directions_identity(DirectionsConfig(source="hub://some/probes/probes/y.safetensors", **places))


def test_a_repository_where_a_model_is_wanted_is_answered_with_its_plain_id(hub: LoopbackHub, tmp_path: Path) -> None:
    put(hub, "some/model", {}, {"config.json": b"{}"})
    with pytest.raises(
        MissingMaterialError,
        match=r"names no file.*Try: a checkpoint of a model is written as its plain id, some/model;",
    ):
        open_checkpoint("hub://some/model", None, None, cache=tmp_path)


MANY = {f"layer_{layer}/width_16k/average_l0_{layer}": RELEASES / "gemma-scope-2b-pt-res" / GEMMA for layer in range(3)}


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("google/gemma-scope-2b-pt-rse/layer_1", "the hub has no such repository. Try: check owner.*HF_TOKEN"),
        ("google/gemma-scope-2b-pt-res@mian/layer_1", "no revision 'mian'. Try: did you mean main"),
        ("google/gemma-scope-2b-pt-res@v7/layer_1", "no revision 'v7'. Try: one of: main"),
        (f"google/gemma-scope-2b-pt-res@{'ab' * 20}/layer_1", "no revision 'abab"),
        (
            "google/gemma-scope-2b-pt-res/layer_1/width_16k/average_l0_7",
            "has no 'layer_1/width_16k/average_l0_7'. Try: did you mean layer_1/width_16k/average_l0_1",
        ),
        ("google/gemma-scope-2b-pt-res/zzz", "has no 'zzz'. Try: it has 3 feature sources: layer_0/width_16k/average"),
        ("google/gemma-scope-2b-pt-res", "holds 3 feature sources. Try: add one of: layer_0/width_16k/average_l0_0, "),
        ("google/gemma-scope-2b-pt-res/README.md", "no known format of weights in 'README.md'. Try: it has 3"),
        ("google/cards/x", "the repository holds no weights of a known format"),
        (
            "Qwen/SAE-Res-Golden-W1K-L0_8",
            r"holds 2 files of weights.*Try: add one of: layer1\.sae\.pt, layer2\.sae\.pt",
        ),
        ("google", "not an address on the hub. Try: write hub://owner/name"),
        ("google/x/../y", "must stay inside"),
    ],
)
def test_what_is_not_there_is_answered_in_one_line(hub: LoopbackHub, address: str, message: str) -> None:
    put(hub, "google/gemma-scope-2b-pt-res", MANY)
    put(hub, "google/cards", {})
    put(hub, "Qwen/SAE-Res-Golden-W1K-L0_8", {}, {"layer1.sae.pt": b"1", "layer2.sae.pt": b"2"})
    with pytest.raises(HarnessError, match=message) as caught:
        fetch_source(f"hub://{address}")
    assert "\n" not in str(caught.value)
    assert hub.files_sent() == []


@pytest.mark.parametrize("token", [None, "hf_wrong_secret"])
def test_a_gated_repository(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    put(hub, "meta/gated", {"sae": FOLDERS / "saelens_topk"})
    hub.repositories["meta/gated"].token = "hf_secret"  # noqa: S105  -- no real one
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(
        MissingMaterialError, match=r"gated.*HF_TOKEN.*meta/gated|gated.*meta/gated.*HF_TOKEN"
    ) as caught:
        fetch_source("hub://meta/gated/sae")
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert fetch_source("hub://meta/gated/sae") is not None


def test_a_download_that_is_flipped_on_its_way_is_fetched_again_and_then_refused(hub: LoopbackHub) -> None:
    put(hub, "some/saes", {"sae": FOLDERS / "saelens_topk"})
    faults = hub.repositories["some/saes"].faults
    faults["sae/sae_weights.safetensors"] = "flipped"
    with pytest.raises(
        MaterialError, match=r"sae/sae_weights\.safetensors has another digest than the hub states"
    ) as caught:
        fetch_source("hub://some/saes/sae")
    assert "\n" not in str(caught.value)
    assert hub.files_sent().count("sae/sae_weights.safetensors") == 2
    faults.clear()
    assert fetch_source("hub://some/saes/sae") is not None, "the torn file is in the cache, and is fetched anew"


def test_a_download_that_breaks_off(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    put(hub, "some/saes", {"sae": FOLDERS / "saelens_topk"})
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    hub.repositories["some/saes"].faults["sae/sae_weights.safetensors"] = "short"
    with pytest.raises(
        MaterialError, match=r"the download of sae/sae_weights\.safetensors failed: peer closed connection"
    ) as caught:
        fetch_source("hub://some/saes/sae")
    assert caught.value.retryable
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [RuntimeError, getattr(client_errors, "XetDownloadError", RuntimeError)])
def test_a_downloader_that_raises_its_own_errors(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    put(hub, "some/saes", {"sae": FOLDERS / "saelens_topk"})

    def broken(*_: object, **__: object) -> str:
        raise kind("read from https://cdn.example/xet/1?Signature=secret broke off\nwith more lines")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", broken)
    with pytest.raises(
        MaterialError, match=r"the download of sae/cfg\.json failed: read from \(address\) broke off\. Try: run again"
    ) as caught:
        fetch_source("hub://some/saes/sae")
    assert caught.value.retryable
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_clients_warnings_hold_addresses_and_are_not_shown(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(hub, "some/saes", {"sae": FOLDERS / "saelens_topk"})
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    hub.repositories["some/saes"].faults["sae/sae_weights.safetensors"] = "short"
    client = logging.getLogger("huggingface_hub")
    monkeypatch.setattr(client, "propagate", True)
    level = client.level
    with pytest.raises(MaterialError):
        fetch_source("hub://some/saes/sae")
    assert len(hub.files_sent()) > 2, "the client tried again, and warned each time"
    assert [record for record in caplog.records if record.name.startswith("huggingface_hub")] == []
    assert client.level == level


def test_a_torn_cache_is_mended(hub: LoopbackHub) -> None:
    put(hub, "some/saes", {"sae": FOLDERS / "saelens_topk"})
    path = fetch_source("hub://some/saes/sae")
    assert path is not None
    for name in ("cfg.json", "sae_weights.safetensors"):
        blob = (path / name).resolve()
        blob.write_bytes(blob.read_bytes()[:-5])
    again = fetch_source("hub://some/saes/sae")
    assert again == path
    load_dictionary(read_header(path))


@pytest.mark.parametrize("status", [500, 429])
def test_a_hub_that_is_down(hub: LoopbackHub, status: int) -> None:
    hub.status = status
    with pytest.raises(MaterialError, match=f"the hub answers with status {status}") as caught:
        fetch_source("hub://some/saes/sae")
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "401: it does not take the token at hand. Try: unset or renew HF_TOKEN"),
        (403, "403: access is refused. Try: see http://127.0.0.1:[0-9]+/some/saes$"),
        (451, "451: access is refused. Try: see http://127.0.0.1:[0-9]+/some/saes$"),
        (418, "418. Try: check HF_ENDPOINT"),
        (429, "429. Try: try again later"),
        (502, "502. Try: try again later"),
    ],
)
def test_a_status_is_answered_with_its_own_mend(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, status: int, message: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_stale_secret")
    hub.status, hub.reason = status, "Invalid credentials in Authorization header"
    with pytest.raises(MaterialError, match=f"the hub answers with status {message}") as caught:
        fetch_source("hub://some/saes/sae")
    assert caught.value.retryable is (status in {429, 502})
    assert "secret" not in str(caught.value)


def test_a_hub_that_asks_for_a_token_where_there_is_none(hub: LoopbackHub) -> None:
    hub.status, hub.reason = 401, "Invalid credentials in Authorization header"
    with pytest.raises(MaterialError, match=r"asks for a token\. Try: set the environment variable HF_TOKEN"):
        fetch_source("hub://some/saes/sae")


@pytest.mark.parametrize(("status", "message"), [(403, "403: access is refused"), (503, "503")])
def test_a_status_of_one_file_is_no_missing_connection(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, status: int, message: str
) -> None:
    put(hub, "some/saes", {"sae": FOLDERS / "saelens_topk"})
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    hub.repositories["some/saes"].faults["sae/cfg.json"] = status
    with pytest.raises(MaterialError, match=rf"answers with status {message} for sae/cfg\.json") as caught:
        fetch_source("hub://some/saes/sae")
    assert caught.value.retryable is (status == 503)


ENTRY = b'{"type": "file", "size": 1, "oid": "0"}'


@pytest.mark.parametrize(
    ("end", "answer"),
    [
        *(("revision/main", answer) for answer in (b"{}", b"[]", b"[1]", b"1")),
        *(("main", answer) for answer in (b"<html>sign in</html>", b"\xff\xfe", b"")),
        *(("tree", b"[" + answer + b"]") for answer in (b"{}", b"1", b"null", ENTRY)),
        ("tree", b'{"error": "none"}'),
        ("tree", b"null"),
    ],
)
def test_an_answer_of_another_shape_is_not_understood(hub: LoopbackHub, end: str, answer: bytes) -> None:
    commit = put(hub, "some/saes", {"sae": FOLDERS / "saelens_topk"})
    hub.answers[f"tree/{commit}" if end == "tree" else end] = answer
    with pytest.raises(
        MaterialError, match=r"hub://some/saes.*: the hub's answer is not understood.*HF_ENDP"
    ) as caught:
        fetch_source("hub://some/saes@main/sae")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sha", [b"null", b"[1]", b'"main"'])
def test_a_hub_that_names_no_commit(hub: LoopbackHub, sha: bytes) -> None:
    hub.answers["models/some/saes"] = b'{"id": "some/saes", "sha": ' + sha + b"}"
    with pytest.raises(MaterialError, match="the hub names no commit"):
        fetch_source("hub://some/saes/sae")


def test_branches_of_another_shape_give_no_advice(hub: LoopbackHub) -> None:
    put(hub, "some/saes", {"sae": FOLDERS / "saelens_topk"})
    hub.answers["/refs"] = b"{}"
    with pytest.raises(MissingMaterialError, match=r"no revision 'mian'\. Try: check its branches and tags"):
        fetch_source("hub://some/saes@mian/sae")


GEMMA_2 = "resid_post/layer_1_width_64_l0_small"
SAID_BESIDE = {
    "gemma_scope_2": (RELEASES / "gemma-scope-2-1b-pt" / GEMMA_2, GEMMA_2, GEMMA_2, "config.json"),
    "e2e_sae": (FOLDERS / "e2e_sae_published", "", "e2e_golden_layer_1.pt", "e2e_golden_layer_1.yaml"),
}


@pytest.mark.parametrize("layout", SAID_BESIDE)
def test_weights_that_another_program_cached_alone_are_no_whole_source(hub: LoopbackHub, layout: str) -> None:
    folder, inside, address, beside = SAID_BESIDE[layout]
    put(hub, "some/saes", {inside: folder})
    config = SaeConfig(source=f"hub://some/saes/{address}")
    path = fetch_source(config.source)
    assert path is not None
    whole = sae_identity(config)
    (path if path.is_dir() else path.parent).joinpath(beside).unlink()
    forget()
    assert sae_identity(config) == whole
    (path if path.is_dir() else path.parent).joinpath(beside).unlink()
    asked = len(hub.requests)
    hub.status = 503
    forget()
    assert fetch_source(config.source) == path, "without a connection, what is here is taken"
    assert len(hub.requests) > asked + 1, "but the list was asked for"


def test_a_source_with_all_that_may_lie_beside_it_is_not_asked_for(hub: LoopbackHub) -> None:
    put(hub, "some/saes", {GEMMA_2: RELEASES / "gemma-scope-2-1b-pt" / GEMMA_2})
    path = fetch_source(f"hub://some/saes/{GEMMA_2}")
    asked = len(hub.requests)
    forget()
    assert fetch_source(f"hub://some/saes/{GEMMA_2}") == path
    assert len(hub.requests) == asked + 1, "which commit main is, and nothing else, is asked"


def test_a_cache_that_cannot_be_written_is_read(hub: LoopbackHub, tmp_path: Path) -> None:
    put(hub, "some/saes", {"sae": FOLDERS / "saelens_topk"})
    path = fetch_source("hub://some/saes/sae")
    refs = tmp_path / "hub" / "models--some--saes" / "refs"
    shutil.rmtree(refs)
    refs.write_bytes(b"")  # in the way of the folder: nothing can be written there, whoever runs the tests
    forget()
    assert fetch_source("hub://some/saes/sae") == path
    assert sorted(entry.name for entry in refs.parent.iterdir()) == ["blobs", "refs", "snapshots"]


def test_the_note_of_a_branch_is_written_whole_or_not_at_all(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = put(hub, "some/saes", {"sae": FOLDERS / "saelens_topk"})
    fetch_source("hub://some/saes/sae")
    note = tmp_path / "hub" / "models--some--saes" / "refs" / "main"
    assert note.read_text(encoding="utf-8") == old
    new = put(hub, "some/saes", {"sae": FOLDERS / "saelens_topk"})
    forget()

    def full(path: Path, data: str, **_: object) -> int:
        path.write_bytes(data[:7].encode())
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        assert repositories.hub_commit("some/saes", None) == new
    assert note.read_text(encoding="utf-8") == old
    assert [entry.name for entry in note.parents[1].iterdir() if entry.is_file()] == []
    assert [entry.name for entry in note.parent.iterdir()] == ["main"]


def test_a_transcoder_on_the_hub(hub: LoopbackHub) -> None:
    commit = put(hub, "mntss/transcoders", {"": FOLDERS / "circuit_tracer_jumprelu"})
    config = TranscoderConfig(source="hub://mntss/transcoders/layer_1.safetensors")
    assert transcoder_header(config).transcoder
    assert transcoder_identity(config)["revision"] == commit


def test_a_run_of_the_command_line_reads_the_hub_that_hf_endpoint_names(hub: LoopbackHub, tmp_path: Path) -> None:
    put(hub, "some/saes", {"sae": FOLDERS / "saelens_topk"})
    code = (
        "from harness.subjects.configs import SaeConfig; from harness.subjects.identity import sae_identity;"
        "print(sae_identity(SaeConfig(source='hub://some/saes/sae'))['hub'])"
    )
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HUB_CACHE": str(tmp_path / "other")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "some/saes"
    assert done.stderr == ""
