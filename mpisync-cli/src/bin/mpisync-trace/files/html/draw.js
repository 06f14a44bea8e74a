// Draws the view. Each lane becomes one line of pixels for each row, in which events that share a
// pixel add up; the line is then repeated over the height of the row.

// So many events are drawn at once. If there are more, the overview is drawn, and then the lanes one by one.
const AT_ONCE = 400_000;
// So many arrows are drawn without being asked for.
const ARROWS = 40;
const DEGREES = 64;

let palettes = [];
let colours = {};

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  for (const name of ["card", "ink", "faint", "lane", "grid", "edge", "accent", "wait"]) colours[name] = read(name);
  const parts = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const packed = ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  const ground = parts(colours.lane);
  colours.packedLane = packed(ground);
  colours.packedCard = packed(parts(colours.card));
  palettes = ACTIVITIES.map((name) => {
    const strong = parts(read(name));
    return Uint32Array.from({ length: DEGREES }, (_, degree) => {
      // What covers little is still seen.
      const part = degree === 0 ? 0 : 0.25 + (0.75 * degree) / (DEGREES - 1);
      return packed(ground.map((under, at) => Math.round(under + (strong[at] - under) * part)));
    });
  });
}

let image = null;
let pixels = null;
let covered = [];
let line = null;
let scheduled = false;
let drawing = 0;
// Waits whose keeper is known, and texts, in the part that is drawn; found while it is.
let visibleWaits = [];
let texts = [];

function request() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    draw();
  });
}

function prepare(width, height) {
  if (image && image.width === width && image.height === height) return;
  image = new ImageData(width, height);
  pixels = new Uint32Array(image.data.buffer);
  covered = ACTIVITIES.map(() => new Float32Array(width));
  line = new Uint32Array(width);
}

function draw() {
  drawing++;
  measure();
  const scale = view.scale;
  const width = Math.max(1, Math.round(chartWidth() * scale));
  const height = Math.max(1, canvas.height - Math.round(AXIS * scale));
  prepare(width, height);
  pixels.fill(colours.packedCard);
  const first = Math.max(0, Math.floor(chart.scrollTop / view.lane));
  const last = Math.min(lanes.length, Math.ceil((chart.scrollTop + view.height) / view.lane));
  const part = (view.to - view.from) / SPAN;
  let events = 0;
  for (let index = first; index < last; index++) events += Math.min(lanes[index].events, lanes[index].events * part + BLOCK);
  visibleWaits = [];
  texts = [];
  const isExact = events <= AT_ONCE;
  for (let index = first; index < last; index++) {
    if (isExact) cover(lanes[index]);
    paint(index, isExact);
  }
  finish(first, last);
  if (!isExact) {
    const of = drawing;
    setTimeout(() => refine(of, first, first, last), 150);
  }
}

// Replaces the overview of one lane after the other, unless the view has changed.
function refine(of, index, first, last) {
  if (of !== drawing) return;
  const until = performance.now() + 14;
  while (index < last && performance.now() < until) {
    cover(lanes[index]);
    paint(index, true);
    index++;
  }
  finish(first, last);
  if (index < last) requestAnimationFrame(() => refine(of, index, first, last));
}

// How much of each pixel the events of a lane cover.
function cover(lane) {
  for (const of of covered) of.fill(0);
  const width = line.length;
  const factor = width / (view.to - view.from);
  const { from, to } = view;
  const rows = rowsOf(view.lane);
  const widest = 56 * view.scale;
  lane.visit(from, to, (begin, end, site, keeper, keeperPlace, task) => {
    const activity = siteActivity[site];
    const of = covered[activity];
    const left = Math.max(0, (begin - from) * factor);
    const right = Math.min(width, (end - from) * factor);
    const first = Math.min(width - 1, left | 0);
    const until = Math.min(width - 1, right | 0);
    if (first === until) {
      of[first] += Math.max(right - left, 1e-6);
      return;
    }
    of[first] += first + 1 - left;
    of[until] += right - until;
    for (let x = first + 1; x < until; x++) of[x] = 1;
    if (activity === 0 && keeper >= 0 && visibleWaits.length <= ARROWS && right - left >= 3) {
      visibleWaits.push({ lane, begin, end, site, keeper, keeperPlace });
    }
    if (right - left >= widest && rows[ROW_OF[activity]][1] >= 12) {
      texts.push({ lane, begin, end, site, task });
    }
  });
}

