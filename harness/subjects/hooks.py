"""Reading hidden states at hookpoints, with plain forward hooks, and no further into the model than needed."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import torch

from harness.errors import SubjectError, closest
from harness.subjects.norms import norm_of
from harness.subjects.protocol import Hookpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["find_module", "first_tensor", "on_hookpoint", "read_hidden_states", "reading", "writing"]


class _StopForwardError(Exception):
    """Ends a forward pass once everything asked for was seen. Never leaves this module."""


def find_module(model: torch.nn.Module, path: str) -> torch.nn.Module:
    """Return the module of ``model`` at ``path``, for instance ``model.layers.14.mlp``.

    Raises:
        SubjectError: If there is none; the hint names the most similar paths.
    """
    modules: dict[str, torch.nn.Module] = dict(model.named_modules())
    if path in modules:
        return modules[path]
    near = closest(path, modules)
    hint = f"did you mean {' or '.join(near)}?" if near else f"its top modules are {', '.join(list(modules)[1:6])}"
    raise SubjectError(f"the model has no module '{path}'", hint=hint)


def read_hidden_states(
    model: torch.nn.Module, hookpoints: Sequence[Hookpoint], **inputs: Any
) -> dict[Hookpoint, torch.Tensor]:
    """Return the hidden states [B, T, d] at each hookpoint in one forward pass, stopped after the last one is reached.

    A module that runs more than once in a pass is read the first time. What a hookpoint's transform computes is
    float32; anything else stays in the model's own type.

    Args:
        model: The model.
        hookpoints: Where to read.
        inputs: Keyword arguments of the model's forward.

    Raises:
        SubjectError: If a module does not exist, does not run, or is no norm where one is needed.
    """
    seen: dict[Hookpoint, torch.Tensor] = {}
    wanted = set(hookpoints)

    def reader(hookpoint: Hookpoint) -> Callable[[torch.Tensor], None]:
        view = reading(model, hookpoint)

        def read(hidden: torch.Tensor) -> None:
            # A copy: a later module of the same pass may change its input in place.
            seen.setdefault(hookpoint, view(hidden.detach().clone()))
            if len(seen) == len(wanted):
                raise _StopForwardError

        return read

    with ExitStack() as hooks:
        for hookpoint in wanted:
            hooks.enter_context(on_hookpoint(model, hookpoint, reader(hookpoint)))
        if wanted:
            with suppress(_StopForwardError):
                model(**inputs)
    for hookpoint in hookpoints:
        if hookpoint not in seen:
            raise SubjectError(f"module '{hookpoint.module}' does not run in a forward pass of this model")
    return {hookpoint: seen[hookpoint] for hookpoint in hookpoints}


def reading(model: torch.nn.Module, hookpoint: Hookpoint) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the map from the tensor [..., d] that the module has at a hookpoint to what is read there.

    Raises:
        SubjectError: If the module does not exist, or is no norm where one is needed.
    """
    if hookpoint.transform == "normalized":
        return norm_of(find_module(model, hookpoint.module), hookpoint.module).normalise
    return _as_it_is if hookpoint.transform is None else _centred


def writing(model: torch.nn.Module, hookpoint: Hookpoint) -> tuple[Hookpoint, torch.Tensor | None]:
    """Return the place without a transform where a change of what is read at a hookpoint is added, and its factor.

    A change of a centred hidden state is one of the state itself. A change of a norm's input over its scale comes out
    of the norm multiplied by its gain [d], and is added there.

    Raises:
        SubjectError: If the module does not exist, or is no norm where one is needed.
    """
    if hookpoint.transform != "normalized":
        return hookpoint.plain, None
    return Hookpoint(hookpoint.module, "output"), norm_of(find_module(model, hookpoint.module), hookpoint.module).gain


@contextmanager
def on_hookpoint(
    model: torch.nn.Module, hookpoint: Hookpoint, transform: Callable[[torch.Tensor], torch.Tensor | None]
) -> Iterator[None]:
    """Hold a context in which ``transform`` sees, and may replace, the tensor at ``hookpoint`` in every forward.

    It is the tensor the module has there, whatever transform the hookpoint has.

    Raises:
        SubjectError: If the module does not exist, or (during a forward) carries no tensor there.
    """
    module = find_module(model, hookpoint.module)

    def before(_module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        key = _tensor_key(args, kwargs, hookpoint)
        new = transform(args[key] if isinstance(key, int) else kwargs[key])
        if new is None:
            return None
        if isinstance(key, int):
            return (*args[:key], new, *args[key + 1 :]), kwargs
        return args, {**kwargs, key: new}

    def after(_module: torch.nn.Module, _args: tuple[Any, ...], output: Any) -> Any:
        new = transform(first_tensor(output, hookpoint))
        if new is None:
            return None
        return (new, *output[1:]) if isinstance(output, tuple) else new

    if hookpoint.side == "input":
        handle = module.register_forward_pre_hook(before, with_kwargs=True)
    else:
        handle = module.register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


def first_tensor(output: Any, hookpoint: Hookpoint) -> torch.Tensor:
    """Return the hidden states in a module's output, which is a tensor or a tuple that begins with one.

    Raises:
        SubjectError: If it is something else.
    """
    found = output[0] if isinstance(output, tuple) and output else output
    if isinstance(found, torch.Tensor):
        return found
    raise SubjectError(f"the output of '{hookpoint.module}' is no tensor but {type(output).__name__}")


def _as_it_is(hidden: torch.Tensor) -> torch.Tensor:
    return hidden


def _centred(hidden: torch.Tensor) -> torch.Tensor:
    x = hidden.float()
    return x - x.mean(dim=-1, keepdim=True)


def _tensor_key(args: tuple[Any, ...], kwargs: dict[str, Any], hookpoint: Hookpoint) -> int | str:
    if args and isinstance(args[0], torch.Tensor):
        return 0
    for key in ("hidden_states", *kwargs):
        if isinstance(kwargs.get(key), torch.Tensor):
            return key
    raise SubjectError(f"the input of '{hookpoint.module}' holds no tensor")
