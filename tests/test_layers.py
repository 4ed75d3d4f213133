"""The imports of fastbp: no circle of modules, counting every import statement, wherever it stands."""

from __future__ import annotations

import ast
from pathlib import Path

import fastbp

FOLDER = Path(fastbp.__file__).parent


def module_of(path: Path) -> str:
    parts = path.relative_to(FOLDER.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(path): path for path in FOLDER.rglob("*.py")}


def imported(module: str) -> set[str]:
    """The modules of fastbp that a module imports: at its top, for types only, or inside of a function."""
    path = FILES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{source}.{name.name}" if f"{source}.{name.name}" in FILES else source for name in node.names}
    return (found & FILES.keys()) - {module}


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """The groups of two or more nodes that each lead to all others of the group."""
    reached = {start: set[str]() for start in graph}
    for start, seen in reached.items():
        waiting = [start]
        while waiting:
            for following in graph[waiting.pop()] - seen:
                seen.add(following)
                waiting.append(following)
    groups = [{other for other in reached[start] if start in reached[other]} for start in graph]
    return [group for i, group in enumerate(groups) if len(group) > 1 and group not in groups[:i]]


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [{"b", "c"}]


def test_modules_import_each_other_in_no_circle():
    graph = {module: imported(module) for module in FILES if module != "fastbp"}  # fastbp imports names on demand
    graph = {module: others - {"fastbp"} for module, others in graph.items()}
    assert sum(map(len, graph.values())) > 300
    assert circles(graph) == []
