//! Commands in JSON: one a line.

use serde::Deserialize;

use crate::centrifuge::command::{
    Channel, Command, Connect, Frame, History, Method, Publish, Refresh, SubRefresh, Subscribe,
};
use crate::json;

#[derive(Debug, Deserialize)]
struct Nothing {}

/// A line as it stands; the first field that is there counts.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    id: u32,
    #[serde(borrow)]
    connect: Option<Connect<'a>>,
    #[serde(borrow)]
    subscribe: Option<Subscribe<'a>>,
    #[serde(borrow)]
    unsubscribe: Option<Channel<'a>>,
    #[serde(borrow)]
    publish: Option<Publish<'a>>,
    #[serde(borrow)]
    presence: Option<Channel<'a>>,
    #[serde(borrow)]
    presence_stats: Option<Channel<'a>>,
    #[serde(borrow)]
    history: Option<History<'a>>,
    ping: Option<Nothing>,
    send: Option<Nothing>,
    #[serde(borrow)]
    rpc: Option<Method<'a>>,
    #[serde(borrow)]
    refresh: Option<Refresh<'a>>,
    #[serde(borrow)]
    sub_refresh: Option<SubRefresh<'a>>,
}

/// Reads one line. `None` when it is not a command; there is nothing to answer then.
pub(super) fn decode(line: &str, depth_limit: usize) -> Option<Frame<'_>> {
    // An array could stand for the object's fields in their order, as far as the parser is concerned.
    if !line.starts_with('{') || json::depth(line.as_bytes()) > depth_limit {
        return None;
    }
    let line: Line<'_> = serde_json::from_str(line).ok()?;
    let id = line.id;
    if line.send.is_some() {
        return Some(Frame::Send);
    }
    if id == 0 {
        // Whatever else a line without an id says, the protocol takes it as a pong; but a command is a mistake.
        let is_command = line.command().is_some();
        return (!is_command).then_some(Frame::Pong);
    }
    line.command().map(|command| Frame::Command(id, command))
}

impl<'a> Line<'a> {
    fn command(self) -> Option<Command<'a>> {
        let Self {
            id: _,
            connect,
            subscribe,
            unsubscribe,
            publish,
            presence,
            presence_stats,
            history,
            ping,
            send: _,
            rpc,
            refresh,
            sub_refresh,
        } = self;
        None.or(connect.map(Command::Connect))
            .or(subscribe.map(Command::Subscribe))
            .or(unsubscribe.map(Command::Unsubscribe))
            .or(publish.map(Command::Publish))
            .or(presence.map(Command::Presence))
            .or(presence_stats.map(Command::PresenceStats))
            .or(history.map(Command::History))
            .or(ping.map(|_| Command::Ping))
            .or(rpc.map(Command::Rpc))
            .or(refresh.map(Command::Refresh))
            .or(sub_refresh.map(Command::SubRefresh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscribe_command_is_read_with_its_position() {
        let line =
            r#"{"id":7,"subscribe":{"channel":"a\u00e9","recover":true,"epoch":"x","offset":12,"new":[1]}}"#;
        let Some(Frame::Command(7, Command::Subscribe(subscribe))) = decode(line, 8) else {
            panic!("{line}")
        };
        assert_eq!(subscribe.channel, "aé");
        assert_eq!((subscribe.recover, &*subscribe.epoch, subscribe.offset), (true, "x", 12));
    }

    #[test]
    fn data_is_kept_as_it_stands() {
        for data in ["null", "{\"a\": [1.50, 1e400]}", "\"\\ud800\""] {
            let line = format!(r#"{{"id":1,"publish":{{"channel":"a","data":{data}}}}}"#);
            let Some(Frame::Command(1, Command::Publish(publish))) = decode(&line, 8) else {
                panic!("{line}")
            };
            assert_eq!(publish.data.as_deref(), Some(data.as_bytes()));
        }
    }

    #[test]
    fn what_is_not_a_command_is_nothing() {
        let nothing = [
            "",
            "{",
            "[]",
            "[1]",
            "1",
            "{\"id\":1}",
            "{\"id\":-1,\"ping\":{}}",
            "{\"id\":4294967296,\"ping\":{}}",
            "{\"publish\":{\"channel\":\"a\",\"data\":1}}",
            "{\"id\":1,\"publish\":{\"channel\":1}}",
            "{\"id\":1,\"ping\":{}} {}",
            "{\"id\":1,\"id\":1,\"ping\":{}}",
        ];
        for line in nothing {
            assert!(decode(line, 8).is_none(), "{line}");
        }
        assert!(matches!(decode("{}", 8), Some(Frame::Pong)));
        assert!(matches!(decode("{\"send\":{\"data\":1}}", 8), Some(Frame::Send)));
    }

    #[test]
    fn depth_is_bounded() {
        let line = |deep: usize| {
            format!(
                r#"{{"id":1,"publish":{{"channel":"a","data":{}{}}}}}"#,
                "[".repeat(deep),
                "]".repeat(deep)
            )
        };
        assert!(decode(&line(6), 8).is_some());
        assert!(decode(&line(7), 8).is_none());
        assert!(decode(&line(100_000), 8).is_none());
    }
}
