// Who we are: a name that people see, and a secret key from which the server derives a stable user id.
// The key never appears in a room; whoever has it can edit and delete our messages.

import * as store from "./store.js";

export const LONGEST_NAME = 40;

export const identity = {
  name: store.get("name", ""),
  key: store.get("key") ?? newKey(),
  /** Our user id, as the server told it the last time we were connected. */
  user: store.get("user", ""),

  rename(name) {
    this.name = tidyName(name);
    store.set("name", this.name);
  },

  recognise(user) {
    if (!user || user === this.user) return;
    this.user = user;
    store.set("user", user);
  },
};

export function tidyName(text) {
  const tidy = text.replace(/\s+/gu, " ").trim();
  return [...tidy].slice(0, LONGEST_NAME).join("");
}

/** A random id that nobody else will draw: 128 bits, as 32 hexadecimal digits. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function newKey() {
  const key = randomId();
  store.set("key", key);
  return key;
}
