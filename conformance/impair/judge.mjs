// The cases, and the verdict. See `run`.

import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { join } from "node:path";

import toxiproxy from "toxiproxy-node-client";
import { WebSocket, WebSocketServer } from "ws";

import { endAll, files, freePort, impair, listening, nginx, output, sleep, start } from "./world.mjs";

const { Toxiproxy } = toxiproxy;
const here = import.meta.dirname;
const MEGABYTES = Number(process.env.MEGABYTES ?? 100);
const FULL = process.env.FULL === "1";
const ONLY = process.env.PRESETS?.split(",");
const whole = MEGABYTES * 1_000_000;
let [passed, failed] = [0, 0];

async function judge(name, work) {
  try {
    const said = await work();
    passed += 1;
    console.log(`ok    ${name}${said ? `: ${said}` : ""}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}: ${error.stack ?? error}`);
  }
}

function must(holds, what) {
  if (!holds) throw new Error(what);
}

// About eight seconds of each link's rate downwards, in bytes; null where there is none.
const PRESETS = {
  "3g": 1_600_000, "4g": 9_000_000, edge: 240_000, "wifi-bad": 3_000_000, satellite: 3_000_000, dsl: 1_500_000,
  lossy: 8_000_000, bufferbloat: 8_000_000, train: 5_000_000,
};

async function download(port, name, sum, seconds) {
  const curl = ["-sSf", "--max-time", String(seconds)];
  const began = performance.now();
  // The sum is taken of what curl hands on, byte by byte.
  const got = await output("bash", ["-c", 'set -o pipefail; curl "$@" | sha256sum', "-", ...curl,
    `http://127.0.0.1:${port}/${name}`]);
  must(got.startsWith(sum), `the checksum of ${name} is wrong: ${got}`);
  return (performance.now() - began) / 1000;
}

async function echo(port, count, longest) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`);
  await once(socket, "open");
  for (let at = 0; at < count; at++) {
    const sent = Buffer.alloc(1 + Math.floor((longest * at) / count), at);
    socket.send(sent);
    const [back] = await once(socket, "message");
    must(sent.equals(back), `message ${at} came back otherwise`);
  }
  socket.close(1000);
  const [code] = await once(socket, "close");
  must(code === 1000, `closed with ${code}`);
}

async function presets() {
  const sizes = { whole };
  for (const [name, rate] of Object.entries(PRESETS)) sizes[name] = FULL ? whole : Math.min(whole, rate);
  const world = await files(sizes);
  const web = await nginx(world.directory);
  const server = new WebSocketServer({ port: await freePort(), host: "127.0.0.1" });
  server.on("connection", (socket) => socket.on("message", (data, binary) => socket.send(data, { binary })));
  await once(server, "listening");
  await Promise.all(Object.keys(PRESETS).filter((name) => ONLY?.includes(name) ?? true).map(async (name) => {
    await judge(`nginx to curl through ${name}`, async () => {
      const { port, program } = await impair(web.port, "--preset", name);
      const took = await download(port, name, world.sums[name], FULL ? 7_200 : 150);
      await program.end();
      return `${(sizes[name] / 1e6).toFixed(2)} MB in ${took.toFixed(1)} s`;
    });
    await judge(`ws to its own client through ${name}`, async () => {
      const { port, program } = await impair(server.address().port, "--preset", name);
      await echo(port, 10, 8_000);
      await program.end();
    });
  }));
  server.close();
  await judge("a lossy link: every byte, and retransmissions are told", async () => {
    const { port, program } = await impair(web.port, "--loss", "3%");
    await download(port, "lossy", world.sums.lossy, 100);
    const told = await program.end();
    must(/sent again [1-9]/.test(told), told);
  });
  await judge("the cost of a clean link, beside a plain tokio relay", async () => {
    const relayed = await freePort();
    const relay = await start(process.env.RELAY, [String(relayed), String(web.port)]);
    await listening(relayed);
    const { port, program } = await impair(web.port);
    const [ours, plain] = [[], []];
    for (let round = 0; round < 3; round++) {
      ours.push(await download(port, "whole", world.sums.whole, 600));
      plain.push(await download(relayed, "whole", world.sums.whole, 600));
    }
    await Promise.all([program.end(), relay.end("SIGTERM")]);
    const ratios = ours.map((time, round) => time / plain[round]).sort((a, b) => a - b);
    const rate = (times) => ((whole * 8) / 1e6 / [...times].sort((a, b) => a - b)[1]).toFixed(0);
    return `${MEGABYTES} MB take ${ratios[1].toFixed(1)} times as long ` +
      `(${rate(ours)} Mbit/s, the relay ${rate(plain)} Mbit/s; 3 rounds, the middle one; two hosts' TCP and every frame of both)`;
  });
  await web.program.end("SIGTERM");
  await world.remove();
}

