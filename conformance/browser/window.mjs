// One window on the page, in the words of somebody who uses it.

import { setTimeout as sleep } from "node:timers/promises";
import { OWN } from "./server.mjs";

// Milliseconds for anything to happen. A host of its own that is killed says no goodbye: it is missed only when a ping
// (every 25 s) does not come.
const PATIENCE = OWN ? 60_000 : 20_000;
const OF_A_CUT = /WebSocket connection to|net::ERR_(?:CONNECTION|INTERNET|NETWORK|SOCKET|EMPTY)/u;

export class Window {
  problems = [];
  /** The case cuts this window's line, so the browser's own words about failed connections are no problem. */
  expectCuts = false;

  static async open(context, address, { name, room }) {
    const window = new Window();
    window.context = context;
    window.address = address;
    window.name = name ?? "";
    window.page = await context.newPage();
    window.page.setDefaultTimeout(PATIENCE);
    window.#listen();
    await window.page.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => console.error(`content policy: ${event.violatedDirective} ${event.blockedURI}`));
    });
    await window.page.goto(`${address}#/${room}`);
    if (name !== undefined) {
      await window.page.fill("#name", name);
      await window.page.press("#name", "Enter");
      await window.connected();
    }
    return window;
  }

  async say(text) {
    await this.page.fill("#text", text);
    await this.page.press("#text", "Enter");
  }

  async go(room) {
    await this.page.click(`#room-list a[href="#/${room}"]`);
    await this.page.locator("#title", { hasText: room }).waitFor();
  }

  async join(room) {
    await this.page.fill("#join-name", room);
    await this.page.press("#join-name", "Enter");
    await this.page.locator("#title", { hasText: room }).waitFor();
  }

  async reload() {
    await this.page.reload();
    await this.connected();
  }

  /** Texts of all messages on the screen, top to bottom. */
  async texts() {
    return this.page.locator(".message .text").allInnerTexts();
  }

  message(text) {
    return this.page.locator(".message", { has: this.page.locator(".text", { hasText: text }) });
  }

  async sees(text) {
    await this.message(text).first().waitFor();
  }

  async light() {
    return { state: await this.page.getAttribute("#light", "data-state"), text: await this.page.innerText("#light-text") };
  }

  async lightTurns(state) {
    await this.page.locator(`#light[data-state="${state}"]`).waitFor();
  }

  async connected() {
    await this.lightTurns("connected");
  }

  /** Waits until so many messages are shown as not sent yet: the page draws with the next picture, not at once. */
  async unsent(count) {
    await until(async () => (await this.page.locator(".message.waiting").count()) === count, `${count} messages to wait`);
  }

  /** Nothing is on its way any more. */
  async allSent() {
    await this.unsent(0);
  }

  async people() {
    return this.page.locator("#people-list .person").allInnerTexts();
  }

  #listen() {
    const complain = (text) => {
      if (!(this.expectCuts && OF_A_CUT.test(text))) this.problems.push(`${this.name}: ${text}`);
    };
    this.page.on("pageerror", (error) => complain(error.stack ?? String(error)));
    this.page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complain(`${message.text()} (${message.location().url})`);
    });
  }
}

/** Waits until `condition` holds; `what` is said when it never does. */
export async function until(condition, what, patience = PATIENCE) {
  const deadline = Date.now() + patience;
  for (;;) {
    if (await condition()) return;
    if (Date.now() > deadline) throw new Error(`waited ${patience} ms for ${what}`);
    await sleep(40);
  }
}
