// The table of lanes: to sort, to search, to choose from, and to take away.

const FIRST = 1000; // rows that are shown at once
const head = document.querySelector("#lanes thead"), body = document.querySelector("#lanes tbody");
const search = document.getElementById("search"), more = document.getElementById("more"), clear = document.getElementById("clear");
let sorted = -1, sign = 1, all = false, rows = new Map();

/** Lanes that the search and the ranges leave. */
function sift() {
  const words = searched(search.value);
  kept = lanes.map((lane) => passes(lane) && matches(page.columns, lane, words));
  fill();
  changed();
}
function listed() {
  const place = new Map(page.order.map((lane, n) => [lane, n]));
  const kind = (x) => (typeof x === "number" ? 0 : x === null ? 2 : 1);
  return page.order.filter((lane) => kept[lane]).sort((a, b) => {
    if (page.lost[a] !== page.lost[b]) return page.lost[a] ? 1 : -1;
    if (sorted < 0) return place.get(a) - place.get(b);
    const [x, y] = [a, b].map((lane) => page.columns[sorted].values[lane]);
    if (kind(x) !== kind(y)) return kind(x) - kind(y);
    return (x < y ? -sign : x > y ? sign : 0) || place.get(a) - place.get(b);
  });
}
function fill() {
  const found = listed(), seen = all ? found : found.slice(0, FIRST);
  body.textContent = "";
  rows = new Map();
  for (const lane of seen) {
    const row = body.insertRow();
    page.columns.forEach((column) => {
      const cell = row.insertCell();
      cell.textContent = shown(column, column.values[lane]);
      if (column.metric) cell.className = "metric";
    });
    row.addEventListener("click", () => pick(lane));
    row.addEventListener("pointerenter", () => hover(lane));
    row.addEventListener("pointerleave", () => hover(-1));
    rows.set(lane, row);
  }
  more.hidden = seen.length === found.length;
  more.textContent = `Show all ${found.length}`;
  const count = found.length === lanes.length ? `${lanes.length} ${lanes.length === 1 ? "lane" : "lanes"}` : `${found.length} of ${lanes.length} lanes`;
  document.getElementById("count").textContent = seen.length < found.length ? `the first ${seen.length} of ${count}` : count;
}
const table = {
  draw: fill,
  mark() {
    for (const [lane, row] of rows) row.className = `${page.lost[lane] ? "lost" : ""} ${look(lane)}`;
    const words = [picked.size ? `${picked.size} chosen` : "", ranges.size ? "a range" : ""].filter(Boolean);
    clear.hidden = !words.length;
    clear.textContent = `Clear ${words.join(" and ")}`;
  },
};
{
  const top = head.insertRow();
  page.columns.forEach((column, n) => {
    const cell = document.createElement("th"), press = html(cell, "button", "", column.title);
    press.type = "button";
    press.addEventListener("click", () => {
      sign = sorted === n ? -sign : 1;
      sorted = n;
      [...top.cells].forEach((other, k) => {
        if (k === n) other.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
        else other.removeAttribute("aria-sort");
        other.firstChild.textContent = page.columns[k].title + (k === n ? (sign > 0 ? " ↑" : " ↓") : "");
      });
      fill();
      changed();
    });
    top.appendChild(cell);
  });
}
search.addEventListener("input", sift);
more.addEventListener("click", () => { all = true; fill(); changed(); });
clear.addEventListener("click", () => {
  picked.clear();
  ranges.clear();
  sift();
  views.forEach((view) => view.draw());
});
document.getElementById("download").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([asCsv(page.columns, listed())], { type: "text/csv" }));
  link.download = "lanes.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
