"""Whoever has a listener passes it on: a call that leaves it at its default loses progress and notes unseen."""

import ast
from functools import cache
from pathlib import Path

from tests.architecture.source import MODULES, nodes, tree


def optional(node: ast.AST) -> bool:
    """True of a function whose listener can be left out."""
    return isinstance(node, ast.FunctionDef) and "listener: Listener=silent" in ast.unparse(node.args)


FUNCTIONS = {f"{module}.{node.name}" for module, path in MODULES.items() for node in tree(path).body
             if isinstance(node, ast.FunctionDef) and optional(node)}  # fmt: skip
METHODS = {node.name for path in MODULES.values() for group in nodes(path) if isinstance(group, ast.ClassDef)
           for node in group.body if optional(node)}  # fmt: skip


@cache
def names_of(module: str, path: Path) -> dict[str, str]:
    """The names of the file's own functions and of what it imports, with the module of each."""
    own = {node.name: f"{module}.{node.name}" for node in tree(path).body if isinstance(node, ast.FunctionDef)}
    imports = (node for node in nodes(path) if isinstance(node, ast.ImportFrom))
    return own | {alias.asname or alias.name: f"{node.module}.{alias.name}" for node in imports for alias in node.names}


def reports(function: ast.expr, names: dict[str, str]) -> bool:
    """True where what is called takes a listener that can be left out."""
    if isinstance(function, ast.Name):
        return names.get(function.id) in FUNCTIONS
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id in names:
        return f"{names[function.value.id]}.{function.attr}" in FUNCTIONS
    return isinstance(function, ast.Attribute) and function.attr in METHODS


def has_listener(node: ast.AST) -> bool:
    within = ast.walk(node) if isinstance(node, ast.FunctionDef) else ()
    return any("listener" in (getattr(one, "id", ""), getattr(one, "arg", "")) for one in within)


def test_who_has_a_listener_passes_it_on() -> None:
    calls = [
        (path, call)
        for module, path in MODULES.items()
        if "listener" in path.read_text("utf-8")
        for node in nodes(path)
        if has_listener(node)
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and reports(call.func, names_of(module, path))
    ]
    assert len(calls) > 40
    silent = [
        f"{path.name}:{call.lineno}: {ast.unparse(call)}"
        for path, call in calls
        if "listener" not in {word.arg for word in call.keywords}
    ]
    assert silent == []
