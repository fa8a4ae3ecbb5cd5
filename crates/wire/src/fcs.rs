//! The frame check sequence of Ethernet and Wi-Fi (IEEE 802.3 clause 3.2.9, IEEE 802.11 clause 9.2.4.9): CRC-32.

/// Length in bytes.
pub const LEN: usize = 4;

/// The check sequence of `frame`, which ends before it. On the wire its least significant byte comes first.
#[must_use]
pub fn of(frame: &[u8]) -> u32 {
    !run(!0, frame)
}

/// `frame` without the check sequence at its end; `None` when that does not fit, or there is none.
#[must_use]
pub fn check(frame: &[u8]) -> Option<&[u8]> {
    let (frame, sequence) = frame.split_last_chunk::<LEN>()?;
    (of(frame) == u32::from_le_bytes(*sequence)).then_some(frame)
}

/// The generator polynomial, bits reversed: each byte is sent from its least significant bit on.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// What a byte does to the register that is followed by as many bytes as the row says.
const TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut register = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            register = register >> 1 ^ if register & 1 != 0 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        tables[0][byte] = register;
        byte += 1;
    }
    let mut row = 1;
    while row < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before: u32 = tables[row - 1][byte];
            tables[row][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        row += 1;
    }
    tables
}

/// Eight bytes at a time, whose lookups do not wait for each other.
fn run(mut register: u32, bytes: &[u8]) -> u32 {
    let (blocks, rest) = bytes.as_chunks::<8>();
    for &[a, b, c, d, e, f, g, h] in blocks {
        let [a, b, c, d] = (register ^ u32::from_le_bytes([a, b, c, d])).to_le_bytes();
        register = [h, g, f, e, d, c, b, a]
            .into_iter()
            .zip(&TABLES)
            .fold(0, |sum, (byte, table)| sum ^ table[usize::from(byte)]);
    }
    for byte in rest {
        register = register >> 8 ^ TABLES[0][usize::from(register as u8 ^ byte)];
    }
    register
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bit by bit.
    fn naive(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |register, byte| {
            (0..8).fold(register ^ u32::from(*byte), |register, _| {
                register >> 1 ^ if register & 1 != 0 { POLYNOMIAL } else { 0 }
            })
        })
    }

    #[test]
    fn the_check_value_that_everybody_knows() {
        assert_eq!(of(b"123456789"), 0xcbf4_3926);
        assert_eq!(check(b"123456789\x26\x39\xf4\xcb"), Some(&b"123456789"[..]));
        assert_eq!(check(b"123456789\xcb\xf4\x39\x26"), None);
        assert_eq!(check(b"123"), None);
    }

    proptest! {
        #[test]
        fn eight_at_a_time_is_bit_by_bit(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(of(&bytes), naive(&bytes));
        }
    }
}
