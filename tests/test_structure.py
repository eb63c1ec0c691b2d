"""The drawing in docs/structure.md, held against the code."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "biasectomy"


def drawn() -> list[str]:
    """The packages of the first drawing, from top to bottom; the root modules are the last."""
    drawing = (ROOT / "docs" / "structure.md").read_text(encoding="utf-8").split("```")[1]
    return [line.split()[0] for line in drawing.splitlines()[1:] if line.strip()]


def place(module: str, order: list[str]) -> int:
    """How far down a module stands, by its dotted name without `biasectomy.`."""
    package = module.partition(".")[0]
    return order.index(package) if package in order else len(order) - 1


def imported(tree: ast.AST) -> list[str]:
    """What a file imports of this package, wherever in it: modules, or names in modules, without `biasectomy.`."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "biasectomy":
            inner = (node.module or "").removeprefix("biasectomy").removeprefix(".")
            found += [f"{inner}.{alias.name}" if inner else alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [one.name.removeprefix("biasectomy.") for one in node.names if one.name.startswith("biasectomy.")]
    return found


def test_every_package_is_in_the_drawing():
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages == set(drawn()) - {"(root)"}


def test_imports_go_only_down_the_drawing():
    order = drawn()
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        own = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if own in ("__init__", "__main__"):
            continue  # the public names, and the way in
        for other in imported(ast.parse(path.read_text(encoding="utf-8"))):
            if place(other, order) < place(own, order):
                wrong.append(f"{own} imports {other}")
    assert not wrong


def test_no_module_is_imported_in_a_circle():
    """Wherever in a file the import stands."""
    names = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}

    def module(of: str) -> str:
        """The module of an imported name."""
        outer = of.rpartition(".")[0]
        return next((one for one in (of, f"{of}.__init__", outer, f"{outer}.__init__") if one in names), "")

    graph = {
        name: {module(one) for one in imported(ast.parse(path.read_text(encoding="utf-8")))} - {""}
        for name, path in names.items()
        if name != "__init__"  # the public names
    } | {"__init__": set[str]()}

    def reaches(name: str, wanted: str, seen: set[str]) -> bool:
        return any(
            other == wanted or (other not in seen and not seen.add(other) and reaches(other, wanted, seen))
            for other in graph[name]
        )

    assert [name for name in graph if reaches(name, name, set())] == []
