// The program of the page: what is open, chosen, shown; mouse, keyboard, slider and play.

const $ = (id) => document.getElementById(id);
const CALM = window.matchMedia("(prefers-reduced-motion: reduce)");

class Page {
  constructor(data) {
    this.data = data;
    this.at = data.frames.length - 1; // the frame shown
    this.chosen = null; // a box's name: "12", "g3"
    this.pulled = null; // while the backward pass plays: how many rules have been called
    this.opened = data.structures.map((s) => new Set(s.opened));
    data.structures.forEach(prepared);
    data.frames.forEach((frame) => {
      frame.spoilt = new Set(frame.spoilt);
      frame.spoiltGrads = new Set(frame.bad_grads);
      frame.spoiltRules = new Set(frame.bad.map(([i, k]) => `${i}:${k}`));
    });
    const look = { box: (box) => this.lookOf(box), edge: (edge) => this.edgeOf(edge) };
    this.canvas = new Canvas($("graph"), look);
  }

  get frame() { return this.data.frames[this.at]; }
  get structure() { return this.data.structures[this.frame.structure]; }
  get open() { return this.opened[this.frame.structure]; }

  // ---- what is shown

  /** Places everything anew: after a change of what is open, or of the structure. */
  relayout() {
    this.scene = this.placed(this.open);
    this.boxes = new Map(this.scene.boxes.map((box) => [box.name, box]));
    this.canvas.show(this.scene);
  }

  placed(open) {
    return picture(this.structure.levels, open, this.data.sizes);
  }

  refresh() {
    this.lit = this.pulled ? new Set(this.structure.walk.slice(0, this.pulled)) : null;
    const playing = this.pulled ? String(this.structure.walk[this.pulled - 1]) : null;
    const chosen = playing ?? this.chosen;
    $("panel").replaceChildren(...(chosen === null ? overview(this)
      : chosen[0] === "g" ? modulePanel(this, +chosen.slice(1))
      : itemPanel(this, +chosen)).filter(Boolean));
    if (!$("table").hidden) $("table").replaceChildren(tableOf(this));
    const { step, origin } = this.frame;
    const loss = this.frame.loss === null ? "" : `, loss ${digits(this.frame.loss)}`;
    $("summary").textContent = plural(this.structure.walk.length, "op") + loss;
    $("step").value = this.at;
    $("step-text").textContent = step + loss;
    $("step").setAttribute("aria-valuetext", `step ${$("step-text").textContent}`);
    $("alert").hidden = !origin;
    if (origin) {
      $("alert").replaceChildren(`Not finite: first seen in the ${origin[1]} pass of `,
        link(this, origin[0]), `, then in ${plural(this.spoiltCount() - 1, "other")}`,
        this.unseenBefore(origin) ? " (values before it are not known: record() it)" : "");
    }
    this.canvas.repaint();
  }

  /** Whether what went into the origin is not known, so that it may have been there before. */
  unseenBefore([i, pass]) {
    return pass === "forward" && this.structure.items[i].inputs.some(([, source]) =>
      source !== null && !this.frame.values[source]);
  }

  /** How many items have a value or a gradient that is not finite. */
  spoiltCount() {
    const { spoilt, spoiltGrads, spoiltRules } = this.frame;
    return this.structure.items.filter((item, i) => spoilt.has(i) || spoiltGrads.has(i)
      || item.inputs.some((_, k) => spoiltRules.has(`${i}:${k}`))).length;
  }

  /** What is wrong with an item, in words. */
  troubles(i) {
    const { spoilt, spoiltGrads, spoiltRules, origin } = this.frame, found = [];
    if (spoilt.has(i)) found.push("Its value is not finite.");
    if (spoiltGrads.has(i)) found.push("The gradient that arrives is not finite.");
    const rules = this.structure.items[i].inputs.filter((_, k) => spoiltRules.has(`${i}:${k}`));
    const names = rules.map((input) => input[0]).join(", ");
    if (names) found.push(`Its rule gives such a gradient to ${names}.`);
    if (origin && origin[0] === i) found.push("Here it is seen first.");
    return found;
  }

  fullName(i) {
    const { name, module, kind } = this.structure.items[i];
    return kind === "leaf" || !module ? name : `${name} in ${module}`;
  }

