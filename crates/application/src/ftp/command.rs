//! Commands (RFC 959 section 4.1, RFC 2389, 2428, 3659, 4217).

use std::net::SocketAddr;

use super::address;

/// What a client asks for. Paths are as it said them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the RFCs' words, in the RFCs' meaning")]
pub enum Command {
    User(String),
    Pass(String),
    Acct,
    Cwd(String),
    Cdup,
    Pwd,
    Quit,
    Rein,
    Port(SocketAddr),
    Pasv,
    Eprt(SocketAddr),
    /// EPRT for a protocol that is neither IPv4 nor IPv6.
    EprtOther,
    /// The protocol asked for, if one was: 1 or 2.
    Epsv(Option<u8>),
    EpsvAll,
    /// True for `I` or `L 8`, false for `A`.
    Type(bool),
    Stru,
    Mode,
    Retr(String),
    Stor(String),
    Stou,
    Appe(String),
    Allo(u64),
    Rest(u64),
    Rnfr(String),
    Rnto(String),
    Abor,
    Dele(String),
    Rmd(String),
    Mkd(String),
    List(Option<String>),
    Nlst(Option<String>),
    Mlsd(Option<String>),
    Mlst(Option<String>),
    Size(String),
    Mdtm(String),
    Site(String),
    Syst,
    Stat(Option<String>),
    Help,
    Noop,
    Feat,
    OptsUtf8,
    OptsMlst,
    Clnt,
    AuthTls,
    Pbsz,
    /// True for P.
    Prot(bool),
    Ccc,
}

/// Why a line is no command that can be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// There is no such command (500).
    #[error("this command is not understood")]
    Unknown,
    /// There is, but not with this argument (501).
    #[error("this argument is not understood")]
    Argument,
    /// The argument asks for what is not done here (504).
    #[error("this is not supported: files are bytes, in stream mode")]
    Parameter,
}

impl Command {
    /// Reads a line.
    ///
    /// # Errors
    ///
    /// When it is no command, or has not the argument it needs.
    pub fn parse(line: &str) -> Result<Self, SyntaxError> {
        let (verb, rest) = line.split_once(' ').map_or((line, None), |(verb, rest)| (verb, Some(rest)));
        // One space separates; what follows belongs to the argument, for names may begin with a space.
        let argument = rest.filter(|rest| !rest.is_empty());
        let needed = || argument.map(str::to_owned).ok_or(SyntaxError::Argument);
        let optional = || argument.map(str::to_owned);
        let word = argument.unwrap_or_default().trim().to_ascii_uppercase();
        Ok(match verb.to_ascii_uppercase().as_str() {
            "USER" => Self::User(needed()?),
            // An empty password is one.
            "PASS" => Self::Pass(rest.unwrap_or_default().to_owned()),
            "ACCT" => Self::Acct,
            "CWD" | "XCWD" => Self::Cwd(needed()?),
            "CDUP" | "XCUP" => Self::Cdup,
            "PWD" | "XPWD" => Self::Pwd,
            "QUIT" => Self::Quit,
            "REIN" => Self::Rein,
            "PORT" => Self::Port(address::parse_port(&word).ok_or(SyntaxError::Argument)?),
            "PASV" => Self::Pasv,
            "EPRT" => match address::parse_extended(&word) {
                Some(address) => Self::Eprt(address),
                None if is_other_protocol(&word) => Self::EprtOther,
                None => return Err(SyntaxError::Argument),
            },
            "EPSV" => match word.as_str() {
                "" => Self::Epsv(None),
                "ALL" => Self::EpsvAll,
                word => Self::Epsv(Some(word.parse().map_err(|_| SyntaxError::Argument)?)),
            },
            "TYPE" => match word.as_str() {
                "I" | "L 8" => Self::Type(true),
                "A" | "A N" => Self::Type(false),
                "" => return Err(SyntaxError::Argument),
                _ => return Err(SyntaxError::Parameter),
            },
            "STRU" => only(&word, "F", Self::Stru)?,
            "MODE" => only(&word, "S", Self::Mode)?,
            "RETR" => Self::Retr(needed()?),
            "STOR" => Self::Stor(needed()?),
            "STOU" => Self::Stou,
            "APPE" => Self::Appe(needed()?),
            "ALLO" => Self::Allo(number(word.split(' ').next().unwrap_or_default())?),
            "REST" => Self::Rest(number(&word)?),
            "RNFR" => Self::Rnfr(needed()?),
            "RNTO" => Self::Rnto(needed()?),
            "ABOR" => Self::Abor,
            "DELE" => Self::Dele(needed()?),
            "RMD" | "XRMD" => Self::Rmd(needed()?),
            "MKD" | "XMKD" => Self::Mkd(needed()?),
            "LIST" => Self::List(without_options(argument)),
            "NLST" => Self::Nlst(without_options(argument)),
            "MLSD" => Self::Mlsd(optional()),
            "MLST" => Self::Mlst(optional()),
            "SIZE" => Self::Size(needed()?),
            "MDTM" => Self::Mdtm(needed()?),
            "SITE" => Self::Site(needed()?),
            "SYST" => Self::Syst,
            "STAT" => Self::Stat(without_options(argument)),
            "HELP" => Self::Help,
            "NOOP" => Self::Noop,
            "FEAT" => Self::Feat,
            "CLNT" => Self::Clnt,
            "OPTS" => match word.split(' ').next().unwrap_or_default() {
                "UTF8" | "UTF-8" => Self::OptsUtf8,
                "MLST" => Self::OptsMlst,
                _ => return Err(SyntaxError::Argument),
            },
            "AUTH" => match word.as_str() {
                "TLS" | "TLS-C" | "SSL" => Self::AuthTls,
                _ => return Err(SyntaxError::Parameter),
            },
            "PBSZ" => Self::Pbsz,
            "PROT" => match word.as_str() {
                "C" => Self::Prot(false),
                "P" => Self::Prot(true),
                "" => return Err(SyntaxError::Argument),
                _ => return Err(SyntaxError::Parameter),
            },
            "CCC" => Self::Ccc,
            _ => return Err(SyntaxError::Unknown),
        })
    }
}

