// Numbers: how they are written, found, and put on an axis. Nothing here touches the page.

/** A number as it stands everywhere in the report: four digits, with an exponent where it is far from 1. */
function written(x) {
  if (x === null || x === undefined) return "not finite";
  if (typeof x !== "number") return String(x);
  if (Number.isInteger(x) && Math.abs(x) < 1e6) return String(x + 0);
  const [digits, exponent] = x.toExponential(3).split("e");
  return +exponent < -4 || +exponent >= 4 ? `${+digits}e${+exponent}` : String(+x.toPrecision(4));
}

/** A value of a column of the table. */
function shown(column, value) {
  return column.exact && typeof value === "number" ? String(value) : written(value);
}

// Searching -----------------------------------------------------------------------------------------------------------

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/;

/** Whether a number is the one that was typed, in whatever form: 6.31e-3 is 0.00631, and 0.0063 rounds to it. */
function isTyped(x, word) {
  if (typeof x !== "number" || !NUMBER.test(word)) return false;
  const digits = word.split("e")[0].replace(/^[+-]?0*\.?0*/, "").replace(".", "").length;
  return x === +word || written(x) === written(+word) || +x.toPrecision(Math.min(Math.max(digits, 2), 21)) === +word;
}

const COMPARED = {
  "=": (x, word, text) => isTyped(x, word) || text === word,
  "!=": (x, word, text) => !(isTyped(x, word) || text === word),
  "<": (x, word) => typeof x === "number" && x < +word,
  ">": (x, word) => typeof x === "number" && x > +word,
  "<=": (x, word) => typeof x === "number" && x <= +word,
  ">=": (x, word) => typeof x === "number" && x >= +word,
};

/** The words of a search; around a sign of comparison there may be spaces. */
function searched(text) {
  return text.toLowerCase().replace(/\s*(!=|<=|>=|=|<|>)\s*/g, "$1").split(/\s+/).filter(Boolean);
}

/** Whether a row has every word: text, a number in any form, or name=value, name<value ... */
function matches(columns, lane, words) {
  return words.every((word) => {
    const parts = word.match(/^([^!<>=]+)(!=|<=|>=|=|<|>)(.+)$/);
    const own = parts ? columns.filter((column) => isNamed(column, parts[1])) : [];
    const holds = (column, compare, value) => {
      const x = column.values[lane];
      return compare(x, value, shown(column, x).toLowerCase());
    };
    if (own.length) return own.some((column) => holds(column, COMPARED[parts[2]], parts[3]));
    return columns.some((column) => holds(column, (x, value, text) => isTyped(x, value) || text.includes(value), word));
  });
}

function isNamed(column, word) {
  const names = [column.name.toLowerCase(), column.title.toLowerCase().replace(/ /g, "_")];
  return names.some((name) => name === word || name.split(".").pop() === word);
}

/** Rows as a file that a spreadsheet opens, with all digits. */
function asCsv(columns, lanes) {
  const quoted = (x) => (/[",\n\r]/.test(x) ? `"${x.replace(/"/g, '""')}"` : x);
  const line = (cells) => cells.map((x) => quoted(x === null ? "" : String(x))).join(",");
  const rows = lanes.map((lane) => columns.map((column) => column.values[lane]));
  return [columns.map((column) => column.name), ...rows].map(line).join("\n") + "\n";
}

// Axes ----------------------------------------------------------------------------------------------------------------

/** Round numbers between two others, at most so many. */
function ticks(low, high, log, most) {
  if (log) {
    const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9), found = [];
    const stride = Math.max(1, Math.ceil((last - first + 1) / most));
    for (let n = first; n <= last; n += stride) found.push(+`1e${n}`);
    if (last - first > 1) return found;
    const fine = [];
    for (let n = first - 1; n <= last; n++) for (const k of [1, 2, 5]) fine.push(+`${k}e${n}`);
    const inside = fine.filter((x) => x >= low * (1 - 1e-9) && x <= high * (1 + 1e-9));
    if (inside.length > 1 && inside.length <= most + 2) return inside;
    if (found.length > 1) return found;
  }
  if (!(high > low)) return [low];
  const rough = (high - low) / most, unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * unit).find((x) => x >= rough * (1 - 1e-9));
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n <= high / step + 1e-9; n++) found.push(+(n * step).toPrecision(12));
  return found;
}

/** Where numbers stand between two pixels. Zeros of a log scale, and what is below, stand at its low end. */
function scaleOf(domain, from, to) {
  const of = domain.log ? (x) => Math.log10(Math.max(x, domain.low)) : (x) => x;
  const a = of(domain.low), b = of(domain.high) === a ? a + 1 : of(domain.high);
  const at = (x) => from + ((of(x) - a) / (b - a)) * (to - from);
  const back = (pixel) => {
    const x = a + ((pixel - from) / (to - from)) * (b - a);
    return domain.log ? 10 ** x : x;
  };
  return { ...domain, at, back, from, to };
}

/** The ends of numbers, with a little room around them. */
function endsOf(values, log, room = 0.04) {
  const own = values.filter((x) => Number.isFinite(x) && (!log || x > 0)).map((x) => (log ? Math.log10(x) : x));
  if (!own.length) return { low: log ? 0.1 : 0, high: 1, log };
  let low = Infinity, high = -Infinity;
  for (const x of own) { low = Math.min(low, x); high = Math.max(high, x); }
  const wide = high > low ? (high - low) * room : log ? 0.5 : Math.max(Math.abs(low), 1) / 2;
  return { low: log ? 10 ** (low - wide) : low - wide, high: log ? 10 ** (high + wide) : high + wide, log };
}

// Curves --------------------------------------------------------------------------------------------------------------

/** Numbers in single precision from their bytes: first the first byte of all, then the second; the fourth is 0. */
function joined(planes) {
  const n = planes.length / 3, bits = new Uint32Array(n);
  for (let i = 0; i < n; i++) bits[i] = ((planes[i] << 24) | (planes[n + i] << 16) | (planes[2 * n + i] << 8)) >>> 0;
  return new Float32Array(bits.buffer);
}

/** Means of so many numbers after each other, of those that are finite. */
function averaged(values, wide) {
  if (wide === 1) return Array.from(values);
  const found = [];
  for (let n = 0; n < values.length; n += wide) {
    const part = Array.from(values.slice(n, n + wide)).filter(Number.isFinite);
    found.push(part.length ? part.reduce((a, b) => a + b) / part.length : NaN);
  }
  return found;
}

/** Lines of an SVG path through points; it breaks where a number is not finite. */
function pathOf(xs, ys) {
  let path = "", open = false;
  for (let n = 0; n < xs.length; n++) {
    if (!Number.isFinite(ys[n])) { open = false; continue; }
    path += `${open ? "L" : "M"}${xs[n].toFixed(1)} ${ys[n].toFixed(1)}`;
    open = true;
  }
  return path;
}
