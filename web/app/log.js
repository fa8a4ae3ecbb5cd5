// What is known of one room's messages: a value without I/O. Publications go in, in any order and any
// number of times; rows to show come out, in the order of their offsets.
//
// An edit or a deletion is a publication too, with an offset of its own, that names its target.

import { parcelOf, senderOf } from "./parcel.js";

export class Log {
  epoch = null;
  /** True when there is nothing older on the server than what is here. */
  complete = false;
  #messages = new Map(); // offset -> message
  #changes = new Map(); // target -> { offset, kind, data }, the newest one
  #sorted = null; // offsets of #messages in order, or null when it has to be made again
  #oldest = Infinity;
  #newest = 0;

  /** Offset of the oldest and newest publication seen, of any kind. */
  get oldest() {
    return this.#oldest;
  }
  get newest() {
    return this.#newest;
  }

  reset(epoch = null) {
    this.epoch = epoch;
    this.complete = false;
    this.#messages.clear();
    this.#changes.clear();
    this.#sorted = null;
    this.#oldest = Infinity;
    this.#newest = 0;
  }

  /** Takes a publication; returns the message it added, or null when it added none. */
  add(publication) {
    const { offset, tags = {} } = publication;
    this.#oldest = Math.min(this.#oldest, offset);
    this.#newest = Math.max(this.#newest, offset);
    if (tags.edits !== undefined) return this.#change(Number(tags.edits), { offset, kind: "edit", data: publication.data });
    if (tags.deletes !== undefined) return this.#change(Number(tags.deletes), { offset, kind: "delete" });

    const known = this.#messages.get(offset);
    const message = messageOf(publication);
    if (known && !known.assumed) {
      // Seen before: only a deletion that happened meanwhile is news.
      if (message.deleted) known.deleted = true;
      return null;
    }
    if (!known) this.#sorted = null;
    this.#messages.set(offset, message);
    if (this.#changes.has(offset)) apply(message, this.#changes.get(offset));
    return known ? null : message;
  }

  /** All messages, oldest first. */
  all() {
    this.#sorted ??= [...this.#messages.keys()].sort((a, b) => a - b);
    return this.#sorted.map((offset) => this.#messages.get(offset));
  }

  get(offset) {
    return this.#messages.get(offset);
  }

  get size() {
    return this.#messages.size;
  }

  /** Forgets all but the newest `count` messages; they can be loaded again. */
  keep(count) {
    const drop = this.all().slice(0, Math.max(0, this.size - count));
    if (drop.length === 0) return;
    for (const message of drop) this.#messages.delete(message.offset);
    this.#sorted = null;
    this.#oldest = this.all()[0]?.offset ?? this.#newest + 1;
    this.complete = false;
  }

  #change(target, change) {
    const before = this.#changes.get(target);
    if (before?.kind === "delete" || before?.offset >= change.offset) return null;
    this.#changes.set(target, change);
    const message = this.#messages.get(target);
    if (message) apply(message, change);
    return null;
  }
}

function apply(message, change) {
  if (change.kind === "delete") {
    message.deleted = true;
  } else if (!message.deleted) {
    message.text = textOf(change.data);
    message.edited = true;
  }
}

function messageOf({ offset, data, info, tags = {}, time, assumed = false }) {
  const parcel = parcelOf(data, info);
  return {
    offset,
    id: tags.id ?? null,
    user: info?.user ?? "",
    client: info?.client ?? "",
    name: senderOf(parcel) || nameOf(info),
    parcel,
    text: textOf(data),
    time,
    edited: tags.edited !== undefined,
    deleted: tags.deleted !== undefined,
    /** Made from an acknowledgement; the publication itself has not been seen yet. */
    assumed,
  };
}

/** The name under which somebody is shown; publications of the HTTP API have no sender. */
export function nameOf(info) {
  if (!info) return "Server";
  return String(info.connInfo?.name || "") || "Anonymous";
}

/** Rooms are open to other programs, so the data may be anything. */
export function textOf(data) {
  if (data === null || data === undefined) return "";
  if (typeof data === "string") return data;
  return typeof data.text === "string" ? data.text : JSON.stringify(data, null, 2);
}
