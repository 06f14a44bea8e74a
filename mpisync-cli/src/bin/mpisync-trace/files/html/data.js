// The events of the job, as the program has encoded them.

const job = JSON.parse(document.getElementById("job").textContent);
const ACTIVITIES = ["wait", "read", "write", "hold", "collective", "task"];
const OUTCOMES = ["not ended", "success", "time limit passed", "failure"];
// The row of a lane that an activity is in.
const ROW_OF = [0, 1, 1, 1, 2, 2];
const FIRST_OF_ROW = [0, 1, 4];
// The events of a block, and the cells of an overview.
const { block: BLOCK, cells: CELLS } = job;
// Of the sites: [activity, outcome, object, call, place or -1, has keeper, has task].
const siteActivity = Uint8Array.from(job.sites, (site) => site[0]);
const siteKeeper = Uint8Array.from(job.sites, (site) => site[5]);
const siteTask = Uint8Array.from(job.sites, (site) => site[6]);

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

// The numbers are read from here.
let source = new Uint8Array(0);
let cursor = 0;

function next() {
  let byte = source[cursor++];
  if (byte < 128) return byte;
  let number = byte & 127;
  let factor = 128;
  do {
    byte = source[cursor++];
    number += (byte & 127) * factor;
    factor *= 128;
  } while (byte >= 128);
  return number;
}

class Lane {
  constructor(facts, index) {
    [this.rank, this.host, this.process, this.hasEnded, this.events] = facts;
    this.index = index;
    this.bytes = null;
  }

  // Decoded when it is first looked at, so that the page opens quickly.
  load() {
    if (this.bytes) return;
    const element = document.getElementById(`lane${this.index}`);
    const [blocks, events] = element.textContent.split(".");
    element.remove();
    const view = new DataView(bytesOf(blocks).buffer);
    const count = view.byteLength / 24;
    this.offsets = new Float64Array(count);
    this.begins = new Float64Array(count);
    this.ends = new Float64Array(count);
    for (let at = 0; at < count; at++) {
      this.offsets[at] = view.getFloat64(24 * at, true);
      this.begins[at] = view.getFloat64(24 * at + 8, true);
      this.ends[at] = view.getFloat64(24 * at + 16, true);
    }
    this.bytes = bytesOf(events);
  }

  // Calls `seen` with each event that is not over before `from` and does not begin after `to`.
  visit(from, to, seen) {
    this.load();
    const { begins, ends, offsets } = this;
    for (let block = 0; block < begins.length && begins[block] <= to; block++) {
      if (ends[block] < from) continue;
      source = this.bytes;
      cursor = offsets[block];
      let begin = begins[block];
      for (let left = Math.min(BLOCK, this.events - block * BLOCK); left > 0; left--) {
        begin += next();
        const length = next();
        const site = next();
        let keeper = -1;
        let keeperPlace = -1;
        if (siteKeeper[site]) {
          keeper = next() - 1;
          keeperPlace = next() - 1;
        }
        const task = siteTask[site] ? next() : -1;
        if (begin > to) break;
        const end = length === 0 ? job.span : begin + length - 1;
        if (end >= from) seen(begin, end, site, keeper, keeperPlace, task, length === 0);
      }
    }
  }
}

const lanes = job.lanes.map((facts, index) => new Lane(facts, index));
const laneOf = new Map();
for (const lane of lanes) if (!laneOf.has(lane.rank)) laneOf.set(lane.rank, lane);

// For each lane, row and cell one byte: the activity's number in the row times 64, and how much of
// the cell is covered, from 1 to 63.
const overview = bytesOf(document.getElementById("overview").textContent);
document.getElementById("overview").remove();

// The rows that have anything, for which the lanes have room.
const usedRows = FIRST_OF_ROW.map((_, row) => siteActivity.some((activity) => ROW_OF[activity] === row));

// The hold that has kept a wait: the one in which the wait began; if there is none, because clocks
// differ a little, the first one meanwhile.
function holdOf(wait) {
  const lane = laneOf.get(wait.keeper);
  if (!lane) return null;
  const object = job.sites[wait.site][2];
  // By their rows: what is held comes before what is worked on.
  const found = [null, null, null];
  lane.visit(wait.begin, wait.end, (begin, end, site) => {
    const row = ROW_OF[siteActivity[site]];
    if (row === 0 || job.sites[site][2] !== object) return;
    if (!found[row] || begin <= wait.begin) found[row] = { lane, begin, end, site };
  });
  return found[1] ?? found[2];
}

function placeText(place) {
  return place < 0 ? null : job.places[place];
}

function objectText(object) {
  return job.objects[object];
}

// A time with three digits in the unit that suits it.
function timeText(time) {
  if (time < 1e3) return `${Math.round(time)} ns`;
  const digits = (number) => number.toFixed(number < 9.995 ? 2 : number < 99.95 ? 1 : 0);
  if (time < 999.5e3) return `${digits(time / 1e3)} µs`;
  if (time < 999.5e6) return `${digits(time / 1e6)} ms`;
  if (time < 600e9) return `${digits(time / 1e9)} s`;
  const minutes = time / 60e9;
  return minutes < 60 ? `${digits(minutes)} min` : `${digits(minutes / 60)} h`;
}
