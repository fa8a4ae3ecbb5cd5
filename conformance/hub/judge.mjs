// The npm `centrifuge` client, unchanged, against a built `fourwire serve`; then those who do not keep to the protocol.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Person, disperse, pause, until } from "./people.mjs";
import { closeAfter, exchange, open, refusal } from "./raw.mjs";
import { Server } from "./server.mjs";
import { addTransports } from "./transports.mjs";

const CONNECT = JSON.stringify({ id: 1, connect: {} });
const server = new Server();
const tests = [];
const test = (name, run) => tests.push({ name, run });
let rooms = 0;
const freshRoom = () => `room ${++rooms}`;
const numbers = (count) => Array.from({ length: count }, (_, index) => index);
const offsets = (person, room) => person.seen.get(room).map(([offset]) => offset);
const contents = (person, room) => person.seen.get(room).map(([, data]) => data);

/** What the server takes up in memory. */
async function residentMiB() {
  const status = await readFile(`/proc/${server.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) / 1024;
}

/** A handshake as it is on the wire. */
function handshake(version, connection = "Connection: Upgrade") {
  const key = Buffer.alloc(16, 7).toString("base64");
  const lines = [
    "GET /connection/websocket HTTP/1.1",
    `Host: 127.0.0.1:${server.port}`,
    "Upgrade: websocket",
    connection,
    `Sec-WebSocket-Key: ${key}`,
    `Sec-WebSocket-Version: ${version}`,
  ];
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`);
}

// The client, as people use it.

test("connects, and hears who it is", async () => {
  const ann = new Person(server.url);
  await ann.connected();
  const [{ client, transport }] = ann.events("connected");
  assert.ok(client.length > 8);
  assert.equal(transport, "websocket");
});

test("what one publishes all see, once and in order", async () => {
  const room = freshRoom();
  const [ann, bob] = [new Person(server.url), new Person(server.url)];
  await Promise.all([ann.enter(room), bob.enter(room)]);
  for (const number of numbers(100)) await ann.client.publish(room, { number });
  await Promise.all([ann.has(room, 100), bob.has(room, 100)]);
  for (const person of [ann, bob]) {
    assert.deepEqual(contents(person, room), numbers(100).map((number) => ({ number })));
    assert.deepEqual(offsets(person, room), numbers(100).map((number) => number + 1));
  }
});

test("two who publish at once are seen in one order", async () => {
  const room = freshRoom();
  const [ann, bob] = [new Person(server.url), new Person(server.url)];
  await Promise.all([ann.enter(room), bob.enter(room)]);
  await Promise.all([ann, bob].flatMap((person, who) => numbers(50).map((number) => person.client.publish(room, [who, number]))));
  await Promise.all([ann.has(room, 100), bob.has(room, 100)]);
  assert.deepEqual(ann.seen.get(room), bob.seen.get(room));
  for (const who of [0, 1]) {
    const of = contents(ann, room).filter(([from]) => from === who);
    assert.deepEqual(of.map(([, number]) => number), numbers(50));
  }
});

test("any JSON comes through as it was", async () => {
  const room = freshRoom();
  const ann = new Person(server.url);
  await ann.enter(room);
  const all = [null, true, 0, -1.5e-7, "", "é\u0000\u2028😀", [], {}, { a: [{ b: null }] }, "x".repeat(30_000)];
  for (const data of all) await ann.client.publish(room, data);
  await ann.has(room, all.length);
  assert.deepEqual(contents(ann, room), all);
});

test("an RPC publish with one id is one publication, and its id comes back", async () => {
  const room = freshRoom();
  const [ann, bob] = [new Person(server.url), new Person(server.url)];
  const subscription = await ann.enter(room);
  const tags = [];
  subscription.on("publication", (context) => tags.push(context.tags));
  const first = await ann.say(room, "hello", "one id");
  assert.deepEqual(await ann.say(room, "hello", "one id"), first);
  assert.deepEqual(await bob.say(room, "hello", "one id"), first);
  const second = await ann.say(room, "hello", "another id");
  assert.equal(second.offset, first.offset + 1);
  await ann.has(room, 2);
  await pause(100);
  assert.deepEqual(contents(ann, room), ["hello", "hello"]);
  assert.deepEqual(tags.map(({ id }) => id), ["one id", "another id"]);
});

