// The same stories over every transport and protocol that the npm client speaks, and among clients of different ones.

import assert from "node:assert/strict";
import { Centrifuge as JsonClient } from "centrifuge";
import { Centrifuge as ProtobufClient } from "centrifuge/build/protobuf";
import EventSource from "eventsource";
import WebSocket from "ws";
import { until } from "./people.mjs";

const TRANSPORTS = [
  ["websocket", "json"],
  ["websocket", "protobuf"],
  ["http_stream", "json"],
  ["http_stream", "protobuf"],
  ["sse", "json"],
];

const bytes = (data) => new TextEncoder().encode(JSON.stringify(data));
const read = (data) => (data instanceof Uint8Array ? JSON.parse(new TextDecoder().decode(data)) : data);

/** A connected client, and what it published and saw in terms of JSON. */
class Visitor {
  seen = [];
  positions = [];

  constructor(port, transport, protocol) {
    const scheme = transport === "websocket" ? "ws" : "http";
    const endpoint = `${scheme}://127.0.0.1:${port}/connection/${transport}`;
    const Client = protocol === "protobuf" ? ProtobufClient : JsonClient;
    this.protobuf = protocol === "protobuf";
    this.client = new Client([{ transport, endpoint }], {
      websocket: WebSocket,
      eventsource: EventSource,
      emulationEndpoint: `http://127.0.0.1:${port}/emulation`,
      minReconnectDelay: 20,
      maxReconnectDelay: 200,
    });
    this.client.connect();
  }

  data(value) {
    return this.protobuf ? bytes(value) : value;
  }

  async enter(room, options = {}) {
    await this.client.ready(10_000);
    this.subscription = this.client.newSubscription(room, options);
    this.subscription.on("publication", ({ data, offset }) => {
      this.seen.push(read(data));
      this.positions.push(offset);
    });
    this.subscription.subscribe();
    await this.subscription.ready(10_000);
  }

  leave() {
    this.client.disconnect();
  }
}

/** Adds the cases to a list of tests. */
export function addTransports(test, server, freshRoom) {
  for (const [transport, protocol] of TRANSPORTS) {
    const name = `${transport}, ${protocol}`;
    const story = (title, run) =>
      test(`${name}: ${title}`, async () => {
        const visitor = new Visitor(server.port, transport, protocol);
        try {
          await run(visitor, freshRoom());
        } finally {
          visitor.leave();
        }
      });

    story("publishes, sees, asks for history and presence", async (visitor, room) => {
      await visitor.enter(room);
      for (const number of [1, 2, 3]) await visitor.subscription.publish(visitor.data({ number, text: "é😀" }));
      await until(() => visitor.seen.length === 3, "three publications");
      assert.deepEqual(visitor.seen, [1, 2, 3].map((number) => ({ number, text: "é😀" })));
      assert.deepEqual(visitor.positions.map(Number), [1, 2, 3]);
      const { publications, offset } = await visitor.subscription.history({ limit: 2, reverse: true });
      assert.deepEqual([publications.map(({ data }) => read(data).number), Number(offset)], [[3, 2], 3]);
      const { clients } = await visitor.subscription.presence();
      assert.equal(Object.keys(clients).length, 1);
      assert.equal((await visitor.subscription.presenceStats()).numClients, 1);
    });

    story("calls a method, and hears of one that is not there", async (visitor, room) => {
      await visitor.client.ready(10_000);
      const call = visitor.data({ id: crypto.randomUUID(), channel: room, data: { a: [1, 2] } });
      assert.equal(read((await visitor.client.rpc("publish", call)).data).offset, 1);
      await assert.rejects(visitor.client.rpc("nothing", visitor.data({})), { code: 108 });
    });

    story("takes deltas", async (visitor, room) => {
      await visitor.enter(room, { delta: "fossil" });
      const messages = [1, 2, 3].map((number) => ({ number, filler: "é".repeat(300) }));
      for (const message of messages) await visitor.subscription.publish(visitor.data(message));
      await until(() => visitor.seen.length === 3, "three publications");
      assert.deepEqual(visitor.seen, messages);
      const { numFullPayloads, numDeltaPayloads } = visitor.subscription.deltaStats();
      assert.deepEqual([numFullPayloads, numDeltaPayloads], [1, 2]);
    });

    story("comes back, and has what it missed", async (visitor, room) => {
      const other = new Visitor(server.port, "websocket", "json");
      await Promise.all([visitor.enter(room), other.enter(room)]);
      await other.subscription.publish({ number: 1 });
      await until(() => visitor.seen.length === 1, "the first");
      visitor.client.disconnect();
      await other.subscription.publish({ number: 2 });
      visitor.client.connect();
      await until(() => visitor.seen.length === 2, "what was missed");
      other.leave();
      assert.deepEqual(visitor.seen, [{ number: 1 }, { number: 2 }]);
    });

    story("is gone from the room at once when its connection is", async (visitor, room) => {
      const other = new Visitor(server.port, "websocket", "json");
      await Promise.all([visitor.enter(room), other.enter(room)]);
      assert.equal((await other.subscription.presenceStats()).numClients, 2);
      visitor.client.disconnect();
      let left = 2;
      for (const start = Date.now(); left > 1 && Date.now() - start < 3000; ) {
        left = (await other.subscription.presenceStats()).numClients;
      }
      other.leave();
      assert.equal(left, 1);
    });
  }

  test("clients of every transport and protocol are in one room", async () => {
    const room = freshRoom();
    const all = TRANSPORTS.map(([transport, protocol]) => new Visitor(server.port, transport, protocol));
    await Promise.all(all.map((visitor) => visitor.enter(room)));
    for (const [index, visitor] of all.entries()) await visitor.subscription.publish(visitor.data({ index }));
    for (const visitor of all) {
      await until(() => visitor.seen.length === all.length, "one publication of each");
      assert.deepEqual(visitor.seen, all.map((_, index) => ({ index })));
      visitor.leave();
    }
  });

  test("Protobuf that is no JSON is refused, for JSON clients are in the room too", async () => {
    const visitor = new Visitor(server.port, "websocket", "protobuf");
    await visitor.enter(freshRoom());
    await assert.rejects(visitor.subscription.publish(new Uint8Array([0xff, 0x00])), { code: 107 });
    await assert.rejects(visitor.subscription.publish(new Uint8Array()), { code: 107 });
    visitor.leave();
  });
}
