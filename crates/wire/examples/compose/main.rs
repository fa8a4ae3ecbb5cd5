//! Writes a capture with one packet or more of each format that we can write, for the judge in `conformance/wire`: other
//! programs shall find nothing wrong with it.
//!
//!     compose FILE

#![allow(missing_docs, reason = "a program, whose modules nobody else uses")]

mod capture;
mod configuration;
mod errors;
mod groups;
mod radio;
mod transport;

use std::process::ExitCode;

use capture::Capture;

fn main() -> ExitCode {
    let Some(file) = std::env::args_os().nth(1) else {
        eprintln!("compose: say where to write the capture");
        return ExitCode::FAILURE;
    };
    let mut capture = Capture::new();
    configuration::write(&mut capture);
    transport::write(&mut capture);
    errors::write(&mut capture);
    groups::write(&mut capture);
    radio::write(&mut capture);
    match std::fs::write(&file, capture.bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compose: {}: {error}", file.display());
            ExitCode::FAILURE
        }
    }
}
