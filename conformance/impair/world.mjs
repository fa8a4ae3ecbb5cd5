// What the cases share: free ports, programs that are started and ended, and the file that nginx serves.

import { spawn } from "node:child_process";
import { createHash, randomFillSync } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { FOURWIRE } = process.env;
const running = new Set();

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A port that nobody listens at. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Starts a program; `ready` is what it prints once it is. What it prints is in `output`. */
export async function start(program, args, ready) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  child.output = "";
  running.add(child);
  const ended = new Promise((resolve) => child.once("close", resolve));
  child.end = async (signal = "SIGINT") => {
    child.kill(signal);
    await ended;
    running.delete(child);
    return child.output;
  };
  await new Promise((resolve, reject) => {
    const hear = (text) => {
      child.output += text;
      if (!ready || child.output.includes(ready)) resolve();
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.once("error", reject);
    child.once("close", () => reject(new Error(`${program} ended: ${child.output}`)));
    if (!ready) resolve();
  });
  return child;
}

/** `fourwire impair` in front of `port`: its own port, and the program. */
export async function impair(port, ...args) {
  const listen = await freePort();
  const api = args.includes("--api") ? [] : ["--no-api"];
  const program = await start(
    FOURWIRE,
    ["impair", "--listen", `127.0.0.1:${listen}`, "--to", `127.0.0.1:${port}`, ...api, ...args],
    "carried",
  );
  return { port: listen, program };
}

/** Runs a program to its end and gives what it printed. */
export function output(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    let [out, errors] = ["", ""];
    child.stdout.on("data", (text) => (out += text));
    child.stderr.on("data", (text) => (errors += text));
    child.once("error", reject);
    child.once("close", (code) => (code === 0 ? resolve(out) : reject(new Error(`${program} (${code}): ${errors}${out}`))));
  });
}

/** A directory with a random file of `bytes` bytes for each name, and their SHA-256. */
export async function files(sizes) {
  const directory = await mkdtemp(join(tmpdir(), "fourwire-impair-"));
  await mkdir(join(directory, "www"));
  const sums = {};
  for (const [name, bytes] of Object.entries(sizes)) {
    const hash = createHash("sha256");
    const file = createWriteStream(join(directory, "www", name));
    const block = Buffer.alloc(1 << 20);
    for (let left = bytes; left > 0; left -= block.length) {
      const part = randomFillSync(block).subarray(0, Math.min(left, block.length));
      hash.update(part);
      if (!file.write(Buffer.from(part))) await new Promise((resolve) => file.once("drain", resolve));
    }
    await new Promise((resolve) => file.end(resolve));
    sums[name] = hash.digest("hex");
  }
  return { directory, sums, remove: () => rm(directory, { recursive: true }) };
}

/** nginx, serving a directory. */
export async function nginx(directory) {
  const port = await freePort();
  const conf = join(directory, "nginx.conf");
  await writeFile(
    conf,
    `${process.getuid() === 0 ? "user root;" : ""} daemon off; worker_processes 1; pid ${directory}/pid; error_log ${directory}/errors;
     events {}
     # A slow link may keep nginx waiting for longer than its usual minute: the kernel's buffers before it are large.
     http { access_log off; send_timeout 1h; client_body_temp_path ${directory}/body; proxy_temp_path ${directory}/proxy;
       fastcgi_temp_path ${directory}/fastcgi; uwsgi_temp_path ${directory}/uwsgi; scgi_temp_path ${directory}/scgi;
       server { listen 127.0.0.1:${port}; root ${directory}/www; } }`,
  );
  const program = await start("nginx", ["-p", directory, "-c", conf, "-e", `${directory}/errors`]);
  await listening(port);
  return { port, program };
}

/** Waits until somebody listens at `port`. */
export async function listening(port) {
  const { connect } = await import("node:net");
  for (;;) {
    const there = await new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (there) return;
    await sleep(20);
  }
}

/** Ends what still runs. */
export async function endAll() {
  for (const child of running) child.kill("SIGKILL");
}
