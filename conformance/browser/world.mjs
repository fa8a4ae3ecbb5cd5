// Everything one case needs: a server, lines to it, windows on it. Puts it all away again, and fails the
// case when a window complained: an error on the console, an exception, a breach of the content policy.

import { Line } from "./line.mjs";
import { Server } from "./server.mjs";
import { Window } from "./window.mjs";

export class World {
  #windows = [];
  #lines = [];
  #browser;

  static async with(browser, run) {
    const world = new World();
    world.#browser = browser;
    try {
      world.server = await Server.start();
      await run(world);
      const problems = world.#windows.flatMap((window) => window.problems);
      if (problems.length > 0) throw new Error(`the page complained:\n${problems.join("\n")}`);
    } finally {
      for (const { context } of world.#windows) await context.close();
      for (const line of world.#lines) await line.cut();
      await world.server?.stop();
    }
  }

  async line() {
    const line = await Line.to(this.server);
    this.#lines.push(line);
    return line;
  }

  /** A browser of its own (context), at `room`, with `name` chosen. Without a `line` it goes straight to the server. */
  async window({ name, room = "lobby", line, ...options }) {
    const context = await this.#browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB", ...options });
    const window = await Window.open(context, (line ?? this.server).address, { name, room });
    this.#windows.push(window);
    return window;
  }

  /** Another tab of the same person. */
  async tab(window, { room = "lobby" } = {}) {
    const tab = await Window.open(window.context, window.address, { room });
    this.#windows.push(tab);
    return tab;
  }
}
