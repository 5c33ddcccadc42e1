// The boards of squares, and the list of episodes with its filters.
for (const board of document.querySelectorAll("[data-board]")) {
  whenVisible(board, () => showIn(board, () => drawBoard(board)));
}

async function drawBoard(board) {
  const { tasks } = await loadEpisodes(board.dataset.board);
  const rows = tasks.map((task) => {
    const groups = task.episodes.map((episode) => [episode]);
    const squares = groups.map(([episode], index) => square(episode, () => openViewer(groups, index)));
    return element("tr", {},
      element("th", { scope: "row" }, words(task.task)),
      element("td", {}, squares.length
        ? element("div", { class: "squares" }, ...squares)
        : element("span", { class: "none" }, "no merged result")));
  });
  board.replaceChildren(element("table", { class: "matrix" },
    element("caption", { class: "hidden" }, `Episodes of ${board.dataset.board} by task`),
    element("tbody", {}, ...rows)));
}

const filter = document.getElementById("episode-filter");
const episodeList = document.getElementById("episode-list");
const LABEL_FILTERS = {
  any: () => true,
  none: (episode) => episode.result && !labelOf(episode) && !episode.labels.length,
  some: (episode) => episode.result && Boolean(labelOf(episode) || episode.labels.length),
};

function wanted(episode) {
  const { task, outcome, goal, labels, filmed } = filter.elements;
  const index = goal.value ? episode.goalTexts.indexOf(goal.value) : -1;
  return (!task.value || episode.task === task.value)
    && (!outcome.value || [episode.status, episode.kind].includes(outcome.value))
    && (!goal.value || "-!".includes(episode.goals[index] || "none"))
    && LABEL_FILTERS[labels.value](episode)
    && (!filmed.checked || episode.video);
}

function offerGoals(tasks) {
  const { task, goal } = filter.elements;
  const texts = tasks.find((each) => each.task === task.value)?.goals ?? [];
  const chosen = goal.value;
  goal.replaceChildren(element("option", { value: "" }, task.value ? "any" : "choose a task first"),
    ...texts.map((text) => element("option", { value: text, selected: text === chosen }, text)));
  goal.disabled = !texts.length;
}

function episodeItem(episode, open) {
  const known = [...episode.goals].filter((mark) => mark !== " ").length;
  const labelled = [labelOf(episode), ...(episode.labels ?? [])].filter(Boolean)
    .flatMap((label) => label.reasons);
  return element("li", {},
    square(episode, open),
    element("div", {},
      element("strong", {}, words(episode.task)),
      element("span", { class: "text" }, episode.text),
      labelled.length ? element("span", { class: "reasons" }, [...new Set(labelled)].map(reasonTitle).join(", ")) : null,
      known
        ? element("details", {},
          element("summary", {}, `${metGoals(episode)} of ${plural(known, "goal literal")} met`), goalsPart(episode))
        : element("span", { class: "none" }, "goal literals unknown")),
    element("span", { class: "none" }, episode.video ? "" : "no video"));
}

async function listEpisodes() {
  const { episodes, tasks } = await loadEpisodes(filter.elements.evaluation.value);
  offerGoals(tasks);
  const found = episodes.filter(wanted);
  const groups = found.map((episode) => [episode]);
  document.getElementById("episode-count").textContent =
    `${plural(found.length, "episode")} of ${episodes.length.toLocaleString("en")}`;
  showPaged(episodeList, document.getElementById("episode-more"), found,
    (episode) => episodeItem(episode, () => openViewer(groups, found.indexOf(episode))));
}

filter.addEventListener("input", () => showIn(episodeList, listEpisodes));
filter.addEventListener("submit", (event) => event.preventDefault());
whenVisible(episodeList.parentElement, () => showIn(episodeList, listEpisodes));
