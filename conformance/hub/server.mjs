// A `fourwire serve` of our own: started, killed and started again.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const START_DEADLINE = 20_000;

/** What must not outlive this process, however it ends. */
const running = new Set();
const directories = new Set();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(130));

export class Server {
  #process = null;
  #directory = null;
  #errors = "";
  #arguments;
  port = 0;

  constructor(...args) {
    this.#arguments = args;
  }

  /** Starts it, at the same port as the last time, and waits until it says where it listens. */
  async start() {
    this.#directory ??= await mkdtemp(join(tmpdir(), "fourwire-hub-"));
    directories.add(this.#directory);
    const args = ["serve", "--listen", `127.0.0.1:${this.port}`, "--data", this.#directory, ...this.#arguments];
    const child = spawn(process.env.FOURWIRE, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    running.add(child);
    child.on("exit", () => running.delete(child));
    child.stderr.on("data", (bytes) => (this.#errors = (this.#errors + bytes).slice(-10_000)));
    let out = "";
    const listening = new Promise((resolve, reject) => {
      child.stdout.on("data", (bytes) => {
        out += bytes;
        const found = /http:\/\/127\.0\.0\.1:(\d+)\//.exec(out);
        if (found) resolve(Number(found[1]));
      });
      child.on("error", reject);
      child.on("exit", (code, signal) => reject(new Error(`the server ended (${code ?? signal}): ${this.#errors}`)));
      setTimeout(() => reject(new Error(`the server is not up: ${out}${this.#errors}`)), START_DEADLINE).unref();
    });
    this.port = await listening;
  }

  get url() {
    return `ws://127.0.0.1:${this.port}/connection/websocket`;
  }

  get pid() {
    return this.#process.pid;
  }

  /** Ends it by a signal, and waits until it is gone. */
  async end(signal) {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  /** As a crash would. */
  async restart() {
    await this.end("SIGKILL");
    await this.start();
  }

  /** Ends it and forgets its data. */
  async remove() {
    await this.end("SIGKILL");
    if (this.#directory) await rm(this.#directory, { recursive: true, force: true });
    this.#directory = null;
  }
}
