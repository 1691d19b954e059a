// Timeline page: loads older entries by cursor when the reader scrolls, and new entries by server-sent events.
// User content is inserted as text, never as markup.

import { say, withQuery } from "./page.js";

const TOP_PIXELS = 160;
const RETRY_MILLISECONDS = 4000;
const CLOCK_MILLISECONDS = 20000;

const list = document.querySelector(".timeline");
const template = document.querySelector("#entry");
const news = document.querySelector(".news");
const end = document.querySelector(".end");

const shown = new Map(); // id -> element
const waiting = new Map(); // id -> activity, newer than what is shown, until the reader asks for it
let nextCursor = null;
let complete = false;
let loading = false;
let generation = 0;
let source = null;
let lastPosition = null;
let held = null; // handlers of events that arrive during a reload of the timeline; the reload runs them at its end

// --- one entry

function hueOf(name) {
  let hash = 7;
  for (const character of String(name)) hash = (hash * 31 + character.codePointAt(0)) % 360;
  return hash;
}

function initialsOf(name) {
  const words = String(name).split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const initials = words.length > 1 ? [...words[0]][0] + [...words.at(-1)][0] : [...(words[0] ?? "?")].slice(0, 2).join("");
  return initials.toUpperCase();
}

function fillExtra(element, context) {
  const { text, ...others } = context ?? {};
  const quote = element.querySelector(".text");
  if (typeof text === "string" && text) {
    quote.textContent = text;
    quote.hidden = false;
  }
  const extra = element.querySelector(".extra");
  for (const [name, value] of Object.entries(others)) {
    const pair = document.createElement("div");
    const term = document.createElement("dt");
    const detail = document.createElement("dd");
    term.textContent = name;
    detail.textContent = detail.title = typeof value === "object" ? JSON.stringify(value) : String(value);
    pair.append(term, detail);
    extra.append(pair);
  }
  extra.hidden = !extra.childElementCount;
}

function newEntry(activity) {
  const element = template.content.cloneNode(true).firstElementChild;
  element.dataset.id = activity.id;
  const avatar = element.querySelector(".avatar");
  avatar.style.setProperty("--hue", hueOf(activity.actor));
  avatar.textContent = initialsOf(activity.actor);
  element.querySelector(".actor").textContent = activity.actor;
  element.querySelector(".verb").textContent = activity.verb;
  element.querySelector(".object").textContent = activity.object;
  if (activity.target !== null) element.querySelector(".target").textContent = ` · ${activity.target}`;
  fillExtra(element, activity.extra_context);
  const time = element.querySelector("time");
  time.dateTime = activity.time;
  time.title = new Date(activity.time).toLocaleString();
  time.textContent = agoOf(activity.time);
  return element;
}

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });
const STEPS = [[60, "second"], [3600, "minute"], [86400, "hour"], [604800, "day"]];

function agoOf(text) {
  const time = new Date(text);
  const seconds = (Date.now() - time) / 1000;
  if (seconds < 10 && seconds > -10) return "now";
  let unit = 1;
  for (const [limit, name] of STEPS) {
    if (Math.abs(seconds) < limit) return relative.format(-Math.round(seconds / unit), name);
    unit = limit === 604800 ? unit : limit;
  }
  const options = { day: "numeric", month: "short" };
  if (time.getFullYear() !== new Date().getFullYear()) options.year = "numeric";
  return time.toLocaleDateString("en", options);
}

setInterval(() => {
  for (const time of list.querySelectorAll("time")) time.textContent = agoOf(time.dateTime);
}, CLOCK_MILLISECONDS);

// --- the list, newest first; the strings of ids sort like the ids

function place(activity, isFresh) {
  if (shown.has(activity.id)) return;
  const element = newEntry(activity);
  if (isFresh) element.classList.add("fresh");
  let below = list.firstElementChild;
  // New elements are almost always at one of the two ends.
  if (list.lastElementChild && list.lastElementChild.dataset.id > activity.id) below = null;
  while (below && below.dataset.id > activity.id) below = below.nextElementSibling;
  list.insertBefore(element, below);
  shown.set(activity.id, element);
}

function showNews() {
  for (const activity of waiting.values()) place(activity, true);
  waiting.clear();
  news.hidden = true;
}

function offerNews() {
  news.hidden = waiting.size === 0;
  news.textContent = `${waiting.size} new`;
}

