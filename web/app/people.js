// Who is here, and the line that says who is writing.

import { $, avatar, element, setText } from "./dom.js";
import { identity } from "./identity.js";

export class People {
  #list = $("people-list");
  #sign = "";
  #room = null;

  constructor() {
    // Signs of writing run out by themselves.
    setInterval(() => this.#renderWriting(), 1_000);
  }

  show(room) {
    this.#room = room;
    this.render();
  }

  render() {
    if (!this.#room) return;
    this.#renderWriting();
    const people = this.#room.presence.people(identity.user);
    const unknown = people.length === 0;
    const sign = JSON.stringify(people);
    if (sign === this.#sign) return;
    this.#sign = sign;
    setText($("people-count"), unknown ? "–" : String(people.length));
    this.#list.replaceChildren(...people.map(itemOf));
    $("people-unknown").hidden = !unknown;
  }

  #renderWriting() {
    const names = this.#room?.presence.writers(identity.user, Date.now()) ?? [];
    setText($("writing"), sentence(names));
  }
}

function itemOf({ user, name, me }) {
  return element(
    "li",
    {},
    avatar(user || name, name),
    element("span", { className: "person" }, name),
    me ? element("span", { className: "you" }, "you") : null,
  );
}

function sentence(names) {
  if (names.length === 0) return "";
  if (names.length === 1) return `${names[0]} is writing…`;
  if (names.length === 2) return `${names[0]} and ${names[1]} are writing…`;
  return "Several people are writing…";
}