// Copies what `cover` or the overview has found for a lane into the image.
function paint(index, isExact) {
  const scale = view.scale;
  const axis = Math.round(AXIS * scale);
  const top = topOf(index) * scale;
  const isLow = view.lane < ROWS_FROM;
  for (const [row, [above, high]] of rowsOf(view.lane).entries()) {
    if (high <= 0 && !isLow) continue;
    const begin = Math.max(0, Math.round(top + above * scale) - axis);
    const end = Math.min(image.height, Math.max(Math.round(top + (above + high) * scale), Math.round(top + above * scale) + 1) - axis);
    if (end <= begin) continue;
    // One row for all activities shows the first row that has something at a pixel.
    if (row === 0 || !isLow) line.fill(colours.packedLane);
    if (isExact) lineOfEvents(row, isLow);
    else lineOfOverview(index, row, isLow);
    if (isLow && row < 2) continue;
    for (let y = begin; y < end; y++) pixels.set(line, y * image.width);
  }
}

function lineOfEvents(row, isLow) {
  const first = FIRST_OF_ROW[row];
  const until = FIRST_OF_ROW[row + 1] ?? ACTIVITIES.length;
  for (let x = 0; x < line.length; x++) {
    let most = first;
    let all = covered[first][x];
    for (let activity = first + 1; activity < until; activity++) {
      all += covered[activity][x];
      if (covered[activity][x] > covered[most][x]) most = activity;
    }
    if (all > 0 && (!isLow || row === 0 || line[x] === colours.packedLane)) {
      line[x] = palettes[most][Math.max(1, Math.min(DEGREES - 1, Math.round(all * (DEGREES - 1))))];
    }
  }
}

function lineOfOverview(index, row, isLow) {
  const start = (index * FIRST_OF_ROW.length + row) * CELLS;
  const factor = (view.to - view.from) / line.length / SPAN * CELLS;
  const offset = (view.from / SPAN) * CELLS;
  for (let x = 0; x < line.length; x++) {
    const cell = overview[start + Math.min(CELLS - 1, (offset + (x + 0.5) * factor) | 0)];
    const degree = cell & 63;
    if (degree > 0 && (!isLow || row === 0 || line[x] === colours.packedLane)) {
      line[x] = palettes[FIRST_OF_ROW[row] + (cell >> 6)][degree];
    }
  }
}

// Everything but the events: the axis, the labels and the arrows.
function finish(first, last) {
  const { scale } = view;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = colours.card;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.putImageData(image, Math.round(LABELS * scale), Math.round(AXIS * scale));
  context.setTransform(scale, 0, 0, scale, 0, 0);
  drawTexts();
  drawAxis();
  drawLabels(first, last);
  drawArrows();
}

function font(size, weight = 400) {
  context.font = `${weight} ${size}px system-ui, sans-serif`;
}

function drawAxis() {
  font(12);
  context.textAlign = "center";
  context.textBaseline = "alphabetic";
  context.lineWidth = 1;
  const bottom = Math.min(view.height, topOf(lanes.length));
  for (const [time, label] of ticks()) {
    const x = Math.round(xOf(time)) + 0.5;
    context.globalAlpha = 0.55;
    context.strokeStyle = colours.grid;
    context.beginPath();
    context.moveTo(x, AXIS - 6);
    context.lineTo(x, bottom);
    context.stroke();
    context.globalAlpha = 1;
    context.fillStyle = colours.faint;
    const half = context.measureText(label).width / 2;
    context.fillText(label, Math.min(Math.max(x, LABELS + half), view.width - half - 2), 16);
  }
}

function drawLabels(first, last) {
  context.save();
  context.beginPath();
  context.rect(0, AXIS - 8, LABELS - 6, view.height);
  context.clip();
  context.textBaseline = "middle";
  // Labels that would overlap are left out.
  const every = Math.max(1, Math.ceil(14 / view.lane));
  const digits = String(lanes.at(-1)?.rank ?? 0);
  font(12);
  const wide = context.measureText(`rank ${digits}`).width + 10;
  for (let index = first; index < last; index++) {
    const lane = lanes[index];
    const middle = topOf(index) + Math.max(view.lane - 4, 1) / 2;
    const isHovered = hovered?.lane === lane;
    if (index % every === 0 || isHovered) {
      font(12, isHovered ? 650 : 400);
      context.textAlign = "left";
      context.fillStyle = lane.hasEnded ? colours.ink : colours.wait;
      context.fillText(`rank ${lane.rank}`, 0, middle);
    }
    const isFirst = index === first || lanes[index - 1].host !== lane.host;
    if (isFirst && view.lane >= 14) {
      font(11);
      context.fillStyle = colours.faint;
      context.fillText(lane.host, wide, middle, LABELS - 8 - wide);
    }
  }
  context.restore();
}

