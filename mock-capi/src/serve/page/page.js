// Shows the state of the mock, and changes it. All data of the mock is inserted as
// text, never as markup.

const KEPT_REQUESTS = 1000;
const SHOWN_REQUESTS = 200;
const PAGE = 100;
/** Spaces are open at first if there are no more than this. */
const FEW_SPACES = 3;

const TONES = {
  good: ["STARTED", "RUNNING", "READY", "STAGED"],
  busy: ["STARTING", "STAGING", "COPYING", "PROCESSING_UPLOAD", "AWAITING_UPLOAD"],
  bad: ["CRASHED", "FAILED"],
};

const find = (id) => document.getElementById(id);

/** Creates an element with attributes, text and child elements. */
function element(name, attributes = {}, ...content) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    made.setAttribute(attribute, value);
  }
  made.append(...content);
  return made;
}

/**
 * Shows a list: `render(item, node)` returns the node of an item, which may be its
 * previous node. Nodes of unchanged items are kept, with their focus, selection and
 * open details.
 */
function showList(parent, items, keyOf, render) {
  const before = parent.shown ?? new Map();
  parent.shown = new Map();
  for (const item of items) {
    const key = keyOf(item);
    const text = JSON.stringify(item);
    const old = before.get(key);
    const node = old?.text === text ? old.node : render(item, old?.node);
    if (old?.node === node) before.delete(key);
    parent.shown.set(key, { node, text });
  }
  for (const { node } of before.values()) node.remove();
  let next = parent.firstElementChild;
  for (const { node } of parent.shown.values()) {
    if (node === next) next = next.nextElementSibling;
    else parent.insertBefore(node, next);
  }
}

/** An error in the response of the mock. */
class Complaint extends Error {}

async function ask(method, endpoint, body) {
  const response = await fetch(endpoint, { method, body, cache: "no-store" });
  const text = await response.text();
  const answer = text === "" ? null : JSON.parse(text);
  if (!response.ok) throw new Complaint(answer?.errors[0].detail ?? `status ${response.status}`);
  return answer;
}

// Polling

let awake = false;
let endPause = () => {};

/** Refreshes at once, or right after the current refresh. */
function wake() {
  awake = true;
  endPause();
}

/** Refreshes regularly, but uses at most a tenth of the mock's time. */
async function watch() {
  for (;;) {
    awake = false;
    const began = performance.now();
    if (!document.hidden) await refresh();
    const pause = Math.max(1000, 9 * (performance.now() - began));
    await new Promise((resolve) => {
      endPause = resolve;
      setTimeout(resolve, awake ? 0 : pause);
    });
  }
}

async function refresh() {
  try {
    await Promise.all([readWorld(), readRequests(), readFaults(), readTimes(), readStats()]);
    sayLink("good", "connected");
  } catch (error) {
    sayLink("bad", error instanceof Complaint ? error.message : "not reachable");
  }
}

function sayLink(tone, text) {
  const link = find("link");
  link.dataset.tone = tone;
  if (link.textContent !== text) link.textContent = text;
}

/** Calls a function once the user stops typing. */
function afterTyping(input, act) {
  let timer;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(act, 150);
  });
}

// Organizations, spaces, apps

/** The spaces that the user opened or closed, and the number of apps to show of each. */
const opened = new Map();
const appLimits = new Map();
let rowLimit = PAGE;

async function readWorld() {
  const filter = find("world-filter").value.trim();
  const state = find("world-state").value;
  const overview = await ask("GET", `overview?${new URLSearchParams({ filter, state, limit: rowLimit })}`);
  const spaces = overview.rows.filter((row) => row.kind === "space");
  const isOpen = (space) => opened.get(space.guid) ?? spaces.length <= FEW_SPACES;
  await Promise.all(
    spaces.filter(isOpen).map(async (space) => {
      space.listed = await readApps(space.guid, { filter, state });
    }),
  );
  // The user may have opened or closed some spaces in the meantime.
  for (const space of spaces) space.open = isOpen(space);
  find("now").textContent = overview.now;
  showCounts(overview.counts);
  showList(find("world"), overview.rows, (row) => row.guid, renderRow);
  find("world-more").hidden = !overview.more;
  const empty = find("world-empty");
  empty.hidden = overview.rows.length > 0;
  empty.textContent = describeNothing(filter, state);
}

function describeNothing(filter, state) {
  if (state !== "") return `No app is ${state}${filter === "" ? "" : ` and matches “${filter}”`}.`;
  return filter === "" ? "There are no organizations yet." : `No name matches “${filter}”.`;
}

