//! What is to be said: typed, with a history, or from a pipe.

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::PathBuf;
use std::{env, fs, thread};

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use tokio::sync::mpsc;

use super::output::Output;
use super::{Args, Error};

/// What one read from a pipe takes at most, in bytes.
const PIECE: usize = 64 << 10;

/// Lines that the history keeps.
const HISTORY: usize = 1_000;

/// Something to say.
pub(super) enum Input {
    Text(String),
    Binary(Vec<u8>),
}

type Sender = mpsc::Sender<Result<Input, Error>>;

/// Begins to read, on a thread of its own: neither a terminal nor a pipe knows a way but to block, and nobody waits for it
/// at the end.
pub(super) fn open(args: &Args) -> Result<(mpsc::Receiver<Result<Input, Error>>, Output), Error> {
    let (sender, receiver) = mpsc::channel(1);
    let (binary, hex) = (args.binary, args.hex);
    let named = thread::Builder::new().name("input".to_owned());
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        let config = rustyline::Config::builder().max_history_size(HISTORY)?.auto_add_history(true).build();
        let mut editor = DefaultEditor::with_config(config)?;
        let history = history_file();
        if let Some(file) = &history {
            // There is none the first time.
            let _ = editor.load_history(file);
        }
        let output = Output::person(editor.create_external_printer()?, hex);
        named.spawn(move || typed(editor, history.as_ref(), binary, hex, &sender)).map_err(Error::Output)?;
        Ok((receiver, output))
    } else {
        named
            .spawn(move || if binary && !hex { pieces(&sender) } else { lines(hex, &sender) })
            .map_err(Error::Output)?;
        Ok((receiver, Output::pipe(hex)))
    }
}

fn typed(mut editor: DefaultEditor, history: Option<&PathBuf>, binary: bool, hex: bool, sender: &Sender) {
    loop {
        let input = match editor.readline("> ") {
            Ok(line) if hex => from_hex(&line),
            Ok(line) if binary => Ok(Input::Binary(line.into_bytes())),
            Ok(line) => Ok(Input::Text(line)),
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => break,
            Err(error) => Err(error.into()),
        };
        if let Err(Error::Hex(line)) = &input {
            eprintln!("{line:?} is not hexadecimal");
            continue;
        }
        if sender.blocking_send(input).is_err() {
            break;
        }
        if let Some(file) = history {
            // What cannot be kept is not worth a word each time.
            let _ = editor.save_history(file);
        }
    }
}

fn lines(hex: bool, sender: &Sender) {
    for line in io::stdin().lock().lines() {
        let input = match line {
            Ok(line) if hex => from_hex(&line),
            Ok(line) => Ok(Input::Text(line)),
            Err(error) => Err(ReadlineError::Io(error).into()),
        };
        let failed = input.is_err();
        if sender.blocking_send(input).is_err() || failed {
            return;
        }
    }
}

fn pieces(sender: &Sender) {
    let mut stdin = io::stdin().lock();
    let mut piece = vec![0; PIECE];
    loop {
        let input = match stdin.read(&mut piece) {
            Ok(0) => return,
            Ok(len) => Ok(Input::Binary(piece[..len].to_vec())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(ReadlineError::Io(error).into()),
        };
        let failed = input.is_err();
        if sender.blocking_send(input).is_err() || failed {
            return;
        }
    }
}

/// Where the history is kept, by the XDG base directory specification.
fn history_file() -> Option<PathBuf> {
    let state = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".local/state")))?;
    let directory = state.join("fourwire");
    fs::create_dir_all(&directory).ok()?;
    Some(directory.join("ws_history"))
}

fn from_hex(line: &str) -> Result<Input, Error> {
    let digits: Option<Vec<u8>> = line
        .chars()
        .filter(|digit| !digit.is_whitespace())
        .map(|digit| Some(digit.to_digit(16)? as u8))
        .collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => {
            Ok(Input::Binary(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()))
        }
        _ => Err(Error::Hex(line.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_in_any_shape() {
        let bytes = |line: &str| match from_hex(line) {
            Ok(Input::Binary(bytes)) => Some(bytes),
            _ => None,
        };
        assert_eq!(bytes("00 fF  7f"), Some(vec![0, 255, 127]));
        assert_eq!(bytes(""), Some(vec![]));
        assert_eq!(bytes("0f0"), None);
        assert_eq!(bytes("0x0f"), None);
    }
}
