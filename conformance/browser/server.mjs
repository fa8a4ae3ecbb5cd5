// The program under judgement, as a child process that can be killed and started again.

import { spawn } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const STARTS_WITHIN = 10_000; // milliseconds

/** Whether the server is on Fourwire's own TCP/IP, and so a host of its own: the environment says it. */
export const OWN = process.env.FOURWIRE_ADDRESS !== undefined;

const HOST = OWN ? process.env.FOURWIRE_ADDRESS.split("/")[0] : "127.0.0.1";

/** The server's origin when it is a host of its own. */
export const OWN_ORIGIN = `http://${HOST}`;

export class Server {
  #child = null;
  #said = "";

  static async start() {
    const server = new Server();
    server.host = HOST;
    server.port = OWN ? 80 : await freePort();
    server.data = await mkdtemp(join(tmpdir(), "fourwire-browser-"));
    await server.start();
    return server;
  }

  get address() {
    return `http://${this.host}:${this.port}/`;
  }

  async start() {
    const child = spawn(program(), ["serve", "--listen", `${this.host}:${this.port}`, "--data", this.data], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    const end = () => child.kill("SIGKILL");
    process.once("exit", end);
    child.once("exit", () => process.off("exit", end));
    const ended = new Promise((resolve) => child.on("exit", resolve).on("error", resolve));
    this.ended = ended;
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => (this.#said = (this.#said + bytes).slice(-4_000)));
    const deadline = Date.now() + STARTS_WITHIN;
    while (!(await this.#answers())) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`the server does not answer at ${this.address}. It said:\n${this.#said}`);
      await sleep(30);
    }
  }

  /** kill -9: no goodbye to anybody. */
  async kill() {
    this.#child.kill("SIGKILL");
    await this.ended;
  }

  /** Throws away everything the server has written. Call it only while the server is down. */
  async forget() {
    await rm(this.data, { recursive: true, force: true });
  }

  async stop() {
    if (this.#child?.exitCode === null && this.#child.signalCode === null) await this.kill();
    await this.forget();
  }

  async #answers() {
    try {
      return (await fetch(this.address, { signal: AbortSignal.timeout(1_000) })).ok;
    } catch {
      return false;
    }
  }
}

function program() {
  if (process.env.FOURWIRE) return process.env.FOURWIRE;
  const built = ["release", "debug"]
    .map((profile) => fileURLToPath(new URL(`../../target/${profile}/fourwire`, import.meta.url)))
    .filter((path) => existsSync(path))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  if (built.length === 0) throw new Error("there is no target/release/fourwire: run cargo build --release first, or set FOURWIRE");
  return built[0];
}

export async function freePort() {
  const probe = net.createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => probe.once("listening", resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