function receive(activity) {
  if (held) return void held.push(() => receive(activity));
  if (shown.has(activity.id) || waiting.has(activity.id)) return;
  const newest = list.firstElementChild?.dataset.id ?? "";
  const oldest = list.lastElementChild?.dataset.id ?? "";
  // The pages return entries that are older than all shown entries.
  if (activity.id < oldest && nextCursor !== null) return;
  if (activity.id > newest && scrollY > TOP_PIXELS) {
    waiting.set(activity.id, activity);
    offerNews();
    return;
  }
  place(activity, true);
  describeEnd();
}

function withdraw(id) {
  if (held) return void held.push(() => withdraw(id));
  shown.get(id)?.remove();
  shown.delete(id);
  waiting.delete(id);
  offerNews();
  describeEnd();
}

function describeEnd() {
  end.classList.toggle("empty", shown.size === 0 && nextCursor === null);
  if (nextCursor !== null) end.textContent = loading ? "Loading older entries…" : "";
  else if (shown.size === 0) end.textContent = "Nothing here yet. New entries appear by themselves.";
  else end.textContent = complete ? "This is where it all began." : "Older entries are no longer kept.";
}

// --- pages

async function load(cursor) {
  const answer = await fetch(withQuery(list.dataset.timelineUrl, cursor === null ? {} : { cursor }));
  if (!answer.ok) throw Object.assign(new Error(answer.statusText), { status: answer.status });
  return answer.json();
}

async function loadOlder() {
  if (loading || nextCursor === null) return;
  loading = true;
  describeEnd();
  const asked = generation;
  try {
    const page = await load(nextCursor);
    if (asked !== generation) return;
    nextCursor = page.next_cursor;
    complete = page.complete;
    for (const activity of page.items) place(activity, false);
    loading = false;
    describeEnd();
    loadWhileInSight();
  } catch {
    if (asked === generation) end.textContent = "Older entries could not be loaded; scroll to try again.";
  } finally {
    loading = false;
  }
}

async function reload() {
  const asked = ++generation;
  held ??= [];
  const page = await load(null);
  // Ignore this response if another reload has started since, because its response is newer.
  if (asked !== generation) return page.position;
  shown.clear();
  waiting.clear();
  list.replaceChildren();
  nextCursor = page.next_cursor;
  complete = page.complete;
  for (const activity of page.items) place(activity, false);
  list.setAttribute("aria-busy", "false");
  const handlers = held ?? [];
  held = null;
  for (const handle of handlers) handle();
  offerNews();
  describeEnd();
  return page.position;
}

function loadWhileInSight() {
  if (nextCursor !== null && end.getBoundingClientRect().top < innerHeight + 600) loadOlder();
}

new IntersectionObserver(() => loadWhileInSight(), { rootMargin: "600px" }).observe(end);
addEventListener("scroll", () => {
  if (scrollY <= TOP_PIXELS && waiting.size) showNews();
}, { passive: true });
news.addEventListener("click", () => {
  showNews();
  scrollTo({ top: 0, behavior: "smooth" });
});

// --- the stream

function listen(position) {
  source?.close();
  source = new EventSource(withQuery(list.dataset.eventsUrl, position ? { position } : {}));
  const on = (name, take) => source.addEventListener(name, (event) => {
    lastPosition = event.lastEventId || lastPosition;
    take(JSON.parse(event.data));
    list.dispatchEvent(new CustomEvent("feed-change"));
  });
  on("activity", receive);
  on("removed", ({ id }) => withdraw(id));
  on("ready", () => say("live", "Live"));
  on("gap", () => reload().then(loadWhileInSight, () => begin()));
  source.onerror = () => {
    say("connecting", "Reconnecting");
    // In the state CONNECTING, the browser reconnects by itself and resumes after the last event.
    if (source.readyState === EventSource.CLOSED) setTimeout(resume, RETRY_MILLISECONDS);
  };
}

async function resume() {
  try {
    await load(null);
    listen(lastPosition);
  } catch (error) {
    fail(error, resume);
  }
}

function fail(error, again) {
  if (error.status === 403) {
    say("stopped", "Signed out");
    end.textContent = "You may not see this timeline. Sign in again.";
    return;
  }
  say("connecting", "Reconnecting");
  setTimeout(again, RETRY_MILLISECONDS);
}

async function begin() {
  source?.close();
  try {
    lastPosition = await reload();
    listen(lastPosition);
    loadWhileInSight();
  } catch (error) {
    fail(error, begin);
  }
}

begin();
