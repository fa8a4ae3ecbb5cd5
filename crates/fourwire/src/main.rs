//! The command line: puts the rest together.
fn main() {}
