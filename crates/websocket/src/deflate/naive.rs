//! A DEFLATE decoder (RFC 1951) that knows nothing of windows: for tests, which ask it how far back a stream refers.

/// What came of a stream so far.
#[derive(Default)]
pub(super) struct Inflated {
    /// All that was inflated since the start.
    pub(super) bytes: Vec<u8>,
    /// The furthest that any match went back, in bytes.
    pub(super) furthest: usize,
}

const LENGTHS: [(usize, u32); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

impl Inflated {
    /// Inflates one message's payload, with the octets that the extension leaves out. Panics at a fault.
    pub(super) fn message(&mut self, payload: &[u8]) {
        let stream = [payload, &[0x00, 0x00, 0xff, 0xff]].concat();
        let mut bits = Bits { stream: &stream, position: 0 };
        while bits.position < stream.len() * 8 {
            self.block(&mut bits);
        }
    }

    fn block(&mut self, bits: &mut Bits<'_>) {
        let last = bits.take(1) == 1;
        match bits.take(2) {
            0 => {
                bits.align();
                let length = bits.take(16);
                assert_eq!(length ^ 0xffff, bits.take(16));
                for _ in 0..length {
                    let octet = bits.take(8) as u8;
                    self.bytes.push(octet);
                }
            }
            1 => {
                let mut lengths = [8; 288];
                lengths[144..256].fill(9);
                lengths[256..280].fill(7);
                self.symbols(bits, &Code::new(&lengths), &Code::new(&[5; 30]));
            }
            2 => {
                let (literals, distances) = (bits.take(5) + 257, bits.take(5) + 1);
                let mut meta = [0; 19];
                for &index in &ORDER[..bits.take(4) + 4] {
                    meta[index] = bits.take(3);
                }
                let meta = Code::new(&meta);
                let mut lengths = Vec::new();
                while lengths.len() < literals + distances {
                    let (value, times) = match meta.take(bits) {
                        16 => (*lengths.last().unwrap(), 3 + bits.take(2)),
                        17 => (0, 3 + bits.take(3)),
                        18 => (0, 11 + bits.take(7)),
                        length => (length, 1),
                    };
                    lengths.extend(std::iter::repeat_n(value, times));
                }
                self.symbols(bits, &Code::new(&lengths[..literals]), &Code::new(&lengths[literals..]));
            }
            _ => panic!("a block of the reserved type"),
        }
        if last {
            bits.align();
        }
    }

    fn symbols(&mut self, bits: &mut Bits<'_>, literals: &Code, distances: &Code) {
        loop {
            match literals.take(bits) {
                256 => return,
                literal @ 0..256 => self.bytes.push(literal as u8),
                symbol => {
                    let (base, extra) = LENGTHS[symbol - 257];
                    let length = base + bits.take(extra);
                    let distance = match distances.take(bits) {
                        near @ 0..4 => near + 1,
                        symbol => {
                            let extra = symbol as u32 / 2 - 1;
                            ((2 + symbol % 2) << extra) + 1 + bits.take(extra)
                        }
                    };
                    self.furthest = self.furthest.max(distance);
                    for _ in 0..length {
                        self.bytes.push(self.bytes[self.bytes.len() - distance]);
                    }
                }
            }
        }
    }
}

struct Bits<'a> {
    stream: &'a [u8],
    position: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> usize {
        (0..count).fold(0, |value, index| {
            let bit = self.stream[self.position / 8] >> (self.position % 8) & 1;
            self.position += 1;
            value | usize::from(bit) << index
        })
    }

    fn align(&mut self) {
        self.position = self.position.next_multiple_of(8);
    }
}

/// A canonical Huffman code: how many codes there are of each length, and the symbols in order.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[usize]) -> Self {
        let mut counts = [0; 16];
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|&symbol| lengths[symbol] > 0).collect();
        symbols.sort_by_key(|&symbol| lengths[symbol]);
        for &symbol in &symbols {
            counts[lengths[symbol]] += 1;
        }
        Self { counts, symbols }
    }

    fn take(&self, bits: &mut Bits<'_>) -> usize {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.take(1);
            if code - first < *count {
                return self.symbols[index + code - first];
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        panic!("a code that stands for nothing");
    }
}
