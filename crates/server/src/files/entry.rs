//! What is known of a file beside its bytes.

use std::fmt;

use host::Random;
use serde::{Deserialize, Serialize};

/// A file's name within the server: 128 bits at random, in hexadecimal. Whoever knows it may fetch the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Id(String);

impl Id {
    pub(super) fn from_random(random: &mut Random) -> Self {
        Self(format!("{:016x}{:016x}", random.next_u64(), random.next_u64()))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_id = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_id.then(|| Self(text.to_owned()))
    }
}

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a file's id has 32 hexadecimal digits")
    }
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A file that is whole and stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) id: Id,
    pub(crate) room: String,
    /// As the sender called it; `/` separates directories.
    pub(crate) name: String,
    /// In bytes.
    pub(crate) size: u64,
    /// The media type, as far as the first bytes or the name tell it.
    #[serde(rename = "type")]
    pub(crate) media_type: String,
    pub(crate) sender: String,
    /// In hexadecimal.
    pub(crate) sha256: String,
    /// When it was stored, in milliseconds since 1970.
    pub(crate) time: u64,
    /// Of a picture that browsers may show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) picture: Option<Picture>,
}

/// What is known of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Picture {
    /// In pixels, as it is to be seen.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Bytes of its thumbnail.
    pub(crate) thumbnail: u64,
}

impl Entry {
    /// How a publication names it.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let mut json = serde_json::json!({
            "id": self.id,
            "name": self.name,
            "size": self.size,
            "type": self.media_type,
            "sha256": self.sha256,
        });
        if let Some(picture) = self.picture {
            json["width"] = picture.width.into();
            json["height"] = picture.height.into();
        }
        json
    }

    /// Bytes that it takes on the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.size + self.picture.map_or(0, |picture| picture.thumbnail)
    }
}
