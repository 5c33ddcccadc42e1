// The dialog that shows one episode, or two side by side. A part is a function from an episode and
// its panel so far to a node or null; a further thing to show of an episode is one more part.
const viewer = document.getElementById("viewer");
const videoPart = (episode) => episode.video
  ? element("video", {
    controls: true, playsinline: true, preload: "metadata", src: episode.video,
    "aria-label": `${words(episode.task)}, ${episode.text}`,
  })
  : element("p", { class: "none novideo" }, "No video of this episode.");
const textPart = (episode) => element("p", { class: "text" }, episode.text);
const recordPart = (episode) => episode.record && element("p", { class: "record" },
  element("a", { href: episode.record }, "Episode record (JSON)"));

// Loaded when the episode is shown; a line in its figure of the stages follows the panel's video.
function tracePart(episode, panel) {
  if (!episode.trace) return null;
  const place = element("div", { class: "trace" });
  traceFigures.show(place, episode.trace, panel.querySelector("video"));
  return place;
}

const GOAL_MARKS = {
  "+": ["met", "met"], "=": ["met", "held from the start"],
  "-": ["missed", "missed"], "!": ["missed", "held at the start, lost"],
};
const metGoals = (episode) => [...episode.goals].filter((mark) => mark === "+" || mark === "=").length;

function goalsPart(episode) {
  if (!episode.goals) return null;
  const list = element("ul", { class: "goals", "aria-label": "Goals" });
  [...episode.goals].forEach((mark, index) => {
    if (!(mark in GOAL_MARKS)) return;
    const [kind, text] = GOAL_MARKS[mark];
    list.append(element("li", { class: kind },
      element("span", { class: "mark" }, text), ` ${episode.goalTexts[index]}`));
  });
  return list;
}

const PANEL_PARTS = [videoPart, textPart, goalsPart, labelsPart, recordPart, tracePart];

function panel(episode) {
  const node = element("section", { class: "panel", "aria-label": `${episode.evaluation}, ${episode.text}` },
    element("h3", {}, element("span", { class: `dot ${episode.kind}` }), episode.evaluation));
  for (const part of PANEL_PARTS) {
    const made = part(episode, node);
    if (made) node.append(made);
  }
  return node;
}

// Shows groups[index], an array of one or two episodes of a task; the buttons step through groups.
function openViewer(groups, index = 0) {
  const episodes = groups[index];
  viewer.querySelector("h2").textContent = words(episodes[0].task);
  viewer.classList.toggle("pair", episodes.length > 1);
  viewer.querySelector(".panels").replaceChildren(...episodes.map(panel));
  for (const [selector, step] of [[".previous", -1], [".next", 1]]) {
    const button = viewer.querySelector(selector);
    button.hidden = groups.length < 2;
    button.disabled = !groups[index + step];
    button.onclick = () => openViewer(groups, index + step);
  }
  viewer.querySelector(".place").textContent = groups.length > 1 ? `${index + 1} of ${groups.length}` : "";
  viewer.querySelector(".saving").hidden = !episodes.some((episode) => episode.result);
  if (!viewer.open) viewer.showModal();
  // A browser may refuse to start by itself; the controls remain.
  for (const film of viewer.querySelectorAll("video")) film.play().catch(() => {});
}

viewer.addEventListener("close", () => viewer.querySelector(".panels").replaceChildren());
viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });

// The square of an episode: a link to its video or record, which opens the viewer instead.
function square(episode, open) {
  const score = { crashed: "x", missing: "\u2013" }[episode.status]
    ?? (episode.q === 0 || episode.q === 1 ? `${episode.q}` : episode.q.toFixed(2).replace(/^0/, ""));
  const title = `${words(episode.task)}, ${episode.text}`;
  const node = element("a", {
    class: `square ${episode.kind}`, title, href: episode.video ?? episode.record ?? "#episodes",
    "aria-label": `${episode.evaluation}, ${title}`,
  }, score);
  node.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    open();
  });
  return node;
}
