// Rooms and people stand beside the messages where there is room, and slide over them where there is not.

import { $ } from "./dom.js";

const PANELS = ["rooms", "people"];
const NARROW = { rooms: matchMedia("(max-width: 760px)"), people: matchMedia("(max-width: 1080px)") };

export class Panels {
  #open = null;

  constructor() {
    for (const name of PANELS) {
      $(`open-${name}`).addEventListener("click", () => (this.#open === name ? this.close() : this.open(name)));
      $(`close-${name}`).addEventListener("click", () => this.close());
      NARROW[name].addEventListener("change", () => this.close());
    }
    $("scrim").addEventListener("click", () => this.close());
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#open && !document.querySelector("dialog[open]")) this.close();
    });
  }

  open(name) {
    if (!NARROW[name].matches) return;
    this.close({ refocus: false });
    this.#open = name;
    this.#show();
    $(`close-${name}`).focus();
  }

  close({ refocus = true } = {}) {
    const name = this.#open;
    if (!name) return;
    this.#open = null;
    this.#show();
    if (refocus) $(`open-${name}`).focus();
  }

  #show() {
    for (const name of PANELS) {
      $(name).classList.toggle("open", this.#open === name);
      $(name).inert = this.#open !== null && this.#open !== name;
      $(`open-${name}`).setAttribute("aria-expanded", String(this.#open === name));
    }
    $("app").classList.toggle("covered", this.#open !== null);
    $("room").inert = this.#open !== null;
  }
}