/** The apps of a space, or an empty list if it was deleted in the meantime. */
async function readApps(space, wanted) {
  const limit = appLimits.get(space) ?? PAGE;
  try {
    return await ask("GET", `overview/apps?${new URLSearchParams({ space, ...wanted, limit })}`);
  } catch (error) {
    if (error instanceof Complaint) return { apps: [], more: false };
    throw error;
  }
}

function showCounts(counts) {
  const shown = Object.entries(counts).filter(([, count]) => count > 0);
  showList(find("counts"), shown, ([kind]) => kind, ([kind, count]) =>
    element("div", {}, element("dt", {}, kind.replaceAll("_", " ")), element("dd", {}, count.toLocaleString("en"))),
  );
}

function renderRow(row, node) {
  if (row.kind === "organization") return element("li", { class: "org" }, row.name);
  const item = node ?? newSpace(row.guid);
  const [details] = item.children;
  const [summary, body] = details.children;
  summary.replaceChildren(
    element("span", { class: "name" }, row.name),
    element("span", { class: "note" }, amount(row.apps, "app")),
    element("span", { class: "note" }, amount(row.instances, "instance")),
    element("span", { class: "note" }, amount(row.routes, "route")),
  );
  details.open = row.open;
  if (row.listed) renderApps(body, row);
  return item;
}

function newSpace(guid) {
  const summary = element("summary");
  const details = element("details", {}, summary, element("div", { class: "body" }));
  summary.addEventListener("click", () => {
    opened.set(guid, !details.open);
    wake();
  });
  return element("li", { class: "space" }, details);
}

const COLUMNS = ["App", "State", "Instances", "Packages", "Droplets", "Routes"];

function renderApps(body, { guid, apps, listed }) {
  if (listed.apps.length === 0) {
    body.replaceChildren(element("p", { class: "note" }, "No apps."));
    return;
  }
  let table = body.querySelector("table");
  if (!table) {
    const head = COLUMNS.map((column) => element("th", { scope: "col" }, column));
    table = element("table", { class: "apps" }, element("thead", {}, element("tr", {}, ...head)), element("tbody"));
    const more = element("button", { type: "button" });
    more.addEventListener("click", () => {
      appLimits.set(guid, (appLimits.get(guid) ?? PAGE) + PAGE);
      wake();
    });
    body.replaceChildren(table, more);
  }
  showList(table.tBodies[0], listed.apps, (app) => app.guid, renderApp);
  const more = body.querySelector("button");
  more.hidden = !listed.more;
  more.textContent = `Show more of ${apps.toLocaleString("en")} apps`;
}

function renderApp(app) {
  const processes = app.processes.map((process) =>
    element("span", { class: "process" }, element("span", {}, process.type), ...chips(process.instances)),
  );
  const routes = app.routes.map((route) => {
    // Host names break best after a dot.
    const parts = route.split(/(?<=\.)/).flatMap((part) => [part, element("wbr")]);
    return element("span", { class: "route mono wrap" }, ...parts);
  });
  const cells = [
    [element("span", { class: "wrap" }, app.name), element("span", { class: "guid" }, app.guid)],
    [stateChip(app.state)],
    processes,
    chips(app.packages, 1),
    chips(app.droplets, 1),
    routes,
  ].map((content, index) => element("td", { "data-column": COLUMNS[index] }, element("div", {}, ...content)));
  return element("tr", {}, ...cells);
}

/** States with their counts. A count that equals `usual` is not shown. */
function chips(counts, usual) {
  return Object.entries(counts).map(([state, count]) => stateChip(state, count === usual ? state : `${count} ${state}`));
}

function stateChip(state, text = state) {
  return chip(Object.keys(TONES).find((tone) => TONES[tone].includes(state)) ?? "idle", text);
}

function chip(tone, text) {
  return element("span", { class: "chip", "data-tone": tone }, text);
}

function amount(count, what) {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}

afterTyping(find("world-filter"), wake);
find("world-state").addEventListener("change", wake);
find("world-more").addEventListener("click", () => {
  rowLimit += PAGE;
  wake();
});

// Requests

/** Newest first. */
let requests = [];
let paused = false;

async function readRequests() {
  if (paused) return;
  const last = requests[0]?.number ?? 0;
  const later = await ask("GET", `requests?short=true&after=${last}`);
  // A restarted mock counts from 1 again.
  if (later.length > 0 && later[0].number <= last) requests = [];
  requests = later.reverse().concat(requests).slice(0, KEPT_REQUESTS);
  showRequests();
}

