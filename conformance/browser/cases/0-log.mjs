// The page's log is a value, so it is tried here without a window.

import assert from "node:assert/strict";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// Node takes a .js file for a module only where a package.json says so; the page has none.
const modules = await mkdtemp(join(tmpdir(), "fourwire-page-"));
await cp(new URL("../../../web/app", import.meta.url), modules, { recursive: true });
await writeFile(join(modules, "package.json"), '{ "type": "module" }');
const { Log } = await import(pathToFileURL(join(modules, "log.js")));
await rm(modules, { recursive: true });

/** A small generator of numbers that are the same for the same seed. */
function random(seed) {
  return (below) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
}

function shuffled(values, draw) {
  const all = [...values];
  for (let at = all.length - 1; at > 0; at -= 1) {
    const other = draw(at + 1);
    [all[at], all[other]] = [all[other], all[at]];
  }
  return all;
}

/** Publications as they come live, and what somebody should see after all of them. */
function story(draw) {
  const publications = [];
  const seen = new Map();
  for (let offset = 1; offset <= 60; offset += 1) {
    const open = [...seen.keys()].filter((target) => seen.get(target) !== null);
    const target = String(open[draw(Math.max(1, open.length))]);
    const what = open.length === 0 ? 0 : draw(4);
    const info = { user: "u", client: "c", connInfo: { name: "n" } };
    if (what === 2) {
      publications.push({ offset, data: { text: `edit ${offset}` }, info, tags: { id: `${offset}`, edits: target } });
      seen.set(Number(target), `edit ${offset}`);
    } else if (what === 3) {
      publications.push({ offset, data: null, info, tags: { id: `${offset}`, deletes: target } });
      seen.set(Number(target), null);
    } else {
      publications.push({ offset, data: { text: `text ${offset}` }, info, tags: { id: `${offset}` } });
      seen.set(offset, `text ${offset}`);
    }
  }
  return { publications, seen: [...seen] };
}

/** The same publications as history has them after all of them: what was deleted says nothing any more. */
function kept(publications) {
  return publications.map((publication) => {
    const by = publications.find(({ tags }) => tags.deletes === String(publication.offset));
    if (!by) return publication;
    return { ...publication, data: null, tags: { ...publication.tags, deleted: String(by.offset) } };
  });
}

export const cases = [
  {
    name: "publications give the same log in any order, and any number of times",
    async run() {
      for (let seed = 1; seed <= 300; seed += 1) {
        const draw = random(seed);
        const { publications, seen } = story(draw);
        const log = new Log();
        let added = 0;
        for (const publication of shuffled([...publications, ...publications], draw)) if (log.add(publication)) added += 1;
        const shown = log.all().map(({ offset, text, deleted }) => [offset, deleted ? null : text]);
        assert.deepEqual(shown, seen, `seed ${seed}`);
        assert.equal(added, seen.length, `seed ${seed}: each message is new once`);
      }
    },
  },
  {
    name: "a message that comes again is shown once, and what was deleted does not come back",
    async run() {
      for (let seed = 1; seed <= 300; seed += 1) {
        const draw = random(seed);
        const { publications, seen } = story(draw);
        // Copies from before a deletion and from after it arrive in any order, and the deletion itself does not.
        const before = publications.filter(({ tags }) => tags.deletes === undefined);
        const after = kept(publications).filter(({ tags }) => tags.deletes === undefined);
        const log = new Log();
        const first = new Map();
        for (const publication of shuffled([...before, ...after], draw)) {
          const added = log.add(publication);
          if (added) {
            assert.ok(!first.has(added.offset), `seed ${seed}: ${added.offset} is new once`);
            first.set(added.offset, added);
          }
        }
        const shown = log.all().map(({ offset, text, deleted }) => [offset, deleted ? null : text]);
        assert.deepEqual(shown, seen, `seed ${seed}`);
        for (const message of log.all()) assert.equal(message, first.get(message.offset), `seed ${seed}: it stays the same one`);
      }
    },
  },
];
