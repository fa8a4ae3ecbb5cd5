// One joined room: keeps its log, its people and its place in step with the server.
//
// Emits `change` when something to show has changed, `message` for each message that is new here, `arrived` with the
// id of each publication that has one, and `caughtUp` when all that was published by now has been seen.

import { Emitter } from "./emitter.js";
import { identity } from "./identity.js";
import { Log } from "./log.js";
import { Presence } from "./presence.js";
import * as store from "./store.js";

const PAGE = 50; // publications asked for at once
const MOST_KEPT = 1_500; // messages in memory before the oldest are forgotten again
const KEPT = 500;
const TRY_AGAIN = 2_000; // milliseconds
const ASK_WHO_EVERY = 60_000; // milliseconds; joins and leaves come by themselves, but a very full room does not tell them
const WRITING_EVERY = 2_500; // milliseconds between signs that we are still writing

export class Room extends Emitter {
  log = new Log();
  presence = new Presence();
  /** History has been loaded at least once. */
  loaded = false;
  /** A page of history is on its way. */
  loading = false;
  /** All that was published by now has been seen. */
  caughtUp = false;
  /** The server could not tell what we missed, so the history was loaded afresh. */
  reloaded = false;
  /** Why the server does not let us in, or null. */
  refused = null;
  #connection;
  #subscription;
  #read; // { epoch, offset }: everything up to here has been seen, or null at the first visit
  #signed = 0; // when we last told that we write
  #asking;

