// What the user does: the pointer, the keys and the buttons.

const tip = document.getElementById("tip");
const status = document.getElementById("status");
// The event under the pointer, and the one that was clicked.
let hovered = null;
let pinned = null;
// The position in the list of the longest waits.
let longest = -1;
// The point of the document that the tip is about.
let anchor = { x: 0, y: 0 };

// The innermost event at a point of the chart; of several rows at one point, that of the first.
function eventAt(x, y) {
  if (x < LABELS || x > LABELS + chartWidth() || y < AXIS) return null;
  const index = Math.floor((y - AXIS + chart.scrollTop) / view.lane);
  const lane = lanes[index];
  if (!lane) return null;
  const inside = y - topOf(index);
  const isLow = view.lane < ROWS_FROM;
  const near = (3 / chartWidth()) * (view.to - view.from);
  const time = timeAt(x);
  const rows = rowsOf(view.lane);
  let found = null;
  let best = Infinity;
  lane.visit(time - near, time + near, (begin, end, site, keeper, keeperPlace, task, isOpen) => {
    const row = ROW_OF[siteActivity[site]];
    const [above, high] = rows[row];
    if (!isLow && (inside < above || inside > above + high)) return;
    const away = Math.max(0, begin - time, time - end);
    const score = (isLow ? row * 1e18 : 0) + away * 1e6 + (end - begin) * 1e-3;
    if (score <= best) {
      best = score;
      found = { lane, begin, end, site, keeper, keeperPlace, task, isOpen };
    }
  });
  return found;
}

function detailsOf(event) {
  const [activity, outcome, object, call, place] = job.sites[event.site];
  const rows = [
    ["call", job.calls[call]],
    ["at", placeText(place)],
    ["lasted", timeText(event.end - event.begin) + (event.isOpen ? ", and has not ended" : "")],
    ["began", `at ${timeText(event.begin)}`],
    ["outcome", OUTCOMES[outcome]],
    ["task", event.task >= 0 ? event.task : null],
    ["kept by", event.keeper >= 0 ? `rank ${event.keeper}` : null],
    ["kept at", placeText(event.keeperPlace)],
    ["process", `${event.lane.process} on ${event.lane.host}`],
  ];
  const title = `rank ${event.lane.rank}: ${ACTIVITIES[activity]}, ${objectText(object)}`;
  return { title, activity, rows: rows.filter(([, value]) => value !== null) };
}

function showTip(event, x, y) {
  const { title, activity, rows } = detailsOf(event);
  const head = document.createElement("b");
  const swatch = document.createElement("i");
  swatch.className = ACTIVITIES[activity];
  head.append(swatch, title);
  const list = document.createElement("dl");
  for (const [name, value] of rows) {
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    list.append(term, text);
  }
  tip.replaceChildren(head, list);
  anchor = { x: x + scrollX, y: y + scrollY };
  placeTip();
}

