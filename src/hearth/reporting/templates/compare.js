// Any two evaluations against each other; the statistics were computed when the page was built.
const compareForm = document.getElementById("compare-form");
const MINUS = "\u2212";
const signed = (value) => `${value < 0 ? MINUS : "+"}${Math.abs(value).toFixed(3)}`;
const pText = (value) => value < 0.001 ? "p < 0.001" : `p = ${value.toFixed(3)}`;
const limits = (value) => value.low === null ? "no interval" : `${signed(value.low)} to ${signed(value.high)}`;

// A row of the file as an object, turned round where the pair stands the other way in the file.
function estimate(columns, row, turned) {
  const value = Object.fromEntries(columns.map((name, index) => [name, row[index]]));
  if (!turned) return value;
  const { low, high } = value;
  const negative = (number) => number === null ? null : 0 - number;
  return { ...value, estimate: 0 - value.estimate, low: negative(high), high: negative(low) };
}

async function findPair(first, second) {
  const { columns, pairs } = await hearth.load("comparisons");
  for (const pair of pairs) {
    const turned = pair.first === second && pair.second === first;
    if (!turned && (pair.first !== first || pair.second !== second)) continue;
    const tasks = Object.entries(pair.tasks)
      .map(([task, row]) => ({ task, ...estimate(columns, row, turned) }));
    return { split: pair.split, overall: estimate(columns, pair.overall, turned), tasks };
  }
  return null;
}

function differenceBar(value) {
  const place = (number) => 50 + 50 * Math.max(-1, Math.min(1, number / FACTS.scale));
  const draw = (name, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, text] of Object.entries(attributes)) node.setAttribute(key, text);
    return node;
  };
  const text = `${signed(value.estimate)}, ${limits(value)}, ${pText(value.p)}`;
  const bar = draw("svg", { class: "bar difference", height: 14, role: "img", "aria-label": text });
  bar.append(draw("line", { class: "axis", x1: 0, x2: "100%", y1: 7, y2: 7 }),
    draw("line", { class: "zero", x1: "50%", x2: "50%", y1: 0, y2: 14 }));
  if (value.low !== null) {
    const [low, high] = [place(value.low), place(value.high)];
    bar.append(draw("rect", { class: "range", x: `${low}%`, width: `${high - low}%`, y: 4, height: 6, rx: 3 }));
  }
  bar.append(draw("circle", { class: "estimate", cx: `${place(value.estimate)}%`, cy: 7, r: 4 }));
  return bar;
}

const told = (value) => value.p_holm <= FACTS.level ? "told apart" : "not told apart";

function settling(value) {
  if (value.more_instances === 0) return "";
  if (value.more_instances === null) return " How many further instances would settle it cannot be said.";
  return ` Some ${plural(value.more_instances, "further instance")} would settle it.`;
}

function taskTable(first, second, tasks, means) {
  const rows = tasks.map((value) => element("tr", {},
    element("th", { scope: "row" }, words(value.task), element("small", {}, plural(value.instances, "instance"))),
    element("td", { class: "number", "data-label": first }, means.get(value.task)[0].toFixed(3)),
    element("td", { class: "number", "data-label": second }, means.get(value.task)[1].toFixed(3)),
    element("td", { "data-label": "Difference" }, element("span", { class: "value" }, signed(value.estimate)),
      differenceBar(value), element("small", { class: "limits" }, `${limits(value)}, ${pText(value.p)}`)),
    element("td", { class: "number", "data-label": "p (Holm)" }, pText(value.p_holm)),
    element("td", { "data-label": "Verdict" }, told(value))));
  const heads = [["Task"], [`q of ${first}`, "number"], [`q of ${second}`, "number"], ["Difference"],
    ["p (Holm)", "number"], ["Verdict"]];
  return element("table", { class: "cards" },
    element("caption", {}, `By task, on the shared instances; Holm's correction across these ${tasks.length} tasks.`),
    element("thead", {}, element("tr", {}, ...heads.map(([text, kind]) =>
      element("th", { scope: "col", class: kind }, text)))),
    element("tbody", {}, ...rows));
}

