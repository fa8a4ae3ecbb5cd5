// The connection light: says what is, and counts down to the next attempt.
//
// What is seen changes every second; what is said aloud changes only with the state.

import { $, setText } from "./dom.js";

export class Light {
  #light = $("light");
  #text = $("light-text");
  #said = $("light-said");
  #retry = $("retry");
  #connection;
  #outbox;
  #ticking = null;

  constructor(connection, outbox) {
    this.#connection = connection;
    this.#outbox = outbox;
    connection.on("status", () => this.#show());
    outbox.on("change", () => this.#show());
    this.#retry.addEventListener("click", () => connection.retry());
    this.#show();
  }

  #show() {
    const { status } = this.#connection;
    clearTimeout(this.#ticking);
    if (status.state === "waiting") {
      const left = status.until - Date.now();
      this.#ticking = setTimeout(() => this.#show(), left % 1_000 || 1_000);
    }
    this.#light.dataset.state = status.state;
    setText(this.#text, this.#words(status));
    setText(this.#said, { waiting: "Connection lost, reconnecting", closed: this.#words(status) }[status.state] ?? this.#words(status));
    this.#retry.hidden = status.state !== "closed" && !(status.state === "waiting" && status.until - Date.now() > 1_500);
  }

  #words(status) {
    const kept = this.#outbox.size;
    switch (status.state) {
      case "connected":
        return kept > 0 ? "Sending…" : "Connected";
      case "connecting":
        return "Connecting…";
      case "waiting":
        return `Reconnecting in ${Math.max(1, Math.ceil((status.until - Date.now()) / 1_000))} s`;
      case "offline":
        return kept > 0 ? `Offline, ${kept} kept` : "Offline";
      default:
        return `Disconnected: ${status.reason}`;
    }
  }
}
