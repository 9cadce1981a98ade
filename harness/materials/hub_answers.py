"""What the hub, or the lack of it, answers, as errors of our own.

The client's own messages are not passed on where the hub answered: they span lines and may hold addresses with secrets.
"""

from __future__ import annotations

from harness.errors import MaterialError, closest
from harness.materials.errors import MissingMaterialError
from harness.materials.hub import hub_errors

__all__ = ["hub_error", "unanswered"]

_TOO_MANY_REQUESTS, _SERVER_ERRORS = 429, 500
_SHOWN = 8


def unanswered(error: Exception) -> bool:
    """Return whether the hub gave no answer, or none that says anything about what was asked for."""
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415  -- local materials do without the hub client

    if isinstance(error, HfHubHTTPError):
        status = int(error.response.status_code)
        return status == _TOO_MANY_REQUESTS or status >= _SERVER_ERRORS
    return not isinstance(error, ValueError)


def hub_error(error: Exception, repository: str, revision: str | None, name: str | None = None) -> MaterialError:
    """Return what an error of the hub client means.

    Args:
        error: One of ``hub_errors()``.
        repository: ``owner/name``.
        revision: Branch, tag or commit that was asked for; None for the default branch.
        name: Path of the file that was asked for, if it was one.
    """
    where = f"hub://{repository}@{revision}" if revision else f"hub://{repository}"
    return _refusal(error, repository, revision, where) or _failure(error, name, where)


def _refusal(error: Exception, repository: str, revision: str | None, where: str) -> MaterialError | None:
    """Return the error if it is that the repository or the revision is not there for this user."""
    from huggingface_hub import constants, errors, get_token  # noqa: PLC0415  -- as above

    if isinstance(error, errors.GatedRepoError):
        page = f"{constants.ENDPOINT}/{repository}"
        if get_token() is None:
            hint = f"ask for access at {page}, then set the environment variable HF_TOKEN"
            return MissingMaterialError("the repository is gated, and there is no token", where=where, hint=hint)
        what = "the repository is gated, and the token at hand (HF_TOKEN, or a login's) is not let in"
        return MissingMaterialError(what, where=where, hint=f"ask for access at {page}")
    if isinstance(error, errors.RevisionNotFoundError):
        what = f"the repository has no revision '{revision}'"
        return MissingMaterialError(what, where=where, hint=_near_revisions(repository, revision))
    if isinstance(error, errors.RepositoryNotFoundError):
        hint = "check owner and name; for a private repository set the environment variable HF_TOKEN"
        return MissingMaterialError("the hub has no such repository", where=where, hint=hint)
    return None


def _failure(error: Exception, name: str | None, where: str) -> MaterialError:
    """Return the error of a request that led to nothing."""
    from huggingface_hub import errors  # noqa: PLC0415  -- as above

    if isinstance(error, errors.RemoteEntryNotFoundError):
        return MissingMaterialError(f"the repository has no file {name}", where=where)
    if isinstance(error, errors.HfHubHTTPError):
        what = f"the hub answers with status {error.response.status_code}" + (f" for {name}" if name else "")
        return MaterialError(what, where=where, hint="try again later", retryable=unanswered(error))
    if isinstance(error, ValueError):
        return MaterialError(f"the hub client says: {_first_line(error)}", where=where)
    if name is None or isinstance(error, errors.LocalEntryNotFoundError):
        what = f"the hub cannot be reached, and {name or 'it'} is not cached"
        hint = "check the network, HF_ENDPOINT and HF_HUB_OFFLINE; with a connection, run again"
        return MaterialError(what, where=where, hint=hint, retryable=True)
    hint = "run again; check the network, and that the disk of HF_HUB_CACHE is not full"
    what = f"the download of {name} failed: {_first_line(error)}"
    return MaterialError(what, where=where, hint=hint, retryable=True)


def _near_revisions(repository: str, revision: str | None) -> str:
    from huggingface_hub import HfApi  # noqa: PLC0415  -- as above

    try:
        refs = HfApi().list_repo_refs(repository)
    except hub_errors():
        return "check its branches and tags"
    names = sorted({ref.name for ref in [*refs.branches, *refs.tags]})
    near = closest(revision or "", names)
    return f"did you mean {' or '.join(near)}?" if near else f"one of: {', '.join(names[:_SHOWN])}"


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
