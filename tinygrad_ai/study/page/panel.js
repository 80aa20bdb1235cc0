// What is known about an item or a module, and the whole graph as a table, as elements of the page.
// Text is only ever set as text: names and source lines are the user's.

const STATS = ["size", "norm", "nan", "inf", "minusInf", "zeros", "min", "max", "mean", "std",
  "bars"];

/** An element with attributes and children; strings become text. */
function el(name, attributes = {}, ...children) {
  const svg = ["svg", "rect", "polyline", "line", "title"].includes(name);
  const made = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") made.addEventListener("click", value);
    else made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** A row of statistics by name, or null. */
function named(row) {
  return row && Object.fromEntries(STATS.map((name, k) => [name, row[k]]));
}

/** Three digits; powers of ten only where they are shorter. */
function digits(number) {
  if (typeof number === "string") return number; // JSON has neither NaN nor ∞
  if (number === null || number === undefined) return "NaN or ∞";
  const text = String(Number(number.toPrecision(3)));
  return text.replace("-", "").length > 7 ? number.toExponential(2).replace("e+", "e") : text;
}

/** ‖y‖ and ‖g‖ as far as they are known; a single number instead of its norm. */
function norms(value, grad) {
  return [["y", value], ["g", grad]].filter(([, s]) => s).map(([letter, s]) =>
    s.size === 1 && s.mean !== null ? `${letter} ${digits(s.mean)}` : `‖${letter}‖ ${normText(s)}`
  ).join(" · ");
}

function normText(s) {
  return s.norm !== null ? digits(s.norm) : s.nan ? "NaN" : "∞";
}

function shapeText(shape) {
  if (!Array.isArray(shape)) return String(shape);
  return `(${shape.map(shapeText).join(", ")}${shape.length === 1 ? "," : ""})`;
}

function plural(count, word, many = word + "s") {
  return `${count.toLocaleString("en")} ${count === 1 ? word : many}`;
}

/** A two-column table. */
function facts(rows) {
  return el("table", { class: "facts" }, rows.filter(([, value]) => value !== "").map(
    ([key, value]) => el("tr", {}, el("th", { scope: "row" }, key), el("td", {}, value))));
}

/** An array's statistics with its histogram. */
function statistics(heading, row, missing) {
  const s = named(row);
  if (!s) return [el("h3", {}, heading), el("p", { class: "soft" }, missing)];
  const wrong = [[s.nan, "NaN"], [s.inf, "∞"], [s.minusInf, "−∞"]].filter(([count]) => count)
    .map(([count, name]) => `${count.toLocaleString("en")} ${name}`).join(", ");
  const zeros = `${(100 * s.zeros).toFixed(1)} % of ${s.size.toLocaleString("en")}`;
  const found = [
    el("h3", {}, heading),
    wrong ? el("p", { class: "bad" }, wrong) : null,
    facts([
      ["norm", normText(s)],
      ["mean ± std", s.mean === null ? "" : `${digits(s.mean)} ± ${digits(s.std)}`],
      ["min … max", s.min === null ? "" : `${digits(s.min)} … ${digits(s.max)}`],
      ["zeros", s.zeros ? zeros : `none of ${s.size.toLocaleString("en")}`],
    ]),
  ];
  if (s.bars.length && s.size > 1) found.push(histogram(heading, s));
  return found;
}

function histogram(heading, s) {
  const most = Math.max(...s.bars), wide = 100 / s.bars.length;
  const text = `histogram of the ${heading}, from ${digits(s.min)} to ${digits(s.max)}: `
    + s.bars.join(", ");
  const bars = s.bars.map((count, k) => {
    const high = count ? Math.max(0.8, 60 * count / most) : 0;
    return el("rect", { x: k * wide, y: 60 - high, width: wide * 0.9, height: high });
  });
  return el("figure", { style: "margin:0" },
    el("svg", { class: "chart histogram", viewBox: "0 0 100 61", preserveAspectRatio: "none",
      role: "img", "aria-label": text }, bars,
      el("line", { class: "base", x1: 0, x2: 100, y1: 60.5, y2: 60.5 })),
    el("div", { class: "ends", "aria-hidden": "true" },
      el("span", {}, digits(s.min)), el("span", {}, digits(s.max))));
}

/** The points of a line over a box of 100 by `high`; what is not a number is left out. */
function points(numbers, high, low = null, top = null) {
  const finite = numbers.filter(Number.isFinite);
  const from = low ?? Math.min(...finite), to = top ?? Math.max(...finite);
  return numbers.map((n, k) => !Number.isFinite(n) ? "" : [
    numbers.length < 2 ? 50 : 100 * k / (numbers.length - 1),
    2 + (high - 4) * (to > from ? 1 - (n - from) / (to - from) : 0.5),
  ].map((at) => at.toFixed(2)).join()).filter(Boolean).join(" ");
}

/** One or two lines of numbers over steps, the second dashed. */
function chart(heading, lines, now = null) {
  const all = lines.flat().filter(Number.isFinite);
  if (all.length < 2) return [];
  const [low, top] = [Math.min(...all), Math.max(...all)];
  const drawn = lines.map((numbers, k) => el("polyline", {
    points: points(numbers, 60, low, top), class: k ? "second" : "",
  }));
  if (now !== null) {
    const x = 100 * now / Math.max(1, lines[0].length - 1);
    drawn.push(el("line", { class: "now", x1: x, x2: x, y1: 0, y2: 60 }));
  }
  return [
    el("h3", {}, heading),
    el("svg", { class: "chart", viewBox: "0 0 100 60", preserveAspectRatio: "none", role: "img",
      "aria-label": `${heading}: from ${digits(low)} to ${digits(top)}` }, drawn),
    el("div", { class: "ends", "aria-hidden": "true" },
      el("span", {}, `lowest ${digits(low)}`), el("span", {}, `highest ${digits(top)}`)),
  ];
}

/** The parts of a docstring's formula, each on its line. */
function formulas(text) {
  return text.split(/;\s+/).filter(Boolean).map((line) => el("div", { class: "formula" }, line));
}

/** Everything about an item. `page` is the program: its links lead to other items. */
function itemPanel(page, i) {
  const { structure, frame } = page, item = structure.items[i];
  const kinds = { op: "op", leaf: "leaf", data: "data" };
  const users = structure.users[i], kind = structure.classes[item.module];
  const series = page.data.frames.map((f) =>
    f.structure === frame.structure && f.grads[i] ? Math.log10(f.grads[i][1]) : null)
    .map((n) => Number.isFinite(n) ? n : null);
  const inputs = item.inputs.map(([name, source, text]) => el("tr", {},
    el("th", { scope: "row" }, name),
    el("td", {}, source === null ? text : [link(page, source), ` ${shapeOf(structure, source)}`])));
  return [
    el("h2", {}, item.name),
    el("p", { class: "soft" }, kinds[item.kind] + (item.module ? ` in ${item.module}` : "")
      + (item.module && kind ? ` (${kind})` : "")),
    ...page.troubles(i).map((text) => el("p", { class: "bad" }, text)),
    ...formulas(item.formula),
    facts([
      ["shape", shapeText(item.shape)], ["dtype", item.dtype],
      ...Object.entries(item.attrs),
      ["backward", structure.order[i] === undefined ? ""
        : `rule ${structure.order[i] + 1} of ${structure.walk.length}`],
    ]),
    item.place ? el("h3", {}, item.place) : null,
    item.code ? el("div", { class: "code" }, item.code) : null,
    inputs.length ? el("h3", {}, "Inputs") : null,
    inputs.length ? el("table", {}, inputs) : null,
    users.length ? el("h3", {}, "Used by") : null,
    ...users.map((user) => el("p", {}, link(page, user))),
    ...statistics("value", frame.values[i],
      "The tape does not keep this value; record() the forward pass to see it."),
    ...(item.kind === "data" ? []
      : statistics("gradient", frame.grads[i], "No gradient came here.")),
    ...(page.data.frames.length > 1 ? chart("log₁₀ of ‖g‖ over the steps", [series], page.at) : []),
  ];
}

function shapeOf(structure, i) {
  return shapeText(structure.items[i].shape);
}

function link(page, i, text = page.fullName(i)) {
  const item = page.structure.items[i];
  return el("button", { class: "link", type: "button", "data-item": i,
    onclick: () => page.go(i) }, text + (item.kind === "op" ? "" : ` (${item.kind})`));
}

/** A module: its class, what it holds, the norm of its parameters' gradients. */
function modulePanel(page, number) {
  const { structure, frame } = page, level = structure.levels[number];
  const count = (kind) => level.members.filter((i) => structure.items[i].kind === kind).length;
  const leaves = level.members.filter((i) => structure.items[i].kind === "leaf");
  const size = leaves.map((i) => structure.items[i].shape.reduce((a, b) => a * b, 1))
    .reduce((a, b) => a + b, 0);
  const open = page.open.has(number);
  return [
    el("h2", {}, level.name),
    el("p", { class: "soft" }, structure.classes[level.name] || "module"),
    el("p", {}, el("button", { type: "button", id: "toggle", onclick: () => page.toggle(number) },
      open ? "Fold" : "Unfold")),
    facts([
      ["ops", String(count("op"))],
      ["parameters", leaves.length ? `${size.toLocaleString("en")} in ${leaves.length}` : "none"],
      ["‖g‖", page.moduleGrad(number) ? digits(page.moduleGrad(number).norm) : "none"],
    ]),
    el("h3", {}, "Inside"),
    ...level.members.map((i) => el("p", {},
      link(page, i, page.fullName(i).replace(`${level.name}.`, "")), " ",
      el("span", { class: "soft" }, norms(named(frame.values[i]), named(frame.grads[i]))))),
  ];
}

/** What is shown when nothing is chosen. */
function overview(page) {
  const { structure, frame, data } = page;
  const keys = [
    ["↑ ↓ ← →", "to an input, a user, a neighbour"], ["Enter", "open a box or a module"],
    ["f", "fold the module around"], ["+ − 0", "zoom, show everything"], ["/", "search"],
    ["p", "play the backward pass"], ["t", "the graph as a table"], ["d", "light or dark"]];
  const column = (key) => data.history.map((line) => line[key] ?? null);
  const charts = data.history.length < 2 ? [] : [
    ...chart("loss over the epochs (test: dashed)", [column("loss"), column("test_loss")]),
    ...chart("accuracy over the epochs (test: dashed)",
      [column("accuracy"), column("test_accuracy")]),
  ];
  const steps = data.frames.length > 1
    ? chart("loss over the recorded steps", [data.frames.map((f) => f.loss)], page.at) : [];
  return [
    el("h2", {}, data.title),
    facts([
      ["loss", frame.loss === null ? "" : digits(frame.loss)],
      ["ops", String(structure.walk.length)],
      ["recorded", plural(data.frames.length, "step")],
    ]),
    ...charts, ...steps,
    el("h3", {}, "Keys"),
    el("table", {}, keys.map(([key, text]) => el("tr", {}, el("td", {}, el("kbd", {}, key)),
      el("td", {}, text)))),
  ];
}

/** The graph as a table: for screen readers, and for who likes tables. */
function tableOf(page) {
  const { structure, frame } = page;
  const head = ["name", "kind", "module", "shape", "value", "gradient", "inputs", "source"];
  const rows = structure.items.map((item, i) => {
    const [value, grad] = [named(frame.values[i]), named(frame.grads[i])];
    const inputs = item.inputs.filter((input) => input[1] !== null).map((input) => input[1]);
    return el("tr", { class: page.troubles(i).length ? "bad" : "" },
      el("th", { scope: "row" }, el("button", { class: "link", type: "button", "data-item": i,
        onclick: () => page.choose(String(i)) }, item.name)),
      el("td", {}, item.kind), el("td", {}, item.module), el("td", {}, shapeText(item.shape)),
      el("td", { class: "number" }, value ? normText(value) : ""),
      el("td", { class: "number" }, grad ? normText(grad) : ""),
      el("td", {}, inputs.map((k) => structure.items[k].name).join(", ")),
      el("td", {}, item.place));
  });
  return el("table", {},
    el("caption", {}, `${page.data.title}: ${plural(rows.length, "item")} in the order of the `
      + "forward pass; norms of values and gradients."),
    el("thead", {}, el("tr", {}, head.map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, rows));
}
