// Every figure is drawn when it comes near the window, and again when its width or the colours change.

const KINDS = { curves, steps, cells, cloud, bars, parallel };

async function begin(place) {
  const figure = page.figures[+place.dataset.figure], view = await KINDS[figure.kind](place, figure);
  let width = place.clientWidth;
  view.draw();
  views.push(view);
  new ResizeObserver(() => {
    if (place.clientWidth === width) return;
    width = place.clientWidth;
    view.draw();
  }).observe(place);
}
const waiting = new Set(document.querySelectorAll(".figure"));
function start(place) {
  if (waiting.delete(place)) begin(place);
}
const watch = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) { watch.unobserve(entry.target); start(entry.target); }
}, { rootMargin: "600px" });
waiting.forEach((place) => watch.observe(place));
window.addEventListener("beforeprint", () => [...waiting].forEach(start));
dark.addEventListener("change", () => views.forEach((view) => view.draw()));
views.push(table);
fill();
table.mark();

const copy = document.getElementById("copy"), code = document.getElementById("code");
copy.addEventListener("click", () => {
  const done = () => {
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  };
  const select = () => {
    window.getSelection().selectAllChildren(code);
    if (document.execCommand("copy")) done();
  };
  if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(done, select);
  else select();
});