test("history is read in parts and in both directions", async () => {
  const room = freshRoom();
  const ann = new Person(server.url);
  await ann.enter(room);
  for (const number of numbers(10)) await ann.client.publish(room, number);
  const data = ({ publications }) => publications.map((publication) => publication.data);
  const all = await ann.client.history(room, { limit: -1 });
  assert.deepEqual(data(all), numbers(10));
  assert.equal(all.offset, 10);
  const { epoch } = all;
  assert.deepEqual(data(await ann.client.history(room, { limit: 3, since: { offset: 4, epoch } })), [4, 5, 6]);
  assert.deepEqual(data(await ann.client.history(room, { limit: 3, reverse: true })), [9, 8, 7]);
  assert.deepEqual(data(await ann.client.history(room, { limit: 2, reverse: true, since: { offset: 4, epoch } })), [2, 1]);
  assert.deepEqual(data(await ann.client.history(room, { limit: 0 })), []);
  await assert.rejects(ann.client.history(room, { limit: 1, since: { offset: 1, epoch: "another" } }), { code: 112 });
});

test("presence knows who is there, and joins and leaves are told", async () => {
  const room = freshRoom();
  const ann = new Person(server.url, { data: { name: "Ann", key: "ann's" } });
  await ann.enter(room, { joinLeave: true });
  const bob = new Person(server.url, { data: { name: "Bob", key: "bob's" } });
  await bob.enter(room);
  const id = bob.events("connected")[0].client;
  const { clients } = await ann.client.presence(room);
  assert.equal(Object.keys(clients).length, 2);
  assert.deepEqual(clients[id].connInfo, { name: "Bob" });
  assert.notEqual(clients[id].user, "");
  assert.deepEqual(await ann.client.presenceStats(room), { numClients: 2, numUsers: 2 });
  await until(() => ann.events("join").some(({ info }) => info.client === id), "the join");
  bob.cut();
  bob.leave();
  await until(() => ann.events("leave").some(({ info }) => info.client === id), "the leave");
  assert.deepEqual(await ann.client.presenceStats(room), { numClients: 1, numUsers: 1 });
});

test("who has left a room hears no more of it, and may come back", async () => {
  const room = freshRoom();
  const [ann, bob] = [new Person(server.url), new Person(server.url)];
  const subscription = await ann.enter(room);
  await bob.connected();
  await bob.client.publish(room, 1);
  await ann.has(room, 1);
  subscription.unsubscribe();
  await bob.client.publish(room, 2);
  await pause(100);
  assert.deepEqual(contents(ann, room), [1]);
  subscription.subscribe();
  await subscription.ready(5_000);
  await bob.client.publish(room, 3);
  await until(() => contents(ann, room).includes(3), "the third");
});

test("what was missed while cut off is recovered: nothing lost, nothing twice", async () => {
  const room = freshRoom();
  const [ann, bob] = [new Person(server.url), new Person(server.url)];
  await Promise.all([ann.connected(), bob.enter(room)]);
  const recoveries = () => bob.events("subscribed").filter(({ wasRecovering, recovered }) => wasRecovering && recovered).length;
  let cuts = 0;
  for (const number of numbers(200)) {
    if (number % 25 === 10) {
      // However slow the machine: who is not back yet cannot be cut off again.
      await until(() => recoveries() === cuts, "the recovery before");
      bob.cut();
      cuts += 1;
    }
    await ann.say(room, number);
  }
  await bob.has(room, 200);
  assert.deepEqual(contents(bob, room), numbers(200));
  await until(() => recoveries() === cuts, "the last recovery");
  assert.equal(cuts, 8);
});

