//! The protocol's numbers: errors in replies, reasons to close, reasons to unsubscribe.

/// Something went wrong on the server; the client may try again.
pub const INTERNAL: u16 = 100;
/// The request needs an identity.
pub const UNAUTHORIZED: u16 = 101;
/// There is no such channel.
pub const UNKNOWN_CHANNEL: u16 = 102;
/// The client may not do this.
pub const PERMISSION_DENIED: u16 = 103;
/// There is no such RPC method.
pub const METHOD_NOT_FOUND: u16 = 104;
/// The client is in that room already.
pub const ALREADY_SUBSCRIBED: u16 = 105;
/// Past a limit that time does not change.
pub const LIMIT_EXCEEDED: u16 = 106;
/// The request makes no sense.
pub const BAD_REQUEST: u16 = 107;
/// This server does not do that.
pub const NOT_AVAILABLE: u16 = 108;
/// The token has expired.
pub const TOKEN_EXPIRED: u16 = 109;
/// The connection or subscription has expired.
pub const EXPIRED: u16 = 110;
/// Past a limit that time does change; the client may try again later.
pub const TOO_MANY_REQUESTS: u16 = 111;
/// The room's history does not reach back to that position, or is another one.
pub const UNRECOVERABLE_POSITION: u16 = 112;

/// Unsubscribed because the server was told to. The client stays out.
pub const UNSUBSCRIBED_BY_SERVER: u16 = 2000;
/// Unsubscribed because the permit's time is over, and no other came. The client subscribes again with a new one.
pub const SUBSCRIPTION_EXPIRED: u16 = 2501;
/// Unsubscribed because the server cannot go on from the client's position. The client subscribes again, and recovers
/// or learns that it cannot.
pub const INSUFFICIENT_STATE: u16 = 2500;

/// Why a connection is closed: the WebSocket close code and reason. Clients come back by themselves after codes below
/// 3500, and do not after others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// WebSocket close code.
    pub code: u16,
    /// In words.
    pub reason: &'static str,
}

impl Disconnect {
    /// The server goes down.
    pub const SHUTDOWN: Self = Self { code: 3001, reason: "shutdown" };
    /// Something went wrong on the server.
    pub const SERVER_ERROR: Self = Self { code: 3004, reason: "internal server error" };
    /// The identity's time is over, and no refresh came.
    pub const EXPIRED: Self = Self { code: 3005, reason: "connection expired" };
    /// The client does not read as fast as there is to send.
    pub const SLOW: Self = Self { code: 3008, reason: "slow" };
    /// The server may have lost what the client should have got; coming back recovers it.
    pub const INSUFFICIENT_STATE: Self = Self { code: 3010, reason: "insufficient state" };
    /// A program asked for it, and the client may come back.
    pub const FORCE_RECONNECT: Self = Self { code: 3011, reason: "force reconnect" };
    /// No answer to a ping.
    pub const NO_PONG: Self = Self { code: 3012, reason: "no pong" };
    /// Far more commands than allowed.
    pub const TOO_MANY_REQUESTS: Self = Self { code: 3013, reason: "too many requests" };
    /// The token will never be good.
    pub const INVALID_TOKEN: Self = Self { code: 3500, reason: "invalid token" };
    /// What came is not the protocol.
    pub const BAD_REQUEST: Self = Self { code: 3501, reason: "bad request" };
    /// No connect command in time.
    pub const STALE: Self = Self { code: 3502, reason: "stale" };
    /// A program asked for it, and the client must not come back.
    pub const FORCE_DISCONNECT: Self = Self { code: 3503, reason: "force disconnect" };
    /// A message without a reply was sent, and the server takes none.
    pub const NOT_AVAILABLE: Self = Self { code: 3508, reason: "not available" };
}
