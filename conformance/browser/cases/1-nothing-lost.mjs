// Nothing lost, nothing twice, in order: whatever happens to the line and to the server.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../window.mjs";

const numbered = (from, to, word = "message") => Array.from({ length: to - from + 1 }, (_, at) => `${word} ${from + at}`);

export const cases = [
  {
    name: "two windows talk",
    async run(world) {
      const a = await world.window({ name: "Ada" });
      const b = await world.window({ name: "Ben" });
      await a.say("hello, Ben");
      await b.sees("hello, Ben");
      await b.say("hello, Ada");
      await a.sees("hello, Ada");
      assert.equal(await b.message("hello, Ben").locator(".author").innerText(), "Ada");
      // The time is the server's, so both see the same.
      const times = await Promise.all([a, b].map((window) => window.message("hello, Ben").locator("time").getAttribute("datetime")));
      assert.equal(times[0], times[1]);
      assert.ok(Math.abs(Date.parse(times[0]) - Date.now()) < 60_000, `${times[0]} is not now`);
    },
  },
  {
    name: "200 messages, cut off and restored five times",
    async run(world) {
      const line = await world.line();
      const a = await world.window({ name: "Ada" });
      const b = await world.window({ name: "Ben", line });
      b.expectCuts = true;
      const all = numbered(1, 200);
      const cuts = [
        { at: 20, until: 45, by: "line" },
        { at: 60, until: 85, by: "network" },
        { at: 100, until: 101, by: "line" },
        { at: 120, until: 160, by: "network" },
        { at: 175, until: 195, by: "line" },
      ];
      for (const [at, text] of all.entries()) {
        const cut = cuts.find((cut) => cut.at === at);
        if (cut?.by === "line") {
          await line.cut();
          await until(async () => /^Reconnecting in \d+ s$/u.test((await b.light()).text), "the light to count down");
        } else if (cut) {
          await b.context.setOffline(true);
          await b.lightTurns("offline");
        }
        await a.say(text);
        const mend = cuts.find((cut) => cut.until === at);
        if (mend) {
          if (mend.by === "line") await line.restore();
          else await b.context.setOffline(false);
          await b.connected();
        }
      }
      await b.sees("message 200");
      await a.allSent();
      await sleep(300); // time in which something could still come twice
      assert.deepEqual(await b.texts(), all);
      assert.deepEqual(await a.texts(), all);

      // And again from the history, page by page.
      await b.reload();
      await b.sees("message 200");
      const begins = b.page.locator("#start", { hasText: "This is where #lobby begins." });
      while ((await begins.count()) === 0) {
        const before = (await b.texts()).length;
        await b.page.click("#earlier");
        await until(async () => (await b.texts()).length > before, "an earlier page");
        await b.page.locator("#earlier").or(begins).waitFor();
      }
      assert.deepEqual(await b.texts(), all);
    },
  },
  {
    name: "both write while one is cut off",
    async run(world) {
      const line = await world.line();
      const a = await world.window({ name: "Ada" });
      const b = await world.window({ name: "Ben", line });
      b.expectCuts = true;
      for (let round = 0; round < 3; round += 1) {
        await line.cut();
        for (let at = 1; at <= 5; at += 1) {
          await a.say(`Ada ${round * 5 + at}`);
          await b.say(`Ben ${round * 5 + at}`);
        }
        await line.restore();
        await b.connected();
        await b.allSent();
      }
      await a.sees("Ben 15");
      await until(async () => (await b.texts()).length === 30 && (await a.texts()).length === 30, "thirty messages in both windows");
      assert.deepEqual(await a.texts(), await b.texts());
      for (const name of ["Ada", "Ben"]) assert.deepEqual((await a.texts()).filter((text) => text.startsWith(name)), numbered(1, 15, name));
    },
  },
  {
    name: "what was written offline is sent once",
    async run(world) {
      const line = await world.line();
      const a = await world.window({ name: "Ada", line });
      const b = await world.window({ name: "Ben" });
      a.expectCuts = true;
      await a.context.setOffline(true);
      await a.lightTurns("offline");
      for (const text of ["one", "two", "three"]) await a.say(text);
      await a.unsent(3);
      assert.deepEqual(await b.texts(), []);
      await a.context.setOffline(false);
      await b.sees("three");
      await a.allSent();
      await sleep(200);
      assert.deepEqual(await b.texts(), ["one", "two", "three"]);
      assert.deepEqual(await a.texts(), ["one", "two", "three"]);
    },
  },
  {
    name: "a closed window keeps its outbox for the next",
    async run(world) {
      const line = await world.line();
      const a = await world.window({ name: "Ada", line });
      const b = await world.window({ name: "Ben" });
      a.expectCuts = true;
      await line.cut();
      await a.say("written and closed");
      await a.page.close();
      await line.restore();
      const again = await world.tab(a);
      await b.sees("written and closed");
      await again.sees("written and closed");
      await again.allSent();
      await sleep(200);
      assert.deepEqual(await b.texts(), ["written and closed"]);
      assert.deepEqual(await again.texts(), ["written and closed"]);
    },
  },
  {
    name: "an acknowledgement that is lost does not send twice",
    async run(world) {
      const line = await world.line();
      const a = await world.window({ name: "Ada", line });
      const b = await world.window({ name: "Ben" });
      a.expectCuts = true;
      for (let round = 1; round <= 3; round += 1) {
        line.mute();
        await a.say(`heard but not answered ${round}`);
        await b.sees(`heard but not answered ${round}`);
        await a.unsent(1);
        await line.cut();
        await line.restore();
        await a.allSent();
      }
      await sleep(300);
      const expected = numbered(1, 3, "heard but not answered");
      assert.deepEqual(await b.texts(), expected);
      assert.deepEqual(await a.texts(), expected);
    },
  },
  {
    name: "the server is killed and started again under both",
    async run(world) {
      const a = await world.window({ name: "Ada" });
      const b = await world.window({ name: "Ben" });
      a.expectCuts = b.expectCuts = true;
      const all = numbered(1, 40);
      for (const [at, text] of all.entries()) {
        if (at % 15 === 10) await world.server.kill();
        await a.say(text);
        if (at % 15 === 13) {
          await world.server.start();
          await Promise.all([a.connected(), b.connected()]);
        }
      }
      await b.sees("message 40");
      await a.allSent();
      assert.deepEqual(await b.texts(), all);
      assert.deepEqual(await a.texts(), all);
      assert.equal(await b.page.locator(".reloaded").count(), 0, "the place in the room was recovered, not loaded afresh");
    },
  },
  {
    name: "a server that has lost everything is told of, and the room begins anew",
    async run(world) {
      const a = await world.window({ name: "Ada" });
      const b = await world.window({ name: "Ben" });
      a.expectCuts = b.expectCuts = true;
      await a.say("soon forgotten");
      await b.sees("soon forgotten");
      await world.server.kill();
      await world.server.forget();
      await world.server.start();
      await b.page.locator(".reloaded").waitFor();
      await Promise.all([a.connected(), b.connected()]);
      await a.say("a new beginning");
      await b.sees("a new beginning");
      assert.deepEqual(await b.texts(), ["a new beginning"]);
    },
  },
  {
    name: "a line that has gone silent is noticed",
    async run(world) {
      const line = await world.line();
      const a = await world.window({ name: "Ada" });
      const b = await world.window({ name: "Ben", line });
      b.expectCuts = true;
      line.mute();
      await a.say("into the silence");
      // No answer, no end: only the server's pings are missing, one every 25 seconds.
      await until(async () => (await b.light()).state !== "connected", "the light to go out", 50_000);
      assert.deepEqual(await b.texts(), []);
      await line.cut();
      await line.restore();
      await b.sees("into the silence");
      assert.deepEqual(await b.texts(), ["into the silence"]);
    },
  },
];
