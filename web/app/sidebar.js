// The list of rooms with their unread counts, the form that joins another, and who we are.

import { $, avatar, element, setText } from "./dom.js";
import { identity } from "./identity.js";
import { addressOf, channelOf } from "./rooms.js";

const MOST_COUNTED = 99;

export class Sidebar {
  #list = $("room-list");
  #rooms;
  #sign = "";

  /** `chosen()` is called after somebody has gone to a room from here. */
  constructor(rooms, chosen) {
    this.#rooms = rooms;
    this.#list.addEventListener("click", (event) => event.target.closest("a") && chosen());
    $("join").addEventListener("submit", (event) => {
      event.preventDefault();
      const channel = channelOf($("join-name").value);
      if (channel === "") return $("join-name").focus();
      $("join-name").value = "";
      rooms.go(channel);
      chosen();
    });
  }

  render() {
    this.#renderMe();
    const rows = this.#rooms.all().map((room) => ({ channel: room.channel, unread: room.unread, active: room === this.#rooms.active }));
    const sign = JSON.stringify(rows);
    if (sign !== this.#sign) {
      this.#sign = sign;
      const focused = this.#list.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      this.#list.replaceChildren(...rows.map(itemOf));
      if (focused) this.#list.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    }
    const elsewhere = rows.filter((row) => !row.active).reduce((sum, row) => sum + row.unread, 0);
    $("elsewhere").hidden = elsewhere === 0;
    setText($("elsewhere"), elsewhere === 0 ? "" : counted(elsewhere));
    return rows.reduce((sum, row) => sum + row.unread, 0);
  }

  #renderMe() {
    if ($("me-name").textContent === identity.name && $("me-avatar").dataset.user === identity.user) return;
    setText($("me-name"), identity.name);
    $("me-avatar").dataset.user = identity.user;
    $("me-avatar").replaceChildren(avatar(identity.user || identity.name, identity.name));
  }
}

function itemOf({ channel, unread, active }) {
  return element(
    "li",
    {},
    element(
      "a",
      { href: addressOf(channel), className: unread > 0 ? "busy" : "", "aria-current": active ? "page" : null },
      element("span", { className: "hash", "aria-hidden": "true" }, "#"),
      element("span", { className: "channel" }, channel),
      unread > 0 ? element("span", { className: "badge" }, counted(unread), element("span", { className: "unseen" }, " unread")) : null,
    ),
  );
}

function counted(count) {
  return count > MOST_COUNTED ? `${MOST_COUNTED}+` : String(count);
}
