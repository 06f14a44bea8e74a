// What is shown: a part of the time, and lanes from some position on.

const chart = document.getElementById("chart");
const space = document.getElementById("space");
const canvas = document.getElementById("canvas");
const context = canvas.getContext("2d", { alpha: false });

// In pixels of the page.
const LABELS = 118;
const AXIS = 30;
const LOWEST = 1;
const HIGHEST = 96;
// Below this a lane has one row.
const ROWS_FROM = 5;
const SPAN = Math.max(job.span, 1);
// A view is at least so many nanoseconds.
const LEAST = Math.min(20, SPAN);

const view = { from: 0, to: SPAN, lane: 24, width: 0, height: 0, scale: 1 };

function fitLanes() {
  const room = Math.max(160, innerHeight * 0.72 - AXIS - 8);
  view.lane = Math.min(46, Math.max(2, Math.floor(room / Math.max(lanes.length, 1))));
}

// Follows the size of the page.
function measure() {
  const height = lanes.length * view.lane + AXIS + 6;
  const most = Math.floor(innerHeight * 0.72);
  space.style.height = `${height}px`;
  chart.style.height = `${Math.min(height, most)}px`;
  view.width = chart.clientWidth;
  view.height = chart.clientHeight;
  view.scale = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(view.width * view.scale));
  const tall = Math.max(1, Math.round(view.height * view.scale));
  if (canvas.width !== width || canvas.height !== tall) {
    canvas.width = width;
    canvas.height = tall;
    canvas.style.width = `${view.width}px`;
    canvas.style.height = `${view.height}px`;
  }
}

const chartWidth = () => Math.max(1, view.width - LABELS - 8);
const xOf = (time) => LABELS + ((time - view.from) / (view.to - view.from)) * chartWidth();
const timeAt = (x) => view.from + ((x - LABELS) / chartWidth()) * (view.to - view.from);
const topOf = (index) => AXIS + index * view.lane - chart.scrollTop;

function show(from, to) {
  const length = Math.min(SPAN, Math.max(LEAST, to - from));
  view.from = Math.max(0, Math.min(from, SPAN - length));
  view.to = view.from + length;
  request();
}

function zoom(factor, x = LABELS + chartWidth() / 2) {
  const time = Math.max(0, Math.min(SPAN, timeAt(x)));
  const length = Math.min(SPAN, Math.max(LEAST, (view.to - view.from) * factor));
  const part = (time - view.from) / (view.to - view.from);
  show(time - part * length, time + (1 - part) * length);
}

function move(pixels) {
  const time = (pixels / chartWidth()) * (view.to - view.from);
  show(view.from + time, view.to + time);
}

function setLane(height) {
  const middle = (chart.scrollTop + view.height / 2) / view.lane;
  view.lane = Math.min(HIGHEST, Math.max(LOWEST, height));
  measure();
  chart.scrollTop = middle * view.lane - view.height / 2;
  request();
}

// Scrolls so that a lane is seen.
function reveal(lane) {
  const top = lane.index * view.lane;
  const room = view.height - AXIS - view.lane;
  if (top < chart.scrollTop || top > chart.scrollTop + room) chart.scrollTop = top - room / 2;
}

// The rows of a lane in pixels of the page: [top, height] of each, or null.
function rowsOf(height) {
  const room = Math.max(1, height >= 20 ? height - 6 : height >= 10 ? height - 3 : height >= 4 ? height - 1 : height);
  if (height < ROWS_FROM) return FIRST_OF_ROW.map(() => [0, room]);
  const weights = [46, 36, 18].map((weight, row) => (usedRows[row] ? weight : 0));
  const all = weights.reduce((sum, weight) => sum + weight, 0) || 1;
  let top = 0;
  return weights.map((weight) => {
    const row = [top, (room * weight) / all];
    top += row[1];
    return row;
  });
}

// The round times of the axis.
function ticks() {
  const length = view.to - view.from;
  const most = Math.max(2, Math.floor(chartWidth() / 110));
  const minute = 60e9;
  const steps = [];
  for (let unit = 1; unit < minute; unit *= 10) steps.push(unit, 2 * unit, 5 * unit);
  const round = steps.filter((step) => step <= minute / 2);
  for (const minutes of [1, 2, 5, 10, 30, 60, 120, 360, 720, 1440]) round.push(minutes * minute);
  const least = length / most;
  const step = round.find((step) => step >= least) ?? Math.ceil(least / (1440 * minute)) * 1440 * minute;
  const units = [[3600e9, "h"], [60e9, "min"], [1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
  const [unit, name] = units.find(([unit]) => unit <= Math.max(step, length / 4)) ?? [1, "ns"];
  const found = [];
  for (let index = Math.ceil(view.from / step); index * step <= view.to; index++) {
    const digits = Math.max(0, Math.ceil(Math.log10(unit / step) - 1e-9));
    found.push([index * step, `${((index * step) / unit).toFixed(digits)} ${name}`]);
  }
  return found;
}
