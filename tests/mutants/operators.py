"""Small edits of a source file that change what it decides: where they can be made, and the making of one.

Each is a change of a comparison, a sign, a constant, a negation, a rounding, a minimum or maximum, a side, or a
statement that is removed. Left alone is what decides nothing: texts, annotations, decorators, assertions (they say what
must hold already), imports, and the defaults of parameters, which are a deployment's choice.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

Function = ast.FunctionDef | ast.AsyncFunctionDef

COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
SIDES: Final = {
    "BUY": "SELL", "SELL": "BUY", "buys": "sells", "sells": "buys", "bids": "offers", "offers": "bids",
    "bid_px": "offer_px", "offer_px": "bid_px", "bid_qty": "offer_qty", "offer_qty": "bid_qty",
    "bid_venue": "offer_venue", "offer_venue": "bid_venue",
}  # fmt: skip
ROUNDINGS: Final = {
    "tick_within_limit": "tick_reaching", "tick_reaching": "tick_within_limit", "floor": "ceil", "ceil": "floor",
    "round": "int",
}  # fmt: skip
EXTREMES: Final = {"min": "max", "max": "min"}
LARGE: Final = 1000
"""One more than a number beyond this can rarely be noticed: it is doubled instead."""
TELLING: Final = 24
"""A place is shown by the smallest expression around it of this many characters, or by its statement."""
LIKE_TEXT: Final = (ast.List, ast.Tuple, ast.JoinedStr)
"""``+`` of these puts together; it has no sign."""


class Mutant(NamedTuple):
    """One edit. ``path`` is relative to `pipeline/`, ``function`` the dotted name of what it is in; ``number`` counts
    the possible edits of the file in the order of its source."""

    path: str
    function: str
    line: int
    operator: str
    before: str
    after: str
    number: int

    @property
    def identity(self) -> str:
        """What stays the same when other lines of the file change."""
        return f"{self.path}:{self.function}: {self.before}  ->  {self.after}"


class Site(NamedTuple):
    """A place for an edit: ``key`` is its identity before the edit is made, ``number`` its place in the file."""

    path: str
    operator: str
    key: str
    number: int


def sites_of(path: str, source: str) -> list[Site]:
    """Every edit that can be made in the file, in the order of its source."""
    walk = _Walk(path, None)
    walk.visit(ast.parse(source))
    return walk.sites


def made(path: str, source: str, number: int) -> tuple[Mutant, ast.Module]:
    """The edit of that number, and the file's tree with it. Raises IndexError when there is none."""
    walk = _Walk(path, number)
    tree = ast.parse(source)
    walk.visit(tree)
    if walk.mutant is None:
        raise IndexError(f"{path} has no edit {number}")
    shown = walk.shown
    mutant = walk.mutant._replace(after="nothing" if shown is None else _line_of(shown))
    return mutant, ast.fix_missing_locations(tree)


