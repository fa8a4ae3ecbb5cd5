// By keyboard, by screen reader, on a phone, and under a strict content policy.

import axe from "axe-core";
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { until } from "../window.mjs";

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

const focused = (window) => window.page.evaluate(() => document.activeElement?.id || document.activeElement?.getAttribute("aria-label") || "");

/** No serious or critical breach of the accessibility rules, in the state that the page is in now. */
async function accessible(window, where) {
  await window.page.waitForTimeout(350); // colours are judged after the transitions
  await window.page.evaluate(axe.source);
  const { violations } = await window.page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const words = grave.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join(" | ")}`);
  assert.deepEqual(words, [], where);
}

export const cases = [
  {
    name: "the keyboard alone is enough",
    async run(world) {
      const b = await world.window({ name: "Ben" });
      const a = await world.window({ name: "Ada" });
      const { keyboard } = a.page;
      assert.equal(await focused(a), "text", "one can write at once");
      await keyboard.type("by keys");
      await keyboard.press("Enter");
      await b.sees("by keys");
      await a.allSent();

      await keyboard.press("ArrowUp");
      assert.equal(await a.page.inputValue("#text"), "by keys");
      await keyboard.press("Escape");
      assert.equal(await a.page.inputValue("#text"), "");
      await keyboard.press("ArrowUp");
      await keyboard.type(" alone");
      await keyboard.press("Enter");
      await b.sees("by keys alone");
      await a.allSent();

      // Back from the text to the message's buttons; they are seen when they have the focus.
      for (let presses = 0; !(await focused(a)).startsWith("Delete"); presses += 1) {
        assert.ok(presses < 5, `Shift+Tab leads to the last message's buttons, not to ${await focused(a)}`);
        await keyboard.press("Shift+Tab");
      }
      await until(async () => (await a.page.locator(".actions").evaluate((node) => getComputedStyle(node).opacity)) === "1", "the buttons to be seen");
      const outline = await a.page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
      assert.notEqual(outline, "none", "the focus is seen");
      await keyboard.press("Enter");
      assert.equal(await focused(a), "confirm-yes");
      await keyboard.press("Escape");
      assert.deepEqual(await b.texts(), ["by keys alone (edited)"]);

      // From the top: the first stop leads to writing.
      await a.page.evaluate(() => {
        document.body.tabIndex = -1;
        document.body.focus();
      });
      await keyboard.press("Tab");
      assert.equal(await focused(a), "skip");
      await keyboard.press("Enter");
      assert.equal(await focused(a), "text");

      await a.page.focus("#join-name");
      await keyboard.type("Second Room");
      await keyboard.press("Enter");
      await a.page.locator("#title", { hasText: "second-room" }).waitFor();
      assert.equal(await focused(a), "text");
      await keyboard.press("Alt+ArrowUp");
      await a.page.locator("#title", { hasText: "lobby" }).waitFor();
    },
  },
  {
    name: "on a phone, rooms and people slide in and the focus goes along",
    async run(world) {
      const b = await world.window({ name: "Ben", room: "kitchen" });
      const a = await world.window({ name: "Ada", room: "kitchen", ...PHONE });
      const { page } = a;
      await page.fill("#text", "from a phone");
      await page.tap("#send");
      await b.sees("from a phone");
      const beyond = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(beyond <= 0, "nothing is wider than the phone");
      await a.message("from a phone").tap();
      await page.locator(".chosen .actions").waitFor();
      await page.tap("#open-rooms");
      await until(async () => (await focused(a)) === "close-rooms", "the focus to go into the panel");
      await page.fill("#join-name", "lobby");
      await page.press("#join-name", "Enter");
      await page.locator("#title", { hasText: "lobby" }).waitFor();
      assert.equal(await page.getAttribute("#open-rooms", "aria-expanded"), "false");
      await b.say("over here");
      await page.locator("#elsewhere", { hasText: "1" }).waitFor();
      await page.tap("#open-people");
      assert.deepEqual(await a.people(), ["Ada"]);
      await page.keyboard.press("Escape");
      assert.equal(await focused(a), "open-people");
    },
  },
  ...["light", "dark"].map((colorScheme) => ({
    name: `accessible in ${colorScheme}`,
    async run(world) {
      const b = await world.window({ name: "Ben", colorScheme });
      const a = await world.window({ name: "Ada", colorScheme });
      a.expectCuts = true;
      await accessible(a, "an empty room");
      await b.say("see https://example.org/ for more");
      await b.say("and this");
      await a.say("mine");
      await b.sees("mine");
      await a.allSent();
      await accessible(a, "a room with messages");
      await a.page.press("#text", "ArrowUp");
      await accessible(a, "editing");
      await a.page.keyboard.press("Escape");
      await a.message("mine").hover();
      await a.message("mine").getByRole("button", { name: /^Delete/u }).click();
      await accessible(a, "a question");
      await a.page.keyboard.press("Escape");
      await a.page.click("#me");
      await accessible(a, "the name");
      await a.page.keyboard.press("Escape");
      await a.context.setOffline(true);
      await a.lightTurns("offline");
      await a.say("kept");
      await accessible(a, "offline");

      const phone = await world.window({ name: "Cleo", colorScheme, ...PHONE });
      await phone.sees("mine");
      await accessible(phone, "a phone");
      await phone.page.tap("#open-rooms");
      await accessible(phone, "a phone's rooms");
    },
  })),
  {
    name: "the light goes out and comes back with the server",
    async run(world) {
      const a = await world.window({ name: "Ada" });
      a.expectCuts = true;
      assert.deepEqual(await a.light(), { state: "connected", text: "Connected" });
      await world.server.kill();
      await a.lightTurns("waiting");
      // The wait grows; once it is long enough to be worth it, one can try at once.
      await a.page.locator("#retry").waitFor();
      const { text } = await a.light();
      assert.match(text, /^Reconnecting in \d+ s$/u);
      await until(async () => (await a.light()).text !== text, "the countdown to go on");
      await world.server.start();
      await until(async () => {
        if (await a.page.locator("#retry").isVisible()) await a.page.click("#retry", { timeout: 500 }).catch(() => {});
        return (await a.light()).state === "connected";
      }, "the light to come back");
    },
  },
  {
    name: "a strict content policy, and the bundle that was pinned",
    async run(world) {
      const answer = await fetch(world.server.address);
      const policy = answer.headers.get("content-security-policy") ?? "";
      assert.match(policy, /default-src 'none'/u);
      assert.match(policy, /script-src 'self'(?:;|$)/u);
      assert.doesNotMatch(policy, /unsafe/u);
      assert.equal(answer.headers.get("x-content-type-options"), "nosniff");

      const served = Buffer.from(await (await fetch(`${world.server.address}vendor/centrifuge/centrifuge.js`)).arrayBuffer());
      const [pinned] = (await readFile(new URL("../../../web/vendor/centrifuge/SHA256", import.meta.url), "utf8")).split(" ");
      assert.equal(createHash("sha256").update(served).digest("hex"), pinned);
      const refused = await fetch(`${world.server.address}vendor/package.json`);
      assert.equal(refused.status, 404, "what makes the bundle is not served");
    },
  },
];
