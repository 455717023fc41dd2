"""The code of the page "Salesforce history" as plugins.zip has it.

MWAA's API server has plugins.zip and no DAG folder, so the page and what it imports are in there, in a folder of their
own that is on nobody's import path: plugins/history_page.py puts it at the end of the API server's, where the page is
made. Everywhere else the copies in the DAG folder are what runs. Only modules that the page leads to are shipped,
because every other plugins.zip is an update of the environment, which takes MWAA a while.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

#: Folder in plugins.zip, as plugins/history_page.py knows it.
FOLDER = "sf_history_page"
PLUGIN = Path("plugins", "history_page.py")
#: Package → where the project has it.
_PACKAGES = {"include": Path("include"), "salesforce_history": Path("plugins", "salesforce_history")}
_ENTRIES = ("salesforce_history.page.app", "salesforce_history.page.docs_guard")
#: Read by path, not imported.
_DATA = ((Path("include", "objects"), "*.yml"), (Path("plugins", "salesforce_history", "page", "assets"), "*"))
#: How the names of the page's own files end.
ASSETS = (".html", ".js", ".mjs", ".css", ".svg", ".png", ".woff2", ".txt", ".md")
#: Of plugins.zip: Airflow would import every module below under its bare name.
IGNORE = f"{FOLDER}/\n"


def page_files(project: Path) -> dict[str, Path]:
    """Path in plugins.zip → file, of the page's plugin, its code and its assets.

    :param project: the project's folder.
    """
    found = {PLUGIN.name: project / PLUGIN}
    for module in sorted(_reached(project)):
        path = _file_of(project, module)
        if path is not None:
            found[_inside(project, path)] = path
    for folder, pattern in _DATA:
        for path in sorted((project / folder).rglob(pattern)):
            hidden = any(part.startswith(".") for part in path.relative_to(project / folder).parts)
            if path.is_file() and path.suffix in (*ASSETS, ".yml") and not hidden:
                found[_inside(project, path)] = path
    return found


def _inside(project: Path, path: Path) -> str:
    for package, place in _PACKAGES.items():
        if path.is_relative_to(project / place):
            return f"{FOLDER}/{package}/{path.relative_to(project / place).as_posix()}"
    raise AssertionError(f"{path} is in none of {', '.join(_PACKAGES)}")


def _reached(project: Path) -> set[str]:
    """The modules that the page leads to, imports within functions included."""
    reached: set[str] = set()
    waiting = list(_ENTRIES)
    while waiting:
        module = waiting.pop()
        path = _file_of(project, module)
        if module in reached or path is None:
            continue
        reached.add(module)
        parents = module.split(".")
        waiting += [".".join(parents[:length]) for length in range(1, len(parents))]
        waiting += _imported(path)
    return reached


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file_of(project: Path, module: str) -> Path | None:
    package, *rest = module.split(".")
    if package not in _PACKAGES:
        return None
    place = project.joinpath(_PACKAGES[package], *rest)
    return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)
