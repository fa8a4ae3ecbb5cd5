// The vendored client, with two things that it knows and does not tell. The overridden methods are its
// own, not public: the version is pinned, and conformance/browser fails when either stops working.

import { Centrifuge } from "../vendor/centrifuge/centrifuge.js";

export class Client extends Centrifuge {
  /** Adds the server's `time` (milliseconds since 1970) to what is told of a publication. */
  _getPublicationContext(channel, publication) {
    const context = super._getPublicationContext(channel, publication);
    if (publication.time) context.time = Number(publication.time);
    return context;
  }

  /** Emits `waiting` with the milliseconds until the next attempt to connect. */
  _getReconnectDelay() {
    const delay = super._getReconnectDelay();
    this.emit("waiting", delay);
    return delay;
  }
}
