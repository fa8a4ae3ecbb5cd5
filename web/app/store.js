// What the browser remembers for us: JSON values under "fourwire.…" in localStorage, or only in memory
// where the browser refuses storage (private windows, full quota), so that the page still works there.

const PREFIX = "fourwire.";
const memory = new Map();

export function get(name, otherwise = null) {
  const text = memory.get(name) ?? attempt(() => localStorage.getItem(PREFIX + name));
  return attempt(() => JSON.parse(text)) ?? otherwise;
}

export function set(name, value) {
  const text = JSON.stringify(value);
  const kept = attempt(() => (localStorage.setItem(PREFIX + name, text), true));
  if (kept) memory.delete(name);
  else memory.set(name, text);
}

export function remove(name) {
  memory.delete(name);
  attempt(() => localStorage.removeItem(PREFIX + name));
}

/** Names that start with `start`, in no particular order. */
export function names(start) {
  const stored = attempt(() => Object.keys(localStorage)) ?? [];
  const all = [...stored.filter((key) => key.startsWith(PREFIX)).map((key) => key.slice(PREFIX.length)), ...memory.keys()];
  return [...new Set(all)].filter((name) => name.startsWith(start));
}

function attempt(action) {
  try {
    return action();
  } catch {
    return null;
  }
}
