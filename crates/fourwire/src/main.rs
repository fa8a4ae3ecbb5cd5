//! The command line: puts the rest together, and holds no logic of its own.

mod backup;
mod doctor;
mod get;
mod impair;
mod input;
mod lab;
mod names;
mod net;
mod network;
mod ping;
mod publish;
mod remote;
mod restore;
mod serve;
mod trust;
mod udp;
mod watch;
mod ws;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A real-time server that owns its whole network path.
///
/// Without a command, `fourwire` serves: rooms over WebSocket, a page to talk in, an HTTP API.
#[derive(Debug, Parser)]
#[command(name = "fourwire", version, args_conflicts_with_subcommands = true, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Publish(publish::Args),
    Watch(watch::Args),
    Get(get::Args),
    Ping(ping::Args),
    Doctor(doctor::Args),
    Net(net::Args),
    Udp(udp::Args),
    Impair(Box<impair::Args>),
    Ws(ws::Args),
    Lab(lab::Args),
    Backup(backup::Args),
    Restore(restore::Args),
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    match run(line.command.unwrap_or(Command::Serve(line.serve))) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("fourwire: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        Command::Serve(args) => serve::run(args)?,
        Command::Publish(args) => publish::run(args)?,
        Command::Watch(args) => watch::run(args)?,
        Command::Get(args) => get::run(args)?,
        Command::Net(args) => net::run(args)?,
        Command::Ping(args) => return Ok(ping::run(args)),
        Command::Doctor(args) => doctor::run(args)?,
        Command::Udp(args) => udp::run(args)?,
        Command::Impair(args) => impair::run(*args)?,
        Command::Ws(args) => ws::run(args)?,
        Command::Lab(args) => lab::run(args)?,
        Command::Backup(args) => backup::run(args)?,
        Command::Restore(args) => restore::run(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        <CommandLine as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn serving_is_the_default_command() {
        let line = CommandLine::try_parse_from(["fourwire", "--shards", "2"]).unwrap();
        assert!(line.command.is_none());
        assert!(CommandLine::try_parse_from(["fourwire", "serve", "--shards", "2"]).is_ok());
    }
}
