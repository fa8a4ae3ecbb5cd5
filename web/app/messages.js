// The log on the screen: rows become list items, and only those that differ are touched.

import { $, avatar, element, setText } from "./dom.js";
import { identity } from "./identity.js";
import { filesOfParcel, nodesOfParcel, originOf } from "./parcel.js";
import { rowsOf } from "./rows.js";
import { isEmoji, nodesOf } from "./text.js";
import { clockOf, dayOf, fullOf } from "./time.js";

const NEAR = 80; // pixels from the end within which the reader follows what comes

export class Messages {
  #log = $("log");
  #list = $("messages");
  #start = $("start");
  #jump = $("jump");
  #shown = new Map(); // key -> { node, sign }
  #room = null;
  #unreadFrom;
  #atEnd = true;
  #seen = 0; // newest offset while the reader was at the end
  #actions;
  #outbox;

  /** `actions`: edit(message), remove(message), retry(entry id), discard(entry id), looked(). */
  constructor(outbox, actions) {
    this.#outbox = outbox;
    this.#actions = actions;
    this.#log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#jump.addEventListener("click", () => this.toEnd());
    this.#list.addEventListener("click", (event) => this.#choose(event.target));
    new ResizeObserver(() => this.#atEnd && this.#scrollToEnd()).observe(this.#log);
  }

  /** Whether the reader sees the newest message. */
  get atEnd() {
    return this.#atEnd;
  }

  show(room) {
    this.#room = room;
    this.#unreadFrom = room.firstUnread?.offset;
    this.#atEnd = true;
    this.#seen = 0;
    this.#shown.clear();
    this.#list.replaceChildren();
    this.#log.setAttribute("aria-label", `Messages in ${room.channel}`);
    this.render();
  }

  /** Draws the line above what comes from now on, for a reader who looks away. */
  lookedAway() {
    this.#unreadFrom = undefined;
  }

  toEnd() {
    this.#atEnd = true;
    this.render();
  }

  /** The newest of our own messages that can be edited. */
  lastOwn() {
    const waiting = new Set(this.#outbox.of(this.#room.channel).map((entry) => entry.target));
    return this.#room.log.all().findLast((message) => message.user === identity.user && !message.deleted && !waiting.has(message.offset));
  }

  render() {
    const room = this.#room;
    if (!room) return;
    this.#unreadFrom ??= room.firstUnread?.offset;
    if (this.#atEnd) room.tidy();
    const rows = rowsOf({
      messages: room.log.all(),
      entries: this.#outbox.of(room.channel),
      me: identity.user,
      myName: identity.name,
      unreadFrom: this.#unreadFrom,
    });
    // What is read in bulk is not read aloud message by message.
    this.#log.setAttribute("aria-busy", String(room.loading || !room.loaded));
    const fromEnd = this.#log.scrollHeight - this.#log.scrollTop;
    const first = this.#list.firstElementChild;
    this.#renderStart(rows.length === 0);
    this.#reconcile(rows);
    if (this.#atEnd) {
      this.#scrollToEnd();
      this.#seen = room.log.newest;
    } else if (first && this.#list.firstElementChild !== first) {
      this.#log.scrollTop = this.#log.scrollHeight - fromEnd; // rows came above: what is read stays in place
    }
    this.#renderJump();
  }

  /** Where nothing hovers, a tap on a message shows what can be done with it. */
  #choose(target) {
    const message = target.closest("a, button") ? null : target.closest(".message");
    for (const other of this.#list.querySelectorAll(".chosen")) if (other !== message) other.classList.remove("chosen");
    message?.classList.toggle("chosen");
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    if (this.#atEnd) {
      this.#seen = this.#room?.log.newest ?? 0;
      this.#actions.looked();
    }
    this.#renderJump();
  }

  #scrollToEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  #reconcile(rows) {
    const keep = new Set(rows.map((row) => row.key));
    for (const [key, { node }] of this.#shown) {
      if (keep.has(key)) continue;
      node.remove();
      this.#shown.delete(key);
    }
    let next = this.#list.firstElementChild;
    for (const row of rows) {
      const sign = JSON.stringify(row);
      let known = this.#shown.get(row.key);
      if (!known || known.sign !== sign) {
        const node = this.#make(row);
        if (known) {
          const focused = known.node.contains(document.activeElement);
          if (next === known.node) next = node;
          known.node.replaceWith(node);
          if (focused) this.#log.focus({ preventScroll: true });
        }
        known = { node, sign };
        this.#shown.set(row.key, known);
      }
      if (known.node === next) next = next.nextElementSibling;
      else this.#list.insertBefore(known.node, next);
    }
  }

  #make(row) {
    if (row.kind === "day") return element("li", { className: "day" }, element("span", {}, dayOf(row.time)));
    if (row.kind === "unread") return element("li", { className: "unread" }, element("span", {}, "New"));
    return this.#makeMessage(row);
  }

  #makeMessage(row) {
    const classes = ["message", row.own && "own", row.grouped && "grouped", row.waiting && "waiting", row.failed && "failed", row.deleted && "deleted"];
    const text = row.deleted
      ? element("p", { className: "text" }, "This message was deleted")
      : element("p", { className: isEmoji(row.text) ? "text emoji" : "text", dir: "auto" }, ...nodesOf(row.text));
    if (row.edited && !row.deleted) text.append(" ", element("span", { className: "edited" }, "(edited)"));
    return element(
      "li",
      { className: classes.filter(Boolean).join(" "), "data-offset": row.offset },
      avatar(row.user || row.name, row.name),
      element(
        "div",
        { className: "body" },
        element(
          "p",
          { className: "byline" },
          element("strong", { className: "author" }, row.name),
          row.own ? element("span", { className: "you" }, "you") : null,
          originOf(row.parcel),
          element("time", { dateTime: new Date(row.time).toISOString(), title: fullOf(row.time) }, clockOf(row.time)),
        ),
        ...(row.deleted ? [] : nodesOfParcel(row.parcel)),
        row.text === "" && row.parcel && !row.deleted ? null : text,
        row.deleted ? null : filesOfParcel(row.parcel),
        this.#makeState(row),
      ),
      this.#makeActions(row),
    );
  }

