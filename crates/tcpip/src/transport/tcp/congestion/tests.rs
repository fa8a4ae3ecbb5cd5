//! Every controller, driven by one model.

use std::time::Duration;

use host::Instant;
use proptest::prelude::*;

use super::{Algorithm, Controller, LARGEST_WINDOW};

#[derive(Clone, Copy, Debug)]
enum Step {
    Acknowledged(u32),
    Loss,
    Timeout(bool),
    Undo,
    Idle,
    Segment(u32),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u32..5_000).prop_map(Step::Acknowledged),
        1 => any::<u32>().prop_map(Step::Acknowledged),
        1 => Just(Step::Loss),
        1 => any::<bool>().prop_map(Step::Timeout),
        1 => Just(Step::Undo),
        1 => Just(Step::Idle),
        1 => prop_oneof![1u32..9_000, any::<u32>()].prop_map(Step::Segment),
        3 => (0u64..200_000_000).prop_map(Step::Wait),
    ]
}

fn drive(mut controller: Box<dyn Controller>, mut segment: u32, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut now = Instant::ORIGIN;
    for &step in steps {
        let (window, threshold) = (controller.window(), controller.threshold());
        match step {
            Step::Acknowledged(bytes) => {
                controller.on_acknowledged(now, bytes, Duration::from_millis(40));
                let grown = controller.window();
                prop_assert!(grown >= window, "an acknowledgment never lowers the window");
                // Slow start is the fastest that anything grows, but for Reno's estimate that CUBIC catches up with.
                let catches_up = window >= threshold;
                let most = bytes.min(window.max(segment.saturating_mul(2)));
                prop_assert!(catches_up || grown - window <= most, "{window} {grown} by {bytes}");
            }
            Step::Loss => {
                controller.on_loss(now, window);
                prop_assert!(controller.window() <= window.max(segment.saturating_mul(2)));
                prop_assert!(controller.threshold() >= segment.saturating_mul(2).min(LARGEST_WINDOW));
            }
            Step::Timeout(first) => {
                controller.on_timeout(now, window, first);
                prop_assert_eq!(controller.window(), segment);
            }
            Step::Undo => {
                controller.undo();
                prop_assert!(controller.window() >= window && controller.threshold() >= threshold);
                let restored = controller.window();
                controller.undo();
                prop_assert_eq!(controller.window(), restored, "only once");
            }
            Step::Idle => {
                controller.on_idle();
                prop_assert!(controller.window() <= window.max(segment));
            }
            Step::Segment(bytes) => {
                segment = bytes.clamp(1, 60_000);
                controller.set_segment(segment);
            }
            Step::Wait(micros) => now += Duration::from_micros(micros),
        }
        prop_assert!(controller.window() >= segment, "{step:?}: at least one segment");
        prop_assert!(controller.window() <= LARGEST_WINDOW, "{step:?}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_controller_leaves_its_bounds(
        segment in 1u32..60_000, steps in proptest::collection::vec(step(), 1..200),
    ) {
        for algorithm in Algorithm::ALL {
            drive(algorithm.controller(segment), segment, &steps)?;
        }
    }
}
