// The page reads without this script. It adds a search, a quicker tooltip, the arrow keys, and a cluster's outline.
"use strict";
const cells = [...document.querySelectorAll(".map .cell")];
const rows = [...document.querySelectorAll(".list tbody tr")];
const held = cells.filter((cell) => cell.href);
for (const cell of cells) {
  cell.tipText = cell.title;
  if (cell.href) cell.setAttribute("aria-label", cell.title);
}

const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
document.body.append(tip);
function show(cell) {
  cell.removeAttribute("title");
  tip.textContent = cell.tipText.replaceAll(" · ", "\n");
  tip.hidden = false;
  const at = cell.getBoundingClientRect();
  const left = Math.min(at.left, document.documentElement.clientWidth - tip.offsetWidth - 12);
  const below = at.bottom + 8 + tip.offsetHeight < window.innerHeight;
  tip.style.left = `${Math.max(8, left) + window.scrollX}px`;
  tip.style.top = `${(below ? at.bottom + 8 : at.top - 8 - tip.offsetHeight) + window.scrollY}px`;
  const cluster = cell.dataset.cluster;
  for (const other of held) other.classList.toggle("kin", Boolean(cluster) && other.dataset.cluster === cluster);
}
function hide() {
  tip.hidden = true;
  for (const other of held) other.classList.remove("kin");
}
for (const map of document.querySelectorAll(".map")) {
  map.addEventListener("mouseover", (event) => {
    const cell = event.target.closest(".cell");
    if (cell) show(cell);
  });
  map.addEventListener("mouseleave", hide);
  map.addEventListener("focusin", (event) => event.target.matches(".cell") && show(event.target));
  map.addEventListener("focusout", hide);
  // One stop for the Tab key a map; arrows move inside it.
  const stops = [...map.querySelectorAll("a.cell")];
  stops.forEach((cell, index) => (cell.tabIndex = index ? -1 : 0));
  map.addEventListener("keydown", (event) => {
    const here = stops.indexOf(event.target);
    const step = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: stops.length - 1 }[event.key] ?? vertical(event, here);
    if (event.key === "Escape") hide();
    if (step === undefined || !stops[step]) return;
    event.preventDefault();
    stops[here].tabIndex = -1;
    stops[step].tabIndex = 0;
    stops[step].focus();
  });
  function vertical(event, here) {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return undefined;
    const sign = event.key === "ArrowDown" ? 1 : -1;
    const at = stops[here].getBoundingClientRect();
    for (let index = here + sign; stops[index]; index += sign) {
      const other = stops[index].getBoundingClientRect();
      if ((other.top - at.top) * sign > 4 && (other.left - at.left) * sign >= -4) return index;
    }
    return undefined;
  }
}
document.addEventListener("keydown", (event) => event.key === "Escape" && hide());

const tools = document.querySelector(".tools");
const field = tools.querySelector("input");
const found = tools.querySelector("output");
tools.hidden = false;
tools.addEventListener("submit", (event) => event.preventDefault());
field.addEventListener("input", () => {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (text) => words.every((word) => text.toLowerCase().includes(word));
  document.body.classList.toggle("searching", words.length > 0);
  let count = 0;
  for (const cell of cells) {
    const hit = words.length > 0 && matches(cell.tipText);
    cell.classList.toggle("hit", hit);
    count += hit;
  }
  for (const row of rows) row.classList.toggle("miss", words.length > 0 && !matches(row.textContent));
  found.textContent = words.length ? `${count} of ${cells.length} addresses` : "";
});
