// The few things we want of the document. Text only ever becomes text nodes.

export const $ = (id) => document.getElementById(id);

/** An element with properties (or, where the element has no such property, attributes) and children. */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key in made && !key.includes("-")) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Sets text only when it differs: a live region speaks up for every change of its nodes. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Runs `action` before the next paint, once for any number of calls until then; in a hidden page, soon. */
export function beforePaint(action) {
  let planned = false;
  const run = () => {
    if (!planned) return;
    planned = false;
    action();
  };
  return () => {
    if (planned) return;
    planned = true;
    if (document.hidden) setTimeout(run, 50);
    else {
      requestAnimationFrame(run);
      setTimeout(run, 500); // no frames come when the window is covered
    }
  };
}

/** A colour out of eight for a person, always the same. */
export function tintOf(user) {
  let sum = 0;
  for (const character of user) sum = (sum * 31 + character.codePointAt(0)) >>> 0;
  return sum % 8;
}

export function initialsOf(name) {
  const words = name.match(/[\p{L}\p{N}]+/gu) ?? [];
  const first = [...(words[0] ?? name)][0] ?? "?";
  const last = words.length > 1 ? [...words.at(-1)][0] : "";
  return (first + last).toUpperCase();
}

export function avatar(user, name) {
  return element("span", { className: "avatar", "data-tint": String(tintOf(user)), "aria-hidden": "true" }, initialsOf(name));
}