function clipToChart() {
  context.save();
  context.beginPath();
  context.rect(LABELS, AXIS, chartWidth(), view.height - AXIS);
  context.clip();
}

function drawTexts() {
  clipToChart();
  font(11);
  context.textAlign = "left";
  context.textBaseline = "middle";
  for (const { lane, begin, end, site, task } of texts) {
    const row = ROW_OF[siteActivity[site]];
    const [above, high] = rowsOf(view.lane)[row];
    // The head of an arrow may be at the beginning of a wait.
    const left = Math.max(xOf(begin), LABELS) + (row === 0 ? 9 : 4);
    const room = Math.min(xOf(end), LABELS + chartWidth()) - left - 3;
    let text = task >= 0 ? `task ${task}` : objectText(job.sites[site][2]);
    if (room < 24) continue;
    const letters = Math.floor((room / context.measureText(text).width) * text.length);
    if (letters < text.length) text = letters > 3 ? `${text.slice(0, letters - 1)}…` : "";
    context.fillStyle = siteActivity[site] === 1 || siteActivity[site] >= 4 ? "#10151b" : "#ffffff";
    context.fillText(text, left, topOf(lane.index) + above + high / 2 + 0.5);
  }
  context.restore();
}

function middleOf(lane, activity) {
  const [above, high] = rowsOf(view.lane)[ROW_OF[activity]];
  return Math.min(view.height - 3, Math.max(AXIS, topOf(lane.index) + above + high / 2));
}

function drawArrows() {
  clipToChart();
  const chosen = pinned ?? hovered;
  if (visibleWaits.length <= ARROWS) {
    for (const wait of visibleWaits) if (wait.begin !== chosen?.begin || wait.lane !== chosen?.lane) arrow(wait, 0.45);
  }
  for (const event of [pinned, hovered]) {
    if (!event) continue;
    outline(event);
    if (event.keeper >= 0 && siteActivity[event.site] === 0) arrow(event, 1);
  }
  context.restore();
}

function outline({ lane, begin, end, site }) {
  const [above, high] = rowsOf(view.lane)[ROW_OF[siteActivity[site]]];
  const left = Math.max(xOf(begin), LABELS - 4);
  const right = Math.min(xOf(end), view.width + 4);
  context.strokeStyle = colours.ink;
  context.lineWidth = 1.5;
  context.strokeRect(left - 0.5, topOf(lane.index) + above - 0.5, Math.max(2, right - left) + 1, high + 1);
}

// From the hold to the wait that it has kept.
function arrow(wait, alpha) {
  const lane = laneOf.get(wait.keeper);
  if (!lane) return;
  const hold = (wait.hold ??= holdOf(wait) ?? { lane, missing: true });
  const at = Math.max(wait.begin, view.from);
  const from = hold.missing ? at : Math.min(Math.max(at, hold.begin), Math.max(hold.end, hold.begin));
  const [x1, y1] = [xOf(from), middleOf(lane, hold.missing ? 0 : siteActivity[hold.site])];
  const [x2, y2] = [Math.max(xOf(at), LABELS) + 1, middleOf(wait.lane, 0)];
  if (alpha === 1 && !hold.missing) outline(hold);
  context.globalAlpha = alpha;
  context.strokeStyle = colours.ink;
  context.fillStyle = colours.ink;
  context.lineWidth = alpha === 1 ? 1.75 : 1;
  const bend = Math.min(22, Math.abs(y2 - y1) / 3);
  const down = Math.sign(y2 - y1) || 1;
  context.beginPath();
  context.moveTo(x1, y1);
  context.bezierCurveTo(x1 + bend, y1 + down * bend, x2 + bend, y2 - down * bend * 1.6, x2, y2 - down * 5);
  context.stroke();
  context.beginPath();
  context.arc(x1, y1, 2.5, 0, 7);
  context.moveTo(x2, y2);
  context.lineTo(x2 - 3.5, y2 - down * 7);
  context.lineTo(x2 + 4.5, y2 - down * 6);
  context.fill();
  context.globalAlpha = 1;
}
