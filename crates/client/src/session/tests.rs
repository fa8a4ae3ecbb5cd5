use super::*;

fn settings() -> Settings {
    Settings {
        token: None,
        data: None,
        name: "test".to_owned(),
        reply_timeout: Duration::from_secs(5),
        ping_slack: Duration::from_secs(5),
        backoff: Backoff { first: Duration::from_millis(100), most: Duration::from_secs(2) },
        requests: 4,
    }
}

/// A session whose driver is the test.
struct Bench {
    session: Session<&'static str>,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { session: Session::new(settings(), Random::from_seed([1; 32])), now: Instant::ORIGIN }
    }

    /// A session that is connected and has told so; the server pings every 25 s.
    fn connected() -> Self {
        let mut bench = Self::new();
        bench.connect();
        bench
    }

    /// From the wish to dial to the greeting.
    fn connect(&mut self) {
        assert_eq!(self.session.step(), Step::Dial);
        self.session.opened(self.now);
        let id = self.sent().first().map(|line| id_of(line)).expect("a connect command");
        self.hear(&format!(
            r#"{{"id":{id},"connect":{{"client":"me","version":"1","ping":25,"pong":true}}}}"#
        ));
        assert!(matches!(self.events()[..], [Event::Connected { .. }]));
    }

    /// Lets the wait after a loss pass.
    fn wait_out(&mut self) {
        while self.session.step() == Step::Wait {
            self.pass();
        }
    }

    /// Goes to the next time-out.
    fn pass(&mut self) {
        self.now = self.session.poll_timeout().expect("something to wait for").max(self.now);
        self.session.handle_timeout(self.now);
    }

    fn hear(&mut self, text: &str) {
        self.session.handle_message(self.now, text.as_bytes());
    }

    fn ask(&mut self, what: What, body: &str, waiter: &'static str) {
        self.session.request(self.now, what, body, self.now + Duration::from_secs(60), waiter);
    }

    fn subscribe(&mut self, room: &str, waiter: &'static str) {
        let deadline = self.now + Duration::from_secs(60);
        self.session.subscribe(self.now, room.to_owned(), SubscribeOptions::default(), deadline, waiter);
    }

    /// Enters `room` at position 5 of epoch "e".
    fn enter(&mut self, room: &str) {
        self.subscribe(room, "subscribe");
        let id = self.sent().last().map(|line| id_of(line)).expect("a subscribe command");
        self.hear(&format!(
            r#"{{"id":{id},"subscribe":{{"recoverable":true,"positioned":true,"epoch":"e","offset":5}}}}"#
        ));
        assert!(matches!(self.outcomes()[..], [("subscribe", Ok(Answer::Subscribed(_)))]));
        assert!(matches!(self.events()[..], [Event::Subscribed { recovery: Recovery::Fresh, .. }]));
    }

    fn publish(&mut self, room: &str, offset: u64) {
        self.hear(&format!(
            r#"{{"push":{{"channel":"{room}","pub":{{"data":{offset},"offset":{offset}}}}}}}"#
        ));
    }

    fn sent(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(message) = self.session.poll_transmit(1 << 16) {
            lines.extend(message.lines().map(str::to_owned));
        }
        lines
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.session.poll_event(self.now)).collect()
    }

    fn offsets(&mut self) -> Vec<u64> {
        let offset = |event| match event {
            Event::Publication { publication, .. } => Some(publication.offset),
            _ => None,
        };
        self.events().into_iter().filter_map(offset).collect()
    }

    fn outcomes(&mut self) -> Vec<(&'static str, Result<Answer, Error>)> {
        std::iter::from_fn(|| self.session.poll_outcome()).collect()
    }
}

fn id_of(line: &str) -> u32 {
    serde_json::from_str::<Reply>(line).expect("a command").id
}

const ONCE: &str = r#"{"rpc":{"method":"publish","data":{}}}"#;

#[test]
fn pings_are_answered_and_silence_is_death() {
    let mut bench = Bench::connected();
    bench.hear("{}");
    assert_eq!(bench.sent(), ["{}"]);
    bench.now += Duration::from_secs(20);
    bench.hear("{}");
    bench.pass();
    assert_eq!(bench.now, Instant::ORIGIN + Duration::from_secs(20 + 25 + 5));
    let events = bench.events();
    assert!(
        matches!(&events[..], [Event::Disconnected { code: None, reason, retry_in: Some(_) }] if reason.contains("silent"))
    );
    bench.wait_out();
    assert_eq!(bench.session.step(), Step::Dial);
}

#[test]
fn who_does_not_listen_calls_nobody_silent() {
    let mut bench = Bench::connected();
    bench.enter("room");
    bench.publish("room", 6);
    assert!(!bench.session.is_listening());
    assert_eq!(bench.session.poll_timeout(), None);
    bench.now += Duration::from_secs(1_000);
    bench.session.handle_timeout(bench.now);
    assert_eq!(bench.session.step(), Step::Talk);
    assert_eq!(bench.offsets(), [6]);
    assert_eq!(bench.session.poll_timeout(), Some(bench.now + Duration::from_secs(30)));
}