/** A TCP echo server. */
async function echoServer() {
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.on("error", () => {}).pipe(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** Sends a byte and waits until it is back: how long that took, in milliseconds. */
async function roundTrip(socket) {
  const began = performance.now();
  socket.write("x");
  await once(socket, "data");
  return performance.now() - began;
}

async function dial(port) {
  const socket = connect(port, "127.0.0.1");
  socket.setNoDelay(true);
  socket.failed = new Promise((resolve) => socket.on("error", (error) => resolve(error.code)));
  // A reset may be as quick as the connection.
  await Promise.race([new Promise((resolve) => socket.once("connect", resolve)), socket.failed]);
  return socket;
}

async function toxics() {
  const server = await echoServer();
  const upstream = `127.0.0.1:${server.address().port}`;
  const api = await freePort();
  const fourwire = await start(process.env.FOURWIRE, ["impair", "--api", `127.0.0.1:${api}`], "API at");
  const client = new Toxiproxy(`http://127.0.0.1:${api}`);
  const port = await freePort();
  const listen = `127.0.0.1:${port}`;
  await judge("toxiproxy client: a proxy is made, found, and carries", async () => {
    const proxy = await client.createProxy({ name: "echo", listen, upstream });
    must(proxy.enabled && proxy.listen === listen && proxy.upstream === upstream, JSON.stringify(proxy.toJson()));
    must("echo" in (await client.getAll()), "it is not among all");
    must((await roundTrip(await dial(port))) < 1000, "it does not carry");
    must((await client.getVersion()) !== "", "it has no version");
  });
  await judge("toxiproxy client: latency is felt, changed and removed", async () => {
    const proxy = await client.get("echo");
    const toxic = await proxy.addToxic({ name: "slow", type: "latency", stream: "downstream", toxicity: 1, attributes: { latency: 200, jitter: 0 } });
    const socket = await dial(port);
    await roundTrip(socket);
    const slow = await roundTrip(socket);
    must(slow >= 199 && slow < 1000, `${slow} ms`);
    await (await proxy.getToxic("slow")).update({ attributes: { latency: 20, jitter: 0 } });
    const quicker = await roundTrip(socket);
    must(quicker >= 19 && quicker < 150, `${quicker} ms`);
    await toxic.remove();
    socket.destroy();
    return `${slow.toFixed(0)} ms, then ${quicker.toFixed(0)} ms`;
  });
  await judge("toxiproxy client: bandwidth, limit_data, reset_peer and timeout", async () => {
    const proxy = await client.get("echo");
    const add = (type, attributes) => proxy.addToxic({ name: type, type, stream: "upstream", toxicity: 1, attributes });
    let toxic = await add("bandwidth", { rate: 100 });
    let socket = await dial(port);
    const began = performance.now();
    socket.write(Buffer.alloc(150_000));
    let got = 0;
    for await (const part of socket) if ((got += part.length) === 150_000) break;
    const took = performance.now() - began;
    must(took > 1_000, `150 kB at 100 kB/s in ${took} ms`);
    await toxic.remove();
    toxic = await add("limit_data", { bytes: 1_000 });
    socket = await dial(port);
    socket.write(Buffer.alloc(5_000));
    got = 0;
    for await (const part of socket) got += part.length;
    must(got <= 1_000, `${got} bytes`);
    await toxic.remove();
    toxic = await add("reset_peer", { timeout: 0 });
    socket = await dial(port);
    must((await socket.failed) === "ECONNRESET", "no reset");
    await toxic.remove();
    toxic = await add("timeout", { timeout: 200 });
    socket = await dial(port);
    await once(socket.resume(), "close");
    await toxic.remove();
  });
  await judge("toxiproxy client: disabled, enabled, refused, reset, populated, removed", async () => {
    const proxy = await client.get("echo");
    await proxy.update({ enabled: false, listen, upstream });
    const refused = connect(port, "127.0.0.1");
    must((await once(refused, "error"))[0].code === "ECONNREFUSED", "it still listens");
    const slicer = { name: "s", type: "slicer", stream: "upstream", toxicity: 1, attributes: { average_size: 1, size_variation: 0, delay: 0 } };
    must(await proxy.addToxic(slicer).then(() => false, () => true), "a slicer is taken");
    await client.reset();
    must((await roundTrip(await dial(port))) < 1000, "it does not carry again");
    const other = await freePort();
    await client.populate([{ name: "other", listen: `127.0.0.1:${other}`, upstream, enabled: true }]);
    must((await roundTrip(await dial(other))) < 1000, "the populated one does not carry");
    await proxy.remove();
    must(await client.get("echo").then(() => false, () => true), "it is still there");
  });
  await fourwire.end();
  server.close();
}

async function faults() {
  const server = new WebSocketServer({ port: await freePort(), host: "127.0.0.1" });
  server.on("connection", (socket) => socket.on("message", (data) => socket.send(data)));
  await once(server, "listening");
  await judge("a half-open connection: both sides believe in it, nothing passes, a new one works", async () => {
    const { port, program } = await impair(server.address().port, "--half-open-after", "1s");
    const socket = new WebSocket(`ws://127.0.0.1:${port}`);
    await once(socket, "open");
    socket.send("before");
    await once(socket, "message");
    while (!program.output.includes("half-open")) await sleep(20);
    let heard = false;
    socket.on("message", () => (heard = true));
    socket.send("into silence");
    await sleep(1_500);
    must(!heard && socket.readyState === WebSocket.OPEN, "the client noticed");
    must(server.clients.size === 1 && [...server.clients][0].readyState === WebSocket.OPEN, "the server noticed");
    await echo(port, 3, 100);
    socket.terminate();
    await program.end();
  });
  await judge("a cut is survived: what was sent meanwhile arrives after healing", async () => {
    const { port, program } = await impair(server.address().port, "--at", "1s cut,2s heal");
    const socket = new WebSocket(`ws://127.0.0.1:${port}`);
    await once(socket, "open");
    while (!program.output.includes("cut")) await sleep(20);
    const began = performance.now();
    socket.send("into the cut");
    await once(socket, "message");
    const took = performance.now() - began;
    must(took > 500 && took < 6_000, `${took} ms`);
    socket.terminate();
    await program.end();
    return `${took.toFixed(0)} ms`;
  });
  server.close();
  await judge("a refused target resets the client", async () => {
    const { port, program } = await impair(await freePort());
    must((await (await dial(port)).failed) === "ECONNRESET", "no reset");
    must((await program.end()).includes("1 of them did not reach the target"), "it is not told");
  });
  await judge("datagrams: some are lost, the others are right", async () => {
    const target = createSocket("udp4");
    target.on("message", (data, from) => target.send(data, from.port, from.address));
    target.bind(0, "127.0.0.1");
    await once(target, "listening");
    const { port, program } = await impair(target.address().port, "--udp", "--loss", "20%");
    const client = createSocket("udp4");
    const sent = new Map();
    let right = 0;
    client.on("message", (data) => (right += sent.get(data.readUInt32BE()) === createHash("md5").update(data).digest("hex") ? 1 : 0));
    for (let at = 0; at < 200; at++) {
      const data = Buffer.alloc(100 + at * 10, at);
      data.writeUInt32BE(at);
      sent.set(at, createHash("md5").update(data).digest("hex"));
      client.send(data, port, "127.0.0.1");
      await sleep(5);
    }
    await sleep(300);
    client.close();
    target.close();
    await program.end();
    must(right > 40 && right < 190, `${right} of 200 came back`);
    return `${right} of 200 came back`;
  });
}

await presets();
await toxics();
await faults();
await judge("two namespaces and a cable between them", () => output("bash", [join(here, "between")]).then((text) => text.trim()));
await endAll();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
