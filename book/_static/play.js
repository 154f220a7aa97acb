// What the interactive figures share: how they start, how they draw, and where arrow keys lead.

// Calls start(root, data) for each such figure; the page itself holds the data. Without JavaScript its tools stay hidden.
function play(selector, start) {
  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(selector).forEach(root => {
    start(root, JSON.parse(root.querySelector("script").textContent));
    root.querySelectorAll("[hidden]").forEach(tools => { tools.hidden = false; });
  }));
}

// An element with these attributes and this content; SVG where it is one of the shapes.
function make(name, attributes = {}, ...content) {
  const shape = ["svg", "g", "path", "rect", "circle", "text"].includes(name);
  const made = shape ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  made.append(...content);
  return made;
}

// Where a key leads from a cell of a grid, counted row by row; null: the key leads nowhere.
function moved(key, at, columns, count) {
  const column = at % columns;
  if (key === "ArrowUp") return at >= columns ? at - columns : at;
  if (key === "ArrowDown") return at + columns < count ? at + columns : at;
  if (key === "ArrowLeft") return column > 0 ? at - 1 : at;
  if (key === "ArrowRight") return column < columns - 1 ? at + 1 : at;
  if (key === "Home") return 0;
  if (key === "End") return count - 1;
  return null;
}

// A sentence for readers and for screen readers, which read it again only if it has changed.
function say(place, sentence) {
  if (place.textContent !== sentence) place.textContent = sentence;
}
