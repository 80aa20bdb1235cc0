// The picture on a canvas: a camera over the world of place.js, and what is drawn through it.
// Only what the camera sees is drawn, and text only where it can be read.

const FONT = 'system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif';
const READABLE = 0.42; // below this zoom there is no text in the boxes
const ZOOM = [0.002, 3];

class Canvas {
  /** `look` gives for a box: {fill, lines, kind, bad}, and for an edge: {stroke, width}. */
  constructor(element, look) {
    this.element = element;
    this.look = look;
    this.context = element.getContext("2d");
    this.camera = { x: 0, y: 0, k: 1 };
    this.scene = { boxes: [], edges: [] };
    this.cut = new Map(); // texts shortened to their box
    this.painted = () => {};
    new ResizeObserver(() => this.resize()).observe(element);
    this.recolour();
  }

  /** Reads the colours of the page again. */
  recolour() {
    const style = getComputedStyle(document.documentElement);
    this.colours = {};
    const names = ["stage", "text", "soft", "box", "border", "line", "frame", "accent", "bad"];
    for (const name of names) {
      this.colours[name] = style.getPropertyValue("--" + name).trim();
    }
    this.repaint();
  }

  show(scene) {
    this.scene = scene;
    for (const edge of scene.edges) {
      const [xs, ys] = [0, 1].map((i) => edge.points.map((point) => point[i]));
      edge.around = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
      edge.path = edgePath(edge.points);
    }
    this.repaint();
  }

  resize() {
    const { clientWidth: w, clientHeight: h } = this.element;
    const ratio = window.devicePixelRatio || 1;
    this.element.width = Math.max(1, Math.round(w * ratio));
    this.element.height = Math.max(1, Math.round(h * ratio));
    this.paint(); // at once: a resized canvas is empty
  }

