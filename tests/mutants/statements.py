"""Mutants of SQL statements: conditions, `on conflict` clauses, columns of a join and priorities, one at a time.

A condition that is left out reads `true`, an alternative of an `or` reads `false`, so that the statement stays valid. A
priority is what `coalesce` asks one after the other, and the terms of an `order by`: one is left out, or two change
places. Only the text of the clause changes; sqlglot tells the tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import sqlglot
from sqlglot.tokenizer_core import Token, TokenType

from mutants.mutant import Mutant, named_mutants

DIALECT = "postgres"
_STARTS = {TokenType.WHERE, TokenType.HAVING, TokenType.WHEN, TokenType.ON}
_ENDS = _STARTS | {
    TokenType.THEN, TokenType.GROUP_BY, TokenType.ORDER_BY, TokenType.LIMIT, TokenType.RETURNING, TokenType.UNION,
    TokenType.FOR, TokenType.JOIN, TokenType.LEFT, TokenType.CROSS, TokenType.COMMA, TokenType.SEMICOLON,
}  # fmt: skip
_ENDS_OF_ORDER = {
    TokenType.LIMIT, TokenType.OFFSET, TokenType.FETCH, TokenType.FOR, TokenType.UNION, TokenType.ROWS, TokenType.RANGE,
    TokenType.ON, TokenType.RETURNING, TokenType.SEMICOLON,
}  # fmt: skip
_OPENING = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.CASE}
_CLOSING = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.END}
_BEFORE_ON = {TokenType.JOIN, TokenType.ON, TokenType.DISTINCT, TokenType.INDEX, TokenType.FROM, TokenType.INTO}


def statement_mutants(file: str, text: str) -> Iterator[Mutant]:
    """Yield the mutants of a file's statements in the order of its text."""
    statement = _Statement(text)
    spots = sorted(
        {*statement.conditions(), *statement.conflict_clauses(), *statement.join_columns(), *statement.priorities()}
    )
    changed = (text[:start] + new + text[end:] for start, end, new in spots if text[start:end] != new)
    return named_mutants(file, text, changed)


def plain_sql(text: str) -> str:
    """Return the driver's SQL as the server's, as long as before: a name in place of each parameter."""
    return re.sub(r"%\(\w+\)s", lambda found: "p" * len(found[0]), text).replace("%%", "% ")


