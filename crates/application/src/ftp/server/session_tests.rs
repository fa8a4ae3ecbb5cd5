use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::ftp::listing::Entry;
use crate::ftp::server::FileError;

const NOW: Instant = Instant::ORIGIN;

struct Talk(Session);

impl Talk {
    fn new() -> Self {
        Self::with_tls(false)
    }

    fn with_tls(offered: bool) -> Self {
        let mut talk = Self(Session::new(Limits::default(), NOW, [10, 0, 0, 2].into(), offered));
        assert!(talk.heard().starts_with("220 "));
        talk
    }

    fn logged_in() -> Self {
        let mut talk = Self::new();
        talk.say("USER ada");
        assert!(matches!(talk.effect("PASS x"), Some(Effect::LogIn { .. })));
        assert!(talk.done(Outcome::LoggedIn).starts_with("230 "));
        talk
    }

    fn heard(&mut self) -> String {
        let text = String::from_utf8(self.0.output().to_vec()).unwrap();
        self.0.sent(text.len());
        text
    }

    fn effect(&mut self, line: &str) -> Option<Effect> {
        self.0.receive(format!("{line}\r\n").as_bytes());
        self.0.poll_effect(NOW)
    }

    /// For commands that are answered at once.
    fn say(&mut self, line: &str) -> String {
        assert_eq!(self.effect(line), None, "{line}");
        self.heard()
    }

    fn done(&mut self, outcome: Outcome) -> String {
        self.0.done(NOW, outcome);
        self.heard()
    }
}

#[test]
fn nobody_gets_anywhere_without_logging_in() {
    let mut talk = Talk::new();
    for line in ["PWD", "PASV", "LIST", "STOR x", "CWD /", "SIZE x", "EPRT |1|10.0.0.2|2000|", "REST 4"] {
        assert!(talk.say(line).starts_with("530 "), "{line}");
    }
    for line in ["NOOP", "SYST", "FEAT", "HELP", "OPTS UTF8 ON"] {
        assert!(talk.say(line).starts_with('2'), "{line}");
    }
    assert!(talk.say("PASS x").starts_with("503 "));
}

#[test]
fn wrong_passwords_are_counted() {
    let mut talk = Talk::new();
    for attempt in 1..=3 {
        talk.say("USER eve");
        assert!(matches!(talk.effect("PASS guess"), Some(Effect::LogIn { .. })));
        let code = if attempt < 3 { "530 " } else { "421 " };
        assert!(talk.done(Outcome::LoginRefused).starts_with(code), "{attempt}");
    }
    assert_eq!(talk.0.poll_effect(NOW), Some(Effect::Close));
}

#[test]
fn data_connections_go_to_the_client_and_to_nobody_else() {
    let mut talk = Talk::logged_in();
    for line in [
        "PORT 10,0,0,3,24,131",
        "EPRT |1|10.0.0.3|6275|",
        "EPRT |2|::1|6275|",
        "PORT 10,0,0,2,0,25",
        "EPRT |1|10.0.0.2|1023|",
        "PORT 127,0,0,1,24,131",
    ] {
        assert!(talk.say(line).starts_with("501 "), "{line}");
        assert!(talk.say("LIST").starts_with("425 "), "{line} left nothing behind");
    }
    assert!(talk.say("PORT 10,0,0,2,24,131").starts_with("200 "));
    let to = "10.0.0.2:6275".parse().unwrap();
    assert!(
        matches!(talk.effect("LIST"), Some(Effect::Transfer(Transfer { way: DataWay::Active(way), .. })) if way == to)
    );
    assert!(talk.done(Outcome::NoConnection).starts_with("425 "));
    assert!(talk.say("LIST").starts_with("425 "), "an address is for one transfer");
}

#[test]
fn passive_mode_tells_where() {
    let mut talk = Talk::logged_in();
    let at = "10.0.0.1:50123".parse().unwrap();
    assert_eq!(talk.effect("PASV"), Some(Effect::Listen));
    assert_eq!(talk.done(Outcome::Listening(at)), "227 Entering passive mode (10,0,0,1,195,203).\r\n");
    assert_eq!(talk.effect("EPSV"), Some(Effect::Listen));
    assert_eq!(talk.done(Outcome::Listening(at)), "229 Entering extended passive mode (|||50123|)\r\n");
    assert!(talk.say("EPSV 2").starts_with("522 "));
    assert!(talk.say("EPSV ALL").starts_with("200 "));
    for line in ["PASV", "PORT 10,0,0,2,24,131", "EPRT |1|10.0.0.2|6275|"] {
        assert!(talk.say(line).starts_with("501 "), "{line}");
    }
}

#[test]
fn a_transfer_can_be_aborted_and_nothing_else_interrupts_it() {
    let mut talk = Talk::logged_in();
    talk.effect("EPSV");
    talk.done(Outcome::Listening("10.0.0.1:50123".parse().unwrap()));
    assert_eq!(talk.say("REST 100"), "350 The next transfer begins at byte 100\r\n");
    let Some(Effect::Transfer(transfer)) = talk.effect("RETR /rooms/lobby/a.jpg") else {
        panic!("a transfer")
    };
    assert_eq!(transfer.form, Form::Retrieve(100));
    talk.0.transfer_begins("a.jpg", Some(7));
    assert!(talk.heard().starts_with("150 "));
    assert!(talk.say("STAT").starts_with("213 "));
    assert!(talk.say("CWD /").starts_with("503 "));
    assert_eq!(talk.effect("\u{0}"), None);
    assert!(talk.heard().starts_with("500 "));
    assert_eq!(talk.effect("ABOR"), Some(Effect::Abort));
    let replies = talk.done(Outcome::Aborted);
    assert!(replies.starts_with("426 ") && replies.contains("\r\n226 "), "{replies}");
}

