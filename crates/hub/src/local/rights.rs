//! What a client may do in a room. Where nobody's identity is checked, everybody may do everything.

use host::WallTime;

use super::connecting::{TOKEN_EXPIRED, TOKEN_UNKNOWN};
use super::entering::expiry;
use super::{Local, check_channel};
use crate::centrifuge::{Message, Reply, SubRefresh, codes};
use crate::context::Context;
use crate::error::Error;
use crate::hub::SessionId;
use crate::identity::AuthError;
use crate::namespace::{Right, is_limited, is_private, keeps_out};

impl Local {
    /// Whether a client may enter a room, and until when. From its start it may enter what its token says: `invited`.
    pub(super) fn may_enter(
        &mut self,
        session: SessionId,
        channel: &str,
        token: &str,
        invited: bool,
        context: &Context<'_>,
    ) -> Result<Option<WallTime>, Error> {
        if self.authenticator.is_none() {
            return Ok(None);
        }
        if !token.is_empty() {
            return self.permit(session, channel, token, context);
        }
        let Some(found) = self.sessions.get(session) else { return Ok(None) };
        let user = &found.info.user;
        if invited && found.invitations.iter().any(|invitation| invitation == channel) {
            return Ok(None);
        }
        let right = context.config.namespaces.of(channel).subscribe;
        if is_private(channel) {
            Err(Error::new(codes::PERMISSION_DENIED, "this room is private: bring a token for it"))
        } else if keeps_out(channel, user) {
            Err(Error::new(codes::PERMISSION_DENIED, "this room is for others: its name lists them"))
        } else if !right.is_of(false, user) {
            Err(Error::new(
                codes::PERMISSION_DENIED,
                "not everybody may enter this room: bring a token for it",
            ))
        } else {
            Ok(None)
        }
    }

    /// Whether a client may do something else in a room: what this right is for, where the room's name does not say who
    /// may enter; else, what those in the room may do.
    pub(super) fn may(
        &self,
        session: SessionId,
        channel: &str,
        right: Right,
        what: &'static str,
    ) -> Result<(), Error> {
        let Some(found) = self.sessions.get(session) else { return Ok(()) };
        if self.authenticator.is_none() {
            return Ok(());
        }
        let is_member = found.is_in(channel);
        if right.is_of(is_member, &found.info.user) && (is_member || !is_limited(channel)) {
            Ok(())
        } else {
            Err(Error::new(codes::PERMISSION_DENIED, what))
        }
    }

    /// The sub_refresh command: a new permit for a room that the client is in.
    pub(super) fn sub_refresh(
        &mut self,
        session: SessionId,
        id: u32,
        request: &SubRefresh<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        if request.kind != 0 {
            return Err(Error::new(codes::NOT_AVAILABLE, "there is no such type of subscription here"));
        }
        if self.authenticator.is_none() {
            return Err(Error::new(
                codes::NOT_AVAILABLE,
                "there are no tokens here: nothing needs a refresh",
            ));
        }
        let channel = check_channel(&request.channel, context)?;
        if !self.sessions.get(session).is_some_and(|found| found.is_in(&channel)) {
            return Err(Error::new(codes::PERMISSION_DENIED, "not subscribed"));
        }
        let expires = self.permit(session, &channel, &request.token, context)?;
        let (expires_at, expires_in) = expiry(expires, context);
        if let Some(found) = self.sessions.get_mut(session)
            && let Ok(index) = found.find(&channel)
        {
            found.subscriptions[index].expires_at = expires_at;
        }
        self.sessions.reschedule(session);
        self.send(session, &Message::Reply(id, Reply::SubRefresh { expires_in }), context);
        Ok(())
    }

    /// Until when a token lets a client be in a room.
    fn permit(
        &mut self,
        session: SessionId,
        channel: &str,
        token: &str,
        context: &Context<'_>,
    ) -> Result<Option<WallTime>, Error> {
        let Some(authenticator) = &mut self.authenticator else { return Ok(None) };
        let permit = authenticator.subscribe(context.wall, token).map_err(|error| match error {
            AuthError::Expired => TOKEN_EXPIRED,
            AuthError::Unknown => TOKEN_UNKNOWN,
            AuthError::Invalid => Error::new(codes::PERMISSION_DENIED, "the token for the room is not valid"),
        })?;
        let user = self.sessions.get(session).map(|found| found.info.user.clone()).unwrap_or_default();
        if permit.channel != channel || permit.user != user {
            return Err(Error::new(
                codes::PERMISSION_DENIED,
                "the token is for another room or another user",
            ));
        }
        if permit.expires.is_some_and(|expires| expires <= context.wall) {
            return Err(TOKEN_EXPIRED);
        }
        Ok(permit.expires)
    }
}