class _Walk(ast.NodeTransformer):
    """Goes through a file in the order of its source, counts its edits and makes the one that is asked for."""

    def __init__(self, path: str, wanted: int | None) -> None:
        self.sites: list[Site] = []
        self.mutant: Mutant | None = None
        self.shown: ast.AST | None = None
        """The expression or statement that shows the edit."""
        self._path = path
        self._wanted = wanted
        self._names: list[str] = []
        self._around: list[ast.AST] = []
        """Statement and expressions around a node, innermost last."""
        self._in_statement = 0
        self._statement_text = ""
        self._seen: dict[str, int] = {}
        self._assigned: set[str] = set()

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Assert | ast.JoinedStr):
            return node
        if isinstance(node, ast.stmt):
            self._enter(node)
        for operator, edited in _edits(node, self._around, self._assigned):
            if self._count(node, operator, edited):
                return edited
        if isinstance(node, ast.Raise):
            return node  # its text decides nothing
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            self._assigned.add(node.id)
        self._around.append(node)
        self._visit_parts(node)
        self._around.pop()
        return node

    def _visit_parts(self, node: ast.AST) -> None:
        named = isinstance(node, Function | ast.ClassDef)
        if isinstance(node, Function | ast.ClassDef):
            self._names.append(node.name)
            node.decorator_list, kept = [], node.decorator_list
        outer = self._assigned
        if isinstance(node, Function):
            self._assigned = {each.arg for each in (*node.args.args, *node.args.kwonlyargs)}
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "bases", "type_comment") or (named and field == "keywords"):
                continue
            if isinstance(node, ast.keyword) and node.arg == "strict":
                continue  # of zip: a check, like an assertion
            if isinstance(value, ast.AST):
                setattr(node, field, self.visit(value))
            elif isinstance(value, list):
                value[:] = [self.visit(each) if isinstance(each, ast.AST) else each for each in value]
        self._assigned = outer
        if isinstance(node, Function | ast.ClassDef):
            self._names.pop()
            node.decorator_list = kept

    def _enter(self, statement: ast.stmt) -> None:
        function = ".".join(self._names)
        text = f"{self._path}:{function}:{_line_of(statement)}"
        self._seen[text] = self._seen.get(text, 0) + 1
        self._statement_text = f"{text}#{self._seen[text]}"
        self._in_statement = 0

    def _count(self, node: ast.AST, operator: str, edited: ast.AST) -> bool:
        """Note one edit; whether it is the one to make."""
        number = len(self.sites)
        self.sites.append(Site(self._path, operator, f"{self._statement_text}/{operator}/{self._in_statement}", number))
        self._in_statement += 1
        if number != self._wanted:
            return False
        shown = _telling(node, self._around)
        self.mutant = Mutant(
            self._path, ".".join(self._names), getattr(node, "lineno", 0), operator, _line_of(shown), "", number
        )
        self.shown = None if isinstance(edited, ast.Pass) else edited if shown is node else shown
        return True


def _telling(node: ast.AST, around: list[ast.AST]) -> ast.AST:
    """The smallest expression around the node that says where one is; its statement where none does."""
    if isinstance(node, ast.stmt):
        return node
    for each in (node, *reversed(around)):
        if isinstance(each, ast.stmt):
            return each
        if isinstance(each, ast.expr) and len(ast.unparse(each)) >= TELLING:
            return each
    return node


