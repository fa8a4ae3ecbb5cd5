// Makes centrifuge/centrifuge.js, the one vendored file of the page:
//
//     npm ci && npm run build
//
// The result is committed, so that neither building nor running the server needs Node.

import { build } from "esbuild";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";

const from = (path) => new URL(path, import.meta.url);
const read = (path) => readFile(from(path), "utf8");

const { version } = JSON.parse(await read("node_modules/centrifuge/package.json"));

// Every package that ends up inside the bundle, so that each one's licence goes with it.
const bundled = ["centrifuge", "events"];

const result = await build({
  stdin: {
    contents: 'export { Centrifuge, State, SubscriptionState } from "centrifuge";',
    resolveDir: from(".").pathname,
  },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2020",
  legalComments: "none",
  banner: { js: `/* centrifuge ${version}, MIT: see LICENSE beside this file. Made by ../build.mjs. */` },
  metafile: true,
  write: false,
});

const inside = new Set(
  Object.keys(result.metafile.inputs).flatMap((path) => path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1] ?? []),
);
for (const name of inside) {
  if (!bundled.includes(name)) throw new Error(`${name} is in the bundle too: add it, and so its licence, to "bundled"`);
}

const code = result.outputFiles[0].contents;
const licences = await Promise.all(
  bundled.filter((name) => inside.has(name)).map(async (name) => `${name}\n\n${await read(`node_modules/${name}/LICENSE`)}`),
);
const digest = createHash("sha256").update(code).digest("hex");

await writeFile(from("centrifuge/centrifuge.js"), code);
await writeFile(from("centrifuge/LICENSE"), licences.join("\n\n---\n\n"));
await writeFile(from("centrifuge/SHA256"), `${digest}  centrifuge.js\n`);
console.log(`centrifuge ${version}: ${code.length} bytes, sha256 ${digest}`);
