//! Commands in Protobuf.

use std::borrow::Cow;

use bytes::Bytes;
use prost::Message as _;

use super::schema;
use crate::centrifuge::command::{
    Channel, Command, Connect, Data, Frame, History, Method, Position, Publish, Refresh, SubRefresh,
    Subscribe,
};

/// The commands of a frame, as long as they can be read.
pub(crate) fn commands(bytes: &[u8], command_bytes: usize) -> impl Iterator<Item = Option<Frame<'_>>> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest.filter(|rest| !rest.is_empty())?;
        let command = split(bytes).filter(|(command, _)| command.len() <= command_bytes);
        rest = command.map(|(_, rest)| rest);
        Some(command.and_then(|(command, _)| decode(command)))
    })
}

/// The first message of a frame, and what follows it.
fn split(mut bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = prost::decode_length_delimiter(&mut bytes).ok()?;
    bytes.split_at_checked(length)
}

fn decode(bytes: &[u8]) -> Option<Frame<'static>> {
    let command = schema::Command::decode(bytes).ok()?;
    let id = command.id;
    if command.send.is_some() {
        return Some(Frame::Send);
    }
    match (id, read(command)) {
        (0, None) => Some(Frame::Pong),
        (0, Some(_)) | (_, None) => None,
        (id, Some(command)) => Some(Frame::Command(id, command)),
    }
}

fn read(command: schema::Command) -> Option<Command<'static>> {
    let schema::Command {
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
    } = command;
    None.or(connect.map(|request| Command::Connect(request.into())))
        .or(subscribe.map(|request| Command::Subscribe(request.into())))
        .or(unsubscribe.map(|request| Command::Unsubscribe(request.into())))
        .or(publish.map(|request| Command::Publish(request.into())))
        .or(presence.map(|request| Command::Presence(request.into())))
        .or(presence_stats.map(|request| Command::PresenceStats(request.into())))
        .or(history.map(|request| Command::History(request.into())))
        .or(ping.map(|_| Command::Ping))
        .or(rpc.map(|request| Command::Rpc(request.into())))
        .or(refresh.map(|request| Command::Refresh(Refresh { token: request.token.into() })))
        .or(sub_refresh.map(|request| Command::SubRefresh(request.into())))
}

impl From<schema::ConnectRequest> for Connect<'_> {
    fn from(request: schema::ConnectRequest) -> Self {
        let schema::ConnectRequest { token, data, subs, name, version, headers } = request;
        Self {
            token: token.into(),
            data: perhaps(data),
            subs: subs.into_iter().map(|(channel, request)| (channel.into(), request.into())).collect(),
            name: name.into(),
            version: version.into(),
            headers: headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        }
    }
}

impl From<schema::SubscribeRequest> for Subscribe<'_> {
    fn from(request: schema::SubscribeRequest) -> Self {
        let schema::SubscribeRequest {
            channel,
            token,
            recover,
            epoch,
            offset,
            data,
            join_leave,
            delta,
            tf,
            flag,
            kind,
        } = request;
        Self {
            channel: channel.into(),
            token: token.into(),
            recover,
            epoch: epoch.into(),
            offset,
            data: perhaps(data),
            join_leave,
            delta: delta.into(),
            filters: tf.is_some(),
            flag,
            kind,
        }
    }
}

impl From<schema::ChannelRequest> for Channel<'_> {
    fn from(request: schema::ChannelRequest) -> Self {
        Self { channel: request.channel.into() }
    }
}

impl From<schema::PublishRequest> for Publish<'_> {
    fn from(request: schema::PublishRequest) -> Self {
        let schema::PublishRequest { channel, data, kind } = request;
        Self { channel: channel.into(), data: perhaps(data), kind }
    }
}

impl From<schema::HistoryRequest> for History<'_> {
    fn from(request: schema::HistoryRequest) -> Self {
        let schema::HistoryRequest { channel, limit, since, reverse } = request;
        let since = since.map(|since| Position { offset: since.offset, epoch: since.epoch.into() });
        Self { channel: channel.into(), limit, since, reverse }
    }
}

impl From<schema::RpcRequest> for Method<'_> {
    fn from(request: schema::RpcRequest) -> Self {
        Self { method: request.method.into(), data: perhaps(request.data) }
    }
}

impl From<schema::SubRefreshRequest> for SubRefresh<'_> {
    fn from(request: schema::SubRefreshRequest) -> Self {
        let schema::SubRefreshRequest { channel, token, kind } = request;
        Self { channel: channel.into(), token: token.into(), kind }
    }
}

/// In Protobuf, what is empty is absent.
fn perhaps(data: Bytes) -> Option<Data<'static>> {
    (!data.is_empty()).then(|| Cow::Owned(data.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(commands: &[schema::Command]) -> Vec<u8> {
        commands.iter().flat_map(|command| command.encode_length_delimited_to_vec()).collect()
    }

    #[test]
    fn commands_follow_one_another_and_an_empty_one_is_a_pong() {
        let subscribe = schema::SubscribeRequest {
            channel: "aé".into(),
            recover: true,
            epoch: "x".into(),
            offset: 12,
            ..schema::SubscribeRequest::default()
        };
        let bytes = frame(&[
            schema::Command::default(),
            schema::Command { id: 7, subscribe: Some(subscribe), ..schema::Command::default() },
            schema::Command { send: Some(schema::Data::default()), ..schema::Command::default() },
        ]);
        assert_eq!(bytes[0], 0, "a pong is one byte");
        let mut commands = commands(&bytes, 100);
        assert!(matches!(commands.next(), Some(Some(Frame::Pong))));
        let Some(Some(Frame::Command(7, Command::Subscribe(subscribe)))) = commands.next() else { panic!() };
        assert_eq!((&*subscribe.channel, subscribe.recover, &*subscribe.epoch), ("aé", true, "x"));
        assert_eq!(subscribe.offset, 12);
        assert!(matches!(commands.next(), Some(Some(Frame::Send))));
        assert!(commands.next().is_none());
    }

    #[test]
    fn what_is_not_a_command_is_nothing_and_ends_the_frame() {
        let ping = schema::Command { ping: Some(schema::Empty {}), ..schema::Command::default() };
        let bad = [
            vec![5, 1],                                                        // shorter than it says
            vec![0xff; 11],                                                    // a length without an end
            frame(std::slice::from_ref(&ping)),                                // a command without an id
            frame(&[schema::Command { id: 3, ..schema::Command::default() }]), // an id without a command
            vec![2, 0x0b, 0x0b],                                               // groups without an end
            frame(&[schema::Command {
                id: 1,
                refresh: Some(schema::RefreshRequest { token: "x".repeat(200) }),
                ..schema::Command::default()
            }]),
        ];
        for bytes in bad {
            let mut commands = commands(&bytes, 100);
            assert!(matches!(commands.next(), Some(None)), "{bytes:?}");
        }
        let good = frame(&[schema::Command { id: 1, ..ping }]);
        assert!(matches!(commands(&good, 100).next(), Some(Some(Frame::Command(1, Command::Ping)))));
    }
}
