//! What scenarios say, and what is said about those that say it wrong: file, line, column, and what would be right.

use host::Host;
use lab::scenario::{Checked, Context, Ended, Programs, Scenario};
use serde::Deserialize;

/// A program that does nothing.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {
    #[serde(default, deserialize_with = "lab::scenario::text::deserialize")]
    _pause: lab::units::Delay,
}

async fn nothing<H: Host>(context: Context<H>, _: Nothing) -> Ended {
    context.ending.requested().await;
    Ok(())
}

fn programs() -> Programs {
    Programs::new().with("nothing", "does nothing", nothing)
}

const GOOD: &str = r#"
lab = 1
name = "good"
stop = "2s"

[link]
lan = { rate = "100Mbit", delay = "50us", "ann>switch" = { loss = "3%" } }
wan = { subnet = "192.0.2.0/30", delay = "40ms", jitter = "2ms" }

[node]
ann = { on = ["lan"] }
switch = { kind = "router", on = ["lan", "wan"] }
bob = { on = ["wan"], names = ["bob.lab"] }

[[program]]
on = "ann"
start = "10ms"
nothing = { _pause = "1ms" }

[[at]]
t = "1s"
cut = { link = "wan", way = "bob>switch" }

[[at]]
t = "1500ms"
set = { link = "lan", rate = "1Mbit" }

[[expect]]
noticed = { on = "ann", what = "it", after = "cut+1s", within = "500ms" }

[[expect]]
no_socket_left = {}
"#;

/// What is said about `GOOD` with `right` replaced by `wrong`.
fn said(right: &str, wrong: &str) -> String {
    said_at(right, wrong, "lab").1
}

/// The same, and where `place` stands: in what was put in, else in the whole.
fn said_at(right: &str, wrong: &str, place: &str) -> (String, String) {
    let start = GOOD.find(right).unwrap_or_else(|| panic!("{right} is not there"));
    let text = GOOD.replacen(right, wrong, 1);
    let byte = text[start..].find(place).map(|at| start + at).or_else(|| text.find(place)).expect("a place");
    let line_start = text[..byte].rfind('\n').map_or(0, |end| end + 1);
    let place = format!("x.toml:{}:{}:", text[..byte].matches('\n').count() + 1, byte - line_start + 1);
    let said = match Checked::parse("x.toml", &text, &programs()) {
        Ok(_) => panic!("{wrong} was accepted"),
        Err(refused) => refused.to_string(),
    };
    (place, said)
}

#[test]
fn a_scenario_is_written_as_it_was_read() {
    let read = Scenario::parse("x.toml", GOOD).expect("good");
    let written = read.to_toml();
    assert_eq!(Scenario::parse("y.toml", &written).expect("good again"), read, "{written}");
    assert!(Checked::parse("x.toml", GOOD, &programs()).is_ok());
    assert!(read.check(&programs()).is_ok());
}

#[test]
fn unknown_keys_are_errors_where_they_stand() {
    for (right, wrong, place, hint) in [
        ("stop = \"2s\"", "stop = \"2s\"\nseed = 3", "seed", "unknown field `seed`"),
        ("delay = \"50us\"", "dealy = \"50us\"", "dealy", "`delay`"),
        ("loss = \"3%\"", "lost = \"3%\"", "lost", "`loss`"),
        ("names = [\"bob.lab\"]", "name = \"bob.lab\"", "name =", "`names`"),
        ("{ _pause = \"1ms\" }", "{ pause = \"1ms\" }", "pause", "unknown field `pause`"),
        ("way = \"bob>switch\"", "ways = \"bob>switch\"", "ways", "`way`"),
        ("within = \"500ms\"", "withn = \"500ms\"", "withn", "`within`"),
        ("no_socket_left", "no_sockets_left", "no_sockets_left", "`no_socket_left`"),
    ] {
        let (place, said) = said_at(right, wrong, place);
        assert!(said.starts_with(&place), "not at {place}: {said}");
        assert!(said.contains(hint), "{said}");
    }
}

#[test]
fn names_that_mean_nothing_are_errors_with_the_nearest_that_do() {
    for (right, wrong, place, hint) in [
        ("on = [\"wan\"], names", "on = [\"wam\"], names", "\"wam\"", "did you mean \"wan\"?"),
        ("on = \"ann\"\nstart", "on = \"anne\"\nstart", "\"anne\"", "did you mean \"ann\"?"),
        ("on = \"ann\"\nstart", "on = \"switch\"\nstart", "\"switch\"", "switch is a router"),
        ("nothing = {", "nothign = {", "{ _pause", "did you mean \"nothing\"?"),
        ("link = \"wan\", way", "link = \"wann\", way", "\"wann\"", "did you mean \"wan\"?"),
        ("bob>switch", "bob>swich", "\"bob>swich", "did you mean \"switch\"?"),
        ("cut+1s", "cot+1s", "\"cot+1s", "did you mean \"cut\"?"),
        ("noticed = { on = \"ann\"", "noticed = { on = \"any\"", "\"any\"", "did you mean \"ann\"?"),
    ] {
        let (place, said) = said_at(right, wrong, place);
        assert!(said.starts_with(&place), "not at {place}: {said}");
        assert!(said.contains(hint), "{said}");
    }
}

#[test]
fn numbers_have_units() {
    for (right, wrong, place, hint) in [
        ("stop = \"2s\"", "stop = 2", "2\n", "has no unit"),
        ("\"40ms\"", "40", "40,", "has no unit"),
        ("\"40ms\"", "\"40 miles\"", "\"40 miles", "is no unit of a time"),
        ("\"100Mbit\"", "\"100Mbps\"", "\"100Mbps", "is no unit of a rate"),
        ("\"192.0.2.0/30\"", "\"192.0.2.0\"", "\"192.0.2.0\"", "10.1.0.0/24"),
        ("\"1ms\"", "\"1\"", "\"1\"", "has no unit"),
        ("delay = \"50us\"", "mtu = 1280", "1280", "has no unit"),
        ("delay = \"50us\"", "mtu = \"64B\"", "\"64B\"", "between 576B"),
    ] {
        let (place, said) = said_at(right, wrong, place);
        assert!(said.starts_with(&place), "not at {place}: {said}");
        assert!(said.contains(hint), "{said}");
    }
}

#[test]
fn what_is_still_to_come_says_so() {
    for (right, wrong) in [
        ("lan = {", "lan = { kind = \"wifi\","),
        ("kind = \"router\"", "kind = \"router\", routing = \"ospf\""),
    ] {
        let said = said(right, wrong);
        assert!(said.contains("later version"), "{said}");
    }
}

#[test]
fn an_event_holds_one_action() {
    assert!(said("cut = {", "# cut = {").contains("what happens?"));
    let both = said("set = {", "heal = { link = \"wan\" }\nset = {");
    assert!(both.contains("`heal`") && both.contains("`set`"), "{both}");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let text = GOOD.replace("\"wan\"]", "\"wam\"]").replace("cut+1s", "cot+1s");
    let refused = Checked::parse("x.toml", &text, &programs()).err().expect("wrong");
    assert!(refused.messages().count() >= 3, "{refused}");
}
