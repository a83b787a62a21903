// Parallel coordinates: every axis and the metric side by side, one line a lane. On a narrow page they stand in rows.

function parallel(place) {
  const axes = [...page.axes, { title: page.metric, values: page.score, log: page.far }];
  const colour = byMetric(), ordered = [...page.order].reverse().filter((lane) => page.score[lane] !== null);
  const ends = axes.map((axis) => {
    if (axis.labels) return { low: -0.25, high: axis.labels.length - 0.75, log: false };
    return endsOf(ordered.map((lane) => axis.values[lane]).filter((v) => v !== null), axis.log, 0);
  });
  const order = [...axes.keys()];
  const legend = html(place, "div", "legend"), room = html(place, "div", "plot");
  let paths = [];
  function draw() {
    legend.textContent = "";
    colour.legend(legend);
    room.textContent = "";
    const width = Math.max(room.clientWidth, 200), rows = width < 105 * axes.length, many = axes.length;
    const height = rows ? 74 * many + 20 : 380;
    const root = svg(room, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
    const [from, to] = rows ? [28, width - 24] : [height - 40, 56];
    const first = axes[order[0]].labels ? 110 : 60, gap = (width - first - 60) / Math.max(many - 1, 1);
    const across = (place) => (rows ? 46 + place * 74 : first + place * gap);
    const point = (place, along) => (rows ? [along, across(place)] : [across(place), along]);
    const missing = (from + (from < to ? -16 : 22)); // where a lane has no such number
    const scales = ends.map((domain) => scaleOf(domain, from, to));
    const at = (k, lane) => (axes[k].values[lane] === null ? missing : scales[k].at(axes[k].values[lane]));
    paths = ordered.map((lane) => {
      const points = order.map((k, place) => point(place, at(k, lane)));
      const made = svg(root, "path", { d: pathOf(points.map((p) => p[0]), points.map((p) => p[1])) });
      made.style.stroke = lane === page.best ? "var(--ink)" : colour.of(lane);
      made.addEventListener("pointermove", (event) => { hover(lane); tell(event, described(lane)); });
      made.addEventListener("click", () => pick(lane));
      return [lane, made];
    });
    order.forEach((k, place) => {
      const axis = axes[k], scale = scales[k];
      const [x1, y1] = point(place, from), [x2, y2] = point(place, to);
      svg(root, "line", { class: "axis", x1, y1, x2, y2 });
      const few = axis.labels ? [...axis.labels.keys()].filter((n) => n % Math.ceil(axis.labels.length / (rows ? 4 : 16)) === 0) : ticks(scale.low, scale.high, scale.log, rows ? Math.floor(width / 90) : 7);
      for (const v of few) {
        const [x, y] = point(place, scale.at(v)), text = axis.labels ? clipped(axis.labels[v], 14) : written(v);
        svg(root, "text", { class: "tick halo", x: rows ? x : x - 6, y: rows ? y + 15 : y + 4, "text-anchor": rows ? "middle" : "end" }, text);
      }
      if (ordered.some((lane) => axis.values[lane] === null)) {
        const [x, y] = point(place, missing);
        svg(root, "text", { class: "tick halo", x: rows ? x : x - 6, y: rows ? y + 15 : y + 4, "text-anchor": rows ? "start" : "end" }, "none");
      }
      const side = rows ? "start" : place === 0 ? "start" : place === many - 1 ? "end" : "middle";
      const where = rows ? { x: 12, y: y1 - 12 } : { x: side === "start" ? Math.max(x1 - 52, 0) : side === "end" ? x1 + 52 : x1, y: 24 };
      const name = svg(root, "text", { class: "name halo", ...where, "text-anchor": side }, clipped(axis.title, rows ? 40 : Math.max(10, Math.floor(width / many / 7))));
      svg(name, "title", {}, axis.title);
      name.addEventListener("pointerdown", (event) => carry(event, place, rows));
      brush(root, k, scale, point(place, from), point(place, to), rows);
    });
    root.addEventListener("pointerleave", hush);
    mark();
  }

  /** Drag along an axis to keep the lanes that pass there; a click on it lets all pass again. */
  function brush(root, k, scale, a, b, rows) {
    const size = (low, high) =>
      rows ? { x: Math.min(low, high), y: a[1] - 9, width: Math.abs(high - low), height: 18 } : { x: a[0] - 9, y: Math.min(low, high), width: 18, height: Math.abs(high - low) };
    const part = svg(root, "rect", { class: "range", ...(ranges.has(k) ? size(...ranges.get(k).map(scale.at)) : { width: 0, height: 0 }) });
    const field = svg(root, "rect", { class: "field", ...size(scale.from, scale.to) });
    const along = (event) => {
      const box = root.getBoundingClientRect(), p = rows ? event.clientX - box.left : event.clientY - box.top;
      return Math.min(Math.max(p, Math.min(scale.from, scale.to)), Math.max(scale.from, scale.to));
    };
    let begun = null;
    field.addEventListener("pointerdown", (event) => {
      begun = along(event);
      field.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    field.addEventListener("pointermove", (event) => {
      if (begun === null) return;
      for (const [name, v] of Object.entries(size(begun, along(event)))) part.setAttribute(name, v);
    });
    field.addEventListener("pointerup", (event) => {
      const [low, high] = [scale.back(begun), scale.back(along(event))].sort((p, q) => p - q);
      if (Math.abs(along(event) - begun) < 4) ranges.delete(k);
      else ranges.set(k, [low, high]);
      begun = null;
      sift();
      draw();
    });
  }

  /** Drag a name to move its axis. */
  function carry(event, place, rows) {
    const start = rows ? event.clientY : event.clientX, gap = rows ? 74 : (room.clientWidth - 120) / Math.max(axes.length - 1, 1);
    const done = (up) => {
      window.removeEventListener("pointerup", done);
      const moved = Math.round(((rows ? up.clientY : up.clientX) - start) / gap);
      const to = Math.min(Math.max(place + moved, 0), order.length - 1);
      order.splice(to, 0, ...order.splice(place, 1));
      if (moved) draw();
    };
    window.addEventListener("pointerup", done);
    event.preventDefault();
  }
  function mark() {
    for (const [lane, path] of paths) path.setAttribute("class", `curve thread ${look(lane)}`);
  }
  return { draw, mark };
}

/** Whether a lane passes through all ranges. */
function passes(lane) {
  const values = (k) => (k < page.axes.length ? page.axes[k].values : page.score)[lane];
  return [...ranges].every(([k, [low, high]]) => values(k) !== null && values(k) >= low && values(k) <= high);
}
