"""A model hub on the loopback interface: what its client asks of the real one, answered from folders of this machine.

Answers the commit of a revision, the list of a commit's files, branches and tags, and files with their digests; keeps a
list of every request. Repositories, revisions, gates and faults can be changed while it runs; ``status`` answers every
request (with ``reason`` as the hub's own message), ``answers`` those questions whose path ends so.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["LoopbackHub", "Repository"]

_LARGE = 1000  # bytes; larger files are stored by their SHA-256, as in git LFS


@dataclass
class Repository:
    """One repository.

    Attributes:
        commits: Files of each commit, by path.
        revisions: Commit of each branch and tag.
        token: The only token that gets files, or None where none is needed.
        faults: What is wrong with a file: ``short`` (the connection ends early), ``flipped`` (a byte is another one)
            or a status.
    """

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    faults: dict[str, str | int] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Add a commit on top of a branch, and return its hash."""
        content = json.dumps({name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())})
        name = hashlib.sha1(f"{len(self.commits)}{content}".encode(), usedforsecurity=False).hexdigest()
        self.commits[name] = dict(files)
        self.revisions[branch] = name
        return name

    def find(self, revision: str) -> str | None:
        """Return the commit of a branch, a tag or a commit's whole hash."""
        return self.revisions.get(revision, revision if revision in self.commits else None)


class LoopbackHub:
    """The server; used as a context manager."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[str] = []
        self.status: int | None = None
        self.reason = "down"
        self.answers: dict[str, bytes] = {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub._answer(self)

            def do_HEAD(self) -> None:
                hub._answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  -- the base class' name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def endpoint(self) -> str:
        """Return the address for ``HF_ENDPOINT``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def files_sent(self) -> list[str]:
        """Return the paths of the files whose content was asked for, in order."""
        return [
            line.partition("/resolve/")[2].partition("/")[2]
            for line in self.requests
            if "GET" in line and "/resolve/" in line
        ]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(handler.path).path, encoding="utf-8").strip("/")
        self.requests.append(f"{handler.command} {path}")
        if self.status is not None:
            _send(handler, self.status, b"down", {"X-Error-Message": self.reason})
        elif (answer := next((self.answers[end] for end in self.answers if path.endswith(end)), None)) is not None:
            _send(handler, 200, answer, {"Content-Type": "application/json"})
        elif path.startswith("api/models/"):
            self._api(handler, path.removeprefix("api/models/").split("/"), urlsplit(handler.path).path)
        else:
            self._file(handler, path)

    def _api(self, handler: BaseHTTPRequestHandler, parts: list[str], raw: str) -> None:
        name, rest = "/".join(parts[:2]), raw.strip("/").split("/")[4:]
        repository = self.repositories.get(name)
        if repository is None:
            _refuse(handler, 401, "RepoNotFound")
        elif rest == ["refs"]:
            refs = [
                {"name": name, "ref": name, "targetCommit": commit} for name, commit in repository.revisions.items()
            ]
            _send_json(handler, {"branches": refs, "tags": [], "converts": []})
        else:
            revision = unquote(rest[1]) if len(rest) > 1 else "main"
            commit = repository.find(revision)
            if commit is None:
                _refuse(handler, 404, "RevisionNotFound")
            elif rest[:1] == ["tree"]:
                _send_json(handler, [_entry(path, data) for path, data in repository.commits[commit].items()])
            else:
                _send_json(handler, {"id": name, "modelId": name, "sha": commit, "siblings": [], "private": False})

    def _file(self, handler: BaseHTTPRequestHandler, path: str) -> None:
        name, _, rest = path.partition("/resolve/")
        revision, _, file = rest.partition("/")
        repository = self.repositories.get(name)
        commit = None if repository is None else repository.find(revision)
        if repository is None or commit is None:
            _refuse(
                handler,
                401 if repository is None else 404,
                "RepoNotFound" if repository is None else "RevisionNotFound",
            )
            return
        given = handler.headers.get("authorization", "").removeprefix("Bearer ")
        if repository.token is not None and given != repository.token:
            _refuse(handler, 403 if given else 401, "GatedRepo")
            return
        data = repository.commits[commit].get(file)
        if data is None:
            _refuse(handler, 404, "EntryNotFound")
            return
        fault = repository.faults.get(file)
        if isinstance(fault, int):
            _send(handler, fault, b"", {})
            return
        headers = {"ETag": f'"{_digest(data)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if fault == "flipped":
            data = data[:-1] + bytes([data[-1] ^ 1])
        _send(handler, 200, data, headers, cut=len(data) // 2 if fault == "short" else None)


def _entry(path: str, data: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(data), "oid": _git_digest(data)}
    if len(data) > _LARGE:
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if len(data) > _LARGE else _git_digest(data)


def _git_digest(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _refuse(handler: BaseHTTPRequestHandler, status: int, code: str) -> None:
    _send(handler, status, b'{"error": "refused"}', {"X-Error-Code": code, "X-Error-Message": "refused"})


def _send_json(handler: BaseHTTPRequestHandler, value: object) -> None:
    _send(handler, 200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def _send(
    handler: BaseHTTPRequestHandler, status: int, data: bytes, headers: dict[str, str], cut: int | None = None
) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(data[:cut])
        if cut is not None:
            handler.close_connection = True
