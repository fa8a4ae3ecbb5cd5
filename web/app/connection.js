// The one connection to the server, and the truth about it.
//
// `status` is one of
//   { state: "connected" }
//   { state: "connecting" }               an attempt is under way
//   { state: "waiting", until }           the next attempt starts at `until` (milliseconds, Date.now())
//   { state: "offline" }                  the browser has no network
//   { state: "closed", reason }           the server does not want us; only the person can try again

import { Client } from "./client.js";
import { Emitter } from "./emitter.js";
import { identity } from "./identity.js";

export class Connection extends Emitter {
  status = { state: "connecting" };
  /** Id of this connection while connected, given by the server. */
  clientId = null;
  #client;

  constructor(address) {
    super();
    this.#client = new Client(address, {
      name: "fourwire-page",
      minReconnectDelay: 500,
      maxReconnectDelay: 15_000,
      timeout: 8_000,
      maxServerPingDelay: 8_000,
    });
    this.#client
      .on("connecting", () => this.#become({ state: "connecting" }))
      .on("waiting", (delay) => this.#wait(delay))
      .on("connected", (context) => {
        this.clientId = context.client;
        identity.recognise(context.data?.user);
        this.#become({ state: "connected" });
      })
      .on("disconnected", ({ code, reason }) => {
        // 0 is our own doing, in retry().
        if (code !== 0) this.#become({ state: "closed", reason: reason || `code ${code}` });
      })
      // Failed attempts are told by `waiting`; without a listener the client would throw them.
      .on("error", () => {});
    addEventListener("offline", () => this.#become({ state: "offline" }));
    addEventListener("online", () => {
      if (this.status.state === "offline") this.#become({ state: "connecting" });
    });
  }

  get connected() {
    return this.status.state === "connected";
  }

  open() {
    this.#client.setData(credentials());
    this.#client.connect();
  }

  /** Tries at once instead of waiting; also comes back from "closed". */
  retry() {
    this.#client.disconnect();
    this.#client.connect();
  }

  /** Introduces us anew, after the name has changed. */
  introduce() {
    this.#client.setData(credentials());
    this.retry();
  }

  /** Calls `method` of the server. Rejects with `{ code, message }`. */
  async call(method, parameters) {
    const { data } = await this.#client.rpc(method, parameters);
    return data;
  }

  /** A subscription that remembers its place, so that nothing is lost while we are away. */
  subscription(channel) {
    return this.#client.newSubscription(channel, { positioned: true, recoverable: true, joinLeave: true });
  }

  forget(subscription) {
    subscription.unsubscribe();
    this.#client.removeSubscription(subscription);
  }

  #wait(delay) {
    const until = Date.now() + delay;
    this.#become(navigator.onLine ? { state: "waiting", until } : { state: "offline" });
    clearTimeout(this.attempt);
    this.attempt = setTimeout(() => {
      if (this.status.state === "waiting") this.#become({ state: "connecting" });
    }, delay);
  }

  #become(status) {
    if (status.state !== "connected") this.clientId = null;
    if (status.state === "connecting" && !navigator.onLine) status = { state: "offline" };
    this.status = status;
    this.emit("status", status);
  }
}

export function addressOf(place) {
  return `${place.protocol === "https:" ? "wss" : "ws"}://${place.host}/connection/websocket`;
}

function credentials() {
  return { name: identity.name, key: identity.key };
}