  constructor(connection, channel) {
    super();
    this.channel = channel;
    this.#connection = connection;
    this.#read = store.get(`read.${channel}`);
    this.#subscription = connection.subscription(channel);
    this.#asking = setInterval(() => this.#subscribed && this.#askWho(), ASK_WHO_EVERY);
    this.#subscription
      .on("subscribed", (context) => this.#entered(context))
      .on("subscribing", () => this.#cutOff())
      .on("unsubscribed", ({ code, reason }) => code !== 0 && this.#refuse(reason))
      .on("publication", (publication) => this.#receive(publication))
      .on("join", ({ info }) => this.#people(() => this.presence.join(info)))
      .on("leave", ({ info }) => this.#people(() => this.presence.leave(info)))
      // Passing errors: the client tries again by itself.
      .on("error", () => {});
  }

  open() {
    this.refused = null;
    this.#subscription.subscribe();
  }

  /** Leaves for good, and forgets what was read. */
  leave() {
    clearInterval(this.#asking);
    this.#connection.forget(this.#subscription);
    store.remove(`read.${this.channel}`);
  }

  /** Loads the page before the oldest message. */
  async earlier() {
    if (this.loading || this.log.complete || !this.log.epoch) return;
    await this.#load({ since: { offset: this.log.oldest, epoch: this.log.epoch } });
  }

  /** How many messages of others have come since the room was last looked at. */
  get unread() {
    return this.#unread().length;
  }

  /** The first message that had not been seen, or undefined. */
  get firstUnread() {
    return this.#unread()[0];
  }

  markRead() {
    const { epoch, newest: offset } = this.log;
    if (!this.loaded || !epoch || (this.#read?.epoch === epoch && this.#read.offset >= offset)) return;
    this.#read = { epoch, offset };
    store.set(`read.${this.channel}`, this.#read);
    this.emit("change");
  }

  /** Makes room in memory; call only when the oldest messages are out of sight. */
  tidy() {
    if (this.log.size > MOST_KEPT) this.log.keep(KEPT);
  }

  /** Tells the others that we write, now and then while it goes on, and that we stopped. */
  writing(still) {
    const now = Date.now();
    if (still ? now - this.#signed < WRITING_EVERY : this.#signed === 0) return;
    this.#signed = still ? now : 0;
    if (!this.#connection.connected) return;
    // A lost sign is not worth a word: it is repeated, or runs out.
    this.#connection.call("signal", { channel: this.channel, data: { writing: still } }).catch(() => {});
  }

  /** An entry of the outbox has arrived at `place`: it is shown there until its publication comes. */
  acknowledged({ id, method, data, target }, place) {
    if (!this.loaded || place?.epoch !== this.log.epoch || !(place.offset >= this.log.oldest)) return;
    const tags = { publish: { id }, edit: { id, edits: target }, delete: { id, deletes: target } }[method];
    const info = { user: identity.user, client: this.#connection.clientId, connInfo: { name: identity.name } };
    this.log.add({ offset: place.offset, data, info, tags, time: Date.now(), assumed: true });
    this.emit("change");
  }

  #entered({ wasRecovering, recovered, streamPosition }) {
    this.refused = null;
    const epoch = streamPosition?.epoch ?? null;
    const other = epoch !== null && this.log.epoch !== null && epoch !== this.log.epoch;
    if (other || (wasRecovering && !recovered)) {
      this.reloaded = this.loaded;
      this.loaded = false;
      this.log.reset(epoch);
    }
    this.log.epoch ??= epoch;
    // The client hands out what was recovered right after this event.
    if (this.loaded) queueMicrotask(() => this.#catchUp());
    else this.#load();
    this.#askWho();
    this.emit("change");
  }

  #catchUp() {
    if (!this.#subscribed || !this.loaded) return;
    this.caughtUp = true;
    this.emit("caughtUp");
  }

  #cutOff() {
    this.caughtUp = false;
    this.presence.clear();
    this.#signed = 0;
    this.emit("change");
  }

  #refuse(reason) {
    this.refused = reason || "refused";
    this.emit("change");
  }

  #receive(publication) {
    if (publication.tags?.signal !== undefined) {
      const { info, data } = publication;
      if (info) this.#people(() => this.presence.wrote(info, data?.writing === true, Date.now()));
      return;
    }
    if (publication.offset === undefined) return;
    if (publication.info) this.presence.wrote(publication.info, false, Date.now());
    const message = this.#add(publication);
    this.emit("change");
    if (message) this.emit("message", message);
  }

  #add(publication) {
    if (publication.tags?.id) this.emit("arrived", publication.tags.id);
    // A server may leave out the time; then it is the one at which we heard of it.
    return this.log.add({ time: Date.now(), ...publication });
  }

  #people(action) {
    action();
    this.#recogniseUs();
    this.emit("change");
  }

  async #load(more = {}) {
    this.loading = true;
    this.emit("change");
    const wanted = this.log.epoch;
    try {
      const { publications, epoch, offset } = await this.#subscription.history({ limit: PAGE, reverse: true, ...more });
      if (wanted !== this.log.epoch) return; // the room was loaded afresh meanwhile
      this.log.epoch ??= epoch;
      for (const publication of publications) this.#add(publication);
      // An answer may be shorter than asked for because its messages are long, so only an empty one is the end.
      this.log.complete = publications.length === 0 || this.log.oldest <= 1;
      this.loaded = true;
      this.#catchUp();
      // Whoever comes for the first time has missed nothing.
      if (!this.#read) {
        this.#read = { epoch, offset };
        store.set(`read.${this.channel}`, this.#read);
      }
    } catch (error) {
      // Without a first page there is nothing to show, so that one is asked for until it comes.
      if (!this.loaded) setTimeout(() => this.#subscribed && !this.loaded && this.#load(), TRY_AGAIN);
    } finally {
      this.loading = false;
      this.emit("change");
    }
  }

  async #askWho() {
    this.presence.asked();
    try {
      const { clients } = await this.#subscription.presence();
      this.#people(() => this.presence.answered(clients));
    } catch {
      setTimeout(() => this.#subscribed && this.#askWho(), TRY_AGAIN);
    }
  }

  #recogniseUs() {
    identity.recognise(this.presence.client(this.#connection.clientId)?.user);
  }

  #unread() {
    if (!this.#read) return [];
    const after = this.#read.epoch === this.log.epoch ? this.#read.offset : 0;
    return this.log.all().filter((message) => message.offset > after && !message.deleted && message.user !== identity.user);
  }

  get #subscribed() {
    return this.#subscription.state === "subscribed";
  }
}
