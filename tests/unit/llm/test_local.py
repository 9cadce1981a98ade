from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.errors import LLMError
from harness.llm.local import Server, ServerPool, ServerSettings, launch


class FakeServer:
    url = "http://127.0.0.1:1"
    key = "k"

    def __init__(self) -> None:
        self.stopped = 0

    def stop(self) -> None:
        self.stopped += 1


class Launcher:
    def __init__(self) -> None:
        self.launched: list[FakeServer] = []

    def __call__(self, _settings: ServerSettings) -> Server:
        server = FakeServer()
        self.launched.append(server)
        return server


def settings(name: str = "a.gguf", context: int = 512, slots: int = 1) -> ServerSettings:
    return ServerSettings(Path("/models") / name, context, slots, None)


def test_the_same_file_is_loaded_once_and_stopped_by_its_last_user() -> None:
    launcher = Launcher()
    pool = ServerPool(launcher)
    first = pool.acquire(settings())
    second = pool.acquire(settings("../models/a.gguf", slots=4))
    assert first is second
    pool.release(settings())
    assert launcher.launched[0].stopped == 0
    pool.release(settings())
    assert launcher.launched[0].stopped == 1
    pool.acquire(settings())
    assert len(launcher.launched) == 2


def test_other_files_and_contexts_are_other_servers() -> None:
    launcher = Launcher()
    pool = ServerPool(launcher)
    servers = {id(pool.acquire(each)) for each in (settings(), settings("b.gguf"), settings(context=1024))}
    assert len(servers) == 3


def test_a_failed_launch_leaves_nothing_behind() -> None:
    def fail(_settings: ServerSettings) -> Server:
        message = "no"
        raise LLMError(message)

    pool = ServerPool(fail)
    with pytest.raises(LLMError):
        pool.acquire(settings())
    pool._launch = Launcher()
    pool.acquire(settings())
    pool.release(settings())


def test_roles_that_start_at_once_share_one_server() -> None:
    launcher, barrier = Launcher(), threading.Barrier(8)
    pool = ServerPool(launcher)

    def start(_number: int) -> Server:
        barrier.wait()
        return pool.acquire(settings())

    with ThreadPoolExecutor(8) as threads:
        assert len({id(server) for server in threads.map(start, range(8))}) == 1
    assert len(launcher.launched) == 1


def test_a_file_that_is_no_gguf_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(LLMError, match="not a GGUF"):
        launch(ServerSettings(path, 512, 1, None))
