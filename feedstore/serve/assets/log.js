// Page of events: the newest ones by search, and those that are saved by server-sent events.
// User content is inserted as text, never as markup.

import { say, withQuery } from "./page.js";

const RETRY_MILLISECONDS = 4000;
const MOST_SHOWN = 2000;

const list = document.querySelector(".events");
const template = document.querySelector("#event");
const end = document.querySelector(".end");
const older = document.querySelector(".more button");

const shown = new Map(); // id -> element
let nextCursor = null;
let isCut = false; // whether the oldest events were dropped, so that the next page does not follow the last one
let generation = 0;
let source = null;
let loading = null; // the promise of a page of older events

function newElement(event) {
  const element = template.content.cloneNode(true).firstElementChild;
  element.dataset.id = event.id;
  element.dataset.timestamp = event.timestamp;
  element.querySelector(".actor").textContent = event.source;
  element.querySelector(".text").textContent = event.content;
  const extra = element.querySelector(".extra");
  for (const tag of event.tags) {
    const pair = document.createElement("div");
    const detail = document.createElement("dd");
    detail.textContent = detail.title = tag;
    pair.append(detail);
    extra.append(pair);
  }
  extra.hidden = !extra.childElementCount;
  const time = element.querySelector("time");
  time.dateTime = event.time;
  time.title = event.time;
  time.textContent = new Date(event.time).toLocaleString();
  return element;
}

// The newest event is the first one. An event that is saved again replaces the older version.
function place(event, isFresh) {
  shown.get(event.id)?.remove();
  const element = newElement(event);
  if (isFresh) element.classList.add("fresh");
  let below = isFresh ? list.firstElementChild : null;
  while (below && Number(below.dataset.timestamp) > event.timestamp) below = below.nextElementSibling;
  list.insertBefore(element, below);
  shown.set(event.id, element);
}

function receive(event) {
  // "Older events" loads it.
  const isOlder = nextCursor !== null && event.timestamp < Number(list.lastElementChild?.dataset.timestamp);
  if (isOlder) remove(event.id);
  else place(event, true);
  if (shown.size > MOST_SHOWN) {
    remove(list.lastElementChild.dataset.id);
    nextCursor = null;
    isCut = true;
  }
  describeEnd();
}

function remove(id) {
  shown.get(id)?.remove();
  shown.delete(id);
}

function describeEnd() {
  older.hidden = nextCursor === null;
  let text = "";
  if (isCut) text = "Older events are left out. Load the page again to see them.";
  else if (shown.size === 0) text = "No event meets the conditions. New events appear by themselves.";
  if (end.textContent !== text) end.textContent = text;
}

async function load(cursor) {
  const answer = await fetch(withQuery(list.dataset.searchUrl, cursor === null ? {} : { cursor }));
  if (!answer.ok) throw Object.assign(new Error(await answer.text()), { status: answer.status });
  return answer.json();
}

function show(page) {
  nextCursor = page.next_cursor;
  for (const event of page.items) place(event, false);
  describeEnd();
}

async function reload() {
  const asked = ++generation;
  source?.close();
  source = null;
  try {
    const page = await load(null);
    // Ignore this response if another reload has started since.
    if (asked !== generation) return;
    list.replaceChildren();
    shown.clear();
    isCut = false;
    show(page);
    list.setAttribute("aria-busy", "false");
    follow(page.position);
  } catch (error) {
    if (asked !== generation) return;
    end.textContent = error.message;
    // A wrong pattern, or an ended session, does not change by another attempt.
    if (error.status < 500) return void say("stopped", "Stopped");
    say("connecting", "Reconnecting");
    setTimeout(reload, RETRY_MILLISECONDS);
  }
}

function follow(position) {
  source = new EventSource(withQuery(list.dataset.tailUrl, { position }));
  source.addEventListener("event", async ({ data }) => {
    const asked = generation;
    // A page that is being loaded may not hold an older event that was saved since.
    await loading;
    if (asked === generation) receive(JSON.parse(data));
  });
  source.addEventListener("gap", reload);
  source.addEventListener("ready", () => say("live", "Live"));
  source.addEventListener("error", () => {
    say("connecting", "Connecting");
    if (source?.readyState === EventSource.CLOSED) setTimeout(reload, RETRY_MILLISECONDS);
  });
}

async function loadOlder() {
  const asked = generation;
  older.disabled = true;
  try {
    const page = await load(nextCursor);
    // The list begins again after a reload.
    if (asked === generation) show(page);
  } catch (error) {
    if (asked === generation) end.textContent = `Older events could not be loaded: ${error.message}`;
  } finally {
    older.disabled = false;
  }
}

older.addEventListener("click", () => {
  loading = loadOlder();
});

reload();