#[test]
fn a_position_is_for_the_next_command_only() {
    let mut talk = Talk::logged_in();
    talk.effect("EPSV");
    talk.done(Outcome::Listening("10.0.0.1:50123".parse().unwrap()));
    talk.say("REST 100");
    talk.say("NOOP");
    let Some(Effect::Transfer(transfer)) = talk.effect("STOR a.jpg") else { panic!("a transfer") };
    assert_eq!(transfer.form, Form::Store(Placing::Whole));
}

#[test]
fn what_the_file_system_says_is_told() {
    let mut talk = Talk::logged_in();
    assert_eq!(talk.effect("CWD rooms"), Some(Effect::Ask(Question::Enter(Path::root().join("rooms")))));
    assert_eq!(talk.done(Outcome::Done), "250 \"/rooms\" is the working directory\r\n");
    assert!(matches!(talk.effect("SIZE a\"b"), Some(Effect::Ask(Question::Look(_)))));
    let entry = Entry {
        name: "a\"b".into(),
        kind: Kind::File,
        size: 7,
        modified: WallTime::from_unix_millis(784_111_777_123),
    };
    assert_eq!(talk.done(Outcome::Found(entry.clone())), "213 7\r\n");
    talk.effect("MDTM a");
    assert_eq!(talk.done(Outcome::Found(entry.clone())), "213 19941106084937.123\r\n");
    talk.effect("MLST a");
    assert_eq!(
        talk.done(Outcome::Found(entry)),
        "250-Facts of /rooms/a\r\n type=file;size=7;modify=19941106084937.123;perm=r; /rooms/a\r\n250 End\r\n"
    );
    talk.effect("DELE a");
    assert_eq!(talk.done(Outcome::Failed(FileError::NotFound)), "550 There is no such file or directory\r\n");
    assert!(talk.say("RNTO b").starts_with("503 "));
}

#[test]
fn nothing_said_in_the_clear_is_taken_for_said_inside_tls() {
    let mut talk = Talk::with_tls(true);
    assert!(talk.say("PROT P").starts_with("503 "));
    assert_eq!(talk.effect("AUTH TLS"), Some(Effect::StartTls));
    assert!(talk.heard().starts_with("234 "));
    assert_eq!(talk.done(Outcome::Secured), "");
    assert!(talk.0.is_secure());
    assert!(talk.say("PBSZ 0").starts_with("200 PBSZ=0"));
    assert!(talk.say("PROT P").starts_with("200 "));

    let mut injected = Talk::with_tls(true);
    injected.0.receive(b"AUTH TLS\r\nUSER eve\r\n");
    assert_eq!(injected.0.poll_effect(NOW), Some(Effect::Close));
    assert!(injected.heard().starts_with("503 "));
    assert!(Talk::new().say("AUTH TLS").starts_with("502 "), "without a certificate");
}

#[test]
fn who_says_nothing_is_sent_away() {
    let mut talk = Talk::new();
    let deadline = talk.0.poll_timeout().unwrap();
    assert_eq!(deadline, NOW + Duration::from_secs(60));
    talk.say("NOOP");
    assert_eq!(talk.0.poll_timeout(), Some(deadline), "chatting is not logging in");
    talk.0.handle_timeout(deadline);
    assert!(talk.heard().starts_with("421 "));
    assert_eq!(talk.0.poll_effect(deadline), Some(Effect::Close));
    assert_eq!(talk.0.poll_timeout(), None);
}

#[test]
fn many_commands_at_once_wait_their_turn() {
    let mut talk = Talk::logged_in();
    let line = b"NOOP\r\n".repeat(4000);
    talk.0.receive(b"CWD /rooms\r\n");
    assert!(talk.0.poll_effect(NOW).is_some());
    talk.0.receive(&line);
    assert!(!talk.0.wants_bytes());
    assert_eq!(talk.0.poll_effect(NOW), None);
    talk.done(Outcome::Done);
    assert_eq!(talk.0.poll_effect(NOW), None);
    assert_eq!(talk.heard().lines().count(), 4000);
}

proptest! {
    /// Whatever comes, in whatever pieces, each line gets exactly one answer or one effect, and nothing panics.
    #[test]
    fn every_line_is_answered_once(lines in prop::collection::vec("(USER|PASS|PORT|EPSV|STOR|LIST|ABOR|RNFR|RNTO|REST|TYPE|MLST|.{0,4})( .{0,12})?", 1..20)) {
        let mut talk = Talk::logged_in();
        for line in lines {
            if line.contains(['\r', '\n', '\u{0}']) || line.starts_with("QUIT") {
                continue;
            }
            match talk.effect(&line) {
                None => prop_assert!(!talk.heard().is_empty(), "{line}"),
                Some(Effect::Close) => return Ok(()),
                Some(_) => prop_assert!(!talk.done(Outcome::Failed(FileError::NotFound)).is_empty(), "{line}"),
            }
        }
    }
}
