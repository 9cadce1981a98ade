"""What the hub, or the lack of it, answers, as errors of our own.

The client's own messages are not passed on where the hub answered: they span lines and may hold addresses with secrets.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from json import JSONDecodeError

from harness.errors import MaterialError, closest
from harness.materials.errors import MissingMaterialError
from harness.materials.hub import MISSHAPEN, answer_errors

__all__ = ["hub_error", "unanswered"]

_REFUSED = {HTTPStatus.FORBIDDEN, HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS}
_ADDRESS = re.compile(r"\w+://\S+")
_SHOWN = 8


def unanswered(error: Exception) -> bool:
    """Return whether the hub gave no answer, or none that says anything about what was asked for."""
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415  -- local materials do without the hub client

    if isinstance(error, HfHubHTTPError):
        status = int(error.response.status_code)
        return status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return not isinstance(error, (ValueError, *MISSHAPEN))


def hub_error(error: Exception, repository: str, revision: str | None, name: str | None = None) -> MaterialError:
    """Return what an error of the hub client means.

    Args:
        error: One of ``answer_errors()`` or ``download_errors()``.
        repository: ``owner/name``.
        revision: Branch, tag or commit that was asked for; None for the default branch.
        name: Path of the file that was asked for, if it was one.
    """
    where = f"hub://{repository}@{revision}" if revision else f"hub://{repository}"
    told = _told(error)
    return _refusal(told, repository, revision, where) or _failure(told, name, where, _page(repository))


def _told(error: Exception) -> Exception:
    """Return the hub's own answer, where the client speaks of a missing connection although there was one."""
    from huggingface_hub import errors  # noqa: PLC0415  -- as above

    if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, errors.HfHubHTTPError):
        return error.__cause__
    return error


def _page(repository: str) -> str:
    from huggingface_hub import constants  # noqa: PLC0415  -- as above

    return f"{constants.ENDPOINT}/{repository}"


def _refusal(error: Exception, repository: str, revision: str | None, where: str) -> MaterialError | None:
    """Return the error if it is that the repository or the revision is not there for this user."""
    from huggingface_hub import errors, get_token  # noqa: PLC0415  -- as above

    if isinstance(error, errors.GatedRepoError):
        page = _page(repository)
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


def _failure(error: Exception, name: str | None, where: str, page: str) -> MaterialError:
    """Return the error of a request that led to nothing."""
    from huggingface_hub import errors  # noqa: PLC0415  -- as above

    if isinstance(error, errors.RemoteEntryNotFoundError):
        return MissingMaterialError(f"the repository has no file {name}", where=where)
    if isinstance(error, errors.HfHubHTTPError):
        what, hint = _status(int(error.response.status_code), page, again=unanswered(error))
        what = f"{what} for {name}" if name else what
        return MaterialError(what, where=where, hint=hint, retryable=unanswered(error))
    if isinstance(error, (JSONDecodeError, UnicodeDecodeError, *MISSHAPEN)):
        return MaterialError("the hub's answer is not understood", where=where, hint="check HF_ENDPOINT")
    if isinstance(error, ValueError):
        return MaterialError(f"the hub client says: {_first_line(error)}", where=where)
    if name is None or isinstance(error, errors.LocalEntryNotFoundError):
        what = f"the hub cannot be reached, and {name or 'it'} is not cached"
        hint = "check the network, HF_ENDPOINT and HF_HUB_OFFLINE; with a connection, run again"
        return MaterialError(what, where=where, hint=hint, retryable=True)
    hint = "run again; check the network, and that HF_HUB_CACHE can be written and its disk is not full"
    what = f"the download of {name} failed: {_first_line(error)}"
    return MaterialError(what, where=where, hint=hint, retryable=True)


def _status(status: int, page: str, *, again: bool) -> tuple[str, str]:
    """Return what a status says, and the mend."""
    from huggingface_hub import get_token  # noqa: PLC0415  -- as above

    answer = f"the hub answers with status {status}"
    if status == HTTPStatus.UNAUTHORIZED:
        if get_token() is None:
            return f"{answer}: it asks for a token", "set the environment variable HF_TOKEN"
        return f"{answer}: it does not take the token at hand", "unset or renew HF_TOKEN, or the token of a login"
    if status in _REFUSED:
        return f"{answer}: access is refused", f"see {page}"
    return answer, "try again later" if again else "check HF_ENDPOINT"


def _near_revisions(repository: str, revision: str | None) -> str:
    from huggingface_hub import HfApi  # noqa: PLC0415  -- as above

    try:
        refs = HfApi().list_repo_refs(repository)
    except answer_errors():
        return "check its branches and tags"
    names = sorted({ref.name for ref in [*refs.branches, *refs.tags]})
    near = closest(revision or "", names)
    return f"did you mean {' or '.join(near)}?" if near else f"one of: {', '.join(names[:_SHOWN])}"


def _first_line(error: Exception) -> str:
    text = _ADDRESS.sub("(address)", str(error)).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
