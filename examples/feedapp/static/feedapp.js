// The live badge, the notice of new entries, and older entries on the same page. All pages work without this script.

const DELAY_MILLISECONDS = 250;
const AHEAD_PIXELS = 600;

// --- the badge and the notice: the server counts, after each event of the streams

const bell = document.querySelector("[data-streams]");
const news = document.querySelector(".news-said");
let timer = null;

function showUnseen(unseen) {
  const badge = bell.querySelector(".badge");
  const number = badge.querySelector(".number");
  const before = badge.hidden ? 0 : Number(number.textContent);
  badge.hidden = unseen === 0;
  number.textContent = unseen;
  document.title = document.title.replace(/^\(\d+\) /, "");
  if (unseen) document.title = `(${unseen}) ${document.title}`;
  const said = document.querySelector(".badge-said");
  if (unseen > before) said.textContent = `${unseen} unseen ${unseen === 1 ? "notification" : "notifications"}`;
  else if (unseen === 0) said.textContent = "";
}

function showNews(count) {
  if (!count) return void news.replaceChildren();
  const link = document.createElement("a");
  link.href = "/";
  link.textContent = count === 1 ? "Show 1 new entry" : `Show ${count} new entries`;
  news.replaceChildren(link);
}

async function update() {
  timer = null;
  const query = news ? `?after=${news.dataset.newest}` : "";
  const answer = await fetch(`/status${query}`);
  if (!answer.ok) return;
  const status = await answer.json();
  showUnseen(status.unseen);
  if (news) showNews(status.new);
}

function updateSoon() {
  timer ??= setTimeout(() => update().catch(console.warn), DELAY_MILLISECONDS);
}

function listen(url) {
  const source = new EventSource(url);
  for (const name of ["activity", "removed", "gap", "ready"]) source.addEventListener(name, updateSoon);
}

if (bell) listen("/events/bell");
if (news) listen("/events/home");

// --- older entries: the next page's list and end replace the link to it

const end = document.querySelector(".end");

let isLoading = false;

async function loadOlder(link) {
  const answer = await fetch(link.href);
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const list = document.querySelector(".timeline:last-of-type");
  const known = new Set([...list.children].map((entry) => entry.id));
  for (const entry of page.querySelectorAll(".timeline:last-of-type > .entry")) {
    if (!known.has(entry.id)) list.append(entry);
  }
  const hadFocus = end.contains(document.activeElement);
  end.replaceChildren(...page.querySelector(".end").childNodes);
  if (hadFocus) end.querySelector("a")?.focus({ preventScroll: true });
}

async function loadInSight() {
  if (isLoading) return;
  isLoading = true;
  try {
    let link;
    // If a page cannot be loaded, its link stays, and a click opens the page.
    while ((link = end.querySelector("a.older")) && end.getBoundingClientRect().top < innerHeight + AHEAD_PIXELS) {
      await loadOlder(link);
      if (link.isConnected) return;
    }
  } catch (error) {
    console.warn(error);
  } finally {
    isLoading = false;
  }
}

if (end) new IntersectionObserver(loadInSight, { rootMargin: `${AHEAD_PIXELS}px` }).observe(end);
