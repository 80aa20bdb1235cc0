// Mouse, touch, keyboard and buttons; then the start.

function listen(page) {
  const graph = $("graph"), { canvas } = page, title = page.data.sizes.TITLE;
  const fingers = new Map();
  let moved = 0;
  graph.addEventListener("pointerdown", (event) => {
    graph.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event);
    moved = 0;
  });
  graph.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) {
      graph.classList.toggle("points", !!canvas.hit(event.clientX, event.clientY, title));
      return;
    }
    const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
    moved += Math.abs(dx) + Math.abs(dy);
    if (fingers.size === 2) { // two fingers zoom about the one that rests
      const other = [...fingers.values()].find((f) => f.pointerId !== event.pointerId);
      const far = (f) => Math.hypot(f.clientX - other.clientX, f.clientY - other.clientY) || 1;
      canvas.zoom(far(event) / far(before), other.clientX, other.clientY);
    } else if (moved > 4) {
      graph.classList.add("pans");
      canvas.pan(dx, dy);
    }
    fingers.set(event.pointerId, event);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    graph.addEventListener(name, (event) => {
      fingers.delete(event.pointerId);
      graph.classList.remove("pans");
      if (name === "pointercancel" || moved > 4) return;
      click(page, canvas.hit(event.clientX, event.clientY, title));
    });
  }
  graph.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode ? 16 : 1;
    canvas.zoom(Math.exp(-event.deltaY * lines * 0.0015), event.clientX, event.clientY);
  }, { passive: false });

  $("play").onclick = () => page.play();
  $("fold").onclick = () => page.toggleAll(false);
  $("unfold").onclick = () => page.toggleAll(true);
  $("fit").onclick = () => canvas.fit();
  $("table-toggle").onclick = () => page.toggleTable();
  $("theme").onclick = () => page.theme(dark() ? "light" : "dark");
  $("step").oninput = (event) => page.show(+event.target.value);
  $("search").oninput = (event) => page.search(event.target.value);
  $("search").onkeydown = (event) => {
    if (event.key === "Enter") page.next(event.shiftKey ? -1 : 1);
    if (event.key === "Escape") graph.focus();
  };
  document.addEventListener("keydown", (event) => key(page, event));
}

function dark() {
  return document.documentElement.dataset.theme === "dark";
}

/** A click on a box: modules open and close, items show their panel. */
function click(page, box) {
  if (!box) page.choose(null);
  else if (box.name[0] === "g") page.toggle(+box.name.slice(1));
  else page.choose(box.name);
}

function key(page, event) {
  const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const anywhere = {
    "/": () => $("search").focus(), "p": () => page.play(), "t": () => page.toggleTable(),
    "d": () => page.theme(dark() ? "light" : "dark"),
    "Escape": () => { page.stop(); page.choose(null); $("graph").focus(); },
  };
  const picture = {
    "ArrowUp": () => page.move(0, -1), "ArrowDown": () => page.move(0, 1),
    "ArrowLeft": () => page.move(-1, 0), "ArrowRight": () => page.move(1, 0),
    "Enter": () => enter(page), "f": () => fold(page),
    "+": () => page.canvas.zoom(1.25), "=": () => page.canvas.zoom(1.25),
    "-": () => page.canvas.zoom(0.8), "0": () => page.canvas.fit(),
  };
  const inPicture = event.target === $("graph") || event.target === document.body;
  const act = anywhere[event.key] || (inPicture && picture[event.key]);
  if (!act) return;
  event.preventDefault();
  act();
}

/** Opens a module, or goes into an item's panel. */
function enter(page) {
  if (page.chosen === null) return page.move(0, 1);
  if (page.chosen[0] === "g") return page.toggle(+page.chosen.slice(1));
  $("panel").focus();
}

/** Folds the innermost open module around the chosen box. */
function fold(page) {
  const { chosen, structure, open } = page;
  if (chosen === null) return;
  const number = +chosen.replace("g", "");
  const item = chosen[0] === "g" ? structure.levels[number].members[0] : number;
  const around = structure.around[item];
  const outer = chosen[0] === "g" ? around.slice(0, around.indexOf(number) + 1) : around;
  const inner = outer.filter((n) => open.has(n)).at(-1);
  if (inner !== undefined) page.toggle(inner, false);
}

function start() {
  performance.mark("start");
  const data = JSON.parse($("data").textContent);
  $("title").textContent = data.title;
  const page = window.page = new Page(data); // by name, for the console and the tests
  page.canvas.painted = () => {
    page.canvas.painted = () => {};
    performance.measure("layout and first paint", "start");
  };
  const shades = window.matchMedia("(prefers-color-scheme: dark)");
  page.relayout();
  page.theme(shades.matches ? "dark" : "light");
  shades.addEventListener("change", () => page.theme(shades.matches ? "dark" : "light"));
  $("steps").hidden = data.frames.length < 2;
  $("step").max = data.frames.length - 1;
  $("step").value = page.at;
  const line = points(data.frames.map((f) => f.loss), 30);
  $("spark").setAttribute("viewBox", "0 0 100 30");
  $("spark").append(el("polyline", { points: line }));
  $("graph").setAttribute("aria-label",
    `Graph of ${data.title}, ${plural(page.structure.items.length, "item")}`);
  listen(page);
  page.canvas.begin();
  page.canvas.paint();
}

start();
