// The metric over the axes: cells of a grid, a cloud of lanes, or the metric along one axis.

/** A cell for every pair of values; each shows its best lane. */
function cells(place, figure) {
  const [x, y] = [page.axes[figure.x], page.axes[figure.y]], colour = byMetric();
  const values = (axis) => [...new Set(axis.values.filter((v) => v !== null))].sort((a, b) => a - b);
  const [xs, ys] = [values(x), values(y)];
  const own = new Map();
  for (const lane of page.order) {
    if (x.values[lane] === null || y.values[lane] === null) continue;
    const at = `${xs.indexOf(x.values[lane])} ${ys.indexOf(y.values[lane])}`;
    own.set(at, [...(own.get(at) || []), lane]);
  }
  const legend = html(place, "div", "legend"), room = html(place, "div", "plot");
  let drawn = [];
  function draw() {
    legend.textContent = "";
    colour.legend(legend);
    const every = (all, most) => [...all.keys()].filter((n) => n % Math.ceil(all.length / most) === 0);
    const axis = (of, all, most) => {
      const at = every(all, most);
      return { title: of.title, low: -0.5, high: all.length - 0.5, ticks: at, words: at.map((n) => written(all[n])), cells: true };
    };
    const width = Math.max(room.clientWidth, 200);
    const plot = frame(room, 360, axis(x, xs, Math.floor(width / 50)), axis(y, ys, 18));
    const wide = (plot.box.right - plot.box.left) / xs.length, high = (plot.box.bottom - plot.box.top) / ys.length;
    const said = wide > 34 && high > 13;
    drawn = [];
    for (const [at, inside] of own) {
      const [column, row] = at.split(" ").map(Number), lane = inside[0], score = page.score[lane];
      const group = svg(plot.layer, "g");
      const spot = { x: plot.x.at(column) - wide / 2 + 0.5, y: plot.y.at(row) - high / 2 + 0.5, width: Math.max(wide - 1, 1), height: Math.max(high - 1, 1) };
      svg(group, "rect", spot).style.fill = score === null ? "var(--gap)" : colour.of(lane);
      if (said) {
        const ink = score === null ? "var(--muted)" : colour.bright(score) > 0.55 ? "#111" : "#fff";
        svg(group, "text", { class: "cell", x: plot.x.at(column), y: plot.y.at(row) + 3.5, "text-anchor": "middle" }, score === null ? "×" : written(+score.toPrecision(3))).style.fill = ink;
      }
      group.addEventListener("pointermove", (event) => {
        hover(lane);
        const more = inside.length > 1 ? [`the best of ${inside.length} lanes here`] : [];
        tell(event, [...described(lane), ...(score === null ? [`no finite ${page.metric}`] : []), ...more]);
      });
      group.addEventListener("click", () => pick(lane));
      drawn.push([inside, group]);
      if (inside.includes(page.best)) svg(plot.root, "rect", { class: "frame", ...spot });
    }
    plot.root.addEventListener("pointerleave", hush);
    mark();
  }
  function mark() {
    for (const [inside, group] of drawn) {
      const chosen = inside.find((lane) => lane === hovered || picked.has(lane));
      const left = inside.find((lane) => kept[lane]);
      group.setAttribute("class", `spot ${look(chosen ?? left ?? inside[0]).replace("best", "")}`);
    }
  }
  return { draw, mark };
}

/** A dot for every lane; lanes without a finite metric are crosses. */
function cloud(place, figure) {
  const x = page.axes[figure.x], along = figure.y === undefined, colour = byMetric();
  const y = along ? { title: page.metric, values: page.score, log: page.far } : page.axes[figure.y];
  const legend = html(place, "div", "legend"), room = html(place, "div", "plot");
  const own = [...page.order].reverse().filter((lane) => x.values[lane] !== null && y.values[lane] !== null);
  let marks = [];
  function draw() {
    legend.textContent = "";
    colour.legend(legend);
    const of = (axis) =>
      axis.labels
        ? { title: axis.title, low: -0.5, high: axis.labels.length - 0.5, ticks: [...axis.labels.keys()], words: axis.labels }
        : { title: axis.title, ...endsOf(axis.values.filter((v) => v !== null), axis.log) };
    const plot = frame(room, 360, of(x), of(y));
    const places = own.map((lane) => [lane, plot.x.at(x.values[lane]), plot.y.at(y.values[lane])]);
    marks = places.map(([lane, px, py]) => {
      if (page.score[lane] === null)
        return [lane, svg(plot.layer, "path", { d: `M${px - 3.5} ${py - 3.5}l7 7m0-7l-7 7`, "data-lost": 1 })];
      const dot = svg(plot.layer, "circle", { cx: px, cy: py, r: lane === page.best ? 7 : 4.5 });
      dot.style.fill = colour.of(lane);
      return [lane, dot];
    });
    plot.root.addEventListener("pointermove", (event) => {
      const lane = nearest(places, ...pointer(plot, event), 24);
      hover(lane);
      if (lane < 0) tip.hidden = true;
      else tell(event, described(lane));
    });
    plot.root.addEventListener("click", (event) => pick(nearest(places, ...pointer(plot, event), 24)));
    plot.root.addEventListener("pointerleave", hush);
    mark();
  }
  function mark() {
    for (const [lane, dot] of marks) dot.setAttribute("class", `dot ${dot.dataset.lost ? "lost" : ""} ${look(lane)}`);
  }
  return { draw, mark };
}

/** How much each number matters: a bar, and its interval where there is one. */
function bars(place, figure) {
  function draw() {
    const rows = [...figure.rows].reverse(), high = Math.max(...rows.map((row) => row.high ?? row.importance), 1e-9) * 1.05;
    const at = [...rows.keys()];
    const y = { title: "", low: -0.6, high: rows.length - 0.4, ticks: at, words: at.map((n) => rows[n].number), cells: true };
    const plot = frame(place, 60 + 34 * rows.length, { title: "share of the variance", low: 0, high }, y);
    rows.forEach((row, n) => {
      const spot = { x: plot.x.at(0), y: plot.y.at(n) - 9, width: Math.max(plot.x.at(row.importance) - plot.x.at(0), 0), height: 18 };
      svg(plot.layer, "rect", { class: "beam", ...spot });
      if (row.low === null) return;
      const [a, b, v] = [plot.x.at(row.low), plot.x.at(row.high), plot.y.at(n)];
      svg(plot.layer, "path", { class: "whisker", d: `M${a} ${v}H${b}M${a} ${v - 5}v10M${b} ${v - 5}v10` });
    });
  }
  return { draw, mark() {} };
}
