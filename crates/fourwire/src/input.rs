//! Standard input, line by line.

use std::io::{self, BufRead};

use host::Runtime;

/// The next line without its end, or `None` behind the last.
pub(crate) async fn line<R: Runtime>(runtime: &R) -> io::Result<Option<String>> {
    // A terminal has no other way than to block.
    runtime.blocking(read).await
}

fn read() -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}
