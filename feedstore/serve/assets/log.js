// Page of events: the newest ones by search, and those that are saved by server-sent events.
// User content is inserted as text, never as markup.

const RETRY_MILLISECONDS = 4000;
const MOST_SHOWN = 2000;

const list = document.querySelector(".events");
const template = document.querySelector("#event");
const end = document.querySelector(".end");
const older = document.querySelector(".more button");
const status = document.querySelector(".status");

const shown = new Map(); // id -> element
let nextCursor = null;
let source = null;

const withQuery = (url, parameters) => {
  const whole = new URL(url, location.href);
  for (const [name, value] of Object.entries(parameters)) whole.searchParams.set(name, value);
  return whole;
};

function say(state, text) {
  status.dataset.state = state;
  status.querySelector(".status-text").textContent = text;
}

function newElement(event) {
  const element = template.content.cloneNode(true).firstElementChild;
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
  end.textContent = "";
}

function dropOldest() {
  const last = list.lastElementChild;
  for (const [id, element] of shown) if (element === last) shown.delete(id);
  last.remove();
}

async function load(cursor) {
  const answer = await fetch(withQuery(list.dataset.searchUrl, cursor === null ? {} : { cursor }));
  if (!answer.ok) throw Object.assign(new Error(await answer.text()), { status: answer.status });
  const page = await answer.json();
  nextCursor = page.next_cursor;
  older.hidden = nextCursor === null;
  return page;
}

async function reload() {
  source?.close();
  source = null;
  try {
    const page = await load(null);
    list.replaceChildren();
    shown.clear();
    for (const event of page.items) place(event, false);
    end.textContent = shown.size ? "" : "No event meets the conditions. New events appear by themselves.";
    list.setAttribute("aria-busy", "false");
    follow(page.position);
  } catch (error) {
    say("stopped", "Stopped");
    end.textContent = error.message;
    // A wrong pattern, or an ended session, does not change by another attempt.
    if (!(error.status < 500)) setTimeout(reload, RETRY_MILLISECONDS);
  }
}

function follow(position) {
  source = new EventSource(withQuery(list.dataset.tailUrl, { position }));
  source.addEventListener("event", ({ data }) => {
    place(JSON.parse(data), true);
    if (shown.size > MOST_SHOWN) dropOldest();
  });
  source.addEventListener("gap", reload);
  source.addEventListener("ready", () => say("live", "Live"));
  source.addEventListener("error", () => {
    say("connecting", "Connecting");
    if (source?.readyState === EventSource.CLOSED) setTimeout(reload, RETRY_MILLISECONDS);
  });
}

older.addEventListener("click", async () => {
  older.disabled = true;
  try {
    for (const event of (await load(nextCursor)).items) place(event, false);
  } catch (error) {
    end.textContent = `Older events could not be loaded: ${error.message}`;
  } finally {
    older.disabled = false;
  }
});

reload();
