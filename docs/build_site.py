"""Build the documentation site: `make docs`.

The pages are the documents that GitHub shows. Their links are paths in the repository; on the site a link to a module
leads to its page of the reference, and a link to any other file (a benchmark, a test) to a page that shows it.
"""

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS, SOURCE, CONFIG = ROOT / "docs", ROOT / "src", ROOT / "mkdocs.yml"
OUTSIDE = {"README.md": "index.md", "CHANGELOG.md": "changes.md", "CONTRIBUTING.md": "contributing.md"}
"""Documents outside docs/ and their pages."""
PLAIN = (".md", ".svg", ".png", ".css")
"""Files of docs/ that are part of the site as they are; links in documents are changed."""
LINK = re.compile(r"""(\]\(|(?:src|srcset|href)=")([^)"#\s:]+)(?=[)"#])""")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json"}


def assemble(folder: Path) -> Path:
    """Write all pages and the configuration into an empty folder.

    Returns:
        The configuration; it has the finished site written to the folder ``site`` beside it.
    """
    pages = folder / "docs"
    documents = [path for path in sorted(DOCS.rglob("*")) if path.suffix in PLAIN]
    documents += [ROOT / name for name in OUTSIDE]
    for path in documents:
        if path.suffix == ".md":
            _write(pages / page_of(path), with_links_of_site(path))
            for linked in sorted(links(path)):
                if page_of(linked) == shown_at(linked):
                    _write(pages / shown_at(linked), shown(linked))
        else:
            target = pages / page_of(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    for name in modules():
        _write(pages / f"reference/{name}.md", f"# {name.removeprefix('maskel.')}\n\n::: {name}\n")
    _write(pages / "reference/index.md", reference())
    config = folder / CONFIG.name
    settings = CONFIG.read_text().replace("paths: [src]", f"paths: [{SOURCE}]")
    config.write_text(settings.replace("[docs/reference.py]", f"[{DOCS / 'reference.py'}]") + navigation())
    return config


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def page_of(path: Path) -> str:
    """The page that shows a file of the repository, or a package; empty if none does."""
    if path.parent == ROOT and path.name in OUTSIDE:
        return OUTSIDE[path.name]
    if path.is_relative_to(DOCS) and path.suffix in PLAIN:
        return path.relative_to(DOCS).as_posix()
    if (name := module_name(path)) in modules():
        return f"reference/{name}.md"
    return shown_at(path) if path.is_file() else ""


def links(document: Path) -> set[Path]:
    """Files and folders of the repository that a document links to."""
    paths = (Path(os.path.normpath(document.parent / link[2])) for link in LINK.finditer(document.read_text()))
    return {path for path in paths if path.exists()}


def with_links_of_site(document: Path) -> str:
    """The text of a document, its links leading to pages of the site."""
    here = Path(page_of(document)).parent

    def lead(link: re.Match[str]) -> str:
        path = Path(os.path.normpath(document.parent / link[2]))
        page = page_of(path) if path.exists() else ""
        return link[1] + Path(os.path.relpath(page, here)).as_posix() if page else link[0]

    return LINK.sub(lead, document.read_text())


def shown_at(path: Path) -> str:
    """The page that shows a file as it is."""
    return f"files/{path.relative_to(ROOT).as_posix()}.md"


def shown(path: Path) -> str:
    """A file as a page; the search leaves it out."""
    content, name = path.read_text(), path.relative_to(ROOT).as_posix()
    if path.suffix == ".ipynb":
        return notebook(path)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", content)), default=0))
    head = f"---\nsearch:\n  exclude: true\n---\n\n# {name}\n\n"
    return f"{head}{fence}{LANGUAGES.get(path.suffix, 'text')}\n{content.rstrip()}\n{fence}\n"


def notebook(path: Path) -> str:
    """A notebook as a page: its text, and its code without what came of it."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    here = (ROOT / shown_at(path)).parent

    def lead(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(path.parent / link[2]))
        return link[1] + Path(os.path.relpath(ROOT / page_of(target), here)).as_posix()

    return LINK.sub(lead, "\n\n".join(parts) + "\n")


@cache
def modules() -> tuple[str, ...]:
    """Every module and package that has a docstring, by its dotted name."""
    paths = sorted((SOURCE / "maskel").rglob("*.py"))
    names = [module_name(path) for path in paths if path.name != "__main__.py"]
    return tuple(name for name in names if name != "maskel" and ast.get_docstring(source(name)))


def module_name(path: Path) -> str:
    """The dotted name of a module's file or a package's folder; empty for anything else."""
    if not path.is_relative_to(SOURCE) or not (path.suffix == ".py" or (path / "__init__.py").is_file()):
        return ""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


@cache
def source(name: str) -> ast.Module:
    """A module or package as it is written."""
    path = SOURCE / Path(*name.split("."))
    return ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())


def navigation() -> str:
    """The reference as the last part of the navigation: packages with their modules, then single modules."""
    lines = ["  - Reference:", "      - reference/index.md"]
    packages = sorted({name.split(".")[1] for name in modules() if (SOURCE / "maskel" / name.split(".")[1]).is_dir()})
    for package in packages:
        lines.append(f"      - {package}:")
        inside = [name for name in modules() if f"{name}.".startswith(f"maskel.{package}.")]
        lines += [f"          - {name.removeprefix('maskel.')}: reference/{name}.md" for name in inside]
    single = [name for name in modules() if name.split(".")[1] not in packages]
    lines += [f"      - {name.removeprefix('maskel.')}: reference/{name}.md" for name in single]
    return "\n".join(lines) + "\n"


def reference() -> str:
    """The first page of the reference: what `import maskel` gives, a line each."""
    (names,) = [
        ast.literal_eval(node.value)
        for node in source("maskel").body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    defined = {}
    for module in modules():
        for node in source(module).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in names:
                first = (ast.get_docstring(node) or "").partition("\n")[0].replace("|", "\\|")
                defined[node.name] = f"| [`maskel.{node.name}`]({module}.md#{module}.{node.name}) | {first} |"
    lines = "\n".join(defined[name] for name in names if name in defined)
    return (
        "# Reference\n\nThese names are the public interface, as `import maskel` gives them. Every module has a page "
        f"of its own; [the map of the code](../map.md) says which module holds what.\n\n| name | purpose |\n|---|---|\n"
        f"{lines}\n"
    )


def main() -> int:
    """Assemble the pages and have zensical build them; a warning is an error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "site", help="folder for the site; an earlier one goes")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        config = assemble(Path(folder))
        generator = Path(sys.executable).with_name("zensical")
        code = subprocess.run([generator, "build", "--strict", "--config-file", config], check=False).returncode
        if code == 0:
            shutil.rmtree(out, ignore_errors=True)
            shutil.move(Path(folder) / "site", out)
    return code


if __name__ == "__main__":
    sys.exit(main())
