// What all figures share: what is chosen, colours, the frame of a plot, the text under the pointer.

const page = JSON.parse(document.getElementById("page").textContent);
const lanes = [...page.order.keys()];
const picked = new Set(); // lanes that were clicked
const ranges = new Map(); // axis of the parallel coordinates -> [low, high]
const views = []; // every figure and the table: draw() anew, mark() what is chosen
let hovered = -1;
let kept = lanes.map(() => true); // lanes that the search and the ranges leave

function changed() {
  for (const view of views) view.mark();
}
function hover(lane) {
  if (lane === hovered) return;
  hovered = lane;
  changed();
}
function pick(lane) {
  if (lane < 0) return;
  if (!picked.delete(lane)) picked.add(lane);
  changed();
}

/** What a mark of a lane looks like now. */
function look(lane) {
  const some = picked.size > 0;
  return [
    lane === page.best ? "best" : "",
    lane === hovered ? "over" : "",
    picked.has(lane) ? "picked" : "",
    !kept[lane] || (some && !picked.has(lane) && lane !== hovered) ? "off" : "",
  ].filter(Boolean).join(" ");
}

// Making elements -----------------------------------------------------------------------------------------------------

function svg(parent, tag, attributes = {}, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, x] of Object.entries(attributes)) made.setAttribute(name, x);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.appendChild(made);
  return made;
}
function html(parent, tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  parent.appendChild(made);
  return made;
}

// Colours -------------------------------------------------------------------------------------------------------------

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const VIRIDIS = ["#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6dcd59", "#b4de2c", "#fde725"];
const FEW = 8;

/** A colour between dark violet (0) and yellow (1), kept away from the colour of the page. */
function shade(t) {
  const x = Math.min(Math.max(dark.matches ? 0.22 + 0.78 * t : 0.92 * t, 0), 1) * (VIRIDIS.length - 1);
  const n = Math.min(Math.floor(x), VIRIDIS.length - 2);
  const [a, b] = [VIRIDIS[n], VIRIDIS[n + 1]].map((hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16)));
  return `rgb(${a.map((v, k) => Math.round(v + (x - n) * (b[k] - v))).join(",")})`;
}
function gradient(reversed) {
  const stops = [...Array(11).keys()].map((n) => shade(reversed ? 1 - n / 10 : n / 10));
  return `linear-gradient(to right, ${stops.join(", ")})`;
}

/** The colour of every lane by an axis, and a legend of it. */
function byAxis(axis) {
  if (!axis) return { of: () => shade(0.5), legend: () => {} };
  if (axis.labels && axis.labels.length <= FEW)
    return {
      of: (lane) => `var(--c${axis.values[lane]})`,
      legend: (place) => axis.labels.forEach((word, n) => key(place, `var(--c${n})`, word)),
    };
  const ends = endsOf(axis.values, axis.log, 0), scale = scaleOf(ends, 0, 1);
  const word = (x) => (axis.labels ? axis.labels[x] : written(x));
  return {
    of: (lane) => (axis.values[lane] === null ? "var(--faint)" : shade(scale.at(axis.values[lane]))),
    legend: (place) => bar(place, axis.title, word(ends.low), word(ends.high), false),
  };
}
/** The colour of every lane by the metric, bright where it is good. */
function byMetric() {
  const { low, high, log } = page.shades, scale = scaleOf({ low, high, log }, 0, 1);
  const worse = page.score.filter((x) => x !== null && (page.better === "lower" ? x > high : x < low)).length;
  const better = page.score.filter((x) => x !== null && (page.better === "lower" ? x < low : x > high)).length;
  const bright = (x) => {
    const t = Math.min(Math.max(scale.at(x), 0), 1);
    return page.better === "lower" ? 1 - t : t;
  };
  const ends = page.better === "lower"
    ? [written(low) + (better ? " and below" : ""), written(high) + (worse ? " and above" : "")]
    : [written(low) + (worse ? " and below" : ""), written(high) + (better ? " and above" : "")];
  return {
    bright,
    of: (lane) => (page.score[lane] === null ? "var(--faint)" : shade(bright(page.score[lane]))),
    legend: (place) => bar(place, page.metric, ...ends, page.better === "lower"),
  };
}
function key(place, colour, text, wide) {
  const made = html(place, "span", "key");
  html(made, "i", wide ? "wide" : "").style.background = colour;
  html(made, "span", "", text);
}
function bar(place, title, low, high, reversed) {
  const made = html(place, "span", "key");
  html(made, "span", "", `${title}: ${low}`);
  html(made, "b", "").style.background = gradient(reversed);
  html(made, "span", "", high);
}

