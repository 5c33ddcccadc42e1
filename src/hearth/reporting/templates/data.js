"use strict";
// What the page does not need at once lies in files of its own. Each calls hearth.receive: a page
// from a file system may load a script, where it may not fetch a JSON file.
const hearth = {
  requests: new Map(),
  load(name) {
    if (!this.requests.has(name)) {
      const request = {};
      request.value = new Promise((resolve, reject) => Object.assign(request, { resolve, reject }));
      this.requests.set(name, request);
      const script = document.createElement("script");
      script.src = `data/${name}.js`;
      script.onerror = () => request.reject(new Error(`data/${name}.js could not be loaded`));
      document.head.append(script);
    }
    return this.requests.get(name).value;
  },
  receive(name, value) { this.requests.get(name).resolve(value); },
};

const words = (name) => name.replaceAll("_", " ");
const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
const episodeKey = (episode) => `${episode.task}/${episode.instance}/${episode.rollout}`;

// An element with attributes and children; false and null attributes are left out.
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

// The episodes of an evaluation, each with its evaluation, task and that task's goals.
async function loadEpisodes(evaluation) {
  const data = await hearth.load(`episodes-${evaluation}`);
  data.episodes ??= data.tasks.flatMap((task) => task.episodes.map((episode) =>
    Object.assign(episode, { evaluation, task: task.task, goalTexts: task.goals })));
  return data;
}

function whenVisible(node, action) {
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    action();
  }, { rootMargin: "400px" }).observe(node);
}

// Runs an action and shows its error where its result would have been.
async function showIn(node, action) {
  try { await action(); } catch (error) {
    node.replaceChildren(element("p", { class: "fault", role: "alert" }, error.message));
    throw error;
  }
}

// Adds items a page at a time, the next page by a button.
function showPaged(list, button, items, render, size = 100) {
  let shown = 0;
  const more = () => {
    list.append(...items.slice(shown, shown + size).map(render));
    shown = Math.min(items.length, shown + size);
    button.hidden = shown === items.length;
    button.textContent = `Show ${Math.min(size, items.length - shown)} more of ${items.length}`;
  };
  list.replaceChildren();
  button.onclick = more;
  more();
}
