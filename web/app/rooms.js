// The rooms that were joined, and the one that is open. The address says which: "#/lobby".

import { Emitter } from "./emitter.js";
import { Room } from "./room.js";
import * as store from "./store.js";

export const FIRST_ROOM = "lobby";
const LONGEST_CHANNEL = 60;

/** Emits `active` with the room that was opened, and what rooms emit, with the room first. */
export class Rooms extends Emitter {
  active = null;
  #connection;
  #rooms = new Map(); // channel -> room, in the order of joining

  constructor(connection) {
    super();
    this.#connection = connection;
  }

  open() {
    for (const channel of store.get("rooms", [])) this.#add(channel);
    addEventListener("hashchange", () => this.#follow());
    this.#follow();
  }

  all() {
    return [...this.#rooms.values()];
  }

  get(channel) {
    return this.#rooms.get(channel);
  }

  get unread() {
    return this.all().reduce((sum, room) => sum + room.unread, 0);
  }

  /** Opens a room, joining it if need be. */
  go(channel) {
    location.hash = addressOf(channel);
  }

  /** Opens the room `steps` below the active one in the list. */
  move(steps) {
    const rooms = this.all();
    const at = rooms.indexOf(this.active) + steps;
    this.go(rooms[(at + rooms.length) % rooms.length].channel);
  }

  leave(room) {
    room.leave();
    this.#rooms.delete(room.channel);
    this.#remember();
    if (room === this.active) this.go(this.all()[0]?.channel ?? FIRST_ROOM);
    else this.emit("change", room);
  }

  #follow() {
    const channel = decode(location.hash.replace(/^#\/?/u, "")).slice(0, LONGEST_CHANNEL) || store.get("room") || FIRST_ROOM;
    if (location.hash !== addressOf(channel)) history.replaceState(null, "", addressOf(channel));
    if (!this.#rooms.has(channel)) {
      this.#add(channel);
      this.#remember();
    }
    this.active = this.#rooms.get(channel);
    store.set("room", channel);
    this.emit("active", this.active);
  }

  #add(channel) {
    const room = new Room(this.#connection, channel);
    for (const event of ["change", "message", "arrived", "caughtUp"]) room.on(event, (value) => this.emit(event, room, value));
    this.#rooms.set(channel, room);
    room.open();
  }

  #remember() {
    store.set("rooms", [...this.#rooms.keys()]);
  }
}

export function addressOf(channel) {
  return `#/${encodeURIComponent(channel)}`;
}

/** The room that somebody means who typed `text`: "#Tea & Cake" is "tea-cake". */
export function channelOf(text) {
  const words = text.trim().toLowerCase().match(/[\p{L}\p{N}._:]+/gu) ?? [];
  return [...words.join("-")].slice(0, LONGEST_CHANNEL).join("");
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
