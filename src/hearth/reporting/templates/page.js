"use strict";
// Without this script every square is a plain link to its video or record.
const viewer = document.getElementById("viewer");
const film = viewer.querySelector("video");
document.addEventListener("click", (event) => {
  const square = event.target.closest("a.square");
  if (!square || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  viewer.querySelector("h2").textContent = square.dataset.title;
  viewer.querySelector(".text").textContent = square.dataset.text;
  const record = viewer.querySelector(".record");
  record.hidden = !square.dataset.record;
  if (square.dataset.record) record.querySelector("a").href = square.dataset.record;
  film.hidden = !square.dataset.video;
  if (square.dataset.video) {
    film.src = square.dataset.video;
    film.play().catch(() => {}); // a browser may refuse to start by itself; the controls remain
  }
  traceFigures.show(viewer.querySelector(".trace"), square.dataset.trace, film);
  viewer.showModal();
});
viewer.addEventListener("close", () => { film.pause(); film.removeAttribute("src"); film.load(); });
viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