// The text under the pointer ------------------------------------------------------------------------------------------

const tip = document.getElementById("tip");
function tell(event, lines) {
  tip.textContent = "";
  lines.forEach((line, n) => html(tip, "div", n ? "" : "first", line));
  tip.hidden = false;
  const box = tip.getBoundingClientRect(), right = event.clientX + 16 + box.width > window.innerWidth;
  tip.style.left = `${Math.max(4, right ? event.clientX - 12 - box.width : event.clientX + 16)}px`;
  tip.style.top = `${Math.max(4, Math.min(event.clientY + 14, window.innerHeight - box.height - 4))}px`;
}
function hush() {
  tip.hidden = true;
  hover(-1);
}
/** A lane in lines: its number, what it varies, how it ended. */
function described(lane) {
  const cut = (text) => (text.length > 60 ? `${text.slice(0, 59)}…` : text);
  const rows = page.columns.filter((column) => column.name !== "lane" && column.values[lane] !== "–");
  return [
    `lane ${lane}${lane === page.best ? ", the best" : ""}`,
    ...rows.map((column) => `${column.title} = ${cut(shown(column, column.values[lane]))}`),
  ];
}

// The frame of a plot -------------------------------------------------------------------------------------------------

let clips = 0;
/**
 * An empty plot: grid, ticks, titles. `x` and `y`: {title, low, high, log, ticks, words, zero}, where `words` stand for
 * `ticks`, and `zero` says that the low end of a log scale is 0.
 */
function frame(place, height, x, y) {
  place.textContent = "";
  const width = Math.max(place.clientWidth, 200), many = Math.max(2, Math.floor(width / 110));
  const labels = (axis, most) => {
    const at = axis.ticks || ticks(axis.zero ? axis.low * 3 : axis.low, axis.high, axis.log, most);
    const found = at.map((v, n) => [v, axis.words ? axis.words[n] : written(v)]);
    return axis.zero ? [[axis.low, "0"], ...found] : found;
  };
  const left = labels(y, 7), below = labels(x, many);
  const longest = Math.max(...left.map(([, text]) => text.length)), margin = Math.min(34 + 6.6 * longest, width / 3);
  const turned = Math.max(...below.map(([, text]) => text.length)) * 7 * below.length > width - margin;
  const deep = turned ? 34 + Math.min(5 * Math.max(...below.map(([, text]) => text.length)), 70) : 40;
  const box = { left: margin, right: width - 12, top: 8, bottom: height - deep };
  const root = svg(place, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
  const xs = scaleOf(x, box.left, box.right), ys = scaleOf(y, box.bottom, box.top);
  for (const [v, text] of left) {
    if (!x.cells) svg(root, "line", { class: "grid", x1: box.left, x2: box.right, y1: ys.at(v), y2: ys.at(v) });
    svg(root, "text", { class: "tick", x: box.left - 6, y: ys.at(v) + 4, "text-anchor": "end" }, clipped(text, 20));
  }
  for (const [v, text] of below) {
    const at = xs.at(v), y0 = box.bottom + 15;
    if (!x.cells) svg(root, "line", { class: "grid", y1: box.top, y2: box.bottom, x1: at, x2: at });
    const turn = turned ? { transform: `rotate(-35 ${at + 4} ${y0 - 4})`, "text-anchor": "end", x: at + 4, y: y0 - 2 } : { x: at, y: y0, "text-anchor": "middle" };
    svg(root, "text", { class: "tick", ...turn }, clipped(text, 16));
  }
  svg(root, "text", { class: "title", x: (box.left + box.right) / 2, y: height - 4, "text-anchor": "middle" }, x.title);
  const middle = (box.top + box.bottom) / 2;
  svg(root, "text", { class: "title", x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, y.title);
  const id = `clip${clips++}`, inner = svg(svg(root, "defs"), "clipPath", { id });
  svg(inner, "rect", { x: box.left, y: box.top, width: Math.max(box.right - box.left, 1), height: Math.max(box.bottom - box.top, 1) });
  const layer = svg(root, "g", { "clip-path": `url(#${id})` });
  return { root, layer, x: xs, y: ys, box };
}
function clipped(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
/** Where the pointer is in a plot. */
function pointer(plot, event) {
  const box = plot.root.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}
/** The lane whose point is nearest to the pointer, no further than so many pixels. */
function nearest(points, x, y, most) {
  let best = -1, least = most * most;
  for (const [lane, px, py] of points) {
    const far = (px - x) ** 2 + (py - y) ** 2;
    if (far < least && kept[lane]) { least = far; best = lane; }
  }
  return best;
}
