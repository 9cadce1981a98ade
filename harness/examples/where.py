"""Conditions on feature facts: ``density > 1e-4 and not prior_token``."""

from __future__ import annotations

import ast
import operator
from typing import TYPE_CHECKING

from harness.activations.facts import FLAGS, NUMBERS
from harness.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.activations.facts import FeatureFacts

__all__ = ["Condition"]

_WHERE = "features.where"
_HINT = "write comparisons of facts with numbers, joined by and, or, not: density > 1e-4 and not prior_token"
_LONGEST = 1000
_LARGEST = 10**300  # what a float holds
_COMPARE: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class Condition:
    """A condition that features must meet to be used.

    Numbers may be compared (chains such as ``1e-4 < density < 0.1`` too), flags stand for themselves, and both are
    joined with ``and``, ``or``, ``not`` and brackets. Nothing else is an expression here: no calls, no attributes. A
    comparison with a fact that a feature does not have (the maximum of one that never fires) does not hold.

    Args:
        text: The condition.

    Raises:
        ConfigError: If it is none; the message shows the part that is not understood.
        UnknownNameError: If it names no fact.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._names: list[str] = []
        try:
            parsed = ast.parse(text.strip(), mode="eval").body if len(text) <= _LONGEST else None
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ConfigError(f"'{text}' is no condition", where=_WHERE, hint=_HINT) from error
        if parsed is None:
            raise ConfigError(f"longer than {_LONGEST} characters", where=_WHERE)
        self._tree = self._checked(parsed)

    def holds(self, facts: FeatureFacts) -> bool:
        """Return whether a feature meets the condition."""
        return _truth(self._tree, facts)

    def detail(self, facts: FeatureFacts) -> str:
        """Return the facts that the condition names, as a feature has them: ``density 0.2, prior_token no``."""
        return ", ".join(f"{name} {_shown(getattr(facts, name))}" for name in dict.fromkeys(self._names))

    def _checked(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.BoolOp):
            for value in node.values:
                self._checked(value)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            self._checked(node.operand)
        elif isinstance(node, ast.Name):
            self._named(node, FLAGS)
        elif isinstance(node, ast.Compare):
            for part in (node.left, *node.comparators):
                self._number(part)
            for sign in node.ops:
                if type(sign) not in _COMPARE:
                    raise self._not_understood(node)
        else:
            raise self._not_understood(node)
        return node

    def _number(self, node: ast.expr) -> None:
        if isinstance(node, ast.Name):
            self._named(node, NUMBERS)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            self._number(node.operand)
        elif not (isinstance(node, ast.Constant) and _is_number(node.value)):
            raise self._not_understood(node)

    def _named(self, node: ast.Name, known: tuple[str, ...]) -> None:
        if node.id not in known:
            if node.id in {*FLAGS, *NUMBERS}:
                raise self._not_understood(node)
            raise UnknownNameError("fact", node.id, known, where=_WHERE)
        self._names.append(node.id)

    def _not_understood(self, node: ast.expr) -> ConfigError:
        part = ast.unparse(node)
        if isinstance(node, ast.Name):
            kind = "a yes/no fact, and is compared with nothing" if part in FLAGS else "a number, and must be compared"
            return ConfigError(f"'{part}' is {kind}", where=_WHERE, hint=_HINT)
        return ConfigError(f"'{part}' is not understood in a condition", where=_WHERE, hint=_HINT)


def _is_number(value: object) -> bool:
    if type(value) is int:
        return abs(value) < _LARGEST
    return type(value) is float


def _truth(node: ast.expr, facts: FeatureFacts) -> bool:
    if isinstance(node, ast.BoolOp):
        parts = (_truth(value, facts) for value in node.values)
        return all(parts) if isinstance(node.op, ast.And) else any(parts)
    if isinstance(node, ast.UnaryOp):
        return not _truth(node.operand, facts)
    if isinstance(node, ast.Compare):
        values = [_value(part, facts) for part in (node.left, *node.comparators)]
        pairs = zip(values, node.ops, values[1:], strict=False)
        return all(
            left is not None and right is not None and _COMPARE[type(sign)](left, right) for left, sign, right in pairs
        )
    return isinstance(node, ast.Name) and bool(getattr(facts, node.id))


def _value(node: ast.expr, facts: FeatureFacts) -> float | None:
    if isinstance(node, ast.Name):
        found: float | None = getattr(facts, node.id)
        return found
    if isinstance(node, ast.UnaryOp):
        inner = _value(node.operand, facts)
        return None if inner is None else -inner
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return float(node.value)
    return None


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