def _line_of(node: ast.AST) -> str:
    """A node on one line; of a statement with others inside, its head."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return f"def {node.name}({ast.unparse(node.args)})"
        case ast.ClassDef():
            return f"class {node.name}"
        case ast.If():
            return f"if {ast.unparse(node.test)}"
        case ast.While():
            return f"while {ast.unparse(node.test)}"
        case ast.For():
            return f"for {ast.unparse(node.target)} in {ast.unparse(node.iter)}"
        case ast.With():
            return f"with {', '.join(ast.unparse(item) for item in node.items)}"
        case ast.Match():
            return f"match {ast.unparse(node.subject)}"
        case ast.Try():
            return "try"
        case _:
            return " ".join(ast.unparse(node).split())


# ---------------------------------------------------------------------- the edits


def _edits(node: ast.AST, around: list[ast.AST], assigned: set[str]) -> Iterator[tuple[str, ast.AST]]:
    """Operator and new node, for each edit of this node."""
    match node:
        case ast.Compare(ops=[operation]) if type(operation) in COMPARISONS:
            yield "comparison", ast.Compare(node.left, [COMPARISONS[type(operation)]()], node.comparators)
        case ast.Compare():
            for place, operation in enumerate(node.ops):
                if type(operation) in COMPARISONS:
                    changed = [*node.ops[:place], COMPARISONS[type(operation)](), *node.ops[place + 1 :]]
                    yield "comparison", ast.Compare(node.left, changed, node.comparators)
        case ast.BinOp(op=ast.Add() | ast.Sub()) if not (_is_text(node.left) or _is_text(node.right)):
            other = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
            yield "sign", ast.BinOp(node.left, other, node.right)
        case ast.BinOp(op=ast.FloorDiv()):
            yield "rounding", _ceiling(node)
        case ast.UnaryOp(op=ast.USub()):
            yield "sign", node.operand
        case ast.UnaryOp(op=ast.Not()):
            yield "negation", node.operand
        case ast.BoolOp():
            yield "negation", ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
        case ast.If() | ast.While() | ast.IfExp() if isinstance(node.test, ast.Name | ast.Attribute | ast.Call):
            yield "negation", _with_test(node)
        case ast.Constant():
            yield from _other_constants(node, around)
        case ast.Attribute() if node.attr in SIDES and isinstance(node.ctx, ast.Load):
            yield "side", ast.Attribute(node.value, SIDES[node.attr], node.ctx)
        case ast.Attribute(attr="sign", ctx=ast.Load()):
            yield "side", ast.UnaryOp(ast.USub(), node)
        case ast.Name() if node.id in SIDES and isinstance(node.ctx, ast.Load):
            yield "side", ast.Name(SIDES[node.id], node.ctx)
        case ast.Call(func=ast.Name(id=called)):
            if called in EXTREMES:
                yield "min/max", ast.Call(ast.Name(EXTREMES[called], ast.Load()), node.args, node.keywords)
            elif called in ROUNDINGS:
                yield "rounding", ast.Call(ast.Name(ROUNDINGS[called], ast.Load()), node.args, node.keywords)
            elif called == "divide_half_even":
                yield "rounding", ast.BinOp(node.args[0], ast.FloorDiv(), node.args[1])
            elif called == "floor_to_lot":
                yield "rounding", node.args[0]
        case ast.Call(func=ast.Attribute(value=ast.Name(id="math"), attr=called)) if called in ROUNDINGS:
            name = ast.Attribute(ast.Name("math", ast.Load()), ROUNDINGS[called], ast.Load())
            yield "rounding", ast.Call(name, node.args, node.keywords)
        case ast.AugAssign():
            if isinstance(node.op, ast.Add | ast.Sub) and not _is_text(node.value):
                other = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
                yield "sign", ast.AugAssign(node.target, other, node.value)
            yield "removed statement", ast.Pass()
        case ast.stmt() if _is_removable(node, around, assigned):
            yield "removed statement", ast.Pass()


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, LIKE_TEXT) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _ceiling(division: ast.BinOp) -> ast.expr:
    """``-(-a // b)`` for ``a // b``. Of a ceiling written so the inner division is met, and becomes a ceiling of what
    is negative: the outer one a floor."""
    return ast.UnaryOp(ast.USub(), ast.BinOp(ast.UnaryOp(ast.USub(), division.left), ast.FloorDiv(), division.right))


def _with_test(node: ast.If | ast.While | ast.IfExp) -> ast.AST:
    test = ast.UnaryOp(ast.Not(), node.test)
    match node:
        case ast.If():
            return ast.copy_location(ast.If(test, node.body, node.orelse), node)
        case ast.While():
            return ast.copy_location(ast.While(test, node.body, node.orelse), node)
        case ast.IfExp():
            return ast.IfExp(test, node.body, node.orelse)


def _other_constants(node: ast.Constant, around: list[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    value = node.value
    if isinstance(value, bool):
        yield "constant", ast.Constant(not value)
    elif isinstance(value, int | float):
        if abs(value) > LARGE:
            yield "constant", ast.Constant(value * 2)
            return
        yield "constant", ast.Constant(value + 1)
        if value > 0:
            yield "constant", ast.Constant(value - 1)


def _is_removable(node: ast.stmt, around: list[ast.AST], assigned: set[str]) -> bool:
    """Whether the file still makes sense without the statement: removing the first assignment of a name would only
    raise NameError, and proves nothing."""
    function = next((each for each in reversed(around) if isinstance(each, Function | ast.ClassDef)), None)
    if not isinstance(function, Function):
        return False
    match node:
        case ast.Expr():
            return not isinstance(node.value, ast.Constant)
        case ast.Continue() | ast.Break() | ast.Raise() | ast.Delete():
            return True
        case ast.Return():
            return node is not function.body[-1]
        case ast.Assign(targets=[target]):
            if isinstance(target, ast.Name):
                return target.id in assigned
            return isinstance(target, ast.Attribute | ast.Subscript) and function.name != "__init__"
        case _:
            return False