function showRequests() {
  const filter = find("log-filter").value.trim().toLowerCase();
  const found = requests.filter((request) => describe(request).toLowerCase().includes(filter));
  showList(find("log"), found.slice(0, SHOWN_REQUESTS), (request) => request.number, renderRequest);
  const of = found.length > SHOWN_REQUESTS ? `the newest ${SHOWN_REQUESTS} of ` : "";
  find("log-note").textContent = `${of}${amount(found.length, "request")}${paused ? ", paused" : ""}`;
}

function describe({ method, path, status, fault }) {
  return `${method} ${path} ${status ?? "dropped"} ${fault ?? ""}`;
}

function renderRequest({ number, at, method, path, status, micros, fault }) {
  const applied = fault ? [chip("bad", fault)] : [];
  const open = element("button", { type: "button" }, path);
  open.addEventListener("click", () => openRequest(number));
  return element(
    "tr",
    {},
    element("td", { class: "mono time" }, at.slice(11, 19)),
    element("td", { class: "mono" }, method),
    element("td", { class: "mono wrap path" }, open, ...applied),
    element("td", {}, chip(toneOf(status), status ?? "dropped")),
    element("td", { class: "number" }, `${(micros / 1000).toFixed(1)} ms`),
  );
}

/** Shows a request with its headers, its body and the response. */
async function openRequest(number) {
  let request;
  try {
    [request] = await ask("GET", `requests?number=${number}`);
  } catch (error) {
    say(error.message, "bad");
    return;
  }
  if (!request) {
    say("The request is no longer kept.", "bad");
    return;
  }
  const { at, method, path, user, status, micros } = request;
  find("request-title").textContent = `${method} ${path}`;
  const facts = [at, user ?? "no user", status ?? "dropped", `${(micros / 1000).toFixed(1)} ms`];
  find("request-facts").textContent = facts.join(" · ");
  const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`);
  find("request-headers").textContent = headers.join("\n");
  find("request-body").textContent = legible(request.body, request.body_size);
  find("request-answer").textContent = legible(request.answer, request.answer_size);
  find("request-dialog").showModal();
}

/** JSON with line breaks, or other text unchanged, with its size if it was cut. */
function legible(text, size) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    const kept = new TextEncoder().encode(text).length;
    return size > kept ? `${text}\n… ${amount(size, "byte")} in all` : text;
  }
}

function toneOf(status) {
  if (status === null || status >= 500) return "bad";
  return status >= 400 ? "busy" : "good";
}

afterTyping(find("log-filter"), showRequests);
find("log-pause").addEventListener("click", ({ currentTarget }) => {
  paused = !paused;
  currentTarget.setAttribute("aria-pressed", paused);
  showRequests();
  wake();
});

// Statistics

async function readStats() {
  const stats = await ask("GET", "stats");
  const routes = Object.entries(stats.by_route).sort(([, one], [, other]) => other - one);
  const most = routes[0]?.[1] ?? 1;
  const rows = routes.map(([route, count]) => ({
    route,
    count,
    share: `${Math.round((100 * count) / most)}%`,
    missing: route in stats.not_implemented,
  }));
  showList(find("stats"), rows, ({ route }) => route, ({ route, count, share, missing }) => {
    const name = element("td", { class: "mono wrap share" }, route);
    name.style.setProperty("--share", share);
    if (missing) name.append(" ", chip("bad", "not implemented"));
    return element("tr", {}, name, element("td", { class: "number" }, count.toLocaleString("en")));
  });
  find("stats-total").textContent = `${amount(stats.total, "request")} in all`;
}

// Tabs

const tabs = [...find("tabs").children];
const oneAtATime = matchMedia("(max-width: 79.99rem)");

function showTabs() {
  const shown = document.body.dataset.tab;
  const selected = shown === "apps" && !oneAtATime.matches ? "requests" : shown;
  for (const tab of tabs) {
    const isSelected = tab.id === `tab-${selected}`;
    tab.setAttribute("aria-selected", isSelected);
    tab.tabIndex = isSelected ? 0 : -1;
  }
}

function openTab(tab) {
  document.body.dataset.tab = tab.id.slice("tab-".length);
  showTabs();
  // The previous tab may have been longer.
  if (oneAtATime.matches) document.querySelector("main").scrollIntoView();
}

for (const tab of tabs) tab.addEventListener("click", () => openTab(tab));
find("tabs").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  const shown = tabs.filter((tab) => tab.offsetParent !== null);
  const at = shown.indexOf(document.activeElement);
  const next = shown[(at + step + shown.length) % shown.length];
  openTab(next);
  next.focus();
});
oneAtATime.addEventListener("change", showTabs);

// Forms

/** Shows a value in a field, unless the user has changed the field. */
function fill(field, value) {
  if (field.value !== (field.filled ?? "")) return;
  field.value = value;
  settle(field);
}

/** Marks the value of a field as saved, so that newer values of the mock are shown. */
function settle(field) {
  field.filled = field.value;
}

/** Sends a form, and shows the error if the mock refuses it. */
async function attempt(complaint, act, done) {
  complaint.textContent = "";
  try {
    await act();
  } catch (error) {
    complaint.textContent = error.message;
    return;
  }
  say(done);
  wake();
}

function say(text, tone = "idle") {
  const said = find("said");
  said.dataset.tone = tone;
  said.textContent = text;
}

/** The values of a form's fields, without empty ones. */
function read(form) {
  const fields = [...form.elements].filter((field) => field.name && !field.disabled && field.value !== "");
  return Object.fromEntries(fields.map((field) => [field.name, field.type === "number" ? Number(field.value) : field.value]));
}

// Faults

/** The current faults, in the format of `PUT /_mock/faults`. */
let faults = [];

async function readFaults() {
  const rules = await ask("GET", "faults");
  faults = rules.map(({ matched, applied, ...fault }) => fault);
  const rows = rules.map((rule, index) => ({ ...rule, index }));
  showList(find("faults"), rows, ({ index }) => index, renderFault);
  find("faults-empty").hidden = rows.length > 0;
  find("faults-clear").hidden = rows.length === 0;
  fill(find("faults-json"), JSON.stringify(faults, null, 1));
}

function renderFault({ index, matched, applied, fault, method, path, ...rest }) {
  const where = [method, path].filter((part) => part !== undefined);
  const how = Object.entries(rest).map(([name, value]) => `${name}=${value}`);
  const remove = element("button", { type: "button", "aria-label": `Remove ${fault}` }, "Remove");
  remove.addEventListener("click", () => setFaults(faults.filter((_, other) => other !== index), "The fault is removed."));
  return element(
    "li",
    {},
    element("span", { class: "mono wrap" }, [fault, ...where, ...how].join(" ")),
    element("span", { class: "note" }, `applied to ${applied} of ${matched}`),
    remove,
  );
}

function setFaults(list, done) {
  return attempt(find("fault-complaint"), () => ask("PUT", "faults", JSON.stringify(list)), done);
}

/** Shows only the fields that apply to the selected fault. */
function fitFault() {
  const form = find("fault");
  for (const label of form.querySelectorAll("[data-for]")) {
    const fits = label.dataset.for.split(" ").includes(form.elements.fault.value);
    label.hidden = !fits;
    label.querySelector("input").disabled = !fits;
  }
}

find("fault").addEventListener("change", fitFault);
find("fault").addEventListener("submit", (event) => {
  event.preventDefault();
  setFaults([...faults, read(event.currentTarget)], "The fault is set. All faults count from zero again.");
});
find("faults-clear").addEventListener("click", () => setFaults([], "The faults are removed."));
find("faults-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const json = find("faults-json");
  attempt(
    find("faults-complaint"),
    async () => {
      await ask("PUT", "faults", json.value);
      settle(json);
    },
    "The faults are set.",
  );
});

// Times, tokens, the clock, reset

async function readTimes() {
  const fields = find("times").elements;
  for (const [name, value] of Object.entries(await ask("GET", "times"))) {
    fill(fields[name], String(value));
  }
}

find("times").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  attempt(
    find("times-complaint"),
    async () => {
      await ask("PUT", "times", JSON.stringify(read(form)));
      [...form.elements].forEach(settle);
    },
    "The times are set.",
  );
});

/** Sends the request of a button in the header. */
async function act(endpoint, body, done) {
  try {
    await ask("POST", endpoint, body);
    say(done);
  } catch (error) {
    say(error.message, "bad");
  }
  wake();
}

find("advance").addEventListener("submit", (event) => {
  event.preventDefault();
  const by = find("advance-by").value;
  act("advance", JSON.stringify({ by }), `The clock was advanced by ${by}.`);
});
find("expire").addEventListener("click", () => act("expire_tokens", undefined, "All access tokens are expired."));

const dialog = find("reset-dialog");
find("reset").addEventListener("click", () => {
  dialog.returnValue = "";
  dialog.showModal();
});
dialog.addEventListener("close", async () => {
  if (dialog.returnValue !== "reset") return;
  await act("reset", undefined, "The mock was reset.");
  requests = [];
  showRequests();
});

document.addEventListener("visibilitychange", wake);
fitFault();
showTabs();
watch();
