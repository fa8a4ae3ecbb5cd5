// The room's document: two write in it, see each other's cursors, go offline, come back, and outlive a killed server.

import assert from "node:assert/strict";
import { until } from "../window.mjs";

const sheet = (window) => window.page.locator("#document-sheet .cm-content");
const text = (window) => sheet(window).evaluate((content) => [...content.querySelectorAll(".cm-line")].map((line) => {
  const copy = line.cloneNode(true);
  copy.querySelectorAll(".cursor, .cm-placeholder").forEach((node) => node.remove());
  return copy.textContent;
}).join("\n"));
const turns = (window, state) => window.page.locator(`#document-state[data-state="${state}"]`).waitFor();
const cursor = (window, name) => window.page.locator("#document-sheet .cursor .name", { hasText: name });

async function open(window) {
  await window.page.click("#open-document");
  await sheet(window).waitFor();
  await turns(window, "saved");
}

async function write(window, where, words) {
  await sheet(window).click();
  await window.page.keyboard.press(where);
  await window.page.keyboard.type(words);
}

async function agree(...windows) {
  const texts = () => Promise.all(windows.map(text));
  await until(async () => new Set(await texts()).size === 1, "both to have one text");
  return (await texts())[0];
}

export const cases = [
  {
    name: "two write in one document, with cursors, and the server is killed meanwhile",
    async run(world) {
      const [ada, ben] = [await world.window({ name: "Ada" }), await world.window({ name: "Ben" })];
      await open(ada);
      await open(ben);
      await write(ada, "Control+End", "First light");
      await until(async () => (await text(ben)) === "First light", "Ben to see it");
      await cursor(ben, "Ada").waitFor();
      await write(ben, "Control+End", ", and on");
      await until(async () => (await text(ada)) === "First light, and on", "Ada to see it");
      await cursor(ada, "Ben").waitFor();
      for (const window of [ada, ben]) await turns(window, "saved");
      for (const window of [ada, ben]) window.expectCuts = true;
      await world.server.kill();
      for (const window of [ada, ben]) await turns(window, "offline");
      await write(ada, "Control+Home", "ada ");
      await write(ben, "Control+End", " ben");
      await world.server.start();
      for (const window of [ada, ben]) await turns(window, "saved");
      assert.equal(await agree(ada, ben), "ada First light, and on ben");
    },
  },
  {
    name: "a document is written in offline, opened again without a connection, and merges",
    async run(world) {
      const [ada, ben] = [await world.window({ name: "Ada" }), await world.window({ name: "Ben" })];
      await open(ada);
      await open(ben);
      await write(ada, "Control+End", "middle");
      await until(async () => (await text(ben)) === "middle", "Ben to see it");
      for (const window of [ada, ben]) window.expectCuts = true;
      for (const window of [ada, ben]) await window.context.setOffline(true);
      // Chromium lets what is open live on; a document that is opened now finds nobody.
      for (const window of [ada, ben]) await window.page.click("#open-document");
      for (const window of [ada, ben]) {
        await window.page.click("#open-document");
        await until(async () => (await text(window)) === "middle", "it to be there without a connection");
      }
      await write(ada, "Control+Home", "start ");
      await write(ben, "Control+End", " end");
      for (const window of [ada, ben]) await window.context.setOffline(false);
      for (const window of [ada, ben]) await turns(window, "saved");
      assert.equal(await agree(ada, ben), "start middle end");
    },
  },
];
