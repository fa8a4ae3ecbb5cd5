// The line between a browser and the server: a relay of TCP connections that can be cut for real.

import net from "node:net";
import { freePort } from "./server.mjs";

export class Line {
  #target;
  #relay = null;
  #sockets = new Set();
  #mute = false;

  static async to(server) {
    const line = new Line();
    line.#target = server;
    line.port = await freePort();
    await line.restore();
    return line;
  }

  get address() {
    return `http://127.0.0.1:${this.port}/`;
  }

  /** Resets every connection, and refuses new ones. */
  async cut() {
    const relay = this.#relay;
    this.#relay = null;
    if (!relay) return;
    const closed = new Promise((resolve) => relay.close(resolve));
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await closed;
  }

  async restore() {
    this.#mute = false;
    this.#relay = net.createServer((near) => this.#connect(near));
    this.#relay.listen(this.port, "127.0.0.1");
    await new Promise((resolve, reject) => this.#relay.once("listening", resolve).once("error", reject));
  }

  /** From now on the server hears everything and its answers are lost, until the line is cut and restored. */
  mute() {
    this.#mute = true;
  }

  #connect(near) {
    const far = net.connect(this.#target.port, this.#target.host);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on("data", (bytes) => (from === far && this.#mute) || to.write(bytes));
      from.on("end", () => to.end());
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}
