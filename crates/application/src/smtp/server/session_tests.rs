use std::time::Duration;

use proptest::prelude::*;

use super::*;

const NOW: Instant = Instant::ORIGIN;

struct Talk(Session);

fn offer() -> Offer {
    Offer { domain: "lab".into(), tls: true, auth: true, auth_in_the_clear: false, auth_needed: false }
}

impl Talk {
    fn new(offer: Offer) -> Self {
        let limits = Limits { message_bytes: 1000, recipients: 3, errors: 5, ..Limits::default() };
        let mut talk = Self(Session::new(limits, offer, NOW, [10, 0, 0, 2].into()));
        assert_eq!(talk.heard(), "220 lab ESMTP Fourwire\r\n");
        talk
    }

    fn greeted() -> Self {
        let mut talk = Self::new(offer());
        assert!(talk.say("EHLO cam").contains("250-SIZE 1000\r\n"));
        talk
    }

    fn heard(&mut self) -> String {
        let text = String::from_utf8(self.0.output().to_vec()).unwrap();
        self.0.sent(text.len());
        text
    }

    fn effect(&mut self, text: &str) -> Option<Effect> {
        self.0.receive(NOW, text.as_bytes());
        self.0.poll_effect()
    }

    fn say(&mut self, line: &str) -> String {
        assert_eq!(self.effect(&format!("{line}\r\n")), None, "{line}");
        self.heard()
    }

    fn done(&mut self, outcome: Outcome) -> String {
        self.0.done(NOW, outcome);
        self.heard()
    }

    fn to(&mut self, address: &str) {
        assert_eq!(self.effect(&format!("RCPT TO:<{address}>\r\n")), Some(Effect::Check(address.into())));
        assert!(self.done(Outcome::Done).starts_with("250 2.1.5 "));
    }
}

#[test]
fn a_message_is_delivered_with_its_envelope() {
    let mut talk = Talk::greeted();
    assert!(talk.say("MAIL FROM:<ada@example.org> SIZE=100 BODY=8BITMIME").starts_with("250 2.1.0"));
    talk.to("lobby@lab");
    assert!(talk.say("DATA").starts_with("354 "));
    let Some(Effect::Deliver(envelope)) = talk.effect("Subject: x\r\n\r\n..y\r\n.\r\n") else {
        panic!("a message")
    };
    assert_eq!(envelope.from, "ada@example.org");
    assert_eq!(envelope.recipients, ["lobby@lab"]);
    assert_eq!(envelope.message, b"Subject: x\r\n\r\n.y\r\n");
    assert!(talk.done(Outcome::Done).starts_with("250 2.0.0 "));
    assert!(talk.say("DATA").starts_with("503 "), "each message has its own envelope");
}

#[test]
fn commands_come_in_their_order() {
    let mut talk = Talk::new(Offer { tls: false, ..offer() });
    assert!(talk.say("MAIL FROM:<a@b>").starts_with("503 5.5.1 "));
    talk.say("HELO cam");
    assert!(talk.say("RCPT TO:<lobby@lab>").starts_with("503 5.5.1 "));
    talk.say("MAIL FROM:<>");
    assert!(talk.say("DATA").starts_with("554 5.5.1 "));
    assert!(talk.say("MAIL FROM:<a@b>").starts_with("503 5.5.1 "));
    assert!(talk.say("RSET").starts_with("250 "));
    assert_eq!(talk.effect("STARTTLS\r\n"), Some(Effect::Close));
    let last = talk.heard();
    assert!(last.starts_with("502 ") && last.contains("\r\n421 "), "the fifth error is the last: {last}");
    assert_eq!(talk.0.poll_effect(), None);
}

