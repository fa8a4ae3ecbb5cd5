// What is exchanged, and what must have been seen on the way.

export const LARGE = 16 << 20;

/**
 * `server` is which of our servers: `frames` sends in many and grants no compression. `fill` says what the message is
 * made of: words compress, noise does not.
 */
export const CASES = [
  { name: "text", server: "whole", kind: "text", bytes: 100, fill: "words", down: (passed) => passed.text === 1 },
  { name: "binary", server: "whole", kind: "binary", bytes: 100, fill: "noise", down: (passed) => passed.binary === 1 },
  { name: "fragmented", server: "frames", kind: "text", bytes: 10_000, fill: "words", fragments: 4, down: (passed) => passed.fragmented === 1 && passed.frames >= 10 },
  { name: "compressed", server: "whole", kind: "text", bytes: 100_000, fill: "words", compressed: true, up: (passed) => passed.compressed === 1, down: (passed) => passed.compressed === 1 },
  { name: "16 MiB", server: "whole", kind: "binary", bytes: LARGE, fill: "noise", down: (passed) => passed.binary === 1 },
];

/** A message of exactly so many bytes, the same each time. Also runs in browsers, so that it stands alone. */
export function make({ kind, bytes, fill }) {
  const words = new TextEncoder().encode("four wires, héllo, 你好, 😀; ");
  const message = new Uint8Array(bytes);
  let state = 12345;
  for (let at = 0; at < bytes; at += 1) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    message[at] = fill === "words" ? words[at % words.length] : state >>> 24;
  }
  if (kind === "binary") return message;
  // No character may be cut at the end.
  const whole = bytes - (bytes % words.length);
  return new TextDecoder().decode(message.fill(0x2e, whole));
}
