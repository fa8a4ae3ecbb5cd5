//! Takes mail for rooms.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use application::smtp::server::{Envelope, Post, Refusal};
use host::Host;
use sha2::{Digest, Sha256};

use super::Config;
use super::letter::Letter;
use crate::doors::access::{Access, Guest};
use crate::doors::posting::{self, NotPosted};
use crate::files::{Entry, Files, FilesError, Placing, Upload};
use crate::shard::Shard;
use crate::station::Common;

/// Bytes of a mail's text in its room; the whole text is a file then.
const TEXT: usize = 12_000;

/// Takes the mail of one session.
pub(super) struct Mailroom<H: Host> {
    shard: Shard<H>,
    common: Arc<Common>,
    config: Arc<Config>,
    /// The address that the client reached.
    here: IpAddr,
    guest: Guest,
}

impl<H: Host> Mailroom<H> {
    pub(super) fn new(shard: Shard<H>, common: Arc<Common>, config: Arc<Config>, here: IpAddr) -> Self {
        Self { shard, common, config, here: here.to_canonical(), guest: Access::anybody("mail") }
    }

    /// The room that an address means.
    fn room(&self, address: &str) -> Result<String, Refusal> {
        let unknown = || Refusal::new(550, "5.1.1", "there is no such room");
        let (local, domain) = address.rsplit_once('@').ok_or_else(unknown)?;
        if !self.is_ours(domain) {
            let ours = self.config.domains.join(" and @");
            return Err(Refusal::new(
                550,
                "5.7.1",
                format!("mail is taken for @{ours}, and passed on to nobody"),
            ));
        }
        let room = match local.strip_prefix('"').and_then(|local| local.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\\", ""),
            None => local.to_owned(),
        };
        let longest = self.common.config.hub.limits.channel_bytes;
        if room.is_empty() || room.len() > longest || room.chars().any(char::is_control) {
            return Err(unknown());
        }
        Ok(room)
    }

    fn is_ours(&self, domain: &str) -> bool {
        let domain = domain.trim_end_matches('.');
        let literal = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match literal {
            // RFC 5321, section 4.1.3.
            Some(address) => {
                let address = address.strip_prefix("IPv6:").unwrap_or(address);
                address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical() == self.here)
            }
            None => self.config.domains.iter().any(|ours| ours.eq_ignore_ascii_case(domain)),
        }
    }

    async fn post(&self, room: &str, letter: &Letter) -> Result<(), Refusal> {
        let mut entries = Vec::new();
        let posted = self.post_with_files(room, letter, &mut entries).await;
        if matches!(posted, Err(Refusal { code: 500.., .. })) || entries.len() < letter.attachments.len() {
            // No publication names them.
            for entry in entries {
                self.files().remove(self.shard.host(), entry.id.clone()).await;
            }
        }
        posted
    }

    async fn post_with_files(
        &self,
        room: &str,
        letter: &Letter,
        entries: &mut Vec<Arc<Entry>>,
    ) -> Result<(), Refusal> {
        let (files, host) = (self.files(), self.shard.host());
        for attachment in &letter.attachments {
            let stored = async {
                let sender = &letter.address;
                let mut upload =
                    Upload::begin(files, host, room, &attachment.name, sender, Placing::Whole).await?;
                upload.write(attachment.bytes.clone()).await?;
                upload.finish().await
            };
            entries.push(stored.await.map_err(not_stored)?);
        }
        let data = serde_json::json!({
            "via": "smtp",
            "from": { "name": letter.name, "address": letter.address },
            "subject": letter.subject,
            "text": letter.text,
            "files": entries.iter().map(|entry| entry.to_json()).collect::<Vec<_>>(),
        });
        // A sender that did not hear our answer sends the same again.
        let key = letter.id.as_ref().map(|id| format!("mail {}", hex(&Sha256::digest(id))));
        posting::post(&self.shard, room, &data, key.unwrap_or_default()).await.map_err(|error| match error {
            NotPosted::Refused(why) => Refusal::new(554, "5.6.0", why),
            NotPosted::Later(why) => Refusal::new(451, "4.3.0", why),
        })
    }

    fn files(&self) -> &Files {
        &self.common.config.files
    }
}

impl<H: Host> Post for Mailroom<H> {
    async fn log_in(&mut self, user: &str, password: &str) -> bool {
        match self.config.access.user(user, password) {
            Some(guest) => {
                self.guest = guest;
                true
            }
            None => false,
        }
    }

    fn check(&mut self, _: Option<&str>, address: &str) -> Result<(), Refusal> {
        let room = self.room(address)?;
        match self.guest.may_use(&room) {
            true => Ok(()),
            false => Err(Refusal::new(550, "5.7.1", "this room is not open to you")),
        }
    }

    async fn deliver(&mut self, envelope: Envelope) -> Result<(), Refusal> {
        let Envelope { from, recipients, message, .. } = envelope;
        let text_bytes = TEXT.min(self.common.config.hub.limits.message_bytes / 4);
        let read = self.shard.host().blocking(move || Letter::read(&message, &from, text_bytes)).await;
        let letter = read.map_err(|error| Refusal::new(554, "5.6.0", error.to_string()))?;
        let mut rooms = BTreeSet::new();
        for address in &recipients {
            rooms.insert(self.room(address)?);
        }
        for room in rooms {
            self.post(&room, &letter).await?;
        }
        Ok(())
    }
}

fn not_stored(error: FilesError) -> Refusal {
    match error {
        FilesError::TooLarge(_) => Refusal::new(552, "5.3.4", error.to_string()),
        FilesError::RoomFull(_) | FilesError::TooMany(_) => Refusal::new(452, "4.2.2", error.to_string()),
        _ => Refusal::new(452, "4.3.1", error.to_string()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