#[test]
fn a_whole_session_may_come_at_once() {
    let mut talk = Talk::greeted();
    let text = "MAIL FROM:<a@b>\r\nRCPT TO:<x@lab>\r\nRCPT TO:<y@lab>\r\nDATA\r\nhello\r\n.\r\nQUIT\r\n";
    assert_eq!(talk.effect(text), Some(Effect::Check("x@lab".into())));
    talk.0.done(NOW, Outcome::Refused(Refusal::new(550, "5.1.1", "nobody")));
    assert_eq!(talk.0.poll_effect(), Some(Effect::Check("y@lab".into())));
    talk.0.done(NOW, Outcome::Done);
    let Some(Effect::Deliver(envelope)) = talk.0.poll_effect() else { panic!("a message") };
    assert_eq!(envelope.recipients, ["y@lab"]);
    talk.0.done(NOW, Outcome::Done);
    assert_eq!(talk.0.poll_effect(), Some(Effect::Close));
    let codes: Vec<_> = talk.heard().lines().map(|line| line[..3].to_owned()).collect();
    assert_eq!(codes, ["250", "550", "250", "354", "250", "221"]);
}

#[test]
fn a_lone_line_feed_ends_no_line() {
    let mut talk = Talk::greeted();
    assert_eq!(talk.effect("NOOP\n"), None);
    assert!(talk.heard().starts_with("500 5.5.2 "));
    talk.say("MAIL FROM:<a@b>");
    talk.to("lobby@lab");
    talk.say("DATA");
    let smuggled = "x\n.\r\nMAIL FROM:<eve@b>\r\nRCPT TO:<lobby@lab>\r\nDATA\r\ny\r\n.\r\n";
    assert_eq!(talk.effect(smuggled), None, "one message, and that is refused");
    assert_eq!(talk.heard().lines().count(), 1);
    assert!(talk.say("NOOP").starts_with("250 "));
}

#[test]
fn chunks_make_a_message() {
    let mut talk = Talk::greeted();
    talk.say("MAIL FROM:<a@b>");
    talk.to("lobby@lab");
    assert_eq!(talk.effect("BDAT 10\r\nSubject: x"), None);
    assert!(talk.heard().starts_with("250 "));
    assert!(talk.say("RCPT TO:<late@lab>").starts_with("503 "));
    assert!(talk.say("DATA").starts_with("503 "));
    let Some(Effect::Deliver(envelope)) = talk.effect("BDAT 7 LAST\r\n\r\n\r\n.\r\n") else {
        panic!("a message")
    };
    assert_eq!(envelope.message, b"Subject: x\r\n\r\n.\r\n");
    talk.done(Outcome::Done);
    // What nobody wants is read all the same, and not taken for commands.
    assert_eq!(talk.effect("BDAT 6 LAST\r\nQUIT\r\n"), None);
    assert!(talk.heard().starts_with("503 "));
    assert!(talk.say("NOOP").starts_with("250 "));
}

#[test]
fn what_is_too_much_is_refused() {
    let mut talk = Talk::greeted();
    assert!(talk.say("MAIL FROM:<a@b> SIZE=1001").starts_with("552 5.3.4 "));
    talk.say("MAIL FROM:<a@b>");
    for address in ["a@lab", "b@lab", "c@lab"] {
        talk.to(address);
    }
    assert!(talk.say("RCPT TO:<d@lab>").starts_with("452 4.5.3 "));
    talk.say("DATA");
    assert_eq!(talk.effect(&("x".repeat(98) + "\r\n").repeat(11)), None);
    assert!(talk.0.message_bytes() <= 1024);
    assert_eq!(talk.effect(".\r\n"), None);
    assert!(talk.heard().starts_with("552 5.3.4 "));
    assert_eq!(talk.effect(&"x".repeat(20_000)), None);
    assert_eq!(talk.effect("x\r\nNOOP\r\n"), None);
    let replies = talk.heard();
    assert!(replies.starts_with("500 5.5.2 ") && replies.contains("\r\n250 "), "{replies}");
}

#[test]
fn there_may_be_no_room() {
    let mut talk = Talk::greeted();
    talk.say("MAIL FROM:<a@b>");
    talk.to("lobby@lab");
    talk.say("DATA");
    talk.effect("hello\r\n");
    talk.0.no_room();
    assert_eq!(talk.effect("more\r\n.\r\n"), None);
    assert!(talk.heard().starts_with("452 4.3.1 "));
}

