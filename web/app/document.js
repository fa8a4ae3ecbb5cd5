// The room's document in the place of its messages, for who wants it; nothing of it is loaded before.

import { $, avatar, element, setText } from "./dom.js";

const WORDS = { saved: "Saved", saving: "Saving…", offline: "Offline: kept here, merged later" };

export class DocumentView {
  #button = $("open-document");
  #place = $("document");
  #channel = null;
  #shown = false;
  #editor = null; // the one that is open, or the promise of one

  constructor({ left }) {
    this.#button.addEventListener("click", () => (this.#shown ? this.hide() : this.show()));
    this.#left = left;
  }

  #left;

  /** Another room is looked at. */
  room(channel) {
    if (channel === this.#channel) return;
    this.#channel = channel;
    this.#close();
    if (this.#shown) this.#open();
  }

  show() {
    this.#shown = true;
    this.#turn();
    this.#open();
  }

  hide() {
    this.#shown = false;
    this.#close();
    this.#turn();
    this.#left();
  }

  rename() {
    this.#editor?.then((editor) => editor?.rename());
  }

  #turn() {
    this.#button.setAttribute("aria-pressed", String(this.#shown));
    $("room").classList.toggle("with-document", this.#shown);
    this.#place.hidden = !this.#shown;
  }

  #open() {
    const channel = this.#channel;
    if (!channel || this.#editor) return;
    const sheet = element("div", { className: "sheet-of-paper" });
    $("document-sheet").replaceChildren(sheet);
    this.#tell({ state: "saving", people: [] });
    const opening = import("./editor.js")
      .then(({ open }) => (this.#editor === opening ? open(channel, sheet, (news) => this.#editor === opening && this.#tell(news)) : null))
      .catch(() => {
        setText($("document-state"), "The editor could not be loaded: close the document and open it again");
        if (this.#editor === opening) this.#editor = null;
        return null;
      });
    this.#editor = opening;
    opening.then((editor) => this.#editor === opening && editor?.focus());
  }

  #close() {
    this.#editor?.then((editor) => editor?.close());
    this.#editor = null;
    $("document-sheet").replaceChildren();
  }

  #tell({ state, reason, people }) {
    $("document-state").dataset.state = state;
    setText($("document-state"), WORDS[state] ?? `Closed: ${reason}`);
    const seen = people.slice(0, 6).map(({ name, tint }) => {
      const face = avatar("", String(name));
      face.dataset.tint = String(tint);
      face.title = String(name);
      return face;
    });
    $("document-people").replaceChildren(...seen);
    // What comes with every keystroke is not said aloud.
    const words = state === "offline" || state === "closed" ? [$("document-state").textContent] : [];
    if (people.length > 0) words.push(`Also here: ${people.map(({ name }) => name).join(", ")}`);
    setText($("document-said"), words.join(". "));
  }
}
