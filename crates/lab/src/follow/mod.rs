//! Following messages: down the layers, over each hop, up the other side.

mod journey;
mod log;
mod paint;
mod picture;
mod stream;
mod websocket;

pub use journey::{Carrier, Gap, Hop, Journey, MessageInfo};
pub(crate) use log::Log;
pub use stream::{Frame, Kind};

use crate::lab::Lab;
use crate::watch::Watch;
use journey::Joiner;
use log::Message;

/// No message is what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// Nobody follows.
    #[error("no messages are followed here; call `Lab::follow` before the network is built")]
    Off,
    /// Nothing was said.
    #[error("no message was sent")]
    Silent,
    /// Others were sent.
    #[error(
        "no message is {what:?}; name one by its number (1 to {last}), by its sender and which of theirs it is (alice:3), or by words in it"
    )]
    NotFound {
        /// What was asked for.
        what: String,
        /// The last message's number.
        last: u64,
    },
}

/// Journeys that are drawn for one question.
const DRAWN: usize = 8;

impl Lab {
    /// Remembers from now on the last `frames` frames on all links with what became of them, and the messages in them, so
    /// that [`journeys`](Self::journeys) can tell their way. Call it before [`Topology::build`](crate::Topology::build),
    /// for only hosts that are made later tell why they send.
    ///
    /// Messages are those of WebSocket, found in the bytes that are sent; of other streams, the heads of HTTP and what
    /// programs wrote at once; and UDP datagrams.
    pub fn follow(&self, frames: usize) {
        self.shared().with(|state| {
            state.watch.get_or_insert_with(|| Box::new(Watch::new())).log.keep(frames.max(1));
        });
    }

    /// The messages so far: the last 65,536.
    pub fn messages(&self) -> Vec<MessageInfo> {
        self.shared().with(|state| {
            let Some(watch) = &state.watch else { return Vec::new() };
            let joiner = Joiner { log: &watch.log, state };
            watch.log.messages().map(|message| joiner.info(message)).collect()
        })
    }

    /// The ways of the messages that `what` names: one by its number (`12`), one by its sender and which of theirs it is
    /// (`alice:3`), or all that have these words in their first 256 bytes, in the order in which they were sent.
    ///
    /// # Errors
    ///
    /// When there is none: [`FollowError`].
    pub fn journeys(&self, what: &str) -> Result<Vec<Journey>, FollowError> {
        self.shared().with(|state| {
            let watch = state.watch.as_ref().ok_or(FollowError::Off)?;
            let joiner = Joiner { log: &watch.log, state };
            let last = watch.log.messages().last().ok_or(FollowError::Silent)?.number;
            let found = find(&watch.log, what, |message| joiner.info(message).from);
            match found.is_empty() {
                true => Err(FollowError::NotFound { what: what.to_owned(), last }),
                false => Ok(found.into_iter().map(|message| joiner.journey(message)).collect()),
            }
        })
    }

    /// Draws the [`journeys`](Self::journeys) of `what`, eight at most, as text of up to 100 columns; with colours for a
    /// terminal when asked.
    ///
    /// # Errors
    ///
    /// As [`journeys`](Self::journeys).
    pub fn draw_journeys(&self, what: &str, colours: bool) -> Result<String, FollowError> {
        let journeys = self.journeys(what)?;
        let mut pictures: Vec<_> = journeys.iter().take(DRAWN).map(|journey| journey.draw(colours)).collect();
        if journeys.len() > DRAWN {
            pictures
                .push(format!("and {} more messages; ask for one by its number\n", journeys.len() - DRAWN));
        }
        Ok(pictures.join("\n"))
    }
}

fn find<'a>(log: &'a Log, what: &str, sender: impl Fn(&Message) -> String) -> Vec<&'a Message> {
    if let Ok(number) = what.trim_start_matches('#').parse() {
        return log.message(number).into_iter().collect();
    }
    if let Some((name, number)) = what.rsplit_once(':')
        && let Ok(number @ 1..) = number.parse::<usize>()
    {
        // What the connection says about itself is not counted.
        let is_said = |kind| !matches!(kind, Kind::Http | Kind::Ping | Kind::Pong | Kind::Close);
        let theirs = log.messages().filter(|message| is_said(message.kind) && sender(message) == name);
        let found: Vec<_> = theirs.skip(number - 1).take(1).collect();
        if !found.is_empty() {
            return found;
        }
    }
    let words = what.as_bytes();
    let has_words =
        |message: &&Message| message.shown.windows(words.len().max(1)).any(|window| window == words);
    log.messages().filter(has_words).collect()
}