test("who was away for too long is told so", async () => {
  const room = freshRoom();
  const [ann, bob] = [new Person(server.url), new Person(server.url)];
  await Promise.all([ann.connected(), bob.enter(room, { minResubscribeDelay: 20 })]);
  await ann.client.publish(room, 0);
  await bob.has(room, 1);
  bob.client.disconnect();
  for (const number of numbers(600)) await ann.say(room, number);
  bob.client.connect();
  await until(() => bob.events("subscribed").length === 2, "the second subscribe");
  const again = bob.events("subscribed")[1];
  assert.deepEqual([again.wasRecovering, again.recovered], [true, false]);
  assert.equal(again.streamPosition.offset, 601);
});

test("a killed and restarted server loses nothing that it acknowledged, and repeats nothing", async () => {
  const room = freshRoom();
  const [ann, bob] = [new Person(server.url), new Person(server.url)];
  await Promise.all([ann.connected(), bob.enter(room)]);
  let killing = true;
  let kills = 0;
  const killer = (async () => {
    while (killing) {
      await pause(150 + 50 * kills);
      await server.restart();
      kills++;
    }
  })();
  for (const number of numbers(300)) {
    await ann.say(room, number);
    await pause(5);
  }
  killing = false;
  await killer;
  await bob.has(room, 300);
  await pause(200);
  assert.deepEqual(contents(bob, room), numbers(300));
  assert.deepEqual(offsets(bob, room), numbers(300).map((number) => number + 1));
  assert.ok(bob.events("subscribed").every(({ wasRecovering, recovered }) => recovered || !wasRecovering));
  const carla = new Person(server.url);
  await carla.connected();
  const { publications } = await carla.client.history(room, { limit: -1 });
  assert.deepEqual(publications.map(({ data }) => data), numbers(300));
  assert.ok(kills >= 3, `killed ${kills} times`);
});

test("an id is still known after a restart", async () => {
  const room = freshRoom();
  const ann = new Person(server.url, { data: { key: "ann's" } });
  await ann.enter(room);
  const first = await ann.say(room, "once", "the id");
  await server.restart();
  assert.deepEqual(await ann.say(room, "once", "the id"), first);
  assert.equal((await ann.say(room, "again", "another")).offset, first.offset + 1);
});

test("a server that ends says 1001, and the client comes back to the next one", async () => {
  const room = freshRoom();
  const ann = new Person(server.url);
  await ann.enter(room);
  const { closed } = await open(server.url);
  await server.end("SIGTERM");
  assert.equal((await closed()).code, 1001);
  await server.start();
  await ann.say(room, "still here");
  await ann.has(room, 1);
});

test("who does not read is closed with 3008, keeps nobody waiting, and costs little", async () => {
  const room = freshRoom();
  const bob = new Person(server.url);
  const speakers = numbers(4).map(() => new Person(server.url));
  await Promise.all([bob.enter(room), ...speakers.map((speaker) => speaker.connected())]);
  const stalled = await Promise.all(numbers(3).map(() => open(server.url, { perMessageDeflate: false })));
  for (const { socket, replies } of stalled) {
    socket.send([CONNECT, JSON.stringify({ id: 2, subscribe: { channel: room } })].join("\n"));
    await until(() => replies.length === 2, "two replies");
    socket.pause();
  }
  const before = await residentMiB();
  // 48 MB for each: Linux takes up to 38 of them off the server, which keeps 1 itself.
  const speak = async (speaker) => {
    for (const number of numbers(200)) await speaker.say(room, [number, "x".repeat(60_000)]);
  };
  await Promise.all(speakers.map(speak));
  await bob.has(room, 800);
  const grown = (await residentMiB()) - before;
  assert.ok(grown < 60, `${grown} MiB more`);
  for (const { socket, closed } of stalled) {
    socket.resume();
    assert.equal((await closed()).code, 3008);
  }
});

