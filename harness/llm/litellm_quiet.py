"""litellm's log of a call, which nobody here reads: what it does for callbacks and its own price of every answer.

Half of litellm's CPU time per call goes into working out a price, copying messages and preparing callbacks. Prices are
worked out here from the tokens an endpoint reports, and there are no callbacks, so a call brings an object of litellm's
logging class that leaves all of that out. Everything else of litellm's sees the object it expects.
"""

from __future__ import annotations

import importlib
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["quiet_calls"]

CallKind = str
"""litellm's name of a kind of call: ``acompletion`` or ``atext_completion``."""


def quiet_calls() -> Callable[[CallKind, Mapping[str, Any]], dict[str, Any]]:
    """Return what makes the further arguments of a call, given its kind and the arguments it has.

    To be called once litellm is imported.
    """
    logging_class: Any = importlib.import_module("litellm.litellm_core_utils.litellm_logging").Logging

    class Unlogged(logging_class):  # type: ignore[misc]  # litellm is not typed here
        """A call's log that keeps what litellm itself reads back, and does nothing else.

        A method that a version of litellm does not have is never called by it, and costs what it cost before.
        """

        def response_cost_calculator(self, *_args: Any, **_kwargs: Any) -> None:
            """Work out no price."""

        def claim_async_success_log(self) -> bool:
            """Leave no work for later."""
            return False

        def handle_sync_success_callbacks_for_async_calls(self, *_args: Any, **_kwargs: Any) -> None:
            """Call nobody back."""

        def success_handler(self, *_args: Any, **_kwargs: Any) -> None:
            """Call nobody back."""

        async def async_success_handler(self, *_args: Any, **_kwargs: Any) -> None:
            """Call nobody back."""

        def failure_handler(self, *_args: Any, **_kwargs: Any) -> None:
            """Call nobody back."""

        async def async_failure_handler(self, *_args: Any, **_kwargs: Any) -> None:
            """Call nobody back."""

    def quiet(kind: CallKind, arguments: Mapping[str, Any]) -> dict[str, Any]:
        log = Unlogged(
            model=arguments["model"],
            messages=arguments.get("messages") or arguments.get("prompt"),
            stream=False,
            call_type=kind,
            start_time=datetime.now(),  # noqa: DTZ005  -- litellm compares it with its own, which have no zone
            litellm_call_id=str(uuid.uuid4()),
            function_id="",
        )
        return {"litellm_logging_obj": log}

    return quiet
