// People with the npm `centrifuge` client, who write down what they see.

import { Centrifuge } from "centrifuge";
import WebSocket from "ws";
import { within } from "./raw.mjs";

const people = new Set();

export class Person {
  /** What came in each room, as [offset, data]. */
  seen = new Map();
  /** Every event of client and rooms, in order, for those who want to know why. */
  diary = [];

  constructor(url, options = {}) {
    const settings = { websocket: WebSocket, minReconnectDelay: 20, maxReconnectDelay: 200, timeout: 5_000 };
    this.client = new Centrifuge(url, { ...settings, ...options });
    for (const event of ["connecting", "connected", "disconnected", "error"]) {
      this.client.on(event, (context) => this.diary.push([event, context]));
    }
    people.add(this);
    this.client.connect();
  }

  connected() {
    return this.client.ready(10_000);
  }

  /** Enters a room. */
  async enter(room, options = {}) {
    const subscription = this.client.newSubscription(room, options);
    this.seen.set(room, []);
    for (const event of ["subscribing", "subscribed", "unsubscribed", "error", "join", "leave"]) {
      subscription.on(event, (context) => this.diary.push([event, context]));
    }
    subscription.on("publication", ({ offset, data }) => this.seen.get(room).push([offset, data]));
    subscription.subscribe();
    await subscription.ready(10_000);
    return subscription;
  }

  /** Publishes by the RPC, again and again under one id, until it is acknowledged. */
  async say(room, data, id = crypto.randomUUID(), deadline = Date.now() + 30_000) {
    for (;;) {
      try {
        return (await this.client.rpc("publish", { id, channel: room, data })).data;
      } catch (error) {
        if (Date.now() > deadline) throw new Error(`not published: ${JSON.stringify(error)}`);
        await pause(20);
      }
    }
  }

  /** Waits until so many publications have come in a room. */
  has(room, count) {
    return until(() => this.seen.get(room).length >= count, () => `${count} publications, but ${this.seen.get(room).length}`);
  }

  /** What happened under this name, so far. */
  events(name) {
    return this.diary.filter(([event]) => event === name).map(([, context]) => context);
  }

  /** Cuts the connection off, as a broken network does. */
  cut() {
    this.client._transport?._transport?.terminate();
  }

  leave() {
    this.client.disconnect();
    people.delete(this);
  }
}

/** Everyone goes. */
export function disperse() {
  for (const person of people) person.leave();
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Waits until `holds`. */
export async function until(holds, what, deadline = 20_000) {
  let given = false;
  const polling = (async () => {
    while (!given && !holds()) await pause(5);
  })();
  try {
    await within(polling, typeof what === "function" ? "the awaited" : what, deadline);
  } catch (error) {
    given = true;
    throw typeof what === "function" ? new Error(`${error.message}: ${what()}`) : error;
  }
}
