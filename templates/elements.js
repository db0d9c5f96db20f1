// What the scripts of a page share.
"use strict";

const percent = (share) => (100 * share).toFixed(2) + " %";

// An HTML element with its attributes and children.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// A list to choose from. `choices` are pairs of a text and a value.
function chooser(label, choices, parent) {
  const select = element("select");
  choices.forEach(([text], index) => select.append(element("option", { value: index }, text)));
  parent.append(element("label", {}, label, select));
  return { select, value: () => choices[select.value]?.[1] };
}

// A number with a title, in a list of these.
function box(list, name, title) {
  const value = element("dd", { "data-of": name });
  const head = element("dt", {}, title);
  list.append(element("div", {}, head, value));
  return { value, head };
}

const key = (colour, text) => element("span", {}, element("i", { style: `background: ${colour}` }), text);

// Says that not every replica is in the file, where that is so.
const leftOut = (shown, replicates) =>
  replicates > shown ? ` The file holds the first ${shown} of ${replicates} replicas.` : "";