class _Statement:
    """The tokens of a statement, each with the number of parentheses and cases around it."""

    def __init__(self, text: str) -> None:
        self._sql = text
        self._tokens: list[Token] = sqlglot.tokenize(plain_sql(text), read=DIALECT)
        self._depths: list[int] = []
        depth = 0
        for token in self._tokens:
            depth -= token.token_type in _CLOSING
            self._depths.append(depth)
            depth += token.token_type in _OPENING

    def conditions(self) -> Iterator[tuple[int, int, str]]:
        """Yield where each condition stands, the parts of a compound one too, and what takes its place."""
        for number, token in enumerate(self._tokens):
            if token.token_type in _STARTS and (token.token_type is not TokenType.ON or self._is_of_join(number)):
                start, end = number + 1, self._end(number + 1, _ENDS)
                if self._is_of_merge(start):  # `when true` is none of a merge
                    start = min(self._end(start, {TokenType.AND}), end) + 1
                if start < end:
                    yield from self._parts(start, end)

    def conflict_clauses(self) -> Iterator[tuple[int, int, str]]:
        """Yield where each `on conflict` clause stands."""
        for number in range(len(self._tokens)):
            if self._is_conflict(number):
                yield self._spot(number, self._end(number + 1, {TokenType.RETURNING, TokenType.SEMICOLON}), "")

    def join_columns(self) -> Iterator[tuple[int, int, str]]:
        """Yield each column of a join's `using`; the only one leaves `on true`."""
        for number in range(len(self._tokens)):
            if self._is(number, TokenType.USING) and self._is(number + 1, TokenType.L_PAREN):
                end = self._end(number + 2, set())
                columns = [self._tokens[column].text for column in range(number + 2, end, 2)]
                if self._is(number + 2, TokenType.SELECT):
                    continue  # what a delete reads
                for column in columns:
                    others = ", ".join(other for other in columns if other != column)
                    yield self._spot(number, end + 1, f"using ({others})" if others else "on true")

    def priorities(self) -> Iterator[tuple[int, int, str]]:
        """Yield what `coalesce` and `order by` name, without one of it, or with two neighbours exchanged."""
        for number, token in enumerate(self._tokens):
            if token.text.lower() == "coalesce" and self._is(number + 1, TokenType.L_PAREN):
                start, end = number + 2, self._end(number + 2, set())
            elif token.token_type is TokenType.ORDER_BY:
                start, end = number + 1, self._end(number + 1, _ENDS_OF_ORDER)
            else:
                continue
            named = [self._text(*part) for part in self._split(start, end, TokenType.COMMA)]
            has_order = not self._is(end + 1, TokenType.IS)  # for `is null` they are all alike
            for place in range(len(named) if len(named) > 1 else 0):
                yield self._spot(start, end, ", ".join([*named[:place], *named[place + 1 :]]))
                if place and has_order:
                    swapped = [*named[: place - 1], named[place], named[place - 1], *named[place + 1 :]]
                    yield self._spot(start, end, ", ".join(swapped))

    def _parts(self, start: int, end: int) -> Iterator[tuple[int, int, str]]:
        """Yield a condition's parts: alternatives, else what must all be true; then the parts of these."""
        kind, neutral = TokenType.OR, "false"
        parts = self._split(start, end, kind)
        if len(parts) == 1:
            kind, neutral = TokenType.AND, "true"
            parts = self._split(start, end, kind)
        for first, last in parts:
            yield self._spot(first, last, neutral)
            if kind is TokenType.OR and len(self._split(first, last, TokenType.AND)) > 1:
                yield from self._parts(first, last)
            elif self._is_in_parentheses(first, last) and len(self._split(first + 1, last - 1, TokenType.OR)) > 1:
                yield from self._parts(first + 1, last - 1)

    def _split(self, start: int, end: int, kind: TokenType) -> list[tuple[int, int]]:
        """Return the parts of a condition between its own tokens of a kind; the `and` of a `between` is none."""
        depth = self._depths[start]
        borders = [start - 1]
        is_between = False
        for number in range(start, end):
            if self._depths[number] == depth:
                is_between = is_between or self._is(number, TokenType.BETWEEN)
                if self._is(number, kind) and not is_between:
                    borders.append(number)
                is_between = is_between and not self._is(number, TokenType.AND)
        return [(left + 1, right) for left, right in zip(borders, [*borders[1:], end], strict=True)]

    def _end(self, start: int, ends: set[TokenType]) -> int:
        """Return the first token from here that closes the parenthesis around, or is one of the ends."""
        depth = self._depths[start]
        for number in range(start, len(self._tokens)):
            if self._depths[number] < depth or (
                self._depths[number] == depth and self._tokens[number].token_type in ends
            ):
                return number
        return len(self._tokens)

    def _text(self, start: int, end: int) -> str:
        """Return some tokens as they are written."""
        return self._sql[self._tokens[start].start : self._tokens[end - 1].end + 1]

    def _spot(self, start: int, end: int, new: str) -> tuple[int, int, str]:
        """Return where some tokens stand in the text, and what takes their place."""
        return self._tokens[start].start, self._tokens[end - 1].end + 1, new

    def _is(self, number: int, kind: TokenType) -> bool:
        """Tell whether a token is of a kind."""
        return number < len(self._tokens) and self._tokens[number].token_type is kind

    def _is_in_parentheses(self, start: int, end: int) -> bool:
        """Tell whether one pair of parentheses holds all of these tokens."""
        return self._is(start, TokenType.L_PAREN) and self._end(start + 1, set()) == end - 1

    def _is_of_join(self, number: int) -> bool:
        """Tell whether an `on` belongs to a join."""
        depth = self._depths[number]
        before = (n for n in range(number - 1, -1, -1) if self._depths[n] == depth)
        kinds = (self._tokens[n].token_type for n in before)
        return not self._is_conflict(number) and next((k for k in kinds if k in _BEFORE_ON), None) is TokenType.JOIN

    def _is_of_merge(self, number: int) -> bool:
        """Tell whether a merge's `matched` or `not matched` begins here."""
        return "matched" in (token.text.lower() for token in self._tokens[number : number + 2])

    def _is_conflict(self, number: int) -> bool:
        """Tell whether `on conflict` begins here."""
        return self._is(number, TokenType.ON) and self._tokens[number + 1].text.lower() == "conflict"
