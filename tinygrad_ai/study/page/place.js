// Where the boxes are, given which modules are open: coordinates.py in JavaScript, step by step.

/** One level and all below it that is open: centres and sizes of its boxes, its own size. */
function place(levels, number, open, sizes) {
  const level = levels[number];
  const found = { x: {}, y: {}, size: {}, inner: {}, w: 0, h: 0 };
  const own = new Set(level.boxes);
  for (const box of level.rows.flat()) {
    found.size[box] = own.has(box) ? [sizes.WIDTH, sizes.HEIGHT] : [0, 0];
    if (box[0] === "g" && open.has(+box.slice(1))) {
      const inner = place(levels, +box.slice(1), open, sizes);
      found.inner[box] = inner;
      found.size[box] = [inner.w, inner.h];
    }
  }
  across(level, found, sizes);
  let left = Infinity, right = -Infinity;
  for (const box in found.x) {
    left = Math.min(left, found.x[box] - found.size[box][0] / 2);
    right = Math.max(right, found.x[box] + found.size[box][0] / 2);
  }
  const pad = number > 0 ? sizes.PAD : 0;
  for (const box in found.x) found.x[box] += pad - left;
  found.w = right - left + 2 * pad;
  down(level, found, number > 0, sizes);
  return found;
}

/** How far from a box's centre a path ends in it: at the port of an open module. */
function anchor(found, box, path, end) {
  const inner = found.inner[box];
  return inner ? inner.x[(end ? "<" : ">") + path.split(">")[0]] - inner.w / 2 : 0;
}

/**
 * Horizontally: boxes move towards those they are linked to, and never through each other. What
 * nothing leads to moves towards its users, and not they towards it.
 */
function across(level, found, sizes) {
  const row = {}, above = {}, under = {};
  level.rows.forEach((boxes, at) => boxes.forEach((box) => {
    [row[box], above[box], under[box]] = [at, [], []];
  }));
  for (const [name, path] of Object.entries(level.paths)) {
    for (let k = 1; k < path.length; k++) {
      const [a, b] = [path[k - 1], path[k]];
      const offset = anchor(found, a, name, false) - anchor(found, b, name, true);
      const [before, after] = row[b] > row[a] ? [above, under] : [under, above];
      before[b].push([a, offset]);
      after[a].push([b, -offset]);
    }
  }
  const loose = new Set(level.boxes.filter((box) => !above[box].length));
  for (const boxes of level.rows) spread(found, boxes, loose, () => 0, sizes);
  for (let sweep = 0; sweep < sizes.SWEEPS; sweep++) {
    const last = sweep === sizes.SWEEPS - 1, even = sweep % 2 === 0;
    const sides = last ? [above, under] : even ? [above] : [under];
    const wish = (box) => {
      const all = sides.flatMap((side) => side[box]), firm = all.filter(([b]) => !loose.has(b));
      const places = (firm.length ? firm : all).map(([b, offset]) => found.x[b] + offset);
      return places.length ? places.reduce((a, b) => a + b, 0) / places.length : found.x[box];
    };
    for (const boxes of even || last ? level.rows : level.rows.slice().reverse()) {
      spread(found, boxes, loose, wish, sizes);
    }
  }
}

/** Puts a row as near as it can be to what its boxes wish, by pooling those that would overlap. */
function spread(found, boxes, loose, wish, sizes) {
  const offsets = [], pools = [];
  let at = 0;
  boxes.forEach((box, k) => {
    if (k) {
      const [a, b] = [found.size[boxes[k - 1]][0], found.size[box][0]];
      at += (a + b) / 2 + (a && b ? sizes.BESIDE : sizes.NARROW);
    }
    offsets.push(at);
  });
  boxes.forEach((box, k) => {
    const weight = loose.has(box) ? sizes.LOOSE : found.size[box][0] ? 1 : 3;
    pools.push([weight * (wish(box) - offsets[k]), weight, 1]);
    while (pools.length > 1 && mean(pools.at(-2)) > mean(pools.at(-1))) {
      const last = pools.pop();
      pools.push(pools.pop().map((number, i) => number + last[i]));
    }
  });
  let k = 0;
  for (const pool of pools) {
    for (let i = 0; i < pool[2]; i++, k++) found.x[boxes[k]] = mean(pool) + offsets[k];
  }
}

function mean(pool) {
  return pool[0] / pool[1];
}

/** Vertically: row below row. */
function down(level, found, framed, sizes) {
  let y = framed ? sizes.TITLE : 0;
  level.rows.forEach((boxes, at) => {
    const tall = boxes.reduce((most, box) => Math.max(most, found.size[box][1]), 0);
    for (const box of boxes) {
      found.y[box] = y + tall / 2;
      if (!found.size[box][0] && !isPort(box)) found.size[box] = [0, tall]; // passes the whole row
    }
    const last = at === level.rows.length - 1;
    const port = isPort(boxes[0]) || (!last && level.rows[at + 1][0][0] === ">");
    y += tall + (last ? 0 : port ? sizes.PORT : sizes.UNDER);
  });
  found.h = y + (framed && level.rows.at(-1)[0][0] !== ">" ? sizes.PAD : 0);
}

function isPort(box) {
  return box[0] === "<" || box[0] === ">";
}

/** All that is to be drawn; frames come before what they hold. */
function picture(levels, open, sizes) {
  const boxes = [], edges = [];
  draw(levels, 0, place(levels, 0, open, sizes), 0, 0, boxes, edges);
  return { boxes, edges };
}

/** One level with its left upper corner at x, y. */
function draw(levels, number, found, x, y, boxes, edges) {
  const level = levels[number];
  for (const name of level.boxes) {
    const [w, h] = found.size[name];
    const [left, top] = [x + found.x[name] - w / 2, y + found.y[name] - h / 2];
    boxes.push({ name, x: left, y: top, w, h, open: name in found.inner, level: number });
    if (name in found.inner) {
      draw(levels, +name.slice(1), found.inner[name], left, top, boxes, edges);
    }
  }
  for (const [name, path] of Object.entries(level.paths)) {
    const end = path.at(-1), forward = found.y[path[0]] < found.y[end], points = [];
    path.forEach((box, k) => {
      const half = found.size[box][1] / 2, middle = y + found.y[box];
      const at = x + found.x[box] + anchor(found, box, name, k > 0);
      let sides = forward ? [middle - half, middle + half] : [middle + half, middle - half];
      if (isPort(box)) sides = box[0] === "<" ? [y, y] : [y + found.h, y + found.h];
      if (k > 0 || box.includes("@")) points.push([at, sides[0]]);
      if (k < path.length - 1) points.push([at, sides[1]]);
    });
    const arrow = found.size[end][0] > 0 && !(end in found.inner);
    edges.push({ source: +name.split(">")[0], users: level.users[name], points, arrow });
  }
}
