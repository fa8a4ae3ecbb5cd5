// A relay between a WebSocket client and a server, which looks at the header of every frame that passes.

import { once } from "node:events";
import { connect, createServer } from "node:net";

const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;

export class Relay {
  #server;
  #sockets = new Set();

  /** What passed since the last `forget`, by direction. */
  up = new Passed();
  down = new Passed();

  static async to(port) {
    const relay = new Relay();
    relay.#server = createServer((client) => relay.#join(client, connect(port, "127.0.0.1")));
    relay.#server.listen(0, "127.0.0.1");
    await once(relay.#server, "listening");
    return relay;
  }

  get port() {
    return this.#server.address().port;
  }

  forget() {
    this.up = new Passed();
    this.down = new Passed();
  }

  close() {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(client, server) {
    const pass = (from, to, reader, passed) => {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on("data", (bytes) => {
        reader.read(bytes, passed());
        if (!to.write(bytes)) {
          from.pause();
          to.once("drain", () => from.resume());
        }
      });
      from.on("end", () => to.end());
      from.on("error", () => to.destroy());
      from.on("close", () => this.#sockets.delete(from));
    };
    pass(client, server, new Reader(), () => this.up);
    pass(server, client, new Reader(), () => this.down);
  }
}

/** Data frames and messages. */
export class Passed {
  frames = 0;
  text = 0;
  binary = 0;
  /** Messages in more than one frame. */
  fragmented = 0;
  /** Messages with the bit of permessage-deflate (RFC 7692, section 6). */
  compressed = 0;
}

/** Finds frames in one direction of a connection, behind its HTTP head. */
class Reader {
  #rest = Buffer.alloc(0);
  #inHead = true;
  /** Bytes of payload to come, which are of no interest. */
  #skip = 0;

  read(bytes, passed) {
    if (this.#skip >= bytes.length) {
      this.#skip -= bytes.length;
      return;
    }
    let rest = Buffer.concat([this.#rest, bytes.subarray(this.#skip)]);
    this.#skip = 0;
    if (this.#inHead) {
      const end = rest.indexOf("\r\n\r\n");
      if (end >= 0) rest = rest.subarray(end + 4);
      this.#inHead = end < 0;
    }
    while (!this.#inHead) {
      const header = parse(rest);
      if (!header) break;
      note(header, passed);
      const whole = header.length + header.payload;
      this.#skip = Math.max(0, whole - rest.length);
      rest = rest.subarray(Math.min(whole, rest.length));
    }
    this.#rest = rest;
  }
}

/** The header at the front of `bytes` (RFC 6455, section 5.2); nothing when it is not whole. */
function parse(bytes) {
  if (bytes.length < 2) return undefined;
  const short = bytes[1] & 0x7f;
  const length = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + (bytes[1] & 0x80 ? 4 : 0);
  if (bytes.length < length) return undefined;
  const payload = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
  return { fin: (bytes[0] & 0x80) !== 0, rsv1: (bytes[0] & 0x40) !== 0, opcode: bytes[0] & 0x0f, length, payload };
}

function note({ fin, rsv1, opcode }, passed) {
  if (opcode > BINARY) return;
  passed.frames += 1;
  if (opcode === TEXT) passed.text += 1;
  if (opcode === BINARY) passed.binary += 1;
  if (opcode !== CONTINUATION && !fin) passed.fragmented += 1;
  if (rsv1) passed.compressed += 1;
}
