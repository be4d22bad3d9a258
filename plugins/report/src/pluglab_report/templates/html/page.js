"use strict";
// Everything is readable without: this sorts and copies tables, and enlarges pictures without moving the page.
const value = (row, column) => row.cells[column].textContent.trim();
const number = (text) => parseFloat(text.replace(/,/g, "").replace("−", "-"));

function compare(one, other) {
  const [a, b] = [number(one), number(other)];
  if (isNaN(a) !== isNaN(b)) return isNaN(a) ? 1 : -1;
  return isNaN(a) ? one.localeCompare(other) : a - b;
}

function sort(table, header, column) {
  const up = header.getAttribute("aria-sort") !== "ascending";
  const rows = [...table.tBodies[0].rows].sort((a, b) => compare(value(a, column), value(b, column)));
  table.tBodies[0].append(...(up ? rows : rows.reverse()));
  for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", up ? "ascending" : "descending");
}

function copy(table, button) {
  const text = [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim()).join("\t")).join("\n");
  const done = () => { button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 1500); };
  if (navigator.clipboard && window.isSecureContext) { navigator.clipboard.writeText(text).then(done, () => {}); return; }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  done();
}

for (const box of document.querySelectorAll(".table")) {
  const table = box.querySelector("table");
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sort(table, header, column));
    header.append(button);
  });
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.title = "Copy the table, for a spreadsheet";
  button.addEventListener("click", () => copy(table, button));
  box.querySelector(".head").append(button);
}

for (const figure of document.querySelectorAll("figure")) {
  for (const link of figure.querySelectorAll(".zoom, .close")) {
    link.addEventListener("click", (event) => { event.preventDefault(); figure.classList.toggle("open"); });
  }
}
addEventListener("keydown", (event) => {
  if (event.key === "Escape") document.querySelector("figure.open")?.classList.remove("open");
});

// On paper nothing can be unfolded.
addEventListener("beforeprint", () => document.querySelectorAll("details:not([open])").forEach((one) => {
  one.open = true;
  one.dataset.folded = "";
}));
addEventListener("afterprint", () => document.querySelectorAll("details[data-folded]").forEach((one) => {
  one.open = false;
  delete one.dataset.folded;
}));
