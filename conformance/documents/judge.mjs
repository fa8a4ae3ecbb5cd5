// Two clients of Yjs servers, unchanged, against a built `fourwire serve`; then those who do not keep to the protocol.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import WebSocket from "ws";
import * as Y from "yjs";
import { Server } from "../hub/server.mjs";
import { Hocuspocus, YWebsocket, agree, disperse, pause, randomOf, until } from "./people.mjs";

const SECRET = "a secret of the judge";
const server = new Server();
const locked = new Server("--token-secret", SECRET);
const tests = [];
const test = (name, run) => tests.push({ name, run });
let documents = 0;
const fresh = () => `document ${++documents}`;
const BOTH = [YWebsocket, Hocuspocus];

function token(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

const url = (name) => `http://127.0.0.1:${server.port}/documents/${encodeURIComponent(name)}`;
const state = async (name) => new Uint8Array(await (await fetch(url(name))).arrayBuffer());
const stored = async (name) => (await fetch(`${url(name)}?text=content`)).text();

test("two write in one document, each by the other's client", async () => {
  const name = fresh();
  const people = BOTH.flatMap((Client) => [new Client(server, name), new Client(server, name)]);
  await Promise.all(people.map((person) => person.synced()));
  people.forEach((person, index) => person.write(0, `${index} was here. `));
  const text = await agree(people);
  assert.equal(text.length, 4 * "0 was here. ".length);
});

test("a document is there when all have gone, and after kill -9", async () => {
  for (const Client of BOTH) {
    const name = fresh();
    const ada = new Client(server, name);
    await ada.synced();
    ada.write(0, "kept");
    await ada.stored();
    const bob = new Client(server, name);
    await until(() => bob.text.toString() === "kept", "Bob to see it");
    ada.leave();
    bob.leave();
    await server.restart();
    const eve = new Client(server, name);
    await until(() => eve.text.toString() === "kept", "it to be there still");
    assert.equal(await stored(name), "kept");
  }
});

test("many write at random while the server is killed again and again: all agree, and nothing acknowledged is lost", async () => {
  const name = fresh();
  const random = randomOf(7);
  const people = Array.from({ length: 8 }, (_, index) => new BOTH[index % 2](server, name));
  await Promise.all(people.map((person) => person.synced()));
  const acknowledged = [];
  for (let round = 0; round < 4; round += 1) {
    for (let step = 0; step < 60; step += 1) {
      people[random(people.length)].edit(random, `${round}.${step} `);
      if (step % 20 === 0) await pause(2);
    }
    // A mark that the server says is stored, right before it dies.
    const writer = people.find((person) => person instanceof Hocuspocus);
    await writer.stored();
    const mark = `mark ${round};`;
    writer.doc.getMap("marks").set(mark, true);
    await writer.stored();
    acknowledged.push(mark);
    people.forEach((person) => person.edit(random, "unheard "));
    await server.end("SIGKILL");
    people.forEach((person, index) => person.edit(random, `offline ${index} `));
    await server.start();
    const witness = new Y.Doc();
    Y.applyUpdate(witness, await state(name));
    for (const known of acknowledged) assert.ok(witness.getMap("marks").get(known), `${known} was acknowledged`);
  }
  await Promise.all(people.map((person) => person.synced()));
  const text = await agree(people);
  await until(() => people.every((person) => person.doc.getMap("marks").size === 4), "all marks to be everywhere");
  for (let tries = 0; tries < 100 && (await stored(name)) !== text; tries += 1) await pause(50);
  assert.equal(await stored(name), text, "the server has the same");
});

test("who is there is seen, and who has gone is not", async () => {
  for (const Client of BOTH) {
    const name = fresh();
    const [ada, bob] = [new Client(server, name), new Client(server, name)];
    await Promise.all([ada.synced(), bob.synced()]);
    ada.awareness.setLocalStateField("name", "Ada");
    bob.awareness.setLocalStateField("name", "Bob");
    await until(() => ada.seen().join() === "Ada,Bob" && bob.seen().join() === "Ada,Bob", "each to see the other");
    const late = new Client(server, name);
    await until(() => late.seen().join() === "Ada,Bob", "who comes late to see both");
    // Without a goodbye.
    const socket = bob.provider.ws ?? bob.provider.configuration.websocketProvider.webSocket;
    bob.provider.shouldConnect = false;
    if (bob.provider.configuration) bob.provider.configuration.websocketProvider.shouldConnect = false;
    socket.terminate();
    await until(() => ada.seen().join() === "Ada", "Bob to be gone");
  }
});

test("one connection has many documents open, and one of them twice", async () => {
  const { HocuspocusProviderWebsocket } = await import("@hocuspocus/provider");
  const websocketProvider = new HocuspocusProviderWebsocket({ url: `ws://127.0.0.1:${server.port}/hocuspocus`, WebSocketPolyfill: WebSocket });
  const [one, two] = [fresh(), fresh()];
  const people = [one, two, one].map((name) => new Hocuspocus(server, name, { websocketProvider, url: undefined, sessionAwareness: true }));
  people.forEach((person) => person.provider.attach());
  await Promise.all(people.map((person) => person.synced()));
  people[0].write(0, "first");
  people[1].write(0, "second");
  await until(() => people[2].text.toString() === "first", "the same document to have it twice");
  assert.equal(people[1].text.toString(), "second");
  await people[0].stored();
  people[0].leave();
  people[2].write(5, " and on");
  await people[2].stored();
  assert.equal(await stored(one), "first and on");
  people.slice(1).forEach((person) => person.leave());
  websocketProvider.destroy();
});

test("who may only read sees everything and changes nothing", async () => {
  const name = fresh();
  const writer = new YWebsocket(locked, name, { token: token({ sub: "ada" }) });
  await writer.synced();
  writer.write(0, "for your eyes");
  const reader = token({ sub: "bob", documents: { "*": "read" } });
  for (const open of [() => new YWebsocket(locked, name, { token: reader }), () => new Hocuspocus(locked, name, { token: reader })]) {
    const person = open();
    await until(() => person.text.toString().startsWith("for your eyes"), "the reader to see it");
    person.write(0, "not ");
    await pause(200);
    const marks = writer.text.length - "for your eyes".length + 1;
    writer.write(writer.text.length, "!");
    await until(() => person.text.toString().endsWith("!".repeat(marks)), "the reader to hear on");
    assert.equal(writer.text.toString(), "for your eyes" + "!".repeat(marks));
    if (person instanceof Hocuspocus) {
      assert.equal(person.provider.authorizedScope, "readonly");
      assert.ok(person.provider.hasUnsyncedChanges, "it knows that its edit is not stored");
    }
    person.leave();
  }
});

test("a token that is wrong, or not for this document, opens nothing", async () => {
  const wrong = new YWebsocket(locked, fresh(), { token: "no token" });
  await until(() => wrong.closed.length > 0, "it to be closed");
  assert.equal(wrong.closed[0][0], 4401);
  assert.match(wrong.closed[0][1], /token/);
  const elsewhere = token({ sub: "eve", documents: { "eve/*": "write" } });
  const other = new YWebsocket(locked, fresh(), { token: elsewhere });
  await until(() => other.closed.length > 0, "it to be closed");
  assert.equal(other.closed[0][0], 4403);
  const third = new Hocuspocus(locked, fresh(), { token: elsewhere });
  await until(() => third.denied.length > 0, "it to be denied");
  const own = new Hocuspocus(locked, "eve/notes", { token: elsewhere });
  await own.synced();
});

test("a program reads and writes a document", async () => {
  const name = fresh();
  const doc = new Y.Doc();
  doc.getText("content").insert(0, "from a program");
  const answer = await fetch(url(name), {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream" },
    body: Y.encodeStateAsUpdate(doc),
  });
  assert.equal(answer.status, 204);
  const ada = new YWebsocket(server, name);
  await until(() => ada.text.toString() === "from a program", "Ada to see it");
  const page = await fetch(url(name), { method: "POST", headers: { "Content-Type": "text/plain" }, body: "x" });
  assert.equal(page.status, 415, "what a page of another site can send is not taken");
  const first = await state(name);
  ada.write(0, "no longer ");
  let text = "";
  while (text !== "no longer from a program") text = await stored(name);
  const reverted = await fetch(`${url(name)}?revert`, { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: first });
  assert.equal(reverted.status, 204);
  await until(() => ada.text.toString() === "from a program", "Ada to see it as it was");
  const nonsense = await fetch(url(name), { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: "x" });
  assert.equal(nonsense.status, 400);
});

// What no client sends.

async function raw(path, ...messages) {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}${path}`);
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  const closed = new Promise((resolve) => socket.once("close", (code, reason) => resolve([code, String(reason)])));
  for (const message of messages) socket.send(message);
  return Promise.race([closed, pause(10_000).then(() => assert.fail("it was not closed"))]);
}

test("what is not the protocol, or no update, closes only who sent it, with a code and a reason", async () => {
  const name = fresh();
  const ada = new YWebsocket(server, name);
  await ada.synced();
  ada.write(0, "undisturbed");
  const path = `/yjs/${encodeURIComponent(name)}`;
  for (const [message, code] of [
    [new Uint8Array([77]), 1007],
    [new Uint8Array([0, 2, 200]), 1007],
    // An update with a billion clients; one with an item whose parent is text.
    [new Uint8Array([0, 2, 8, 255, 255, 255, 255, 3, 1, 7, 0]), 1007],
    [new Uint8Array([0, 2, 11, 1, 1, 7, 0, 0x28, 0, 1, 5, 1, 0x61, 1]), 1007],
    ["text", 1003],
    [new Uint8Array(4 << 20), 1009],
  ]) {
    const [closedWith, reason] = await raw(path, message);
    assert.equal(closedWith, code, `${message.slice(0, 12)}: ${reason}`);
  }
  ada.write(0, "still ");
  const bob = new YWebsocket(server, name);
  await until(() => bob.text.toString() === "still undisturbed", "Bob to see what Ada wrote");
  const metrics = await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text();
  assert.match(metrics, /fourwire_document_malformed_total [1-9]/);
});

let passed = 0;
const words = process.argv.slice(2);
await Promise.all([server.start(), locked.start()]);
for (const { name, run } of tests.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)))) {
  const began = Date.now();
  try {
    await run();
    passed += 1;
    console.log(`ok      ${name} (${Date.now() - began} ms)`);
  } catch (error) {
    process.exitCode = 1;
    console.log(`FAILED  ${name}\n${String(error.stack).replace(/^/gmu, "        ")}`);
  }
  disperse();
}
await Promise.all([server.remove(), locked.remove()]);
const judged = tests.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word))).length;
console.log(`${passed} passed, ${judged - passed} failed`);
process.exit(process.exitCode ?? (passed > 0 ? 0 : 1));
