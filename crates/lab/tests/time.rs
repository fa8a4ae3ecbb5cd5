//! The executor and its clock.

use std::future::pending;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use host::{Instant, Runtime, TaskEnd, Timer, sleep, sleep_until, timeout_at};
use lab::{Config, Lab, LabHost};

fn one_machine(lab: &Lab) -> LabHost {
    lab.machine("a", IpAddr::from([10, 0, 0, 1]), 1).host()
}

fn panic_of(work: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(work)).unwrap_err();
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
    }
}

#[test]
fn timers_ring_in_order_and_exactly() {
    let lab = Lab::new(1);
    let host = one_machine(&lab);
    let (sender, receiver) = channel();
    for (name, nanos) in [("c", 30), ("a", 10), ("d", 30), ("b", 11)] {
        let (inside, sender) = (host.clone(), sender.clone());
        host.spawn_detached(async move {
            sleep_until(&inside, Instant::from_nanos(nanos)).await;
            sender.send((name, inside.now().as_nanos())).unwrap();
        });
    }
    lab.run_until(Instant::from_nanos(30));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [("a", 10), ("b", 11), ("c", 30), ("d", 30)]);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the test is that real time does not pass")]
fn a_virtual_hour_takes_no_real_time() {
    let started = std::time::Instant::now();
    let lab = Lab::new(1);
    let host = one_machine(&lab);
    let epoch = host.wall_clock();
    lab.block_on(async {
        for _ in 0..3600 {
            sleep(&host, Duration::from_secs(1)).await;
        }
    });
    assert_eq!(lab.now(), Instant::ORIGIN + Duration::from_secs(3600));
    assert_eq!(host.wall_clock().since(epoch), Duration::from_secs(3600));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn ready_tasks_run_first_in_first_out() {
    let lab = Lab::new(1);
    let host = one_machine(&lab);
    let order = Arc::new(Mutex::new(Vec::new()));
    for number in 0..5 {
        let order = order.clone();
        host.spawn_detached(async move {
            for round in 0..2 {
                order.lock().unwrap().push((round, number));
                yield_now().await;
            }
        });
    }
    lab.run_for(Duration::ZERO);
    let expected: Vec<_> = (0..2).flat_map(|round| (0..5).map(move |number| (round, number))).collect();
    assert_eq!(*order.lock().unwrap(), expected);
}

#[test]
fn a_deadlock_is_told_with_the_place_where_it_began() {
    let lab = Lab::new(1);
    let host = one_machine(&lab);
    host.spawn_detached(pending());
    let line = line!() - 1;
    let text = panic_of(|| {
        lab.block_on(async {
            sleep(&host, Duration::from_secs(9)).await;
            pending::<()>().await;
        });
    });
    assert!(text.contains("at 9.000000000s no task is ready"), "{text}");
    assert!(text.contains(&format!("1 of a, started at {}:{line}", file!())), "{text}");
}

#[test]
fn a_task_that_runs_in_circles_is_found() {
    let lab = Lab::with(Config { polls_per_instant: 1000, ..Config::default() });
    let host = one_machine(&lab);
    host.spawn_detached(async {
        loop {
            yield_now().await;
        }
    });
    let text = panic_of(|| lab.run_for(Duration::from_secs(1)));
    assert!(text.contains("the clock stands still"), "{text}");
}

#[test]
fn a_panic_of_a_task_fails_the_test_unless_it_is_isolated() {
    let lab = Lab::new(1);
    let host = one_machine(&lab);
    host.spawn_detached(async { panic!("of a task") });
    assert_eq!(panic_of(|| lab.run_for(Duration::ZERO)), "of a task");
    lab.isolate_panics();
    let end = lab.block_on(host.spawn(async { panic!("alone") }));
    assert_eq!(end, TaskEnd::Lost);
}

#[test]
fn driving_ends_with_its_future_and_goes_on_later() {
    let lab = Lab::new(1);
    let host = one_machine(&lab);
    let inside = host.clone();
    let task = host.spawn(async move { sleep(&inside, Duration::from_secs(2)).await });
    lab.block_on(sleep(&host, Duration::from_secs(1)));
    assert!(!task.is_ended());
    assert_eq!(
        lab.block_on(timeout_at(&host, lab.now() + Duration::from_millis(999), pending::<()>())),
        Err(host::Elapsed)
    );
    assert!(!task.is_ended());
    lab.run_for(Duration::from_millis(1));
    assert!(task.is_ended());
}

#[test]
fn the_last_handle_drops_all_tasks() {
    let held = Arc::new(());
    let lab = Lab::new(1);
    let host = one_machine(&lab);
    let (inside, kept) = (host.clone(), held.clone());
    struct Restless(LabHost, Arc<()>);
    impl Drop for Restless {
        fn drop(&mut self) {
            let kept = self.1.clone();
            self.0.spawn_detached(async move {
                let _kept = kept;
                pending::<()>().await;
            });
        }
    }
    host.spawn_detached(async move {
        let _restless = Restless(inside, kept);
        pending::<()>().await;
    });
    lab.run_for(Duration::from_secs(1));
    drop(lab);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn a_timer_that_is_set_anew_wakes_who_waits() {
    let lab = Lab::new(1);
    let host = one_machine(&lab);
    let timer = Arc::new(Mutex::new(host.timer()));
    let waiting = timer.clone();
    let inside = host.clone();
    let task = host.spawn(async move {
        std::future::poll_fn(|context| waiting.lock().unwrap().poll_expired(context)).await;
        assert_eq!(inside.now(), Instant::ORIGIN + Duration::from_secs(5));
    });
    let at = |seconds| Some(Instant::ORIGIN + Duration::from_secs(seconds));
    lab.run_for(Duration::from_secs(1));
    for deadline in [at(100), at(2), None, at(5)] {
        timer.lock().unwrap().set(deadline);
        lab.run_for(Duration::from_millis(100));
    }
    assert_eq!(lab.block_on(task), TaskEnd::Finished);
}

async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