// The episodes that both were due to play, as [first, second], by task and instance.
async function sharedEpisodes(first, second) {
  const [one, other] = await Promise.all([loadEpisodes(first), loadEpisodes(second)]);
  const others = new Map(other.episodes.map((episode) => [episodeKey(episode), episode]));
  const shared = one.episodes.map((episode) => [episode, others.get(episodeKey(episode))])
    .filter(([, found]) => found);
  const tasks = one.tasks.map((task) => task.task);
  return shared.sort(([a], [b]) => tasks.indexOf(a.task) - tasks.indexOf(b.task)
    || a.instance - b.instance || a.rollout - b.rollout);
}

function taskMeans(shared) {
  const sums = new Map();
  for (const [one, other] of shared) {
    const [a, b, count] = sums.get(one.task) ?? [0, 0, 0];
    sums.set(one.task, [a + one.q, b + other.q, count + 1]);
  }
  return new Map([...sums].map(([task, [a, b, count]]) => [task, [a / count, b / count]]));
}

function listShared(first, second, shared) {
  const { task, differing } = compareForm.elements;
  const found = shared.filter(([one, other]) => (!task.value || one.task === task.value)
    && (!differing.checked || one.q !== other.q));
  document.getElementById("compare-count").textContent = `${plural(found.length, "episode")} of ${shared.length.toLocaleString("en")}`;
  const body = document.querySelector("#compare-episodes tbody");
  const cell = (name, episode, open) => element("td", { "data-label": name }, square(episode, open),
    element("span", { class: "limits" }, episode.status));
  showPaged(body, document.getElementById("compare-more"), found, (pair) => {
    const open = () => openViewer(found, found.indexOf(pair));
    const [one, other] = pair;
    return element("tr", {},
      element("th", { scope: "row" }, words(one.task), element("small", {}, `instance ${one.instance}, rollout ${one.rollout}`)),
      cell(first, one, open), cell(second, other, open),
      element("td", { class: "number", "data-label": "Difference" }, signed(one.q - other.q)));
  });
  const heads = document.querySelectorAll("#compare-episodes thead th");
  heads[1].textContent = first;
  heads[2].textContent = second;
}

async function showComparison() {
  const { first: { value: first }, second: { value: second } } = compareForm.elements;
  const result = document.getElementById("compare-result");
  const detail = document.getElementById("compare-episodes");
  const pair = first === second ? null : await findPair(first, second);
  detail.hidden = !pair;
  if (!pair) {
    const splits = [first, second].map((name) => FACTS.evaluations.find((each) => each.name === name).split);
    const why = first === second ? "Choose two different evaluations."
      : `${first} (${splits[0]}) and ${second} (${splits[1]}) share no episode of one split.`;
    result.replaceChildren(element("p", { class: "none" }, why));
    return;
  }
  const shared = await sharedEpisodes(first, second);
  const { overall, tasks } = pair;
  result.replaceChildren(
    element("p", { class: "verdict" },
      `On ${plural(overall.instances, `${pair.split} instance`)} of ${plural(tasks.length, "task")}, ${first} against ${second}: `,
      element("strong", {}, `${signed(overall.estimate)} in q`),
      ` (${(100 * FACTS.confidence).toPrecision(3).replace(/\.0+$/, "")} % interval ${limits(overall)}, ${pText(overall.p)}; ${pText(overall.p_holm)} after`
      + ` Holm's correction across the pairs of the split): `,
      element("strong", {}, told(overall)), `.${settling(overall)}`),
    differenceBar(overall), taskTable(first, second, tasks, taskMeans(shared)));
  listShared(first, second, shared);
}

if (compareForm) {
  const show = () => showIn(document.getElementById("compare-result"), showComparison);
  compareForm.addEventListener("input", show);
  compareForm.addEventListener("submit", (event) => event.preventDefault());
  whenVisible(compareForm, show);
}