#[test]
fn passwords_are_taken_inside_tls() {
    let mut talk = Talk::greeted();
    assert!(talk.say("AUTH PLAIN AGFkYQBzZWNyZXQ=").starts_with("538 "));
    assert_eq!(talk.effect("STARTTLS\r\n"), Some(Effect::StartTls));
    assert!(talk.heard().starts_with("220 "));
    talk.done(Outcome::Secured);
    assert!(talk.say("AUTH PLAIN AGFkYQBzZWNyZXQ=").starts_with("503 "), "everything is forgotten");
    let extensions = talk.say("EHLO cam");
    assert!(extensions.contains("AUTH PLAIN LOGIN") && !extensions.contains("STARTTLS"));
    let log_in = Effect::LogIn { user: "ada".into(), password: "secret".into() };
    assert_eq!(talk.effect("AUTH PLAIN AGFkYQBzZWNyZXQ=\r\n"), Some(log_in.clone()));
    assert!(talk.done(Outcome::Refused(Refusal::new(535, "5.7.8", "no"))).starts_with("535 "));
    assert_eq!(talk.say("AUTH LOGIN"), "334 VXNlcm5hbWU6\r\n");
    assert_eq!(talk.say("YWRh"), "334 UGFzc3dvcmQ6\r\n");
    assert_eq!(talk.effect("c2VjcmV0\r\n"), Some(log_in));
    assert!(talk.done(Outcome::Done).starts_with("235 "));
    assert_eq!(talk.0.user(), Some("ada"));
}

#[test]
fn what_is_said_before_tls_is_not_taken_for_said_inside() {
    let mut talk = Talk::greeted();
    assert_eq!(talk.effect("STARTTLS\r\nMAIL FROM:<eve@b>\r\n"), Some(Effect::Close));
    assert!(talk.heard().starts_with("503 "));
}

#[test]
fn who_must_log_in_hears_so() {
    let mut talk = Talk::new(Offer { auth_needed: true, ..offer() });
    talk.say("EHLO cam");
    assert!(talk.say("MAIL FROM:<a@b>").starts_with("530 5.7.0 "));
}

#[test]
fn addresses_beyond_ascii_need_smtputf8() {
    let mut talk = Talk::greeted();
    assert!(talk.say("MAIL FROM:<é@b>").starts_with("553 5.6.7 "));
    assert!(talk.say("MAIL FROM:<é@b> SMTPUTF8").starts_with("250 "));
    talk.to("küche@lab");
}

#[test]
fn who_says_nothing_is_sent_away() {
    let mut talk = Talk::greeted();
    let deadline = talk.0.poll_timeout().unwrap();
    assert_eq!(deadline, NOW + Duration::from_secs(300));
    talk.0.handle_timeout(deadline);
    assert!(talk.heard().starts_with("421 4.3.2 "));
    assert_eq!(talk.0.poll_effect(), Some(Effect::Close));
}

proptest! {
    /// Whatever comes, in whatever pieces: the same replies, and no panic.
    #[test]
    fn how_bytes_are_cut_changes_nothing(
        lines in prop::collection::vec("(EHLO x|MAIL FROM:<a@b>|RCPT TO:<c@lab>|DATA|BDAT 4|BDAT 3 LAST|RSET|AUTH LOGIN|\\.|.{0,9})(\r\n|\n|\r)", 0..20),
        cut in 1..40_usize,
    ) {
        let bytes = lines.concat().into_bytes();
        let run = |size: usize| {
            let mut talk = Talk::new(offer());
            let mut heard = String::new();
            for piece in bytes.chunks(size) {
                talk.0.receive(NOW, piece);
                while let Some(effect) = talk.0.poll_effect() {
                    match effect {
                        Effect::Close => return heard + &talk.heard(),
                        Effect::StartTls => return heard,
                        _ => talk.0.done(NOW, Outcome::Done),
                    }
                }
                heard += &talk.heard();
            }
            heard
        };
        // STARTTLS looks at what has come already, and so it is not among the lines.
        prop_assert_eq!(run(cut), run(bytes.len().max(1)));
    }
}