test("what a program publishes by the HTTP API all see", async () => {
  const room = freshRoom();
  const ann = new Person(server.url);
  await ann.enter(room);
  const call = async (method, body) => {
    const url = `http://127.0.0.1:${server.port}/api/${method}`;
    const response = await fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    return response.json();
  };
  const { result } = await call("publish", { channel: room, data: { from: "a program" } });
  assert.equal(result.offset, 1);
  await ann.has(room, 1);
  assert.deepEqual(contents(ann, room), [{ from: "a program" }]);
  assert.equal(Object.keys((await call("presence", { channel: room })).result.presence).length, 1);
});

test("with tokens only who has one comes in, and an expired one is renewed", async () => {
  const secret = "a secret of the judge's, long enough for HS256";
  const guarded = new Server("--token-secret", secret);
  await guarded.start();
  try {
    const token = (user, seconds) => {
      const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
      const claims = { sub: user, exp: Math.floor(Date.now() / 1000) + seconds, info: { name: user } };
      const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
      return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
    };
    const connect = (said) => JSON.stringify({ id: 1, connect: said });
    for (const said of [{}, { token: "nonsense" }, { token: `${token("ann", 60).slice(0, -6)}AAAAAA` }]) {
      assert.equal((await closeAfter(guarded.url, [connect(said)])).code, 3500);
    }
    const none = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${token("ann", 60).split(".")[1]}.`;
    assert.equal((await closeAfter(guarded.url, [connect({ token: none })])).code, 3500);
    let renewed = 0;
    const getToken = async () => (renewed++, token("ann", 3));
    const ann = new Person(guarded.url, { token: token("ann", -60), getToken });
    await ann.enter("room");
    const { clients } = await ann.client.presence("room");
    assert.deepEqual(Object.values(clients).map(({ user, connInfo }) => [user, connInfo]), [["ann", { name: "ann" }]]);
    assert.equal(ann.events("connected").length, 1);
    await until(() => renewed >= 3, "two renewals without a reconnect");
    assert.equal(ann.events("connected").length, 1);
  } finally {
    await guarded.remove();
  }
});

test("an unknown method, an empty channel and a second subscribe get their errors", async () => {
  const room = freshRoom();
  const ann = new Person(server.url);
  await ann.connected();
  await assert.rejects(ann.client.rpc("no such method", {}), { code: 108 });
  await assert.rejects(ann.client.publish("", 1), { code: 107 });
  await assert.rejects(ann.client.publish("x".repeat(256), 1), { code: 107 });
  await assert.rejects(ann.client.publish(room, "x".repeat(65_537)), { code: 106 });
  await assert.rejects(ann.client.publish(room, "half a pair: \ud800"), { code: 107 });
  const subscribe = (id) => JSON.stringify({ id, subscribe: { channel: room } });
  const { socket, replies } = await open(server.url);
  socket.send([CONNECT, subscribe(2), subscribe(3)].join("\n"));
  await until(() => replies.length === 3, "three replies");
  assert.equal(replies.find(({ id }) => id === 3).error.code, 105);
  socket.terminate();
});

test("one connection may be in 128 rooms", async () => {
  const { socket, replies } = await open(server.url);
  const lines = numbers(129).map((number) => JSON.stringify({ id: 2 + number, subscribe: { channel: `many ${number}` } }));
  socket.send([CONNECT, ...lines].join("\n"));
  await until(() => replies.length === 130, "130 replies");
  assert.deepEqual(replies.filter(({ error }) => error).map(({ error }) => error.code), [106]);
  socket.terminate();
});

// Every transport and protocol.

addTransports(test, server, freshRoom);

// Those who do not keep to the protocol.

test("something else before connect closes with 3501", async () => {
  const { code } = await closeAfter(server.url, [JSON.stringify({ id: 1, subscribe: { channel: "a" } })]);
  assert.equal(code, 3501);
});

test("a second connect closes with 3501", async () => {
  assert.equal((await closeAfter(server.url, [CONNECT, CONNECT])).code, 3501);
});

for (const garbage of ["{", "[]", "nonsense", '{"id":1}', '{"id":-1,"ping":{}}', `${"[".repeat(50_000)}`, "\u0000"]) {
  test(`what is no command closes with 3501: ${JSON.stringify(garbage.slice(0, 20))}`, async () => {
    assert.equal((await closeAfter(server.url, [CONNECT, garbage])).code, 3501);
  });
}

test("a command of more than 128 KiB closes with 3501", async () => {
  const command = JSON.stringify({ id: 2, publish: { channel: "a", data: "x".repeat(140_000) } });
  assert.equal((await closeAfter(server.url, [CONNECT, command])).code, 3501);
});

test("a message of more than the server reads closes with 1009", async () => {
  assert.equal((await closeAfter(server.url, [CONNECT, "x".repeat(2 << 20)])).code, 1009);
});

test("text that is not UTF-8 closes with 1007", async () => {
  const { socket, closed } = await open(server.url);
  socket.send(Buffer.from([0x22, 0xff, 0x22]), { binary: false });
  assert.equal((await closed()).code, 1007);
});

test("a frame without a mask closes with 1002", async () => {
  const unmasked = Buffer.from([0x81, 2, 0x7b, 0x7d]);
  const came = await exchange(server.port, Buffer.concat([handshake(13), unmasked]));
  const frames = came.subarray(came.indexOf("\r\n\r\n") + 4);
  assert.equal(frames[0], 0x88);
  assert.equal(frames.readUInt16BE(2), 1002);
});

test("a flood of commands is answered with 111, then closes with 3013", async () => {
  const { socket, replies, closed } = await open(server.url);
  socket.send(CONNECT);
  for (const id of numbers(20)) {
    socket.send(numbers(100).map((line) => JSON.stringify({ id: 2 + id * 100 + line, ping: {} })).join("\n"));
  }
  assert.equal((await closed()).code, 3013);
  const refused = replies.filter(({ error }) => error?.code === 111);
  assert.ok(refused.length >= 400, `${refused.length} refusals`);
  assert.ok(refused.every(({ error }) => error.temporary));
});

test("pages of other sites may not connect", async () => {
  assert.equal(await refusal(server.url, { origin: "https://elsewhere.example" }), 403);
  assert.equal(await refusal(server.url, { origin: "null" }), 403);
  const { socket } = await open(server.url, { origin: `http://127.0.0.1:${server.port}` });
  socket.terminate();
});

test("another version of WebSocket is answered with 426, no WebSocket at all with 400 or 426", async () => {
  const status = async (request) => Number((await exchange(server.port, request)).toString("latin1").split(" ")[1]);
  const told = (await exchange(server.port, handshake(12, "Connection: Upgrade, close"))).toString("latin1");
  assert.match(told, /^HTTP\/1\.1 426 /);
  assert.match(told, /^sec-websocket-version: 13\r$/im);
  const plain = `GET /connection/websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`;
  assert.ok([400, 426].includes(await status(plain)));
});

test("who says nothing is closed with 3502 within 11 seconds", async () => {
  const started = Date.now();
  const { closed } = await open(server.url);
  assert.equal((await closed()).code, 3502);
  const took = Date.now() - started;
  assert.ok(took > 9_000 && took < 11_500, `${took} ms`);
});

test("the server is still well after all that", async () => {
  const room = freshRoom();
  const [ann, bob] = [new Person(server.url), new Person(server.url)];
  await Promise.all([ann.connected(), bob.enter(room)]);
  await ann.say(room, "hello");
  await bob.has(room, 1);
});

let passed = 0;
let failed = 0;
const only = process.argv[2] ?? "";
await server.start();
for (const { name, run } of tests.filter(({ name }) => name.includes(only))) {
  const started = Date.now();
  try {
    await run();
    passed++;
    console.log(`ok      ${name} (${Date.now() - started} ms)`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}\n${error.stack ?? JSON.stringify(error)}`);
  }
  disperse();
}
await server.remove();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