#[test]
fn a_room_is_followed_over_a_reconnect() {
    let mut bench = Bench::connected();
    bench.enter("room");
    bench.publish("room", 6);
    bench.publish("room", 6);
    assert_eq!(bench.offsets(), [6]);
    bench.session.lost(bench.now, None, "cut".to_owned());
    bench.events();
    bench.wait_out();
    bench.connect();
    let sent = bench.sent();
    assert_eq!(sent.len(), 1);
    assert!(sent[0].contains(r#""recover":true,"epoch":"e","offset":6"#), "{sent:?}");
    let id = id_of(&sent[0]);
    // Live publications before the reply are none of ours: the reply holds them.
    bench.publish("room", 8);
    bench.hear(&format!(
        r#"{{"id":{id},"subscribe":{{"recoverable":true,"epoch":"e","offset":8,"recovered":true,"was_recovering":true,"publications":[{{"data":6,"offset":6}},{{"data":7,"offset":7}},{{"data":8,"offset":8}}]}}}}"#
    ));
    bench.publish("room", 8);
    bench.publish("room", 9);
    let events = bench.events();
    assert!(matches!(events[0], Event::Subscribed { recovery: Recovery::Complete, .. }));
    let offsets = events.iter().filter_map(|event| match event {
        Event::Publication { publication, .. } => Some(publication.offset),
        _ => None,
    });
    assert_eq!(offsets.collect::<Vec<_>>(), [7, 8, 9]);
}

#[test]
fn what_cannot_be_recovered_is_said() {
    let mut bench = Bench::connected();
    bench.enter("room");
    bench.session.lost(bench.now, None, "cut".to_owned());
    bench.events();
    bench.wait_out();
    bench.connect();
    let id = bench.sent().last().map(|line| id_of(line)).expect("a subscribe command");
    bench.hear(&format!(
        r#"{{"id":{id},"subscribe":{{"recoverable":true,"epoch":"new","offset":2,"was_recovering":true}}}}"#
    ));
    let position = Some(Position { epoch: "new".to_owned(), offset: 2 });
    let room = "room".to_owned();
    assert_eq!(bench.events(), [Event::Subscribed { room, recovery: Recovery::TooOld, position }]);
    bench.publish("room", 3);
    assert_eq!(bench.offsets(), [3]);
}

#[test]
fn a_hole_in_the_stream_leads_to_recovery() {
    let mut bench = Bench::connected();
    bench.enter("room");
    bench.publish("room", 7);
    assert!(matches!(&bench.events()[..], [Event::Disconnected { retry_in: Some(_), .. }]));
    bench.wait_out();
    bench.connect();
    assert!(bench.sent()[0].contains(r#""recover":true,"epoch":"e","offset":5"#));
}

#[test]
fn only_what_is_safe_to_repeat_is_repeated_in_order() {
    let mut bench = Bench::new();
    bench.ask(What::PublishOnce, ONCE, "first");
    bench.connect();
    bench.ask(What::Publish, r#"{"publish":{}}"#, "plain");
    bench.ask(What::PublishOnce, ONCE, "second");
    let sent = bench.sent();
    assert_eq!(sent.len(), 3);
    bench.session.lost(bench.now, Some(1006), "cut".to_owned());
    assert_eq!(bench.outcomes(), [("plain", Err(Error::Lost))]);
    bench.events();
    bench.wait_out();
    bench.connect();
    assert_eq!(bench.sent(), [sent[0].clone(), sent[2].clone()]);
    let (first, second) = (id_of(&sent[0]), id_of(&sent[2]));
    bench.hear(&format!(
        "{{\"id\":{second},\"rpc\":{{\"data\":{{\"offset\":2,\"epoch\":\"e\"}}}}}}\n{{\"id\":{first},\"error\":{{\"code\":103,\"message\":\"no\"}}}}"
    ));
    let published = Published { offset: 2, epoch: "e".to_owned() };
    let refused = Error::Refused { code: 103, message: "no".to_owned() };
    assert_eq!(bench.outcomes(), [("second", Ok(Answer::Published(published))), ("first", Err(refused))]);
}

#[test]
fn a_passing_error_is_met_by_another_attempt_and_the_deadline_ends_it() {
    let mut bench = Bench::connected();
    bench.ask(What::PublishOnce, ONCE, "stubborn");
    let mut attempts = 0;
    loop {
        for line in bench.sent() {
            attempts += 1;
            let id = id_of(&line);
            bench.hear(&format!(r#"{{"id":{id},"error":{{"code":100,"message":"busy","temporary":true}}}}"#));
        }
        bench.hear("{}");
        if let [(_, outcome)] = &bench.outcomes()[..] {
            assert_eq!(*outcome, Err(Error::Timeout));
            break;
        }
        bench.pass();
    }
    assert_eq!(bench.now, Instant::ORIGIN + Duration::from_secs(60));
    assert!((20..200).contains(&attempts), "{attempts} attempts in a minute");
}

#[test]
fn a_command_without_reply_is_a_broken_connection() {
    let mut bench = Bench::connected();
    bench.ask(What::Presence, r#"{"presence":{}}"#, "presence");
    bench.pass();
    assert_eq!(bench.now, Instant::ORIGIN + Duration::from_secs(5));
    assert!(
        matches!(&bench.events()[..], [Event::Disconnected { reason, .. }] if reason.contains("without reply"))
    );
}

#[test]
fn final_codes_end_it_and_others_do_not() {
    for (code, is_end) in [
        (1000, false),
        (1001, false),
        (1009, true),
        (3000, false),
        (3499, false),
        (3500, true),
        (4200, false),
        (4500, true),
    ] {
        let mut bench = Bench::connected();
        bench.ask(What::PublishOnce, ONCE, "publish");
        bench.hear(&format!(r#"{{"push":{{"disconnect":{{"code":{code},"reason":"because"}}}}}}"#));
        assert_eq!(bench.session.step() == Step::Leave, is_end, "{code}");
        let reason = "because".to_owned();
        let outcomes =
            if is_end { vec![("publish", Err(Error::Closed(reason.clone())))] } else { Vec::new() };
        assert_eq!(bench.outcomes(), outcomes);
        match &bench.events()[..] {
            [Event::Disconnected { code: Some(told), reason: why, retry_in }] => {
                assert_eq!((*told, why, retry_in.is_none()), (code, &reason, is_end));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn waits_grow_until_a_connection_lasts() {
    let mut bench = Bench::new();
    for failures in 1..=8 {
        bench.session.lost(bench.now, None, "refused".to_owned());
        assert_eq!(bench.session.failures, failures);
        bench.events();
        bench.wait_out();
    }
    bench.connect();
    bench.now += Duration::from_secs(1);
    bench.session.lost(bench.now, None, "cut".to_owned());
    assert_eq!(bench.session.failures, 9);
    bench.events();
    bench.wait_out();
    bench.connect();
    bench.now += Duration::from_secs(2);
    bench.session.lost(bench.now, None, "cut".to_owned());
    assert_eq!(bench.session.failures, 1);
}

#[test]
fn attempts_that_nobody_hears_of_are_not_made() {
    let mut bench = Bench::new();
    bench.session.lost(bench.now, None, "refused".to_owned());
    bench.now += Duration::from_secs(3_600);
    bench.session.handle_timeout(bench.now);
    assert_eq!(bench.session.step(), Step::Wait);
    assert_eq!(bench.events().len(), 1);
    bench.session.handle_timeout(bench.now);
    assert_eq!(bench.session.step(), Step::Dial);
}

#[test]
fn unsubscribe_codes_say_whether_to_come_back() {
    let mut bench = Bench::connected();
    bench.enter("a");
    bench.enter("b");
    bench.hear(r#"{"push":{"channel":"a","unsubscribe":{"code":2500,"reason":"insufficient state"}}}"#);
    assert!(
        bench.sent()[0].contains(r#""channel":"a","recoverable":true,"join_leave":false,"recover":true"#)
    );
    bench.hear(r#"{"push":{"channel":"b","unsubscribe":{"code":2000,"reason":"put out"}}}"#);
    assert_eq!(bench.sent(), Vec::<String>::new());
    let gone = Event::Unsubscribed { room: "b".to_owned(), code: 2000, reason: "put out".to_owned() };
    assert_eq!(bench.events(), [gone]);
}

#[test]
fn nonsense_from_the_server_costs_it_the_connection() {
    for nonsense in ["[", "null", r#"{"id":"x"}"#, r#"{"push":{"channel":"r","pub":{"offset":1}}}"#, "\u{0}"]
    {
        let mut bench = Bench::connected();
        bench.hear(nonsense);
        assert_eq!(bench.session.step(), Step::Wait, "{nonsense:?}");
        assert!(matches!(&bench.events()[..], [Event::Disconnected { .. }]));
    }
}

#[test]
fn there_is_room_for_so_many_requests() {
    let mut bench = Bench::new();
    for waiter in ["1", "2"] {
        bench.ask(What::PublishOnce, ONCE, waiter);
        bench.subscribe("room", waiter);
    }
    assert!(!bench.session.has_room());
    bench.session.close();
    assert_eq!(bench.outcomes().len(), 4);
    assert!(bench.session.has_room());
    bench.ask(What::PublishOnce, ONCE, "late");
    assert!(matches!(&bench.outcomes()[..], [("late", Err(Error::Closed(_)))]));
}
