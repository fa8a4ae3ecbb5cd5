//! Counts what comes back.

/// How much of an echo is still to come.
pub enum Echoes {
    /// So many bytes.
    Bytes { each: usize, left: usize },
    /// A frame, whose length only its header says.
    Frame { header: Vec<u8>, left: usize, got: bool },
}

impl Echoes {
    /// To be called when the next batch is sent.
    pub fn expect(&mut self) {
        match self {
            Self::Bytes { each, left } => *left = *each,
            Self::Frame { header, left, got } => {
                header.clear();
                (*left, *got) = (0, false);
            }
        }
    }

    /// The most that may be read now without taking what follows.
    pub fn wanted(&self) -> usize {
        match self {
            Self::Bytes { left, .. } => *left,
            Self::Frame { .. } => usize::MAX,
        }
    }

    /// Takes what came, and says whether it was all.
    pub fn take(&mut self, mut bytes: &[u8]) -> bool {
        match self {
            Self::Bytes { left, .. } => {
                *left -= bytes.len();
                *left == 0
            }
            Self::Frame { header, left, got } => {
                while !*got && !bytes.is_empty() {
                    header.push(bytes[0]);
                    bytes = &bytes[1..];
                    let len = match *header.as_slice() {
                        [_, short @ ..126] => usize::from(short),
                        [_, 126, high, low] => usize::from(u16::from_be_bytes([high, low])),
                        _ => continue,
                    };
                    (*left, *got) = (len, true);
                }
                *left -= bytes.len().min(*left);
                *got && *left == 0
            }
        }
    }
}
