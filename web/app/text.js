// From the text of a message to nodes: addresses become links, everything else stays what it is.

import { element } from "./dom.js";

const ADDRESS = /\bhttps?:\/\/[^\s<>"]+/giu;
const AFTER = /[.,;:!?'’”»*_]+$/u; // punctuation that ends a sentence rather than an address
const EMOJI = /^\s*(?:(?:\p{Extended_Pictographic}|\p{Regional_Indicator})[\p{Emoji_Modifier}\u{FE0F}\u{200D}]*\s*)+$/u;

export function nodesOf(text) {
  const nodes = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const address = withoutEnd(found);
    const url = parse(address);
    if (!url) continue;
    nodes.push(text.slice(end, index));
    nodes.push(element("a", { href: url.href, target: "_blank", rel: "noopener noreferrer nofollow" }, address));
    end = index + address.length;
  }
  nodes.push(text.slice(end));
  return nodes.filter((node) => node !== "");
}

/** A few emoji and nothing else: shown large. */
export function isEmoji(text) {
  return text.length <= 40 && EMOJI.test(text);
}

function withoutEnd(address) {
  let kept = address.replace(AFTER, "");
  // A closing bracket belongs to the address only when it was opened in it: (see https://a.example/b_(c)).
  for (const [open, close] of ["()", "[]"]) {
    while (kept.endsWith(close) && kept.split(close).length > kept.split(open).length) {
      kept = kept.slice(0, -1).replace(AFTER, "");
    }
  }
  return kept;
}

function parse(address) {
  try {
    const url = new URL(address);
    return url.protocol === "http:" || url.protocol === "https:" ? url : null;
  } catch {
    return null;
  }
}
