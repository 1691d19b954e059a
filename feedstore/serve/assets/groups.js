// The groups of an aggregated feed, and the badge of a notification feed, above the timeline.
// They are read again after each change of the timeline, and after each mark.

const DELAY_MILLISECONDS = 250;
const section = document.querySelector("[data-groups-url]");
const count = section.querySelector(".count");
const list = section.querySelector("ul");
let timer = null;

function newItem({ sentence, activities, seen }) {
  const item = document.createElement("li");
  const text = document.createElement(seen === false ? "b" : "span");
  text.textContent = activities > 1 ? `${sentence} (${activities})` : sentence;
  item.append(text);
  return item;
}

async function update() {
  timer = null;
  const answer = await fetch(section.dataset.groupsUrl, { headers: { accept: "application/json" } });
  section.hidden = answer.status !== 200;
  if (section.hidden) return;
  const { groups, unseen, unread } = await answer.json();
  count.textContent = `${unseen} unseen, ${unread} unread`;
  document.title = document.title.replace(/^\(\d+\) /, "");
  if (unseen) document.title = `(${unseen}) ${document.title}`;
  list.replaceChildren(...groups.map(newItem));
}

function updateSoon() {
  timer ??= setTimeout(() => update().catch(console.warn), DELAY_MILLISECONDS);
}

document.querySelector(".timeline").addEventListener("feed-change", updateSoon);
update().then(() => {
  // A flat feed has no marks, and a browser has few connections.
  if (section.hidden) return;
  const marks = new EventSource(section.dataset.marksUrl);
  for (const name of ["activity", "removed", "gap", "ready"]) marks.addEventListener(name, updateSoon);
}, console.warn);
