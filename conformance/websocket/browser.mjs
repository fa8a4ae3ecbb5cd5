// A browser as a client: the page of nobody, and its own WebSocket.

import puppeteer from "puppeteer-core";
import { make } from "./messages.mjs";

export class Browser {
  static async open(browser, executablePath) {
    const opened = new Browser();
    // As root, Chromium has no sandbox; the page is about:blank.
    const args = browser === "chrome" ? ["--no-sandbox", "--disable-gpu"] : [];
    opened.browser = await puppeteer.launch({ browser, executablePath, headless: true, args });
    opened.version = await opened.browser.version();
    opened.page = await opened.browser.newPage();
    return opened;
  }

  /** Sends the case's message and compares what comes back. */
  async exchange(url, { kind, bytes, fill }) {
    return this.page.evaluate(echo, url, { kind, bytes, fill }, make.toString());
  }

  async close() {
    await this.browser.close();
  }
}

/** In the page. Resolves with what was wrong, if anything was. */
async function echo(url, wanted, source) {
  const message = new Function(`return (${source})`)()(wanted);
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  const came = await new Promise((resolve) => {
    socket.onopen = () => socket.send(message);
    socket.onmessage = (event) => resolve(event.data);
    socket.onclose = (event) => resolve(new Error(`closed with ${event.code}`));
  });
  if (came instanceof Error) return came.message;
  const closed = new Promise((resolve) => (socket.onclose = resolve));
  socket.close(1000);
  const { code, wasClean } = await closed;
  if (code !== 1000 || !wasClean) return `closed with ${code}`;
  if (typeof message === "string") return came === message ? "" : "other text came back";
  const bytes = new Uint8Array(came);
  return bytes.length === message.length && bytes.every((byte, at) => byte === message[at]) ? "" : "other bytes came back";
}
