// Losses over steps: one line a lane. Drag to look closer; click a line to choose its lane.

const POINTS = 120; // of a curve, so that noise does not hide it

async function unpacked(id) {
  const text = document.getElementById(id).textContent;
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return joined(new Uint8Array(await new Response(stream).arrayBuffer()));
}

async function curves(place, figure) {
  const legend = html(place, "div", "legend"), room = html(place, "div", "plot");
  let values;
  try {
    values = await unpacked(figure.id);
  } catch {
    html(room, "p", "note", "This browser is too old to draw the curves: any of 2023 or later does.");
    return { draw() {}, mark() {} };
  }
  const many = figure.steps.length, colour = byAxis(page.axes[0]);
  const of = (lane) => values.subarray(lane * many, (lane + 1) * many);
  const ordered = [...page.order].reverse(); // the best is drawn last
  let zoom = null, plot, paths, from = null, veil, xs, shownAt; // shownAt: the steps that are drawn, and each lane's values

  function draw() {
    legend.textContent = "";
    key(legend, "var(--ink)", `lane ${page.best}, the best`, true);
    colour.legend(legend);
    if (zoom) {
      const back = html(legend, "button", "", "Whole picture");
      back.type = "button";
      back.addEventListener("click", () => { zoom = null; draw(); });
    }
    const x = { low: 0, high: figure.end, title: "step", ...(zoom && zoom.x) };
    const inside = figure.steps.filter((step) => step >= x.low && step <= x.high).length;
    const wide = Math.max(1, Math.ceil(inside / POINTS)), steps = averaged(figure.steps, wide);
    shownAt = { steps, of: lanes.map((lane) => averaged(of(lane), wide)) };
    const y = { ...figure.y, title: figure.title };
    if (y.log && !y.zero) y.low = Math.min(y.high / 2, 0.8 * Math.min(...shownAt.of.map((own) => Math.min(...own.filter((v) => v > 0)))));
    if (zoom) Object.assign(y, zoom.y, { zero: y.zero && zoom.y.low <= y.low });
    plot = frame(room, figure.height || 440, x, y);
    xs = steps.map(plot.x.at);
    if (wide > 1) html(legend, "span", "", `means of ${wide} points; enlarge a part to see each`);
    paths = ordered.map((lane) => {
      const ys = shownAt.of[lane].map((v) => (Number.isFinite(v) ? plot.y.at(v) : NaN));
      const alone = ys.filter(Number.isFinite).length === 1, n = ys.findIndex(Number.isFinite);
      const made = alone
        ? svg(plot.layer, "circle", { cx: xs[n], cy: ys[n], r: 3.5 })
        : svg(plot.layer, "path", { d: pathOf(xs, ys) });
      made.style[alone ? "fill" : "stroke"] = lane === page.best ? "var(--ink)" : colour.of(lane);
      return [lane, made];
    });
    veil = null;
    plot.root.addEventListener("pointermove", moved);
    plot.root.addEventListener("pointerleave", hush);
    plot.root.addEventListener("pointerdown", pressed);
    plot.root.addEventListener("pointerup", released);
    plot.root.addEventListener("dblclick", () => { if (zoom) { zoom = null; draw(); } });
    mark();
  }
  function mark() {
    for (const [lane, path] of paths) path.setAttribute("class", `curve ${look(lane)}`);
    const over = paths.find(([lane]) => lane === hovered);
    if (over && over[1] !== plot.layer.lastChild) plot.layer.appendChild(over[1]);
  }
  function under(event) {
    const [x, y] = pointer(plot, event);
    if (x < plot.box.left - 4 || x > plot.box.right + 4) return [-1, 0];
    const step = plot.x.back(x), { steps, of: values } = shownAt;
    let n = 0;
    while (n < steps.length - 1 && Math.abs(steps[n + 1] - step) <= Math.abs(steps[n] - step)) n++;
    const points = lanes.filter((lane) => Number.isFinite(values[lane][n])).map((lane) => [lane, x, plot.y.at(values[lane][n])]);
    return [nearest(points, x, y, 30), n];
  }
  function moved(event) {
    if (from) {
      const [x, y] = pointer(plot, event);
      veil = veil || svg(plot.root, "rect", { class: "veil" });
      const size = { x: Math.min(x, from[0]), y: Math.min(y, from[1]), width: Math.abs(x - from[0]), height: Math.abs(y - from[1]) };
      for (const [name, v] of Object.entries(size)) veil.setAttribute(name, v);
      return;
    }
    const [lane, n] = under(event);
    hover(lane);
    if (lane < 0) { tip.hidden = true; return; }
    tell(event, [...described(lane), `step ${written(shownAt.steps[n])}: ${figure.title} ${written(shownAt.of[lane][n])}`]);
  }
  function pressed(event) {
    if (event.button === 0 && event.pointerType === "mouse") {
      from = pointer(plot, event);
      event.preventDefault();
    } else from = null;
  }
  function released(event) {
    const start = from, to = pointer(plot, event);
    from = null;
    if (veil) { veil.remove(); veil = null; }
    const wide = start ? [0, 1].map((k) => Math.abs(to[k] - start[k])) : [0, 0];
    if (Math.max(...wide) < 6) { pick(under(event)[0]); return; }
    if (Math.min(...wide) < 6) return;
    const ends = (scale, k) => {
      const [a, b] = [start[k], to[k]].map((p) => scale.back(Math.min(Math.max(p, Math.min(scale.from, scale.to)), Math.max(scale.from, scale.to))));
      return { low: Math.min(a, b), high: Math.max(a, b) };
    };
    zoom = { x: ends(plot.x, 0), y: ends(plot.y, 1) };
    tip.hidden = true;
    draw();
  }
  return { draw, mark };
}

/** Lines without a lane of their own: how many lanes train, or a number over time with the line of the best. */
function steps(place, figure) {
  const stairs = (xs, ys) => {
    const [px, py] = [[], []];
    xs.forEach((x, n) => { px.push(x, xs[n + 1] ?? x); py.push(ys[n], ys[n]); });
    return [px.slice(0, -1), py.slice(0, -1)];
  };
  function draw() {
    const plot = frame(place, figure.height || 280, { low: 0, high: figure.end, title: "step" }, { ...figure.y, title: figure.title });
    const line = (ys, name) => {
      const [px, py] = stairs(figure.steps, ys);
      svg(plot.layer, "path", { class: name, d: pathOf(px.map(plot.x.at), py.map((v) => (v === null ? NaN : plot.y.at(v)))) });
    };
    (figure.faint || []).forEach((ys) => line(ys, "curve faint"));
    line(figure.line, "curve strong");
    plot.root.addEventListener("pointermove", (event) => {
      const step = plot.x.back(pointer(plot, event)[0]);
      const n = figure.steps.filter((x) => x <= step).length - 1;
      if (n >= 0) tell(event, [`from step ${written(figure.steps[n])}`, `${figure.title} = ${written(figure.line[n])}`]);
    });
    plot.root.addEventListener("pointerleave", hush);
  }
  return { draw, mark() {} };
}
