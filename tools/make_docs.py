"""The pages of the documentation site that follow from the sources: a hook of mkdocs.

The derivation of every op and optimizer, the reference of every public name, the four files of the
core, the notebooks, run, and the graph of the tour. Nothing of it is stored: mkdocs asks for it
when it builds the site, see mkdocs.yml.
"""

from __future__ import annotations

import logging
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import tinygrad_ai as ta
from tinygrad_ai import study
from tinygrad_ai.data.digits import load_digits
from tinygrad_ai.models import MLP
from tools import docs_notebooks
from tools.check_house import PACKAGE, READING
from tools.docs_derivations import derivations
from tools.docs_reference import MODULES, module_page, reference

ROOT = Path(__file__).parent.parent

LOG = logging.getLogger("mkdocs.hooks")
# Pages whose blocks are run, and what they need besides the extra `docs`.
RUN: dict[str, list[str]] = {
    "index.md": [],
    "tour.md": [],
    "recipes.md": ["ml_dtypes"],
    "optim.md": [],
    "study.md": ["torch"],
}
REMOTE = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^>]*>")


def pages() -> dict[str, str]:
    """Every page made here: its path below docs/, and its Markdown."""
    found = {"derivations.md": derivations(), "api.md": reference()}
    for name in MODULES:
        found[f"api/{name}.md"] = module_page(name)
    for path in READING:
        found[f"code/{Path(path).stem}.md"] = code_page(path)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        found[f"notebooks/{path.stem}.md"] = docs_notebooks.page(path)
    return found


def others() -> dict[str, str]:
    """What stands beside the pages, as it is: notebooks to load, a graph, style and script."""
    found = {f"notebooks/{p.name}": p.read_text("utf-8") for p in (ROOT / "notebooks").iterdir()}
    for path in (ROOT / "tools" / "site").iterdir():
        found[f"assets/{path.name}"] = path.read_text("utf-8")
    return {**found, "graph.html": graph()}


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Pages whose code prints something show it; a link to a notebook leads to its page."""
    name = page.file.src_uri
    if name in RUN:
        missing = [n for n in RUN[name] if find_spec(n) is None]
        if missing:
            LOG.info("%s is shown without what it prints: %s is missing", name, ", ".join(missing))
        else:
            markdown = docs_notebooks.with_outputs(markdown, name)
    return re.sub(r"\]\(\.\./(notebooks/\w+)\.ipynb\)", r"](\1.md)", markdown)


def on_post_build(config: Any) -> None:
    """The search works from the disk, too, and what was built loads nothing from a network."""
    site = Path(config["site_dir"])
    index = site / "search" / "search_index.json"
    if index.exists():  # a page from the disk may load a script, but no JSON
        index.with_suffix(".js").write_text(f"var __index = {index.read_text('utf-8')}", "utf-8")
    for path in sorted(site.rglob("*.html")):
        found = REMOTE.search(path.read_text("utf-8"))
        if found:
            raise RuntimeError(f"{path} would load something from a network: {found[0]}")


def on_files(files: Any, config: Any) -> Any:
    """mkdocs asks which files there are: those of docs/, and those made here."""
    from mkdocs.structure.files import File

    for path, text in {**pages(), **others()}.items():
        files.append(File.generated(config, path, content=text))
    return files


def graph() -> str:
    """The page of study.graph for the step that the tour follows."""
    digits = load_digits()
    ta.manual_seed(0)
    model = MLP()
    x = ta.tensor(digits.train_images[0]).reshape(1, 784).float() / 255
    x.requires_grad_()
    with study.record() as calls:
        loss = ta.nn.CrossEntropyLoss()(model(x), ta.tensor(digits.train_labels[:1]))
    return str(study.graph(loss, model, calls=calls).html())


def code_page(path: str) -> str:
    """A source file to read."""
    text = (PACKAGE / path).read_text("utf-8")
    place = READING.index(path) + 1
    later = [f"Go on with [{p}]({Path(p).stem}.md)." for p in READING[place:]]
    end = (later or ["That was all. Now [the derivations](../derivations.md)."])[0]
    head = f"File {place} of {len(READING)}: {len(text.splitlines())} lines."
    return f"---\nhide: [toc]\n---\n# {path}\n\n{head}\n\n```python\n{text}```\n\n{end}\n"
