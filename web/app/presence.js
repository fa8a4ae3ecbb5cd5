// Who is in a room, and who is writing: a value without I/O. People are shown once, however many
// windows they have open.

import { nameOf } from "./log.js";

const WRITING_LASTS = 6_000; // milliseconds after the last sign of it

export class Presence {
  #members = new Map(); // client id -> info
  #writing = new Map(); // client id -> { info, until }
  #meanwhile = null; // joins and leaves since the member list was asked for

  clear() {
    this.#members.clear();
    this.#writing.clear();
    this.#meanwhile = null;
  }

  join(info) {
    this.#members.set(info.client, info);
    this.#meanwhile?.push(() => this.#members.set(info.client, info));
  }

  leave(info) {
    this.#members.delete(info.client);
    this.#writing.delete(info.client);
    this.#meanwhile?.push(() => this.#members.delete(info.client));
  }

  /** Call before asking for the member list: the answer may be older than joins and leaves seen before it. */
  asked() {
    this.#meanwhile = [];
  }

  answered(clients) {
    this.#members = new Map(Object.entries(clients));
    for (const repeat of this.#meanwhile ?? []) repeat();
    this.#meanwhile = null;
  }

  client(id) {
    return this.#members.get(id);
  }

  wrote(info, still, now) {
    if (still) this.#writing.set(info.client, { info, until: now + WRITING_LASTS });
    else this.#writing.delete(info.client);
  }

  /** People, ourselves first, then by name. */
  people(me) {
    const people = new Map();
    for (const info of this.#members.values()) people.set(info.user || info.client, personOf(info, me));
    return [...people.values()].sort((a, b) => b.me - a.me || a.name.localeCompare(b.name));
  }

  /** Names of the others who are writing now. */
  writers(me, now) {
    const names = new Map();
    for (const [client, { info, until }] of this.#writing) {
      if (until <= now) this.#writing.delete(client);
      else if (info.user !== me) names.set(info.user || client, nameOf(info));
    }
    return [...names.values()];
  }
}

function personOf(info, me) {
  return { user: info.user, name: nameOf(info), me: info.user !== "" && info.user === me };
}
