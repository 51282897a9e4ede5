"""Which rules are asked for: by profile, and in it by code prefix, by exact name, or ``ALL``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from convergence_cli.errors import UsageError
from convergence_cli.model import DEFAULT_PROFILE
from convergence_cli.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

EVERYTHING = "ALL"
_NO_MATCH = -1


class Named(Protocol):
    """Anything with a rule's code and name."""

    @property
    def code(self) -> str:
        """Two letters and three digits."""
        ...

    @property
    def name(self) -> str:
        """Kebab-case."""
        ...

    @property
    def profile(self) -> str:
        """The set of rules to which it belongs."""
        ...


RuleT = TypeVar("RuleT", bound=Named)


def select_rules(
    rules: Sequence[RuleT],
    *,
    profile: str = DEFAULT_PROFILE,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    extend_select: Iterable[str] = (),
) -> tuple[RuleT, ...]:
    """The rules that are asked for, in the order given; an empty ``select`` means all of the profile.

    ``ALL`` stands for the rules of the profile too; a code or a name reaches the rules of every profile.
    The longest match wins whichever list it stands in; on a tie ``ignore`` wins.
    Raises ``UsageError`` for a selector that matches no rule, with the nearest one that does.
    """
    chosen = tuple(select) or (EVERYTHING,)
    wanted, unwanted = (*chosen, *extend_select), tuple(ignore)
    for selector in (*wanted, *unwanted):
        if not any(_length(rule, selector) != _NO_MATCH for rule in rules):
            raise _unknown(selector, rules)
    return tuple(rule for rule in rules if _longest(rule, wanted, profile) > _longest(rule, unwanted))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word closest to ``word``, or None where none is close."""
    import difflib

    by_lower = {item.lower(): item for item in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ "Did you mean X? " with the nearest known word, or nothing."""
    close = nearest(word, known)
    return f"Did you mean {close}? " if close else ""


def _longest(rule: Named, selectors: Iterable[str], profile: str | None = None) -> int:
    """The length of the longest match; in a ``profile``, ``ALL`` stands for the rules of that one."""
    longest = max((_length(rule, selector) for selector in selectors), default=_NO_MATCH)
    return _NO_MATCH if longest == 0 and profile not in (None, rule.profile) else longest


def _length(rule: Named, selector: str) -> int:
    """How much of the rule's code the selector names; a name counts as the whole code."""
    upper = selector.upper()
    if upper == EVERYTHING:
        return 0
    if upper == rule.name.upper():
        return len(rule.code)
    return len(upper) if upper and rule.code.startswith(upper) else _NO_MATCH


def _unknown(selector: str, rules: Sequence[Named]) -> UsageError:
    known = {word for rule in rules for word in (rule.code, rule.name, rule.code[:2])}
    return UsageError(
        f"No rule has the code or name '{printable(selector)}'.",
        f"{did_you_mean(selector, sorted(known))}List them with: ctroubleshoot rules",
    )