fn only(word: &str, known: &str, command: Command) -> Result<Command, SyntaxError> {
    match word {
        "" => Err(SyntaxError::Argument),
        word if word == known => Ok(command),
        _ => Err(SyntaxError::Parameter),
    }
}

fn number(word: &str) -> Result<u64, SyntaxError> {
    let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| is_number).ok_or(SyntaxError::Argument)
}

/// Clients give LIST the options of `ls`, which belong to no RFC.
fn without_options(argument: Option<&str>) -> Option<String> {
    let mut rest = argument?.trim_start();
    while rest.starts_with('-') {
        rest = rest.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
    }
    (!rest.is_empty()).then(|| rest.to_owned())
}

/// RFC 2428, section 2: this one is answered with 522.
fn is_other_protocol(word: &str) -> bool {
    let delimiter = word.chars().next();
    let parts: Vec<_> = delimiter
        .map(|delimiter| word[delimiter.len_utf8()..].split(delimiter).collect())
        .unwrap_or_default();
    matches!(parts[..], [protocol, _, _, ""] if protocol.parse::<u8>().is_ok_and(|number| number != 1 && number != 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands_are_read_in_any_case() {
        for (line, command) in [
            ("user ada", Command::User("ada".into())),
            ("PASS ", Command::Pass(String::new())),
            ("PASS  two words ", Command::Pass(" two words ".into())),
            ("Stor  a b.jpg", Command::Stor(" a b.jpg".into())),
            ("TYPE L 8", Command::Type(true)),
            ("TYPE A N", Command::Type(false)),
            ("LIST -la /rooms", Command::List(Some("/rooms".into()))),
            ("LIST -a", Command::List(None)),
            ("ALLO 100 R 10", Command::Allo(100)),
            ("EPSV", Command::Epsv(None)),
            ("EPSV ALL", Command::EpsvAll),
            ("EPRT |7|x|1|", Command::EprtOther),
            ("OPTS UTF8 ON", Command::OptsUtf8),
            ("OPTS MLST type;size;", Command::OptsMlst),
        ] {
            assert_eq!(Command::parse(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_told_apart() {
        for (line, error) in [
            ("", SyntaxError::Unknown),
            ("LOOK", SyntaxError::Unknown),
            ("STOR", SyntaxError::Argument),
            ("STOR ", SyntaxError::Argument),
            ("REST -1", SyntaxError::Argument),
            ("REST 99999999999999999999", SyntaxError::Argument),
            ("PORT 1,2,3", SyntaxError::Argument),
            ("TYPE E", SyntaxError::Parameter),
            ("MODE B", SyntaxError::Parameter),
            ("STRU R", SyntaxError::Parameter),
            ("PROT E", SyntaxError::Parameter),
            ("AUTH KERBEROS_V4", SyntaxError::Parameter),
        ] {
            assert_eq!(Command::parse(line), Err(error), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "(PORT|EPRT|REST|LIST|TYPE|OPTS|ALLO|.{0,4}) ?.{0,30}") {
            let _ = Command::parse(&line);
        }
    }
}
