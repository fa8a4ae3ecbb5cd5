// What people do in rooms: change their words, see each other, keep an eye on several rooms.

import assert from "node:assert/strict";
import { until } from "../window.mjs";

/** Waits until `count` people are listed, and names them. */
async function peopleIn(window, count) {
  await until(async () => (await window.people()).length === count, `${count} people in the list`);
  return window.people();
}

export const cases = [
  {
    name: "one edits and deletes one's own messages, and nobody else's",
    async run(world) {
      const a = await world.window({ name: "Ada" });
      const b = await world.window({ name: "Ben" });
      await a.say("the meeting is at nein");
      await a.say("never mind");
      await b.sees("never mind");
      assert.equal(await b.page.locator(".message .actions").count(), 0);

      await a.message("nein").hover();
      await a.message("nein").getByRole("button", { name: /^Edit/u }).click();
      assert.equal(await a.page.inputValue("#text"), "the meeting is at nein");
      await a.say("the meeting is at nine");
      await b.sees("at nine");
      assert.deepEqual(await b.texts(), ["the meeting is at nine (edited)", "never mind"]);

      await a.message("never mind").hover();
      await a.message("never mind").getByRole("button", { name: /^Delete/u }).click();
      await a.page.locator("#confirm").getByRole("button", { name: "Delete" }).click();
      await b.sees("This message was deleted");
      const after = ["the meeting is at nine (edited)", "This message was deleted"];
      assert.deepEqual(await b.texts(), after);
      await until(async () => JSON.stringify(await a.texts()) === JSON.stringify(after), "the author to see the same");

      for (const window of [a, b]) {
        await window.reload();
        await window.sees("This message was deleted");
        assert.deepEqual(await window.texts(), after);
        assert.ok(!(await window.page.content()).includes("never mind"), "the deleted text is gone");
      }
      assert.equal(await a.page.locator(".message .actions").count(), 1, "one's own message is known again after a reload");
    },
  },
  {
    name: "an edit made offline arrives later",
    async run(world) {
      const a = await world.window({ name: "Ada" });
      const b = await world.window({ name: "Ben" });
      a.expectCuts = true;
      await a.say("frist");
      await b.sees("frist");
      await a.allSent();
      await a.context.setOffline(true);
      await a.lightTurns("offline");
      await a.page.press("#text", "ArrowUp");
      await a.say("first");
      await a.unsent(1);
      await a.context.setOffline(false);
      await b.sees("first");
      await a.allSent();
      assert.deepEqual(await b.texts(), ["first (edited)"]);
    },
  },
  {
    name: "who is here, and who is writing",
    async run(world) {
      const a = await world.window({ name: "Ada" });
      assert.deepEqual(await peopleIn(a, 1), ["Ada"]);
      const b = await world.window({ name: "Ben" });
      assert.deepEqual(await peopleIn(a, 2), ["Ada", "Ben"]);
      assert.deepEqual(await peopleIn(b, 2), ["Ben", "Ada"]);

      const second = await world.tab(b);
      await second.connected();
      await peopleIn(second, 2);
      assert.deepEqual(await a.people(), ["Ada", "Ben"], "a person with two windows is one person");
      await second.page.close();

      await b.page.locator("#text").pressSequentially("I am th");
      await a.page.locator("#writing", { hasText: "Ben is writing…" }).waitFor();
      assert.equal(await b.page.innerText("#writing"), "", "nobody needs to be told that they write");
      await b.page.fill("#text", "");
      await until(async () => (await a.page.innerText("#writing")) === "", "the sign of writing to go");
      await b.page.locator("#text").pressSequentially("again");
      await a.page.locator("#writing", { hasText: "Ben is writing…" }).waitFor();
      await b.page.press("#text", "Enter");
      await a.sees("again");
      await until(async () => (await a.page.innerText("#writing")) === "", "the sign of writing to go with the message");

      await b.page.click("#me");
      await b.page.fill("#name", "Benjamin");
      await b.page.press("#name", "Enter");
      await until(async () => (await a.people()).join() === "Ada,Benjamin", "the new name");
      await b.context.close();
      assert.deepEqual(await peopleIn(a, 1), ["Ada"]);
    },
  },
  {
    name: "unread messages of other rooms are counted",
    async run(world) {
      const a = await world.window({ name: "Ada" });
      const b = await world.window({ name: "Ben", room: "kitchen" });
      await a.join("Kitchen");
      await b.say("old");
      await a.sees("old");
      await a.go("lobby");
      for (const text of ["soup", "cake", "tea"]) await b.say(text);
      const badge = a.page.locator('#room-list a[href="#/kitchen"] .badge');
      await until(async () => (await badge.count()) === 1 && (await badge.innerText()).startsWith("3"), "a count of three");
      await until(async () => (await a.page.title()).startsWith("(3) "), "the count in the title");
      await a.reload();
      await until(async () => (await badge.count()) === 1 && (await badge.innerText()).startsWith("3"), "the count after a reload");
      await a.go("kitchen");
      await a.sees("tea");
      assert.equal(await a.page.locator(".unread + .message .text").innerText(), "soup", "the line stands above the first new message");
      await until(async () => (await badge.count()) === 0, "the count to go");
      assert.equal(await a.page.title(), "#kitchen · Fourwire");
      await a.reload();
      assert.equal(await badge.count(), 0);
    },
  },
  {
    name: "notifications are asked for only by pressing the bell",
    async run(world) {
      const a = await world.window({ name: "Ada" });
      const b = await world.window({ name: "Ben", room: "kitchen" });
      await a.page.addInitScript(() => {
        window.asked = 0;
        window.shown = [];
        window.Notification = class {
          static permission = "default";
          static async requestPermission() {
            window.asked += 1;
            return (this.permission = "granted");
          }
          constructor(title, options) {
            window.shown.push([title, options.body]);
          }
          close() {}
        };
      });
      await a.reload();
      await a.join("kitchen");
      await a.go("lobby");
      await b.say("nobody is told");
      await a.page.locator("#room-list .badge").waitFor();
      assert.deepEqual(await a.page.evaluate(() => [window.asked, window.shown.length]), [0, 0]);
      await a.page.click("#bell");
      await a.page.locator('#bell[aria-pressed="true"]').waitFor();
      await b.say("soup is ready");
      await until(async () => (await a.page.evaluate(() => window.shown.length)) > 0, "a notification");
      assert.deepEqual(await a.page.evaluate(() => [window.asked, window.shown]), [1, [["Ben in #kitchen", "soup is ready"]]]);
    },
  },
  {
    name: "several lines, links, long words and hostile text",
    async run(world) {
      const a = await world.window({ name: "<b>Ada</b>" });
      const b = await world.window({ name: "Ben" });
      const hostile = `<img src=x onerror="document.title='taken'"> <script>document.title='taken'</script>`;
      await a.say(hostile);
      await a.say("see https://example.org/a_(b)?c=d#e, or (http://example.org/f). javascript:alert(1)");
      await a.say("w".repeat(2_000));
      await a.page.fill("#text", "");
      await a.page.locator("#text").pressSequentially("first");
      await a.page.press("#text", "Shift+Enter");
      await a.page.locator("#text").pressSequentially("second");
      await a.page.press("#text", "Enter");
      await b.sees("second");
      const texts = await b.texts();
      assert.equal(texts[0], hostile);
      assert.equal(texts[3], "first\nsecond");
      assert.equal(await b.page.locator(".message .author").first().innerText(), "<b>Ada</b>");
      assert.ok(!(await b.page.title()).includes("taken"));
      const links = await b.page.locator(".text a").evaluateAll((all) => all.map((link) => [link.href, link.rel]));
      const rel = "noopener noreferrer nofollow";
      assert.deepEqual(links, [["https://example.org/a_(b)?c=d#e", rel], ["http://example.org/f", rel]]);
      const { wide, view } = await b.page.evaluate(() => ({ wide: document.querySelector("#log").scrollWidth, view: document.querySelector("#log").clientWidth }));
      assert.ok(wide <= view, "a long word wraps");
    },
  },
  {
    name: "a message that is too long is refused in words, and can be discarded",
    async run(world) {
      const a = await world.window({ name: "Ada" });
      await a.page.evaluate(() => document.querySelector("#text").removeAttribute("maxlength"));
      await a.say("x".repeat(70_000));
      await a.page.locator(".message.failed .state", { hasText: "Not sent" }).waitFor();
      await a.say("short");
      await until(async () => (await a.page.locator(".message:not(.failed):not(.waiting)").count()) === 1, "the next message to pass");
      await a.page.locator(".message.failed").getByRole("button", { name: "Discard" }).click();
      await until(async () => (await a.texts()).join() === "short", "the long one to go");
    },
  },
];
