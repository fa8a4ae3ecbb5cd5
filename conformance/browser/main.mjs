// Runs the cases one after the other, each with a server and a data directory of its own.

import { readdir } from "node:fs/promises";
import { chromium } from "playwright-core";
import { OWN, OWN_ORIGIN } from "./server.mjs";
import { World } from "./world.mjs";

const words = process.argv.slice(2);
const began = Date.now();

const browser = await launch();

if (words.includes("--pictures")) {
  await World.with(browser, (await import("./pictures.mjs")).take);
  await browser.close();
  process.exit(0);
}

const directory = new URL("cases/", import.meta.url);
const files = (await readdir(directory)).filter((name) => name.endsWith(".mjs")).sort();
const cases = (await Promise.all(files.map((name) => import(new URL(name, directory))))).flatMap((module) => module.cases);
const chosen = cases.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));

let passed = 0;
let failed = 0;
for (const { name, run } of chosen) {
  const start = Date.now();
  try {
    await World.with(browser, run);
    passed += 1;
    console.log(`ok      ${name} (${Date.now() - start} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name} (${Date.now() - start} ms)\n${indent(error.stack ?? String(error))}`);
  }
}
await browser.close();
console.log(`${chosen.length} cases in ${Math.round((Date.now() - began) / 1000)} s`);
console.log(`${passed} passed, ${failed} failed`);
// Nothing judged is not a pass.
process.exit(failed > 0 || passed === 0 ? 1 : 0);

async function launch() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  try {
    const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
    // Loopback is trusted with notifications; an address elsewhere is only over TLS, unless it is named here.
    if (OWN) args.push(`--unsafely-treat-insecure-origin-as-secure=${OWN_ORIGIN}`);
    return await chromium.launch({ executablePath, args });
  } catch (error) {
    console.log(`cannot start ${executablePath}: install it (apt-get install chromium), or set CHROMIUM\n${indent(error.message)}`);
    console.log("0 passed, 0 failed");
    process.exit(2);
  }
}

function indent(text) {
  return text.replace(/^/gmu, "        ");
}
