// What was said and is not yet acknowledged. Each entry is kept in localStorage until the server has
// it, and is sent again after a cut under the same id, by which the server keeps only one.
//
// Entries go out one after the other, in the order of writing: a later one never overtakes.
//
// The server remembers ids for a while only. So an entry that was sent before, and whose answer was lost, waits
// until its room has caught up: if it had arrived, its publication is seen there, and it is not sent again.

import { Emitter } from "./emitter.js";
import { randomId } from "./identity.js";
import * as store from "./store.js";

const FIRST_DELAY = 500; // milliseconds before an entry that the server could not take now is tried again
const LONGEST_DELAY = 10_000;

export class Outbox extends Emitter {
  #connection;
  #caughtUp;
  #entries;
  #busy = false;
  #delay = FIRST_DELAY;
  #timer = null;

  /** `caughtUp(channel)` says whether all that was published in a room by now has been seen. */
  constructor(connection, caughtUp) {
    super();
    this.#connection = connection;
    this.#caughtUp = caughtUp;
    this.#entries = store
      .names("outbox.")
      .map((name) => store.get(name))
      .filter(Boolean)
      .sort((a, b) => a.at - b.at || a.turn - b.turn);
    connection.on("status", ({ state }) => {
      if (state !== "connected") return;
      clearTimeout(this.#timer);
      this.#timer = null;
      this.#delay = FIRST_DELAY;
      this.pump();
    });
  }

  /** `method` is publish, edit or delete; edit and delete name the offset of their `target`. */
  add({ method, channel, data, target }) {
    const entry = { id: randomId(), method, channel, data, target, at: Date.now(), turn: store.get("turn", 0), tried: false, failed: null };
    store.set("turn", entry.turn + 1);
    this.#entries.push(entry);
    this.#save(entry);
    this.pump();
    return entry;
  }

  /** Entries of a room, oldest first. */
  of(channel) {
    return this.#entries.filter((entry) => entry.channel === channel);
  }

  get size() {
    return this.#entries.length;
  }

  retry(id) {
    const entry = this.#entries.find((entry) => entry.id === id);
    if (!entry) return;
    entry.failed = null;
    this.#save(entry);
    this.pump();
  }

  discard(id) {
    const at = this.#entries.findIndex((entry) => entry.id === id);
    if (at < 0) return;
    const [entry] = this.#entries.splice(at, 1);
    store.remove(`outbox.${id}`);
    this.emit("change", entry.channel);
  }

  /** Sends what can be sent now. */
  async pump() {
    if (this.#busy || this.#timer) return;
    this.#busy = true;
    for (;;) {
      const entry = this.#entries.find((entry) => !entry.failed);
      if (!entry || !this.#connection.connected || (entry.tried && !this.#caughtUp(entry.channel))) break;
      if (!store.get(`outbox.${entry.id}`)) {
        this.discard(entry.id); // another tab has sent it
        continue;
      }
      if (!(await this.#send(entry))) break;
    }
    this.#busy = false;
  }

  /** Resolves to whether to go on with the next entry. */
  async #send(entry) {
    const { id, method, channel, data, target } = entry;
    let place;
    entry.tried = true;
    this.#save(entry);
    try {
      place = await this.#connection.call(method, { id, channel, data, target });
    } catch (error) {
      if (passes(error)) {
        this.#later();
        return false;
      }
      if (!this.#entries.includes(entry)) return true; // it had arrived after all
      entry.failed = error.message || "the server refused it";
      this.#save(entry);
      return true;
    }
    this.#delay = FIRST_DELAY;
    this.emit("sent", entry, place);
    this.discard(id);
    return true;
  }

  #later() {
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.pump();
    }, this.#delay);
    this.#delay = Math.min(this.#delay * 2, LONGEST_DELAY);
  }

  #save(entry) {
    store.set(`outbox.${entry.id}`, entry);
    this.emit("change", entry.channel);
  }
}

/** Whether the same call may well work in a while: codes below 100 are the client's own (no connection, no answer). */
function passes({ code, temporary }) {
  return temporary === true || code < 100 || code === 100 || code === 111;
}
