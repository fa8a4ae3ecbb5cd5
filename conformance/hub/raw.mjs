// Sockets without a protocol's manners: WebSockets that send what they like, and bytes that are no WebSocket.

import { createConnection } from "node:net";
import WebSocket from "ws";

const DEADLINE = 20_000;

/** Waits for `promise`, but not for ever. */
export function within(promise, what, deadline = DEADLINE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not happen within ${deadline} ms`)), deadline);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** An open WebSocket with everything that it received. */
export async function open(url, options = {}) {
  const socket = new WebSocket(url, options);
  const replies = [];
  socket.on("message", (bytes) => replies.push(...bytes.toString().split("\n").map(JSON.parse)));
  const closed = new Promise((resolve) => socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() })));
  socket.on("error", () => {});
  await within(new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject)), "the handshake");
  return { socket, replies, closed: (deadline) => within(closed, "the close", deadline) };
}

/** Opens, says `messages`, and waits for the close. */
export async function closeAfter(url, messages, deadline) {
  const { socket, replies, closed } = await open(url);
  for (const message of messages) socket.send(message);
  return { ...(await closed(deadline)), replies };
}

/** The status of a handshake that is not to succeed. */
export function refusal(url, options = {}) {
  const socket = new WebSocket(url, options);
  const refused = new Promise((resolve, reject) => {
    socket.on("unexpected-response", (_, response) => resolve(response.statusCode));
    socket.on("open", () => reject(new Error("it was accepted")));
    socket.on("error", reject);
  });
  return within(refused, "the refusal").finally(() => socket.terminate());
}

/** Sends bytes over TCP and collects what comes until the server ends the connection. */
export function exchange(port, bytes, deadline = DEADLINE) {
  const socket = createConnection({ host: "127.0.0.1", port });
  const chunks = [];
  const ended = new Promise((resolve) => {
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("close", () => resolve(Buffer.concat(chunks)));
    socket.on("error", () => {});
  });
  socket.write(bytes);
  return within(ended, "the end of the connection", deadline).finally(() => socket.destroy());
}
