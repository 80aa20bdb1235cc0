"""The documentation site: its list of pages is whole, what is generated is, and notebooks run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

import tinygrad_ai as ta
from tests.page_help import CHROMIUM, FLAGS, REQUIRED, missing
from tinygrad_ai.autograd.op import REGISTRY
from tools import docs_math, docs_notebooks, docs_reference, make_docs
from tools.docs_text import paragraphs, prose, steps

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return make_docs.pages()


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
    parts = [*CONFIG["extra_css"], *CONFIG["extra"]["polyfills"]]
    assert "extra_javascript" not in CONFIG and set(parts) <= set(make_docs.others())
    assert "repo_url" not in CONFIG  # the theme would ask its host for the number of stars


def test_a_page_that_loads_from_the_network_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "sub" / "page.html"
    page.parent.mkdir()
    page.write_text('<link rel="stylesheet" href="a.css"><a href="https://cupy.dev">CuPy</a>')
    make_docs.on_post_build({"site_dir": str(tmp_path)})
    for tag in ('<script async src="https://host/a.js">', '<link rel="icon" href="//host/a.png">'):
        page.write_text(tag)
        with pytest.raises(RuntimeError, match="would load something from a network: <"):
            make_docs.on_post_build({"site_dir": str(tmp_path)})


def lines(page: str) -> list[str]:
    """The lines of the formulas of a part of a page, in plain text."""
    found = []
    for block in re.findall(r'<div class="formula">(.*?)</div>', page, re.DOTALL):
        for row in ElementTree.fromstring(block).iter("mtr"):
            found.append(" ".join("".join([text(cell) for cell in row]).split()))
    return found


def text(part: ElementTree.Element) -> str:
    inside = [text(child) for child in part]
    if part.tag == "msub":
        return "_".join(inside)
    if part.tag == "msubsup":
        return "{}_{}^{}".format(*inside)
    if part.tag == "mfrac":
        return "{{{}/{}}}".format(*inside)
    if part.tag in ("msup", "msqrt"):
        return "^".join(inside) if part.tag == "msup" else f"√({''.join(inside)})"
    if part.tag == "mo" and part.text not in list("()[]|ˆ'"):
        return f" {part.text} "
    return " " if part.tag == "mspace" else (part.text or "") + "".join(inside)


def test_every_op_is_derived(pages: dict[str, str]) -> None:
    page = pages["derivations.md"]
    ours = [op for op in REGISTRY.values() if op.forward.__module__.startswith("tinygrad_ai.")]
    assert len(ours) > 150
    for op in ours:
        part = section(page, op.name)
        assert f"def {op.forward.__name__}(be" in part, op.name
        assert not op.differentiable or ".vjp" in part, op.name
        assert not op.differentiable or any([x.startswith("g_") for x in lines(part)]), op.name


def test_formulas_stand_below_each_other(pages: dict[str, str]) -> None:
    mul = section(pages["derivations.md"], "mul")
    assert lines(mul) == ["y = a b", "g_a = g b", "g_b = g a"]
    assert "ops/arithmetic.py, line" in section(pages["derivations.md"], "mul")


def test_every_optimizer_is_derived(pages: dict[str, str]) -> None:
    part = pages["derivations.md"].split("\n## Optimizers\n")[1]
    names = [n for n in vars(ta.optim) if n[0].isupper() and n != "Optimizer"]
    assert len(names) == 14
    for name in names:
        assert any([line.startswith("p ← ") for line in lines(section(part, name))]), name
    adam = section(part, "Adam")
    assert lines(adam)[2:4] == ["mˆ = {m/1 − β_1^t}", "vˆ = {v/1 − β_2^t}"]
    assert "\nKingma &amp; Ba, 2014.\n" in adam


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [
        ("tinygrad_ai", "softmax", "softmax(input, dim: int, dtype=None)"),
        ("tinygrad_ai", "mul", "mul("),
        ("tinygrad_ai", "Tensor", "backward("),
        ("nn", "Linear", "in_features: int"),
        ("nn.functional", "cross_entropy", "label_smoothing"),
        ("optim", "Adam", "Kingma &amp; Ba, 2014."),
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


def test_the_reference_is_whole(pages: dict[str, str]) -> None:
    for name in docs_reference.MODULES:
        found = re.findall(r"^### (\S+)$", pages[f"api/{name}.md"], re.MULTILINE)
        dtypes = re.findall(r"^Dtypes: (.*)\.$", pages[f"api/{name}.md"], re.MULTILINE)
        found += re.findall(r"`(\w+)`", " ".join(dtypes))
        assert sorted(found) == docs_reference.names_of(docs_reference.module(name)) and found, name


def test_every_public_name_has_a_docstring() -> None:
    for name in docs_reference.MODULES:
        found = docs_reference.module(name)
        values = {n: getattr(found, n) for n in docs_reference.names_of(found)}
        silent = [n for n, v in values.items() if not paragraphs(v) and not isinstance(v, ta.dtype)]
        assert not silent, f"{name}: {silent}"


def test_methods_stand_in_a_table(pages: dict[str, str]) -> None:
    tensor = section(pages["api/tinygrad_ai.md"], "Tensor")
    assert "\n| `abs()` | y = \\|x\\|; gx = g sign x |\n" in tensor
    assert "\nIn place: `abs_`, " in tensor and "| `abs_" not in tensor
    text = section(pages["api/text.md"], "BatchEncoding")
    assert "| `token_to_chars(batch_or_token_index: int, token_index: int | None = None)` |" in text
    assert "init(" not in section(pages["api/optim.md"], "Adam")  # the base class describes it


def test_pages_are_the_same_each_time(pages: dict[str, str]) -> None:
    assert make_docs.pages() == pages
    assert not [name for name, text in pages.items() if re.search(r" at 0x[0-9a-f]+", text)]


def test_signs_in_docstrings_are_no_markup() -> None:
    assert prose("a < b, *args, `x_y` and x_y") == "a &lt; b, \\*args, `x_y` and x\\_y"
    assert prose("    x = 1\n    y = 2") == "```text\nx = 1\ny = 2\n```"


def page_of(name: str) -> Any:
    return SimpleNamespace(file=SimpleNamespace(src_uri=name))


def test_a_link_to_a_notebook_leads_to_its_page(pages: dict[str, str]) -> None:
    text = "see [adam](../notebooks/adam.ipynb), [ops](ops.md)"
    made = make_docs.on_page_markdown(text, page_of("nn.md"))
    assert made == "see [adam](notebooks/adam.md), [ops](ops.md)"
    assert "[adam.ipynb](adam.ipynb)" in pages["notebooks/adam.md"]
    assert "```python\nimport matplotlib.pyplot as plt\n" in pages["notebooks/adam.md"]


def test_a_page_shows_what_its_code_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = "```python\na = '<2>'\nprint(a)\n```\n", "```python\nprint(a, 3)\n```\n"
    text = f"{first}\nwords\n\n{second}\n```text\n<2> 3\n```\n"
    made = make_docs.on_page_markdown(text, page_of("index.md"))
    assert made == text.replace(first, f'{first}\n<pre class="output">&lt;2&gt;</pre>\n')
    assert make_docs.on_page_markdown(text, page_of("nn.md")) == text
    monkeypatch.setitem(make_docs.RUN, "index.md", ["no_such_module"])
    assert make_docs.on_page_markdown(text, page_of("index.md")) == text
    assert all([(ROOT / "docs" / name).exists() for name in make_docs.RUN])


def test_an_error_in_the_code_of_a_page_stops_the_build() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        make_docs.on_page_markdown("\n```python\n1 / 0\n```\n", page_of("tour.md"))
    assert (caught.traceback[-1].path, caught.traceback[-1].lineno) == ("tour.md", 2)


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
def test_a_page_of_a_notebook_shows_what_a_run_gives(pages: dict[str, str], path: Path) -> None:
    page = pages[f"notebooks/{path.stem}.md"]
    drawings = re.findall(r'<figure class="drawing">\n(.*?)\n</figure>', page, re.DOTALL)
    assert len(drawings) >= 2 and '<pre class="output">' in page
    for svg in drawings:
        assert "currentColor" in svg and "<style" not in svg and "aria-label=" in svg
        ElementTree.fromstring(svg)


def book(folder: Path, *sources: str) -> Path:
    cells = [{"cell_type": "code", "id": f"c{i}", "source": s} for i, s in enumerate(sources)]
    path = folder / "book.ipynb"
    path.write_text(json.dumps({"cells": cells}), "utf-8")
    return path


def test_a_figure_that_was_left_open_is_not_drawn_into(tmp_path: Path) -> None:
    from matplotlib import pyplot

    pyplot.plot([1, 2], label="somebody's")
    page = docs_notebooks.page(book(tmp_path, "import matplotlib.pyplot as plt\nplt.plot([3, 4]);"))
    assert page.count("<svg") == 1 and "somebody" not in page and not pyplot.get_fignums()


def test_what_a_cell_shows(tmp_path: Path) -> None:
    draw = "from matplotlib import pyplot as plt\nplt.plot([1, 2], label='a')\nplt.title('x < y');"
    page = docs_notebooks.page(book(tmp_path, "a = 2\nprint('<b>')\na + 1", "a + 1;", draw))
    assert page.count('<pre class="output">') == 1
    assert '```\n\n<pre class="output">&lt;b&gt;\n3</pre>\n\n' in page
    assert page.count("<svg") == 1 and 'aria-label="x &lt; y; a"' in page


def test_an_error_in_a_notebook_stops_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notebooks").mkdir()
    book(tmp_path / "notebooks", "a = 1", "assert a == 2, 'no'")
    monkeypatch.setattr(make_docs, "ROOT", tmp_path)
    with pytest.raises(RuntimeError, match=r"^book.ipynb, c1: AssertionError: no$"):
        make_docs.pages()


@pytest.mark.parametrize(
    ("formula", "shown"),
    [
        ("gx = (a / b)² - (-a)", ["g_x = ({a/b})^2 − ( − a)"]),
        ("gx = a (b + c) @ d", ["g_x = a (b + c) @ d"]),
        ("y = ln x;   gx = 2 ln x √(x y)", ["y = ln x", "g_x = 2 ln(x) √(x y)"]),
        ("s ← [x >= 0] f'(x) s;  x̂ = erf⁻¹ βᵀ", ["s ← [x ≥ 0] f'(x) s", "xˆ = erf^−1(β^⊤)"]),
    ],
)
def test_formulas_are_set_as_mathematics(formula: str, shown: list[str]) -> None:
    assert lines(docs_math.block(formula)) == shown


@pytest.mark.parametrize(
    "words", ["Adam, more or less", "p ← a, then as Adam", "so gx = 2", "y = whether x is NaN"]
)
def test_words_are_no_formula(words: str) -> None:
    with pytest.raises(ta.errors.ArgumentError):
        docs_math.block(words)
    assert steps(words) == [prose(words)]


def test_the_code_of_the_core_is_on_the_site(pages: dict[str, str]) -> None:
    for name in ("tensor", "autograd/op", "autograd/grad", "ops/arithmetic"):
        source = (ROOT / "tinygrad_ai" / f"{name}.py").read_text("utf-8")
        assert f"```python\n{source}```" in pages[f"code/{name.split('/')[-1]}.md"]


def test_the_tour_has_its_graph() -> None:
    graph = make_docs.others()["graph.html"]
    assert "cross_entropy" in graph and "default-src 'none'" in graph  # nothing may be loaded
    assert "(graph.html)" in (ROOT / "docs" / "tour.md").read_text("utf-8")


@pytest.mark.chromium
@pytest.mark.skipif(bool(missing()) and not REQUIRED, reason=missing() or "there")
def test_a_page_from_the_disk_has_a_worker(tmp_path: Path) -> None:
    """Browsers give it none; without one the search finds nothing."""
    from playwright.sync_api import sync_playwright

    script = make_docs.others()["assets/offline.js"]
    (tmp_path / "worker.js").write_text("addEventListener('message', e => postMessage(e.data + 1))")
    (tmp_path / "page.html").write_text(
        f"<body><script>{script}</script><script>const w = new Worker('worker.js');"
        "w.addEventListener('message', e => document.title = e.data); w.postMessage(1)</script>"
    )
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_page()
        tab.goto((tmp_path / "page.html").as_uri())
        tab.wait_for_function("document.title == '2'")
        browser.close()