  /** A parameter's name without that of the module that is drawn around it. */
  shortName(i) {
    const { name } = this.structure.items[i], level = this.structure.around[i].at(-1);
    const module = level === undefined ? "" : this.structure.levels[level].name + ".";
    return module && name.startsWith(module) ? name.slice(module.length) : name;
  }

  /** The gradient that stands for a closed module: all its parameters', else its output's. */
  moduleGrad(number) {
    const { members } = this.structure.levels[number];
    const found = members.filter((i) => this.structure.items[i].kind === "leaf")
      .map((i) => named(this.frame.grads[i])).filter(Boolean);
    if (!found.length) return named(this.frame.grads[Math.max(...members)]);
    const total = (name) => found.reduce((sum, s) => sum + s[name], 0);
    const norm = Math.sqrt(found.reduce((sum, s) => sum + (s.norm ?? NaN) ** 2, 0));
    return { norm: Number.isFinite(norm) ? norm : null, size: total("size"), mean: null,
      nan: total("nan"), inf: total("inf"), minusInf: total("minusInf") };
  }

  lookOf(box) {
    const ring = box.name === this.chosen || box.name === this.ringed;
    if (box.name[0] === "g") return this.moduleLook(box, ring);
    const i = +box.name, item = this.structure.items[i], grad = named(this.frame.grads[i]);
    const bad = this.frame.spoilt.has(i) || this.frame.spoiltGrads.has(i);
    const value = named(this.frame.values[i]);
    const lines = [this.shortName(i), shapeText(item.shape), norms(value, grad)];
    return { ...this.paint(grad, [i]), lines, kind: item.kind, bad, ring };
  }

  moduleLook(box, ring) {
    const number = +box.name.slice(1), level = this.structure.levels[number];
    const kind = this.structure.classes[level.name] || "";
    if (box.open) return { lines: [level.label, kind], ring };
    const grad = this.moduleGrad(number), inside = level.members;
    const bad = inside.some((i) => this.frame.spoilt.has(i) || this.frame.spoiltGrads.has(i));
    const lines = [level.label, kind || plural(inside.length, "item"), norms(null, grad)];
    return { ...this.paint(grad, inside), lines, kind: "module", bad, ring };
  }

  /** Fill and ink of a gradient; while the pass plays, only where it has been. */
  paint(grad, members) {
    if (!grad) return { fill: null, faded: !!this.lit };
    if (this.lit && !members.every((i) => this.arrived(i))) return { fill: null, faded: true };
    if (grad.norm === null || grad.nan || grad.inf || grad.minusInf) {
      return { fill: this.canvas.colours.bad, ink: inkOn(parts(this.canvas.colours.bad)) };
    }
    if (grad.norm === 0) return { fill: "#8a8f98", ink: "#000" };
    const [low, high] = this.data.scale;
    return ramp(this.data.ramp, (Math.log10(grad.norm) - low) / (high - low));
  }

  /** Whether an item's gradient is complete in the part of the pass that has been played. */
  arrived(i) {
    return this.lit.has(i) || this.structure.users[i].every((user) => this.lit.has(user)
      || this.structure.order[user] === undefined);
  }

  edgeOf(edge) {
    const { colours } = this.canvas, { spoilt, spoiltRules } = this.frame;
    const spoils = (user) => this.structure.items[user].inputs.some(([, source], k) =>
      source === edge.source && spoiltRules.has(`${user}:${k}`));
    const bad = spoilt.has(edge.source) || (spoiltRules.size > 0 && edge.users.some(spoils));
    const mine = this.chosen !== null
      && (+this.chosen === edge.source || edge.users.includes(+this.chosen));
    const now = this.lit && edge.users.includes(this.structure.walk[this.pulled - 1]);
    if (bad) return { stroke: colours.bad, width: 3 };
    if (mine || now) return { stroke: colours.accent, width: 2.6 };
    return { stroke: colours.line, width: 1.4 };
  }

  // ---- going about

  choose(name) {
    this.chosen = name;
    if (name !== null && this.boxes.has(name)) this.canvas.reveal(this.boxes.get(name));
    this.refresh();
    $("live").textContent = name === null ? "" : this.spoken(name);
  }

  /** Opens what is around an item, and chooses it. */
  go(i) {
    for (const number of this.structure.around[i]) this.open.add(number);
    this.relayout();
    this.choose(String(i));
  }

