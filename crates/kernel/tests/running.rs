//! Programs on shards.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use host::{Network, Runtime, Shard, TaskEnd, sleep};
use kernel::KernelHost;

#[test]
fn each_shard_runs_the_program_on_one_clock() {
    let seen = kernel::run(3, |host| async move {
        sleep(&host, Duration::from_millis(1)).await;
        (host.shard(), host.now())
    })
    .unwrap();
    let shards: Vec<_> = seen.iter().map(|(shard, _)| *shard).collect();
    assert_eq!(shards, (0..3).map(|index| Shard { index, count: 3 }).collect::<Vec<_>>());
    let earliest = seen.iter().map(|(_, now)| *now).min().unwrap();
    assert!(seen.iter().all(|(_, now)| now.since(earliest) < Duration::from_secs(60)));
}

#[test]
fn a_panic_on_one_shard_ends_them_all_and_surfaces() {
    let dropped = AtomicBool::new(false);
    struct Note<'a>(&'a AtomicBool);
    impl Drop for Note<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let panic = catch_unwind(AssertUnwindSafe(|| {
        kernel::run(2, |host| {
            let dropped = &dropped;
            async move {
                if host.shard().index == 1 {
                    sleep(&host, Duration::from_millis(5)).await;
                    panic!("shard one is lost");
                }
                let _note = Note(dropped);
                std::future::pending::<()>().await;
            }
        })
    }))
    .unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"shard one is lost"));
    assert!(dropped.load(Ordering::SeqCst));
}

#[test]
fn blocking_work_is_done_elsewhere_and_its_panic_comes_back() {
    let ends = kernel::run(1, |host| async move {
        let here = std::thread::current().id();
        let there = host.blocking(|| std::thread::current().id()).await;
        assert_ne!(here, there);
        let inner = host.clone();
        host.spawn(async move { inner.blocking(|| panic!("disk on fire")).await }).await
    })
    .unwrap();
    assert_eq!(ends, [TaskEnd::Lost]);
}

#[test]
fn random_streams_of_one_name_differ() {
    let draws =
        kernel::run(
            2,
            |host| async move { [host.random("mask").next_u64(), host.random("mask").next_u64()] },
        )
        .unwrap()
        .concat();
    assert!((1..4).all(|index| !draws[..index].contains(&draws[index])), "{draws:?}");
}

#[test]
fn an_ordinary_runtime_will_do() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let host = KernelHost::current();
        assert_eq!(host.shard(), Shard::ONLY);
        let inner = host.clone();
        let end = host.spawn(async move { sleep(&inner, Duration::from_millis(1)).await }).await;
        assert_eq!(end, TaskEnd::Finished);
    });
}