  #makeState(row) {
    if (row.waiting) return element("p", { className: "state" }, row.method === "delete" ? "Waiting to be deleted" : "Waiting to be sent");
    if (!row.failed) return null;
    return element(
      "p",
      { className: "state" },
      `Not sent: ${row.failed}. `,
      element("button", { type: "button", className: "link", onclick: () => this.#actions.retry(row.entry) }, "Try again"),
      " ",
      element("button", { type: "button", className: "link", onclick: () => this.#actions.discard(row.entry) }, "Discard"),
    );
  }

  #makeActions(row) {
    if (!row.own || row.deleted || row.waiting || row.failed) return null;
    const start = row.text.slice(0, 40);
    const act = (name, action) =>
      element("button", { type: "button", className: "plain", "aria-label": `${name}: ${start}`, onclick: () => action(row) }, name);
    return element("div", { className: "actions" }, act("Edit", this.#actions.edit), act("Delete", this.#actions.remove));
  }

  /** What stands above the first message. */
  #renderStart(empty) {
    const room = this.#room;
    const kind = room.refused
      ? "refused"
      : !room.loaded
        ? "loading"
        : !room.log.complete
          ? room.loading
            ? "fetching"
            : "more"
          : empty
            ? "empty"
            : room.log.oldest <= 1
              ? "first"
              : "kept";
    const sign = `${room.channel} ${kind} ${room.reloaded} ${room.refused}`;
    if (this.#start.dataset.sign === sign) return;
    this.#start.dataset.sign = sign;
    const parts = {
      refused: () => [
        element("p", { className: "note" }, `The server does not let you into this room: ${room.refused}`),
        element("button", { type: "button", className: "quiet", onclick: () => room.open() }, "Try again"),
      ],
      loading: () => [element("p", { className: "note" }, "Opening the room…")],
      fetching: () => [element("button", { type: "button", className: "quiet", disabled: true }, "Loading…")],
      more: () => [element("button", { type: "button", className: "quiet", id: "earlier", onclick: () => room.earlier() }, "Load earlier messages")],
      empty: () => [
        element("img", { src: "icon.svg", alt: "", width: 72, height: 72 }),
        element("p", { className: "big" }, `#${room.channel}`),
        element("p", { className: "note" }, "Nothing has been said here yet. Say the first word, and send the address of this page to somebody."),
      ],
      first: () => [element("p", { className: "note" }, `This is where #${room.channel} begins.`)],
      kept: () => [element("p", { className: "note" }, "Older messages are no longer kept.")],
    };
    const reloaded = room.reloaded
      ? element("p", { className: "note reloaded", role: "status" }, "You were away for longer than the server could catch you up on, so the room was loaded afresh.")
      : null;
    this.#start.className = `start ${kind}`;
    this.#start.replaceChildren(...[...parts[kind](), reloaded].filter(Boolean));
  }

  #renderJump() {
    const below = this.#atEnd ? 0 : this.#room.log.all().filter((message) => message.offset > this.#seen && !message.deleted).length;
    this.#jump.hidden = this.#atEnd;
    setText(this.#jump, below === 0 ? "Newest ↓" : `${below} new ↓`);
  }
}
