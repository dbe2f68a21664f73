"""Only ``families/`` names a family: everything else asks the registry what a model has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from megactor_core.families.registry import FAMILIES

ROOT = Path(__file__).parents[2]
SOURCES = ("megactor_core", "nodes", "benchmarks", "scripts")
PROJECT = "megactor"
"""Name of the package and of the first family: where it stands alone it may mean either."""

MEANS_THE_PROJECT = {
    "megactor_core/evaluation/clips/plots.py": "salt of the names inside a plot",
    "megactor_core/evaluation/clips/provenance.py": "the package whose version is reported",
    "megactor_core/weights/folders.py": "the folder in the user's cache",
    "nodes/host/lora.py": "the class of adapters in the host",
    "nodes/host/model_files.py": "the models folder of the host",
    "nodes/host/native/conditions.py": "key of the pack's entry in the host's conditioning",
    "nodes/animate_portrait.py": "a search alias of the pack",
}
MEANS_THE_DEFAULT = {"megactor_core/models/config.py": "what files without a family are of"}
TEXTS = {"scripts/workflow_graphs": "texts and graphs of templates, each of one official model"}


def _literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Strings that are no docstrings."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def _identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "asname", "module"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield getattr(node, "lineno", 0), value


def _patterns() -> re.Pattern[str]:
    """Names, labels and phrases of all families, however their words are joined; not the project's own."""
    names = {
        name
        for family in FAMILIES.values()
        for name in (family.name, family.label, family.phrase.split(" ", 1)[1])
        if name.casefold() != PROJECT
    }
    joined = ("[-_ ]?".join(map(re.escape, re.findall(r"\w+|\(\w+\)", name))) for name in names)
    return re.compile("|".join(joined), re.IGNORECASE)


def named_in(path: Path) -> list[str]:
    """Places in a module that name a family."""
    place = path.relative_to(ROOT).as_posix()
    tree, pattern = ast.parse(path.read_text(encoding="utf-8")), _patterns()
    workflows = {path.stem for path in (ROOT / "workflows").glob("*.json")}
    found = [(line, text) for line, text in _literals(tree) if pattern.search(text) and text not in workflows]
    found += [
        (line, name) for line, name in _identifiers(tree) if pattern.search(name) or name == PROJECT.upper()
    ]
    if place not in MEANS_THE_PROJECT | MEANS_THE_DEFAULT:
        found += [(line, text) for line, text in _literals(tree) if text == PROJECT]
    return [f"{place}:{line}: {text}" for line, text in sorted(found)]


def _modules() -> list[Path]:
    excepted = [ROOT / "megactor_core" / "families", *(ROOT / folder for folder in TEXTS)]
    return [
        path
        for source in SOURCES
        for path in sorted((ROOT / source).rglob("*.py"))
        if not any(path.is_relative_to(folder) for folder in excepted)
    ]


def test_no_other_module_names_a_family() -> None:
    assert [line for path in _modules() for line in named_in(path)] == []


@pytest.mark.parametrize(
    "line",
    [
        'remedy = "use an X-Portrait model"',
        "if family == 'megactor-sigma': pass",
        "from .families import MEGACTOR",
        "split_xportrait(keys)",
        "default = 'megactor'",
        "text = f'{name} of MegActor (v1)'",
    ],
)
def test_a_name_is_found(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "module.py").write_text(f'"""As X-Portrait does."""\n{line}\n')

    assert len(named_in(tmp_path / "module.py")) == 1
