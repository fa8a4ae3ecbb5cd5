// Where one writes: a new message, or the new text of an old one.

import { $ } from "./dom.js";
import * as store from "./store.js";

const TALLEST = 240; // pixels

export class Composer {
  #form = $("composer");
  #text = $("text");
  #banner = $("editing");
  #room = null;
  #edited = null; // the message whose text is being changed
  #actions;

  /** `actions`: say(text), change(message, text), lastOwn() -> message, writing(still). */
  constructor(actions) {
    this.#actions = actions;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener("keydown", (event) => this.#key(event));
    this.#text.addEventListener("input", () => this.#typed());
    this.#text.addEventListener("blur", () => this.#actions.writing(false));
    $("cancel").addEventListener("click", () => this.cancel());
  }

  show(room) {
    if (this.#room) this.#actions.writing(false);
    this.cancel();
    this.#room = room;
    $("text-label").textContent = `Message to ${room.channel}`;
    this.#text.placeholder = `Message #${room.channel}`;
    this.#put(store.get(`draft.${room.channel}`, ""));
  }

  focus() {
    this.#text.focus();
  }

  edit(message) {
    this.#edited = message;
    this.#banner.hidden = false;
    this.#form.classList.add("changing");
    this.#put(message.text);
    this.#text.focus();
    this.#text.setSelectionRange(message.text.length, message.text.length);
  }

  /** Stops editing; what was being written before comes back. */
  cancel() {
    if (!this.#edited) return;
    this.#edited = null;
    this.#banner.hidden = true;
    this.#form.classList.remove("changing");
    this.#put(store.get(`draft.${this.#room.channel}`, ""));
    this.#text.focus();
  }

  #submit() {
    const text = this.#text.value.trim();
    if (text === "") return;
    const edited = this.#edited;
    if (edited) {
      this.cancel();
      if (text !== edited.text) this.#actions.change(edited, text);
    } else {
      store.remove(`draft.${this.#room.channel}`);
      this.#put("");
      this.#actions.say(text);
    }
    this.#actions.writing(false);
  }

  #key(event) {
    if (event.isComposing) return;
    // On a touch keyboard Enter starts a line, as there is no Shift to hold; the button sends.
    if (event.key === "Enter" && !event.shiftKey && !matchMedia("(pointer: coarse) and (hover: none)").matches) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "Escape" && this.#edited) {
      event.preventDefault();
      this.cancel();
    } else if (event.key === "ArrowUp" && this.#text.value === "" && !this.#edited) {
      const message = this.#actions.lastOwn();
      if (!message) return;
      event.preventDefault();
      this.edit(message);
    }
  }

  #typed() {
    this.#fit();
    const { value } = this.#text;
    if (!this.#edited) {
      if (value === "") store.remove(`draft.${this.#room.channel}`);
      else store.set(`draft.${this.#room.channel}`, value);
    }
    this.#actions.writing(value.trim() !== "");
  }

  #put(text) {
    this.#text.value = text;
    this.#fit();
  }

  /** As tall as its text, up to a bound. */
  #fit() {
    this.#text.style.height = "auto";
    this.#text.style.height = `${Math.min(this.#text.scrollHeight, TALLEST)}px`;
    this.#form.classList.toggle("filled", this.#text.value.trim() !== "");
  }
}