  toggle(number, open = !this.open.has(number)) {
    const name = `g${number}`, before = this.boxes.get(name);
    const { x, y } = before ? this.canvas.where({ ...before, w: 0, h: 0 }) : { x: 0, y: 0 };
    if (open) this.open.add(number);
    else this.open.delete(number);
    this.relayout();
    const after = this.boxes.get(name);
    if (before && after) { // its corner stays where it was
      const now = this.canvas.where({ ...after, w: 0, h: 0 });
      this.canvas.pan(x - now.x, y - now.y);
    }
    this.choose(name);
  }

  toggleAll(open) {
    this.opened[this.frame.structure] = new Set(
      open ? [...this.structure.levels.keys()].slice(1) : []);
    this.relayout();
    this.canvas.fit();
    this.choose(null);
  }

  /** What a screen reader says about a box. */
  spoken(name) {
    if (name[0] === "g") {
      const number = +name.slice(1), level = this.structure.levels[number];
      const grad = this.moduleGrad(number);
      return [`${this.structure.classes[level.name] || "module"} ${level.name}`,
        this.open.has(number) ? "open" : "folded", plural(level.members.length, "item"),
        grad ? `gradient norm ${normText(grad)}` : "no gradient"].join(", ");
    }
    const item = this.structure.items[+name], grad = named(this.frame.grads[+name]);
    return [this.fullName(+name), item.kind, `shape ${shapeText(item.shape)}`,
      grad ? `gradient norm ${normText(grad)}` : "no gradient",
      ...this.troubles(+name)].join(", ");
  }

  /** The nearest box above, below or beside; one that is linked is nearer. */
  move(dx, dy) {
    const boxes = this.scene.boxes.filter((box) => !box.open);
    const from = this.boxes.get(this.chosen);
    if (!from) return this.choose((boxes.find((b) => this.onScreen(b)) || boxes[0]).name);
    const linked = this.linked(this.chosen);
    let best = null, nearest = Infinity;
    for (const box of boxes) {
      if (box === from) continue;
      const across = box.x + box.w / 2 - from.x - from.w / 2;
      const along = box.y + box.h / 2 - from.y - (from.open ? 0 : from.h / 2);
      const ahead = dx * across + dy * along, aside = Math.abs(dx ? along : across);
      if (ahead <= 1 || (dx && aside > from.h)) continue;
      const far = ahead + 2 * aside - (linked.has(box.name) ? 1e6 : 0);
      if (far < nearest) [best, nearest] = [box, far];
    }
    if (best) this.choose(best.name);
  }

  onScreen(box) {
    const { x, y } = this.canvas.where(box), area = $("graph").getBoundingClientRect();
    return x > area.left && x < area.right && y > area.top && y < area.bottom;
  }

  /** The visible boxes that a box has an edge with. */
  linked(name) {
    const module = name[0] === "g" ? this.structure.levels[+name.slice(1)] : null;
    const inside = new Set(module ? module.members : [+name]), found = new Set();
    this.structure.items.forEach((item, i) => item.inputs.forEach(([, source]) => {
      if (source === null || inside.has(i) === inside.has(source)) return;
      found.add(this.visible(inside.has(i) ? source : i));
    }));
    return found;
  }

  /** The box that shows an item: itself, or the outermost closed module around it. */
  visible(i) {
    const closed = this.structure.around[i].find((number) => !this.open.has(number));
    return closed === undefined ? String(i) : `g${closed}`;
  }

  search(text) {
    const words = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
    this.matches = words.length ? this.structure.items.map((item, i) => [i, [item.name, item.module,
      item.kind, item.place, item.code, this.structure.classes[item.module] || ""]
      .join(" ").toLowerCase()]).filter(([, all]) => words.every((w) => all.includes(w)))
      .map(([i]) => i) : [];
    this.match = -1;
    $("found").textContent = words.length ? plural(this.matches.length, "match", "matches") : "";
  }

  next(by) {
    if (!this.matches?.length) return;
    this.match = (this.match + by + this.matches.length) % this.matches.length;
    $("found").textContent = `${this.match + 1} of ${this.matches.length}`;
    this.go(this.matches[this.match]);
  }

  show(at) {
    const before = this.structure;
    this.stop();
    this.at = at;
    if (this.structure !== before) {
      this.chosen = null;
      this.relayout();
      this.canvas.fit();
    }
    this.refresh();
  }