  repaint() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => this.paint());
  }

  // ---- the camera

  /** From the page's coordinates to the world's. */
  world(x, y) {
    const { left, top } = this.element.getBoundingClientRect();
    return [(x - left) / this.camera.k + this.camera.x, (y - top) / this.camera.k + this.camera.y];
  }

  /** The middle of a box in the page's coordinates. */
  where(box) {
    const { left, top } = this.element.getBoundingClientRect();
    const { x, y, k } = this.camera;
    return { x: left + (box.x + box.w / 2 - x) * k, y: top + (box.y + box.h / 2 - y) * k };
  }

  pan(dx, dy) {
    this.camera.x -= dx / this.camera.k;
    this.camera.y -= dy / this.camera.k;
    this.repaint();
  }

  /** Zooms about a point of the page, or about the middle. */
  zoom(factor, x, y) {
    const box = this.element.getBoundingClientRect();
    const [px, py] = [x ?? box.left + box.width / 2, y ?? box.top + box.height / 2];
    const before = this.world(px, py);
    this.camera.k = Math.min(ZOOM[1], Math.max(ZOOM[0], this.camera.k * factor));
    const after = this.world(px, py);
    this.camera.x += before[0] - after[0];
    this.camera.y += before[1] - after[1];
    this.repaint();
  }

  /** Everything in view, not larger than life. */
  fit() {
    const { clientWidth: w, clientHeight: h } = this.element;
    const all = bounds(this.scene.boxes);
    const k = Math.min((w - 48) / all.w, (h - 48) / all.h, 1.15);
    this.camera.k = Math.min(ZOOM[1], Math.max(ZOOM[0], k));
    this.camera.x = all.x + all.w / 2 - w / 2 / this.camera.k;
    this.camera.y = all.y + all.h / 2 - h / 2 / this.camera.k;
    this.repaint();
  }

  /** Everything, or its upper end where everything would be too small to read. */
  begin() {
    this.fit();
    if (this.camera.k >= READABLE) return;
    const { clientWidth: w } = this.element, all = bounds(this.scene.boxes);
    const first = this.scene.boxes.reduce((a, b) => b.y < a.y ? b : a);
    this.camera.k = 0.8;
    this.camera.x = first.x + first.w / 2 - w / 2 / this.camera.k;
    this.camera.y = all.y - 24 / this.camera.k;
    this.repaint();
  }

  /** Moves the camera so that a box is in view; not at all if it is. */
  reveal(box) {
    const { clientWidth: w, clientHeight: h } = this.element, { camera } = this;
    if (camera.k < READABLE) camera.k = 0.8;
    const [left, top] = [(box.x - camera.x) * camera.k, (box.y - camera.y) * camera.k];
    const [wide, high] = [box.w * camera.k, box.h * camera.k];
    if (left < 20 || top < 20 || left + wide > w - 20 || top + high > h - 20) {
      camera.x = box.x + box.w / 2 - w / 2 / camera.k;
      camera.y = box.y + Math.min(box.h, h / camera.k) / 2 - h / 2 / camera.k;
    }
    this.repaint();
  }

  /** The box at a point of the page: a frame only by its title. */
  hit(px, py, title) {
    const [x, y] = this.world(px, py);
    return this.scene.boxes.findLast((box) => x >= box.x && x <= box.x + box.w
      && y >= box.y && y <= box.y + (box.open ? title : box.h));
  }

  // ---- drawing

  paint() {
    cancelAnimationFrame(this.waiting);
    this.waiting = 0;
    const { context: c, camera, element } = this;
    const ratio = window.devicePixelRatio || 1, scale = camera.k * ratio;
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.fillStyle = this.colours.stage;
    c.fillRect(0, 0, element.width, element.height);
    c.setTransform(scale, 0, 0, scale, -camera.x * scale, -camera.y * scale);
    const right = camera.x + element.width / scale, bottom = camera.y + element.height / scale;
    const seen = (x0, y0, x1, y1) =>
      x1 >= camera.x && x0 <= right && y1 >= camera.y && y0 <= bottom;
    const boxes = this.scene.boxes.filter((b) =>
      seen(b.x - 6, b.y - 6, b.x + b.w + 6, b.y + b.h + 6));
    for (const box of boxes) if (box.open) this.frame(box);
    for (const edge of this.scene.edges) if (seen(...edge.around)) this.edge(edge);
    for (const box of boxes) if (!box.open) this.box(box);
    this.drawn = boxes.length;
    this.painted();
  }

  frame(box) {
    const { context: c, colours, camera } = this, { lines, ring } = this.look.box(box);
    c.beginPath();
    c.roundRect(box.x, box.y, box.w, box.h, 12);
    c.fillStyle = colours.frame;
    c.fill();
    c.strokeStyle = ring ? colours.accent : colours.border;
    c.lineWidth = ring ? 2.5 : 0.7;
    c.stroke();
    if (camera.k < READABLE / 2) return;
    c.textAlign = "left";
    c.fillStyle = colours.text;
    c.font = `600 12px ${FONT}`;
    const name = "−  " + lines[0];
    c.fillText(name, box.x + 12, box.y + 17);
    const used = c.measureText(name).width;
    c.font = `12px ${FONT}`;
    c.fillStyle = colours.soft;
    c.fillText(this.shortened(lines[1], box.w - used - 30), box.x + 18 + used, box.y + 17);
  }

  edge(edge) {
    const { context: c, camera } = this, { stroke, width } = this.look.edge(edge);
    c.strokeStyle = c.fillStyle = stroke;
    c.lineWidth = Math.max(width, 0.7 / camera.k);
    c.stroke(edge.path);
    if (!edge.arrow || camera.k < READABLE / 2) return;
    const [x, y] = edge.points.at(-1), way = edge.points.at(-2)[1] <= y ? 7 : -7;
    c.beginPath();
    c.moveTo(x, y);
    c.lineTo(x - 4, y - way);
    c.lineTo(x + 4, y - way);
    c.fill();
  }

  box(box) {
    const { context: c, colours, camera } = this;
    const { fill, ink, lines, kind, bad, ring, faded } = this.look.box(box);
    c.globalAlpha = faded ? 0.3 : 1;
    const round = kind === "leaf" ? box.h / 2 : 9;
    if (kind === "module") { // a stack of cards: there is more inside
      c.beginPath();
      c.roundRect(box.x + 5, box.y + 5, box.w, box.h, round);
      c.fillStyle = colours.box;
      c.fill();
      c.strokeStyle = colours.border;
      c.lineWidth = 1;
      c.stroke();
    }
    c.beginPath();
    c.roundRect(box.x, box.y, box.w, box.h, round);
    c.fillStyle = fill || colours.box;
    c.fill();
    c.setLineDash(kind === "data" ? [5, 4] : []);
    c.strokeStyle = bad ? colours.bad : colours.border;
    c.lineWidth = bad ? 3 : 1;
    c.stroke();
    c.setLineDash([]);
    if (ring) {
      c.beginPath();
      c.roundRect(box.x - 4, box.y - 4, box.w + 8, box.h + 8, round + 4);
      c.strokeStyle = colours.accent;
      c.lineWidth = 3;
      c.stroke();
    }
    if (camera.k >= READABLE) {
      c.textAlign = "center";
      c.fillStyle = ink || colours.text;
      lines.forEach((line, k) => {
        c.font = k ? `11.5px ${FONT}` : `600 14px ${FONT}`;
        const text = this.shortened(line, box.w - 20);
        c.fillText(text, box.x + box.w / 2, box.y + 20 + 15.5 * k);
      });
    }
    c.globalAlpha = 1;
  }

  /** A text that fits a width, with … where it was cut. */
  shortened(text, width) {
    const key = this.context.font + width + text;
    let short = this.cut.get(key);
    if (short === undefined) {
      short = text;
      while (short && this.context.measureText(short).width > width) {
        short = short.replace(/…$/, "").slice(0, -1) + "…";
        if (short === "…") short = "";
      }
      this.cut.set(key, short);
    }
    return short;
  }
}

/** Curves that leave and arrive vertically. */
function edgePath(points) {
  const path = new Path2D();
  let [x, y] = points[0];
  path.moveTo(x, y);
  for (const [u, v] of points.slice(1)) {
    path.bezierCurveTo(x, (y + v) / 2, u, (y + v) / 2, u, v);
    [x, y] = [u, v];
  }
  return path;
}

function bounds(boxes) {
  const x = Math.min(...boxes.map((b) => b.x)), y = Math.min(...boxes.map((b) => b.y));
  const right = Math.max(...boxes.map((b) => b.x + b.w));
  const bottom = Math.max(...boxes.map((b) => b.y + b.h));
  return { x, y, w: right - x, h: bottom - y };
}
