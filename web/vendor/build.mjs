// Makes the vendored files of the page, each a bundle in a directory of its own:
//
//     npm ci && npm run build
//
// The results are committed, so that neither building nor running the server needs Node.

import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";

const from = (path) => new URL(path, import.meta.url);
const read = (path) => readFile(from(path), "utf8");

// What each bundle gives the page, and every package that ends up inside of it, so that each one's licence goes with it.
const bundles = [
  {
    name: "centrifuge",
    contents: 'export { Centrifuge, State, SubscriptionState } from "centrifuge";',
    packages: ["centrifuge", "events"],
  },
  {
    name: "editor",
    contents: [
      'export { Doc, UndoManager, createAbsolutePositionFromRelativePosition, createRelativePositionFromTypeIndex } from "yjs";',
      'export { HocuspocusProvider, HocuspocusProviderWebsocket } from "@hocuspocus/provider";',
      'export { IndexeddbPersistence } from "y-indexeddb";',
      'export { yCollab, yUndoManagerKeymap } from "y-codemirror.next";',
      'export { Annotation, EditorState } from "@codemirror/state";',
      'export { Decoration, EditorView, ViewPlugin, WidgetType, drawSelection, keymap, placeholder } from "@codemirror/view";',
      'export { defaultKeymap, indentWithTab } from "@codemirror/commands";',
      'export { HighlightStyle, syntaxHighlighting } from "@codemirror/language";',
      'export { markdown } from "@codemirror/lang-markdown";',
      'export { tags } from "@lezer/highlight";',
    ].join("\n"),
    packages: [
      "@codemirror/autocomplete",
      "@codemirror/commands",
      "@codemirror/lang-css",
      "@codemirror/lang-html",
      "@codemirror/lang-javascript",
      "@codemirror/lang-markdown",
      "@codemirror/language",
      "@codemirror/state",
      "@codemirror/streamparser",
      "@codemirror/view",
      "@hocuspocus/common",
      "@hocuspocus/provider",
      "@lezer/common",
      "@lezer/css",
      "@lezer/highlight",
      "@lezer/html",
      "@lezer/javascript",
      "@lezer/lr",
      "@lezer/markdown",
      "@lifeomic/attempt",
      "@marijn/find-cluster-break",
      "crelt",
      "lib0",
      "style-mod",
      "w3c-keyname",
      "y-codemirror.next",
      "y-indexeddb",
      "y-protocols",
      "yjs",
    ],
  },
];

for (const { name, contents, packages } of bundles) {
  const result = await build({
    stdin: { contents, resolveDir: from(".").pathname },
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    banner: { js: `/* ${await versions(packages)}, MIT: see LICENSE beside this file. Made by ../build.mjs. */` },
    metafile: true,
    write: false,
  });

  const inside = new Set(
    Object.entries(result.metafile.inputs).flatMap(([path]) => path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1] ?? []),
  );
  for (const found of inside) {
    if (!packages.includes(found)) throw new Error(`${found} is in ${name} too: add it, and so its licence, to its "packages"`);
  }

  const code = result.outputFiles[0].contents;
  const licences = await Promise.all(packages.filter((found) => inside.has(found)).map(licence));
  const digest = createHash("sha256").update(code).digest("hex");
  await mkdir(from(name), { recursive: true });
  await writeFile(from(`${name}/${name}.js`), code);
  await writeFile(from(`${name}/LICENSE`), licences.join("\n\n---\n\n"));
  await writeFile(from(`${name}/SHA256`), `${digest}  ${name}.js\n`);
  console.log(`${name}: ${code.length} bytes, sha256 ${digest}`);
}

/** A package's licence, or where it comes without its text, what it says of it. */
async function licence(name) {
  for (const file of ["LICENSE", "LICENSE.md", "license", "LICENSE.txt"]) {
    const text = await read(`node_modules/${name}/${file}`).catch(() => null);
    if (text) return `${name}\n\n${text}`;
  }
  const { license, author, repository } = JSON.parse(await read(`node_modules/${name}/package.json`));
  return `${name}\n\n${license}, by ${author?.name ?? author ?? "its authors"}: ${repository?.url ?? repository ?? ""}`;
}

/** What a bundle is made of, for its first line: the packages that the page's lock file names. */
async function versions(packages) {
  const { devDependencies } = JSON.parse(await read("package.json"));
  const named = packages.filter((name) => name in devDependencies).map((name) => `${name} ${devDependencies[name]}`);
  return named.join(", ");
}