  // ---- playing the backward pass

  play() {
    if (this.timer) return this.pause();
    if (!$("table").hidden) this.toggleTable();
    this.choose(null);
    const brisk = Math.max(40, Math.min(900, 20000 / this.structure.walk.length));
    const pause = CALM.matches ? 1200 : brisk;
    if (this.pulled === null || this.pulled >= this.structure.walk.length) this.pulled = 0;
    this.timer = setInterval(() => this.tick(), pause);
    $("play").textContent = "❚❚ Pause";
    this.tick();
  }

  tick() {
    if (this.pulled >= this.structure.walk.length) return this.stop();
    this.pulled += 1;
    const i = this.structure.walk[this.pulled - 1], item = this.structure.items[i];
    const rule = item.formula.split(/;\s+/).filter((line) => line[0] === "g").join("; ");
    $("status").textContent = `${this.pulled} / ${this.structure.walk.length}  ${this.fullName(i)}`
      + (rule ? `:  ${rule}` : "");
    this.ringed = this.visible(i);
    this.canvas.reveal(this.boxes.get(this.ringed));
    this.refresh();
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    $("play").textContent = "▶ Play backward";
  }

  stop() {
    this.pause();
    this.pulled = this.ringed = null;
    $("status").textContent = "";
    this.refresh();
  }

  // ---- the rest of the page

  toggleTable() {
    const shown = $("table").hidden;
    $("table").hidden = !shown;
    $("stage").hidden = shown;
    $("table-toggle").setAttribute("aria-pressed", shown);
    this.refresh();
    (shown ? $("table") : $("graph")).focus();
  }

  theme(name) {
    document.documentElement.dataset.theme = name;
    $("theme").setAttribute("aria-pressed", name === "dark");
    this.canvas.recolour();
    this.legend();
    this.refresh();
  }

  legend() {
    const [low, high] = this.data.scale, lowest = `${this.data.below ? "≤ " : ""}1e${low}`;
    const swatch = (colour, text) => el("span", {},
      el("i", colour ? { style: `background:${colour}` } : { class: "none" }), text);
    const words = `Colours: the gradient's norm, from ${lowest} to 1e${high}`;
    const colours = `background:linear-gradient(90deg,${this.data.ramp.join()})`;
    $("legend").setAttribute("aria-label", words);
    $("legend").replaceChildren("gradient norm ‖g‖", el("span", {}, lowest),
      el("div", { class: "ramp", style: colours }), el("span", {}, `1e${high}`),
      el("div", { class: "swatches" }, swatch("#8a8f98", "zero"), swatch(null, "none"),
        swatch("var(--bad)", "NaN, ∞")));
  }
}

/** What is looked up often: users and enclosing modules of items, their place in the walk. */
function prepared(structure) {
  structure.users = structure.items.map(() => []);
  structure.items.forEach((item, i) => item.inputs.forEach(([, source]) => {
    if (source !== null && !structure.users[source].includes(i)) structure.users[source].push(i);
  }));
  structure.order = Object.fromEntries(structure.walk.map((i, k) => [i, k]));
  structure.around = structure.items.map(() => []);
  structure.levels.forEach((level, number) => {
    if (number) for (const i of level.members) structure.around[i].push(number);
  });
}

/** A place on the ramp as {fill, ink}. */
function ramp(colours, share) {
  const at = Math.min(1, Math.max(0, share)) * (colours.length - 1);
  const k = Math.min(Math.floor(at), colours.length - 2);
  const [a, b] = [parts(colours[k]), parts(colours[k + 1])];
  const rgb = a.map((n, j) => Math.round(n + (b[j] - n) * (at - k)));
  return { fill: `rgb(${rgb})`, ink: inkOn(rgb) };
}

/** Black or white, whichever contrasts more with red, green and blue (colours.py: ink). */
function inkOn([red, green, blue]) {
  const linear = [red, green, blue].map((n) => n / 255)
    .map((n) => n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4);
  const light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return (light + 0.05) / 0.05 > 1.05 / (light + 0.05) ? "#000" : "#fff";
}

/** #rrggbb as three numbers. */
function parts(colour) {
  return [1, 3, 5].map((j) => parseInt(colour.slice(j, j + 2), 16));
}
