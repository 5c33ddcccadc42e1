// Failure labels: picked while a video is watched, kept in this browser, saved as a JSON file.
const STORED_LABELS = "hearth-failure-labels";
const STORED_NAME = "hearth-labeller";
// A browser may forbid storage to a page from a file system; labels then last as long as the page.
const storage = (() => { try { return window.localStorage; } catch { return null; } })();
const labels = new Map((() => {
  try { return JSON.parse(storage?.getItem(STORED_LABELS) ?? "[]"); } catch { return []; }
})());
const reasonTitle = (name) => FACTS.reasons.find((reason) => reason.name === name)?.title ?? name;
// The hash of the result is part of the key: a label does not hold for another result.
const labelKey = (episode) => `${episode.evaluation}/${episodeKey(episode)}/${episode.result}`;
const labelOf = (episode) => labels.get(labelKey(episode));

function keepLabel(episode, reasons, note) {
  if (reasons.length) {
    labels.set(labelKey(episode), { reasons, note, saved: new Date().toISOString(), stored: false });
  } else labels.delete(labelKey(episode));
  storage?.setItem(STORED_LABELS, JSON.stringify([...labels]));
}

// The part of the viewer that takes a label; null where there is no failure to explain.
function labelsPart(episode) {
  if (!episode.result) return null;
  const own = labelOf(episode);
  const boxes = FACTS.reasons.map((reason) => element("label", { title: reason.description },
    element("input", { type: "checkbox", name: "reason", value: reason.name, checked: own?.reasons.includes(reason.name) }),
    reason.title));
  const form = element("form", { class: "label" },
    element("fieldset", {}, element("legend", {}, "Why did it fail?"),
      element("div", { class: "choices" }, ...boxes),
      element("label", { class: "note" }, "Note ",
        element("input", { name: "note", value: own?.note ?? "", autocomplete: "off" }))),
    ...episode.labels.map((label) => element("p", { class: "none" },
      `${label.labeller}: ${label.reasons.map(reasonTitle).join(", ")}${label.note ? ` (${label.note})` : ""}`)));
  form.addEventListener("input", () => {
    keepLabel(episode, new FormData(form).getAll("reason"), form.elements.note.value.trim());
    tellUnsaved(episode.evaluation);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  saving.dataset.evaluation = episode.evaluation;
  tellUnsaved(episode.evaluation);
  return form;
}

const saving = document.querySelector("#viewer .saving");
const savingStatus = saving.querySelector("output");
const labeller = saving.elements.labeller;
labeller.value = storage?.getItem(STORED_NAME) ?? "";

async function ownLabels(evaluation) {
  const { episodes } = await loadEpisodes(evaluation);
  return episodes.filter((episode) => episode.result && labelOf(episode));
}

async function tellUnsaved(evaluation) {
  const unsaved = (await ownLabels(evaluation)).filter((episode) => !labelOf(episode).stored);
  savingStatus.textContent = unsaved.length
    ? `${plural(unsaved.length, "label")} of ${evaluation} not in a file yet` : "";
}

// The content of a file of labels, as `hearth report` reads it.
const labelFile = (evaluation, name, episodes) => ({
  format: FACTS.label_format,
  evaluation,
  labeller: name,
  labels: episodes.map((episode) => {
    const { reasons, note, saved } = labelOf(episode);
    return {
      task: episode.task, instance_id: episode.instance, rollout_id: episode.rollout,
      result: episode.result, reasons, note, saved,
    };
  }),
});

// Writes where the person chooses, or downloads. Returns false when the person chose nowhere.
async function saveFile(name, text) {
  if (window.showSaveFilePicker) {
    try {
      const handle = await window.showSaveFilePicker({
        suggestedName: name, types: [{ description: "Failure labels", accept: { "application/json": [".json"] } }],
      });
      const file = await handle.createWritable();
      await file.write(text);
      await file.close();
      return true;
    } catch (error) {
      if (error.name === "AbortError") return false;
      if (error.name !== "SecurityError" && error.name !== "NotAllowedError") throw error;
    }
  }
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return true;
}

async function saveLabels(evaluation) {
  const name = labeller.value.trim();
  const episodes = await ownLabels(evaluation);
  if (!episodes.length) { savingStatus.textContent = "There is no label to save."; return; }
  storage?.setItem(STORED_NAME, name);
  const stamp = new Date().toISOString().replace(/[-:]|\.\d+Z/g, "");
  const file = `labels-${name.toLowerCase().replace(/[^a-z0-9]+/g, "-")}-${stamp}.json`;
  const text = `${JSON.stringify(labelFile(evaluation, name, episodes), null, 1)}\n`;
  if (!await saveFile(file, text)) return;
  for (const episode of episodes) labelOf(episode).stored = true;
  storage?.setItem(STORED_LABELS, JSON.stringify([...labels]));
  savingStatus.textContent = `${plural(episodes.length, "label")} saved as ${file}: put it into`
    + ` evaluation/${evaluation}/labels/ and run hearth report.`;
}

saving.addEventListener("submit", (event) => {
  event.preventDefault();
  showIn(savingStatus, () => saveLabels(saving.dataset.evaluation));
});

// Opens the failures of an evaluation that nobody has labelled.
for (const button of document.querySelectorAll("[data-label]")) {
  button.addEventListener("click", async () => {
    const { episodes } = await loadEpisodes(button.dataset.label);
    const open = episodes.filter((episode) => episode.video && LABEL_FILTERS.none(episode));
    if (open.length) openViewer(open.map((episode) => [episode]));
    else button.nextElementSibling.textContent = "every failure with a video is labelled";
  });
}
