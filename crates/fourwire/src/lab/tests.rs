//! The scenarios that ship, under a few seeds each; `conformance/lab/run` takes many. And a hub that is broken on purpose:
//! that must be found, told, and made small.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use lab::scenario::{Checked, Keep, Scenario, assert_as_expected};

use super::programs;

fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../scenarios", name].iter().collect()
}

#[test]
fn all_that_ship_make_sense() {
    let mut count = 0;
    for entry in std::fs::read_dir(file("")).expect("scenarios ship") {
        let path = entry.expect("readable").path();
        Checked::read(&path, &programs::all()).unwrap_or_else(|refused| panic!("{refused}"));
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        let text = std::fs::read_to_string(&path).expect("readable");
        assert_eq!(Scenario::parse("", &text).expect("it was read before").name, stem);
        count += 1;
    }
    assert!(count >= 9, "{count} scenarios");
}

#[test]
fn a_cut_is_survived() {
    assert_as_expected(file("wan-cut.toml"), &programs::all(), 1..=3);
}

#[test]
fn who_vanished_is_noticed() {
    assert_as_expected(file("half-open.toml"), &programs::all(), 1..=3);
}

#[test]
fn a_new_port_is_survived() {
    assert_as_expected(file("nat-rebinding.toml"), &programs::all(), 1..=3);
}

#[test]
fn a_black_hole_is_survived() {
    assert_as_expected(file("mtu-black-hole.toml"), &programs::all(), 1..=2);
}

#[test]
fn polling_costs_what_it_costs() {
    assert_as_expected(file("polling.toml"), &programs::all(), 1..=2);
}

#[test]
fn one_seed_is_one_run() {
    let checked = Checked::read(&file("wan-cut.toml"), &programs::all()).expect("it makes sense");
    let [first, again] =
        [(); 2].map(|()| checked.run_and_keep(7, &Keep::default()).expect("nothing is written"));
    assert_eq!(first.capture_hash, again.capture_hash);
    assert_eq!(first.outcome.story, again.outcome.story);
    let other = checked.run_and_keep(8, &Keep::default()).expect("nothing is written");
    assert_ne!(first.capture_hash, other.capture_hash, "the seed has a part in it");
}

/// Without recovery, what was said while somebody was away is lost. That must come out: with the seed that shows it, and
/// with less of a scenario than there was.
#[test]
fn a_hub_without_recovery_is_found_out() {
    let programs = programs::all();
    let text = std::fs::read_to_string(file("nat-rebinding.toml")).expect("it ships");
    let broken = text.replace("hub = { ping", "hub = { history = 0, ping");
    assert_ne!(text, broken);
    let checked = Checked::parse("broken.toml", &broken, &programs).expect("it makes sense");
    let swept = checked.sweep(1..=20, 2, &AtomicBool::new(false), |_| {});
    let failure = swept.failure.expect("a hub that forgets loses messages");
    let told = failure.failure().expect("it does not hold").to_string();
    assert!(told.contains("FAILED") && told.contains("alice"), "{told}");

    let shrunk = checked.shrink(&failure, &programs, 60, |_| true);
    let (before, after) = (checked.scenario(), &shrunk.scenario);
    assert!(after.expect.len() < before.expect.len() || after.node.len() < before.node.len());
    assert!(after.to_toml().len() < before.to_toml().len(), "{}", after.to_toml());
    // It shows what it showed before: alice is cut off by the router that forgot, and not, say, never there.
    assert_eq!(
        shrunk.outcome.failure().and_then(|verdict| verdict.fault),
        failure.failure().and_then(|one| one.fault)
    );
    assert!(after.at.iter().any(|event| event.called() == "rebind"), "{}", after.to_toml());
    assert!(shrunk.outcome.noticed["alice"].contains("lost history"), "{:?}", shrunk.outcome.noticed);
    // What was written fails again, under the same seed, in a lab of its own.
    let again = Checked::parse("shrunk.toml", &after.to_toml(), &programs).expect("it makes sense");
    let outcome = again.run(failure.seed);
    assert!(!outcome.holds());
    assert_eq!(outcome.hash, shrunk.outcome.hash);
}
