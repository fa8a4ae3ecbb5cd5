// Who exchanges what with whom, and what came of it.

import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { WebSocket, WebSocketServer } from "ws";
import { Browser } from "./browser.mjs";
import { CASES, LARGE, make } from "./messages.mjs";
import { Relay } from "./relay.mjs";

const PATIENCE = 30_000;
const here = dirname(fileURLToPath(import.meta.url));
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(130));

const counts = { passed: 0, failed: 0, skipped: 0 };

function skip(what, why) {
  counts.skipped += 1;
  console.log(`skipped  ${what}: ${why}`);
}

/** Runs a case: `exchange` resolves with what was wrong, or nothing; then the relay is asked what passed. */
async function judge(who, wanted, relay, exchange) {
  relay.forget();
  let wrong;
  try {
    wrong = await inTime(exchange());
    for (const way of ["up", "down"]) {
      if (!wrong && wanted[way] && !wanted[way](relay[way])) wrong = `on the way ${way} passed ${JSON.stringify(relay[way])}`;
    }
  } catch (error) {
    wrong = error.message;
  }
  counts[wrong ? "failed" : "passed"] += 1;
  console.log(`${wrong ? "FAILED " : "ok     "}  ${who}: ${wanted.name}${wrong ? `: ${wrong}` : ""}`);
}

function inTime(promise) {
  return Promise.race([promise, new Promise((_, reject) => setTimeout(() => reject(new Error(`not done within ${PATIENCE / 1000} s`)), PATIENCE).unref())]);
}

// Our servers, each behind a relay.

async function serve(...args) {
  const child = spawn(process.env.FOURWIRE, ["ws", "--echo", "--listen", "127.0.0.1:0", ...args], { stdio: ["ignore", "pipe", "inherit"] });
  running.add(child);
  const [line] = await inTime(once(child.stdout.setEncoding("utf8"), "data"));
  return Relay.to(Number(/:(\d+)\s*$/.exec(line)[1]));
}

const servers = { whole: await serve(), frames: await serve("--no-compression", "--frame-bytes", "1000") };
const url = (relay) => `ws://127.0.0.1:${relay.port}/`;

// Browsers.

for (const [browser, name, path] of [
  ["chrome", "Chromium", process.env.CHROMIUM ?? "/usr/bin/chromium"],
  ["firefox", "Firefox", process.env.FIREFOX ?? "/usr/bin/firefox-esr"],
]) {
  if (!existsSync(path)) {
    skip(name, `${path} is not there`);
    continue;
  }
  let opened;
  try {
    opened = await inTime(Browser.open(browser, path));
  } catch (error) {
    counts.failed += 1;
    console.log(`FAILED   ${name}: it does not start: ${error.message}`);
    continue;
  }
  for (const wanted of CASES) {
    const relay = servers[wanted.server];
    await judge(opened.version, wanted, relay, () => opened.exchange(url(relay), wanted));
  }
  await opened.close();
}

// curl.

const curl = join(here, "curl.py");
const version = spawnSync("python3", [curl, "version"], { encoding: "utf8" });
if (version.status === 0) {
  const name = version.stdout.trim().split(" ")[0];
  for (const wanted of CASES) {
    if (wanted.compressed) {
      skip(`${name}: ${wanted.name}`, "libcurl knows no compression of WebSocket messages");
      continue;
    }
    const relay = servers[wanted.server];
    await judge(name, { ...wanted, up: wanted.fragments && ((passed) => passed.fragmented === 1) }, relay, async () => {
      const message = Buffer.from(make(wanted));
      const { status, out, errors } = await run("python3", [curl, url(relay), wanted.kind, String(wanted.fragments ?? 1)], message);
      return status !== 0 ? errors : out.equals(message) ? "" : "something else came back";
    });
  }
} else {
  skip("curl", `no libcurl with WebSocket: ${version.stderr.trim().split("\n").at(-1)}`);
}

/** Runs a program to its end, with bytes at its standard input. */
async function run(program, args, input) {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  running.add(child);
  const out = [];
  let errors = "";
  child.stdout.on("data", (bytes) => out.push(bytes));
  child.stderr.on("data", (bytes) => (errors += bytes));
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const [status] = await once(child, "close");
  running.delete(child);
  return { status, out: Buffer.concat(out), errors };
}

// npm's `ws` as a client.

for (const wanted of CASES) {
  const relay = servers[wanted.server];
  await judge("ws as client", { ...wanted, up: wanted.up ?? (wanted.fragments && ((passed) => passed.fragmented === 1)) }, relay, async () => {
    const socket = new WebSocket(url(relay), { maxPayload: 2 * LARGE });
    await once(socket, "open");
    const message = Buffer.from(make(wanted));
    const answer = once(socket, "message");
    for (const { part, fin } of parts(message, wanted.fragments)) socket.send(part, { binary: wanted.kind === "binary", fin });
    const [came, isBinary] = await answer;
    socket.close(1000);
    const [code] = await once(socket, "close");
    if (code !== 1000) return `closed with ${code}`;
    return came.equals(message) && isBinary === (wanted.kind === "binary") ? "" : "something else came back";
  });
}

function parts(message, count = 1) {
  const size = Math.ceil(message.length / count);
  return Array.from({ length: count }, (_, index) => ({ part: message.subarray(index * size, (index + 1) * size), fin: index === count - 1 }));
}

// npm's `ws` as a server, and our client. It echoes in fragments whatever came in some.

const theirs = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: { threshold: 1000 }, maxPayload: 2 * LARGE });
await once(theirs, "listening");
theirs.on("connection", (socket, request) => {
  socket.on("message", (message, isBinary) => {
    const count = request.url === "/fragments" ? 4 : 1;
    for (const { part, fin } of parts(message, count)) socket.send(part, { binary: isBinary, fin });
  });
});
const relay = await Relay.to(theirs.address().port);
for (const wanted of CASES) {
  const fragments = wanted.fragments !== undefined;
  const expected = fragments ? { up: (passed) => passed.fragmented === 1 && passed.frames >= 10, down: (passed) => passed.fragmented === 1 } : { up: wanted.down };
  await judge("ws as server", { ...wanted, ...expected }, relay, async () => {
    const message = Buffer.from(make(wanted));
    // A line is a message: text as it is, binary in hexadecimal.
    const hex = wanted.kind === "binary";
    const line = `${message.toString(hex ? "hex" : "utf8")}\n`;
    const args = ["ws", `${url(relay)}${fragments ? "fragments" : ""}`, "--count", "1", "--timeout", "20", ...(hex ? ["--hex"] : [])];
    if (fragments) args.push("--no-compression", "--frame-bytes", "1000");
    const { status, out, errors } = await run(process.env.FOURWIRE, args, line);
    return status !== 0 ? errors : out.toString("utf8") === line ? "" : "something else came back";
  });
}

console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exit(counts.failed > 0 ? 1 : 0);
