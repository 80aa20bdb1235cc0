"""The documentation site: its list of pages is whole, what is generated is, and notebooks run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import tinygrad_ai as ta
from tests.test_house import load
from tinygrad_ai.autograd.op import REGISTRY

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))


@pytest.fixture(scope="module")
def maker() -> Any:
    return load("make_docs")


@pytest.fixture(scope="module")
def pages(maker: Any) -> dict[str, str]:
    found: dict[str, str] = maker.pages()
    return found


def listed(nav: Any) -> list[str]:
    """The pages that a list of mkdocs.yml names, at any depth."""
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in listed(part)]


def section(page: str, name: str) -> str:
    """What stands under a heading."""
    return page.split(f"\n### {name}\n", 1)[1].split("\n### ")[0].split("\n## ")[0]


def test_every_page_is_listed_once_and_exists(pages: dict[str, str]) -> None:
    written = [path.name for path in (ROOT / "docs").glob("*.md")]
    assert sorted(listed(CONFIG["nav"])) == sorted([*written, *pages])


def test_a_warning_stops_the_build() -> None:
    (line,) = [x for x in (ROOT / "Makefile").read_text().splitlines() if "mkdocs build" in x]
    assert "--strict" in line and "-q" not in line  # mkdocs counts no warning that it hides


def test_nothing_comes_from_the_network() -> None:
    assert CONFIG["theme"]["font"] is False
    assert "extra_javascript" not in CONFIG and "extra_css" not in CONFIG
    assert "repo_url" not in CONFIG  # the theme would ask its host for the number of stars


def test_a_page_that_loads_from_the_network_is_refused(maker: Any, tmp_path: Path) -> None:
    page = tmp_path / "sub" / "page.html"
    page.parent.mkdir()
    page.write_text('<link rel="stylesheet" href="a.css"><a href="https://cupy.dev">CuPy</a>')
    maker.on_post_build({"site_dir": str(tmp_path)})
    for tag in ('<script async src="https://host/a.js">', '<link rel="icon" href="//host/a.png">'):
        page.write_text(tag)
        with pytest.raises(RuntimeError, match="would load something from a network: <"):
            maker.on_post_build({"site_dir": str(tmp_path)})


def test_every_op_is_derived(pages: dict[str, str]) -> None:
    page = pages["derivations.md"]
    ours = [op for op in REGISTRY.values() if op.forward.__module__.startswith("tinygrad_ai.")]
    assert len(ours) > 150
    for op in ours:
        part = section(page, op.name)
        assert f"def {op.forward.__name__}(be" in part, op.name
        assert not op.differentiable or ".vjp" in part, op.name
        assert not op.differentiable or re.search(r"\n(gx|ga|gz|u|c|gs?\w*) *= ", part), op.name


def test_formulas_stand_below_each_other(pages: dict[str, str]) -> None:
    assert "```text\ny  = a b\nga = g b\ngb = g a\n```" in section(pages["derivations.md"], "mul")
    assert "ops/arithmetic.py, line" in section(pages["derivations.md"], "mul")


def test_every_optimizer_is_derived(pages: dict[str, str]) -> None:
    part = pages["derivations.md"].split("\n## Optimizers\n")[1]
    names = [n for n in vars(ta.optim) if n[0].isupper() and n != "Optimizer"]
    assert len(names) == 14
    for name in names:
        assert len(section(part, name)) > 40, name
    assert "\np ← p - α m̂ / (√v̂ + ε)" in section(part, "Adam")


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [
        ("tinygrad_ai", "softmax", "softmax(input, dim: int, dtype=None)"),
        ("tinygrad_ai", "mul", "mul("),
        ("tinygrad_ai", "Tensor", "backward("),
        ("nn", "Linear", "in_features: int"),
        ("nn.functional", "cross_entropy", "label_smoothing"),
        ("optim", "Adam", "Kingma & Ba"),
        ("optim.lr_scheduler", "StepLR", "step_size"),
        ("data", "DataLoader", "batch_size"),
        ("text", "BertTokenizer", "BertTokenizer"),
        ("models", "GPT2LMHeadModel", "GPT2LMHeadModel("),
        ("train", "Trainer", "Trainer("),
        ("study", "explain", "explain("),
        ("cuda", "make_graphed_step", "make_graphed_step("),
    ],
)
def test_the_reference_has(pages: dict[str, str], module: str, name: str, words: str) -> None:
    assert words in section(pages[f"api/{module}.md"], name)


def test_the_reference_is_whole(pages: dict[str, str], maker: Any) -> None:
    for name in maker.MODULES:
        found = re.findall(r"^### (\S+)$", pages[f"api/{name}.md"], re.MULTILINE)
        dtypes = re.findall(r"^Dtypes: (.*)\.$", pages[f"api/{name}.md"], re.MULTILINE)
        found += re.findall(r"`(\w+)`", " ".join(dtypes))
        assert sorted(found) == maker.names_of(maker.module(name)) and found, name


def test_methods_stand_in_a_table(pages: dict[str, str]) -> None:
    tensor = section(pages["api/tinygrad_ai.md"], "Tensor")
    assert "\n| `abs()` | y = \\|x\\|; gx = g sign x |\n" in tensor
    assert "\nIn place: `abs_`, " in tensor and "| `abs_" not in tensor
    text = section(pages["api/text.md"], "BatchEncoding")
    assert "| `token_to_chars(batch_or_token_index: int, token_index: int | None = None)` |" in text
    assert "init(" not in section(pages["api/optim.md"], "Adam")  # the base class describes it


def test_pages_are_the_same_each_time(pages: dict[str, str], maker: Any) -> None:
    assert maker.pages() == pages
    assert not [name for name, text in pages.items() if re.search(r" at 0x[0-9a-f]+", text)]


def test_signs_in_docstrings_are_no_markup(maker: Any) -> None:
    assert maker.prose("a < b, *args, `x_y` and x_y") == "a &lt; b, \\*args, `x_y` and x\\_y"
    assert maker.prose("    x = 1\n    y = 2") == "```text\nx = 1\ny = 2\n```"


def test_a_link_to_a_notebook_leads_to_its_page(maker: Any, pages: dict[str, str]) -> None:
    made = maker.on_page_markdown("see [adam](../notebooks/adam.ipynb), [ops](ops.md)", page=None)
    assert made == "see [adam](notebooks/adam.md), [ops](ops.md)"
    assert "[adam.ipynb](adam.ipynb)" in pages["notebooks/adam.md"]
    assert "```python\nimport matplotlib.pyplot as plt\n" in pages["notebooks/adam.md"]


def test_there_are_three_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["adam", "backpropagation", "fusion"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_valid_and_has_no_outputs(path: Path) -> None:
    book = json.loads(path.read_text("utf-8"))
    assert set(book) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    for cell in book["cells"]:
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell["id"]) and cell["metadata"] == {}
        assert all(isinstance(line, str) for line in cell["source"])
        keys = {"id", "cell_type", "metadata", "source"}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
            keys |= {"outputs", "execution_count"}
        assert set(cell) == keys and cell["cell_type"] in ("code", "markdown")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names: dict[str, object] = {"__name__": "notebook"}
    try:
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                code = "".join(cell["source"])
                exec(compile(code, f"{path.name}, {cell['id']}", "exec"), names)
        assert pyplot.get_fignums(), "it draws something"
    finally:
        pyplot.close("all")
