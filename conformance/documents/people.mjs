// Somebody who edits a document, by one of the two clients, as a program would use it.

import { HocuspocusProvider } from "@hocuspocus/provider";
import { Awareness } from "y-protocols/awareness";
import { WebsocketProvider } from "y-websocket";
import WebSocket from "ws";
import * as Y from "yjs";

const PATIENCE = 30_000;
const everybody = new Set();

class Person {
  doc = new Y.Doc();
  text = this.doc.getText("content");
  awareness = new Awareness(this.doc);
  closed = [];

  constructor() {
    everybody.add(this);
  }

  write(at, words) {
    this.text.insert(Math.min(at, this.text.length), words);
  }

  /** A random edit, which may also take something away. */
  edit(random, word) {
    const at = random(this.text.length + 1);
    if (this.text.length > 20 && random(4) === 0) this.text.delete(random(this.text.length - 5), 5);
    else this.write(at, word);
  }

  seen() {
    return [...this.awareness.getStates().values()].map((state) => state.name).filter(Boolean).sort();
  }
}

export class YWebsocket extends Person {
  constructor(server, name, params = {}) {
    super();
    // In one process all would hear each other without a server.
    this.provider = new WebsocketProvider(`ws://127.0.0.1:${server.port}/yjs`, name, this.doc, {
      WebSocketPolyfill: WebSocket,
      awareness: this.awareness,
      disableBc: true,
      maxBackoffTime: 300,
      params,
    });
    this.provider.on("connection-close", (event) => event && this.closed.push([event.code, event.reason]));
  }

  synced() {
    return until(() => this.provider.synced, "y-websocket to be in step");
  }

  /** It has nothing that says so but what comes back. */
  stored() {
    return this.synced();
  }

  leave() {
    this.provider.destroy();
    everybody.delete(this);
  }
}

export class Hocuspocus extends Person {
  denied = [];
  ended = [];

  constructor(server, name, { token = "", ...more } = {}) {
    super();
    this.provider = new HocuspocusProvider({
      url: `ws://127.0.0.1:${server.port}/hocuspocus`,
      name,
      document: this.doc,
      awareness: this.awareness,
      token,
      WebSocketPolyfill: WebSocket,
      delay: 100,
      maxDelay: 300,
      minDelay: 100,
      onAuthenticationFailed: ({ reason }) => this.denied.push(reason),
      onClose: ({ event }) => this.ended.push([event.code, event.reason]),
      ...more,
    });
  }

  synced() {
    return until(() => this.provider.synced, "Hocuspocus's client to be in step");
  }

  /** The server has said of every edit that it is stored. */
  stored() {
    return until(() => this.provider.synced && !this.provider.hasUnsyncedChanges, "every edit to be stored");
  }

  leave() {
    this.provider.destroy();
    everybody.delete(this);
  }
}

export function disperse() {
  for (const person of [...everybody]) person.leave();
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export async function until(condition, what) {
  const deadline = Date.now() + PATIENCE;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited ${PATIENCE} ms for ${what}`);
    await pause(10);
  }
}

/** Everybody has the same text, and it is not empty. */
export async function agree(people) {
  const texts = () => people.map(({ text }) => text.toString());
  await until(() => new Set(texts()).size === 1 && texts()[0] !== "", "all to have one text").catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(texts().map((text) => [text.length, text.slice(0, 60)]))}`);
  });
  return texts()[0];
}

/** The same numbers for the same seed (a linear congruential generator). */
export function randomOf(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
