//! With which codes and words clients are put out.
//!
//! y-websocket's convention (RFC 6455 leaves 4000 to 4999 to programs): after 4400 to 4499 a client does not come back
//! by itself; after all others it does.

use super::message::Close;
use crate::centrifuge::Disconnect;

const fn all(code: u16, reason: &'static str) -> Close {
    Close { disconnect: Disconnect { code, reason }, is_about_the_document: false }
}

const fn this(code: u16, reason: &'static str) -> Close {
    Close { disconnect: Disconnect { code, reason }, is_about_the_document: true }
}

pub(super) const MALFORMED: Close =
    all(1007, "that is not an update of Yjs, or not one that can be taken in");
pub(super) const NOT_THE_PROTOCOL: Close = all(1007, "that is not a message of this protocol");
pub(super) const TOO_LONG: Close = all(1009, "an update is longer than the server takes");
pub(super) const OVERLOADED: Close = all(1013, "too much waits for the store already: come again");
pub(super) const STORE_FAILED: Close =
    all(1013, "the store failed, and what was not acknowledged is not stored: come again");
pub(super) const LAGGED: Close = all(1013, "the server is overloaded: come again");
pub(super) const CROWDED: Close = all(1013, "too many are at this document: try again later");
pub(super) const TOO_MANY: Close = this(1013, "too many documents are open: try again later");
pub(super) const INVALID_TOKEN: Close = this(4401, "the token is not valid: ask for a new one");
pub(super) const EXPIRED_TOKEN: Close = this(4401, "the token has expired: ask for a new one");
pub(super) const UNKNOWN_KEY: Close = this(1013, "the token's key is not known yet: come again");
pub(super) const FORBIDDEN: Close = this(4403, "the token gives no access to this document");
pub(super) const BAD_NAME: Close = this(4404, "there can be no document of that name");
pub(super) const NO_HELLO: Close = all(4408, "no document was opened in time");
pub(super) const FULL: Close =
    this(4413, "the document is as large as documents may be here: the edit was not taken");
pub(super) const READ_ONLY: &str = "this document is read-only for you: the edit was not taken";
