"""Mutants of Python modules by cosmic-ray's operators: comparisons, arithmetic, numbers, conditions, loops, decorators.

Of an operator's many variants those are taken that are hardest to notice: an edge that moves by one, half of an
equality, the other sign.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

from mutants.mutant import Mutant, named_mutants

COMPARISONS = (
    "Eq_LtE", "Eq_GtE", "NotEq_Lt", "NotEq_Gt", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Is_IsNot", "IsNot_Is",
)  # fmt: skip
ARITHMETIC = ("Add_Sub", "Sub_Add", "Mod_Mul", "BitAnd_BitOr")
OPERATORS = (
    *(f"ReplaceComparisonOperator_{kinds}" for kinds in COMPARISONS),
    *(f"ReplaceBinaryOperator_{kinds}" for kinds in ARITHMETIC),
    *(f"ReplaceUnaryOperator_Delete_{kind}" for kind in ("Not", "USub", "Invert")),
    "AddNot", "ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "NumberReplacer",
    "ZeroIterationForLoop", "ReplaceContinueWithBreak", "ReplaceBreakWithContinue", "RemoveDecorator",
)  # fmt: skip

_BARE_WALRUS = re.compile(r"\bnot (\w+ := .*):$", re.MULTILINE)
"""What AddNot makes of `if name := value:`, which is no Python."""


def module_mutants(file: str, text: str) -> Iterator[Mutant]:
    """Yield the mutants of a module, operator by operator."""
    return named_mutants(file, text, _changed_texts(text))


def _changed_texts(text: str) -> Iterator[str]:
    """Yield the text with each change that is one to Python too, which has no annotations."""
    before = _meaning(text)
    for name in OPERATORS:
        operator = get_operator(f"core/{name}")()
        for occurrence in itertools.count():
            changed = mutate_code(text, operator, occurrence)
            if changed is None:
                break
            changed = _BARE_WALRUS.sub(r"not (\1):", changed)
            if _meaning(changed) != before:
                yield changed


def _meaning(text: str) -> str:
    """Return what Python makes of a module, but for its annotations."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
    return ast.dump(tree)
