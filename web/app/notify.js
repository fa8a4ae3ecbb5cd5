// The browser's own notifications: asked for only when somebody presses the bell.

import { $, setText } from "./dom.js";
import * as store from "./store.js";

const LONGEST = 160; // characters of a message that are shown

export class Notifier {
  #bell = $("bell");
  #open;

  /** `open(channel)` is called when a notification is clicked. */
  constructor(open) {
    this.#open = open;
    if (!("Notification" in window) || !isSecureContext) return;
    this.#bell.hidden = false;
    this.#bell.addEventListener("click", () => this.#press());
    this.#show();
  }

  get #wanted() {
    return Notification.permission === "granted" && store.get("notify", false);
  }

  message(channel, { name, text }) {
    if (this.#bell.hidden || !this.#wanted) return;
    try {
      const body = text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
      const shown = new Notification(`${name} in #${channel}`, { body, tag: `fourwire ${channel}`, icon: "icon.svg" });
      shown.onclick = () => {
        window.focus();
        this.#open(channel);
        shown.close();
      };
    } catch {
      // Some phones allow notifications only to installed pages; the unread counts remain.
      this.#bell.hidden = true;
    }
  }

  async #press() {
    const on = this.#wanted;
    if (!on && Notification.permission === "default") await Notification.requestPermission();
    store.set("notify", !on && Notification.permission === "granted");
    this.#show();
  }

  #show() {
    const blocked = Notification.permission === "denied";
    this.#bell.disabled = blocked;
    this.#bell.setAttribute("aria-pressed", String(this.#wanted));
    setText($("bell-text"), blocked ? "Notifications are blocked" : this.#wanted ? "Notifications on" : "Notify me");
  }
}