// Beside its point; nowhere if that is not seen.
function placeTip() {
  const [x, y] = [anchor.x - scrollX, anchor.y - scrollY];
  tip.hidden = y < 0 || y > innerHeight;
  const { width, height } = tip.getBoundingClientRect();
  const left = x + 16 + width > innerWidth ? x - width - 12 : x + 16;
  const top = y + 18 + height > innerHeight ? y - height - 12 : y + 18;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, top)}px`;
}

function hover(event, x, y) {
  const isSame = hovered?.lane === event?.lane && hovered?.begin === event?.begin && hovered?.site === event?.site;
  if (!isSame) {
    hovered = event;
    request();
  }
  if (event) showTip(event, x, y);
  else if (!pinned) tip.hidden = true;
}

function say() {
  const whole = view.to - view.from >= SPAN;
  const range = `${timeText(view.from)} to ${timeText(view.to)}`;
  status.textContent = whole ? `The whole job: ${timeText(job.span)}` : `${range}: ${timeText(view.to - view.from)} of ${timeText(job.span)}`;
}

// Shows a wait with a little of what is around it.
function goTo(index) {
  const wait = job.longest[index];
  if (!wait) return;
  longest = index;
  const [rank, begin, end] = wait;
  const lane = laneOf.get(rank);
  if (!lane) return;
  const around = Math.max((end - begin) * 0.6, LEAST / 2);
  if (view.lane < 18) setLane(18);
  reveal(lane);
  show(begin - around, end + around);
  pinned = null;
  lane.visit(begin, begin, (from, to, site, keeper, keeperPlace, task, isOpen) => {
    if (from === begin && to === end && siteActivity[site] === 0) {
      pinned = { lane, begin: from, end: to, site, keeper, keeperPlace, task, isOpen };
    }
  });
  if (!pinned) return;
  measure();
  const box = chart.getBoundingClientRect();
  showTip(pinned, box.left + xOf((begin + end) / 2), box.top + topOf(lane.index) + view.lane);
  const { title, rows } = detailsOf(pinned);
  status.textContent = `Wait ${index + 1} of ${job.longest.length}. ${title}; ${rows.map(([name, value]) => `${name} ${value}`).join("; ")}`;
}

function letGo() {
  pinned = null;
  hovered = null;
  tip.hidden = true;
  request();
}

const within = (event) => {
  const box = chart.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

chart.addEventListener("wheel", (event) => {
  const [x] = within(event);
  const isAcross = Math.abs(event.deltaX) > Math.abs(event.deltaY);
  // Over the ranks the wheel scrolls.
  if (x < LABELS && !event.ctrlKey) return;
  event.preventDefault();
  const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
  if (isAcross) move(event.deltaX * unit);
  else if (event.shiftKey) chart.scrollTop += event.deltaY * unit;
  else zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY * unit * 0.0022))), x);
  say();
}, { passive: false });

let drag = null;
canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  drag = { x: event.clientX, y: event.clientY, moved: 0 };
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  if (!drag) {
    const [x, y] = within(event);
    hover(eventAt(x, y), event.clientX, event.clientY);
    return;
  }
  const [x, y] = [event.clientX - drag.x, event.clientY - drag.y];
  drag.moved += Math.abs(x) + Math.abs(y);
  if (drag.moved < 4) return;
  chart.classList.add("moving");
  tip.hidden = true;
  drag.x = event.clientX;
  drag.y = event.clientY;
  chart.scrollTop -= y;
  move(-x);
});
canvas.addEventListener("pointerup", (event) => {
  const isClick = drag && drag.moved < 4;
  drag = null;
  chart.classList.remove("moving");
  if (!isClick) return say();
  const [x, y] = within(event);
  pinned = eventAt(x, y);
  if (pinned) showTip(pinned, event.clientX, event.clientY);
  else tip.hidden = true;
  request();
});
canvas.addEventListener("pointercancel", () => {
  drag = null;
  chart.classList.remove("moving");
});
canvas.addEventListener("pointerleave", () => hover(null));

const page = () => view.height - AXIS;
const actions = {
  "+": () => zoom(0.5),
  "=": () => zoom(0.5),
  "-": () => zoom(2),
  "0": () => show(0, SPAN),
  ArrowLeft: () => move(-chartWidth() / 8),
  ArrowRight: () => move(chartWidth() / 8),
  ArrowUp: () => (chart.scrollTop -= Math.max(24, view.lane)),
  ArrowDown: () => (chart.scrollTop += Math.max(24, view.lane)),
  PageUp: () => (chart.scrollTop -= page()),
  PageDown: () => (chart.scrollTop += page()),
  Home: () => show(0, view.to - view.from),
  End: () => show(SPAN - (view.to - view.from), SPAN),
  "[": () => setLane(Math.floor(view.lane / 1.4)),
  "]": () => setLane(Math.ceil(view.lane * 1.4)),
  n: () => goTo(Math.min(longest + 1, job.longest.length - 1)),
  p: () => goTo(Math.max(longest - 1, 0)),
  Escape: letGo,
};

chart.addEventListener("keydown", (event) => {
  const action = actions[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  if (event.key !== "n" && event.key !== "p") {
    action();
    say();
  } else {
    action();
  }
});

const buttons = { in: "+", out: "-", fit: "0", lower: "[", higher: "]", next: "n", previous: "p" };
for (const [id, key] of Object.entries(buttons)) {
  document.getElementById(id).addEventListener("click", () => {
    actions[key]();
    if (key !== "n" && key !== "p") say();
  });
}
for (const button of document.querySelectorAll("button[data-wait]")) {
  button.addEventListener("click", () => {
    chart.scrollIntoView({ block: "center" });
    goTo(Number(button.dataset.wait));
  });
}

chart.addEventListener("scroll", () => {
  canvas.style.top = `${chart.scrollTop}px`;
  request();
});
addEventListener("scroll", () => pinned && placeTip(), { passive: true });
addEventListener("resize", request);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readColours();
  request();
});

readColours();
fitLanes();
measure();
say();
draw();
